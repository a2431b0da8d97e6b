//! Where one node runs.

use std::ffi::{OsStr, OsString};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::cage::{Cage, DiskRate};
use crate::clock::Clock;
use crate::disk::Disk;
use crate::episode::Episode;
use crate::error::{Error, Result};
use crate::net::Namespace;
use crate::recipe::Recipe;
use crate::syncs::{SyncFailure, Syncs};

/// Enters control groups and becomes the program: whatever the program does is done inside.
const ENTER_CAGE: &str =
    r#"while [ "$1" != -- ]; do echo $$ > "$1" || exit 126; shift; done; shift; exec "$@""#;

/// One node's place: its directory, address, clock, disk and limits.
#[derive(Debug)]
pub struct Site {
    pub(crate) number: u8,
    pub(crate) address: Ipv4Addr,
    pub(crate) data: PathBuf,
    pub(crate) namespace: Option<Namespace>,
    pub(crate) cage: Option<Cage>,
    pub(crate) disk: Option<Disk>,
    pub(crate) clock: Clock,
    pub(crate) syncs: Syncs,
    /// The library that lets syncs fail, where it could be built.
    pub(crate) sync_shim: Option<PathBuf>,
}

impl Site {
    /// The node's number, from 1.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The address at which the node is to listen; nobody else on this machine does.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The directory for the node's files.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The node's clock, for processes whose commands were made here.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The node's disk.
    ///
    /// # Errors
    /// If the ground was laid without disks.
    pub fn disk(&self) -> Result<&Disk> {
        self.disk.as_ref().ok_or_else(|| self.lacks("disk of its own"))
    }

    /// The node's network namespace.
    ///
    /// # Errors
    /// If the ground was laid on loopback.
    pub fn namespace(&self) -> Result<&Namespace> {
        self.namespace.as_ref().ok_or_else(|| self.lacks("network namespace"))
    }

    /// `program` on this node: in its namespace and its control group, under its clock, and with syncs that can be made to
    /// fail. A variable `LD_PRELOAD` would undo the last two.
    pub fn recipe(&self, program: impl AsRef<OsStr>) -> Recipe {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(namespace) = &self.namespace {
            words.extend(namespace.enter());
        }
        if let Some(cage) = &self.cage {
            words.extend(["sh", "-c", ENTER_CAGE, "sh"].map(OsString::from));
            words.extend(cage.doors().into_iter().map(PathBuf::into_os_string));
            words.push("--".into());
        }
        words.push(program.as_ref().to_owned());
        let (variable, file) = self.syncs.environment();
        let recipe = Recipe { words, variables: Vec::new() }.env(variable, file);
        let preloads =
            [self.clock.library(), self.sync_shim.as_deref()].into_iter().flatten().map(Path::as_os_str);
        let preloads = preloads.collect::<Vec<_>>().join(OsStr::new(":"));
        let recipe = if preloads.is_empty() { recipe } else { recipe.env("LD_PRELOAD", preloads) };
        self.clock.environment().into_iter().fold(recipe, |recipe, (name, value)| recipe.env(name, value))
    }

    /// From now on the node's processes together may use this many bytes of memory; one is killed when they need more.
    ///
    /// # Errors
    /// If the node has no control group for memory, or uses more than that already and cannot give it back.
    pub fn limit_memory(&self, bytes: u64) -> Result<Episode> {
        self.cage()?.limit_memory(bytes)
    }

    /// Freezes all processes of the node at once.
    ///
    /// # Errors
    /// If the node has no control group that can be frozen.
    pub fn freeze(&self) -> Result<Episode> {
        self.cage()?.freeze()
    }

    /// From now on the node's disk is as slow as this.
    ///
    /// # Errors
    /// If the node has no disk of its own, or no control group for disks.
    pub fn slow_disk(&self, rate: DiskRate) -> Result<Episode> {
        self.cage()?.slow_disk(self.disk()?.number()?, rate)
    }

    /// Lets syncs of the node's files fail, in processes that run and that will be started. One order at a time.
    ///
    /// # Errors
    /// If the library for it could not be built, or syncs fail already.
    pub fn fail_syncs(&self, failure: &SyncFailure) -> Result<Episode> {
        if self.sync_shim.is_none() {
            return Err(self.lacks("library that lets syncs fail (gcc is needed when the ground is laid)"));
        }
        self.syncs.fail(failure)
    }

    /// How many syncs of this node have failed by order so far: 0 after an episode means that it hit nothing.
    pub fn failed_syncs(&self) -> u64 {
        self.syncs.hits()
    }

    fn cage(&self) -> Result<&Cage> {
        self.cage.as_ref().ok_or_else(|| self.lacks("control group"))
    }

    fn lacks(&self, what: &str) -> Error {
        Error::Unfit(format!("node {} has no {what}", self.number))
    }
}

/// The variable by which a process is told to end itself at its `hit`-th pass of the crash point `name`.
pub fn crash_at(name: &str, hit: u32) -> (&'static str, String) {
    ("CHRONOS_CRASH_AT", format!("{name}:{hit}"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_program_runs_after_its_groups_were_entered_and_keeps_its_arguments() {
        let dir = tempfile::tempdir().unwrap();
        let doors = ["one", "two"].map(|name| dir.path().join(name));
        let mut command = Command::new("sh");
        command.args(["-c", ENTER_CAGE, "sh"]).args(&doors).args(["--", "echo", "a b", "--", "$c"]);
        assert_eq!(String::from_utf8(command.output().unwrap().stdout).unwrap(), "a b -- $c\n");
        for door in doors {
            let entered = std::fs::read_to_string(door).unwrap();
            assert!(entered.trim().parse::<u32>().is_ok(), "{entered:?}");
        }
    }

    #[test]
    fn a_program_does_not_run_when_a_group_cannot_be_entered() {
        let mut command = Command::new("sh");
        command.args(["-c", ENTER_CAGE, "sh", "/nowhere/cgroup.procs", "--", "echo", "ran"]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(126));
        assert!(output.stdout.is_empty());
    }

    #[test]
    fn a_crash_point_is_a_name_and_a_number() {
        assert_eq!(crash_at("wal-sync", 3), ("CHRONOS_CRASH_AT", "wal-sync:3".to_owned()));
    }
}
