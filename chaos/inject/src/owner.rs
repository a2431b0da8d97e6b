//! Whose a thing is: everything this crate makes carries its owner in its name, so that the leftovers of a run that was
//! killed are known as such and removed by the next run.
//!
//! The owner is a process, and a number of the ground within it. Whether that process still lives is not asked by its
//! id, which the system gives away again, but by a lock on a file that the kernel lets go when the process ends,
//! however it ends. The file also lists the directories that were made, which no name of the system leads back to.
//!
//! Invariant: while a process lives, a mark of it is never taken for a leftover.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result, While};

/// How every name begins that has room for it.
const PREFIX: &str = "chronos-inject-";
/// How the names of network devices begin, which have room for 15 letters only.
const SHORT_PREFIX: &str = "ci";
/// Grounds of one process at a time; the names of network devices have room for two digits.
const GROUNDS_MAX: u16 = 100;
/// The numbers of this process's grounds.
static GROUNDS: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// The owner of things: a process and a ground within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) pid: u32,
    pub(crate) ground: u16,
}

impl Mark {
    /// A mark of this process that no other ground has.
    pub(crate) fn claim() -> Result<Mark> {
        with_claim(|_| Ok(()))?;
        let mut grounds = GROUNDS.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ground) = (0..GROUNDS_MAX).find(|number| !grounds.contains(number)) else {
            let why =
                format!("this process has {GROUNDS_MAX} grounds already, and names have room for no more");
            return Err(Error::Unfit(why));
        };
        grounds.insert(ground);
        Ok(Mark { pid: std::process::id(), ground })
    }

    /// Gives the mark back, when nothing is left that carries it.
    pub(crate) fn release(self) {
        GROUNDS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.ground);
    }

    /// The name of the whole: directory, nft table, cgroup.
    pub(crate) fn name(self) -> String {
        self.to_string()
    }

    /// The name of what belongs to one node: namespace, cgroup.
    pub(crate) fn node(self, node: u8) -> String {
        format!("{self}-{node}")
    }

    /// The name of a network device; `role` tells devices of one node apart.
    pub(crate) fn device(self, role: char, node: u8) -> String {
        debug_assert!(
            role.is_ascii_lowercase() && role != 'g',
            "a role is a letter that ends the number before it"
        );
        format!("{SHORT_PREFIX}{}g{}{role}{node}", self.pid, self.ground)
    }

    /// The mark in a name, or in any component of a path.
    pub(crate) fn of(name: &str) -> Option<Mark> {
        name.split('/').find_map(|part| Mark::of_long(part).or_else(|| Mark::of_short(part)))
    }

    fn of_long(name: &str) -> Option<Mark> {
        let mut numbers = name.strip_prefix(PREFIX)?.split(['-', '.']);
        Some(Mark { pid: numbers.next()?.parse().ok()?, ground: numbers.next()?.parse().ok()? })
    }

    fn of_short(name: &str) -> Option<Mark> {
        let (pid, rest) = name.strip_prefix(SHORT_PREFIX)?.split_once('g')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        Some(Mark { pid: pid.parse().ok()?, ground: rest[..digits].parse().ok()? })
    }

    /// Remembers that a directory was made for this mark, so that a later run finds it.
    pub(crate) fn remember(self, directory: &Path) -> Result<()> {
        with_claim(|mut file| writeln!(file, "{}", directory.display()))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-{}", self.pid, self.ground)
    }
}

/// Lets one at a time on this machine lay or sweep, until it is dropped: both choose among what is free or left.
pub(crate) fn turn() -> Result<File> {
    let path = claims().join("turn");
    let waiting = || format!("waiting for {}", path.display());
    make_claims().during(waiting)?;
    let file = File::options().create(true).append(true).open(&path).during(waiting)?;
    file.lock().during(waiting)?;
    Ok(file)
}

/// Whether the process still lives that made what carries this mark.
pub(crate) fn lives(pid: u32) -> bool {
    if pid == std::process::id() {
        return true;
    }
    match File::open(claim_path(pid)) {
        Ok(file) => matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
        Err(_) => false,
    }
}

/// The claims of processes that no longer live, with the directories they left.
pub(crate) fn dead_claims() -> Vec<(u32, Vec<PathBuf>)> {
    let Ok(entries) = fs::read_dir(claims()) else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let dead = pids.filter(|pid| !lives(*pid));
    dead.map(|pid| (pid, directories(&fs::read_to_string(claim_path(pid)).unwrap_or_default()))).collect()
}

/// Forgets a dead process: to be called when nothing of it is left.
pub(crate) fn forget(pid: u32) -> Result<()> {
    fs::remove_file(claim_path(pid)).during(|| format!("removing the claim of the dead process {pid}"))
}

/// The directories in the text of a claim. A line that names none of ours is not believed: they will be removed.
fn directories(claim: &str) -> Vec<PathBuf> {
    let ours = |path: &Path| {
        path.is_absolute() && path.file_name().and_then(|name| Mark::of_long(name.to_str()?)).is_some()
    };
    claim.lines().map(PathBuf::from).filter(|path| ours(path)).collect()
}

/// Where claims lie: by the user, since only root may remove what root made.
fn claims() -> PathBuf {
    match rustix::process::getuid() {
        root if root.is_root() => PathBuf::from("/run/chronos-inject"),
        user => std::env::temp_dir().join(format!("chronos-inject.{}", user.as_raw())),
    }
}

/// Makes the place of the claims. One that somebody else made is not believed: directories that it names are removed.
fn make_claims() -> std::io::Result<()> {
    fs::create_dir_all(claims())?;
    if fs::metadata(claims())?.uid() == rustix::process::getuid().as_raw() {
        return Ok(());
    }
    Err(std::io::Error::other(format!("{} belongs to another user", claims().display())))
}

fn claim_path(pid: u32) -> PathBuf {
    claims().join(pid.to_string())
}

/// Does something with the claim of this process, which is taken first if need be and kept until the process ends.
fn with_claim(act: impl FnOnce(&File) -> std::io::Result<()>) -> Result<()> {
    static CLAIM: Mutex<Option<File>> = Mutex::new(None);
    let mut claim = CLAIM.lock().unwrap_or_else(PoisonError::into_inner);
    let path = claim_path(std::process::id());
    let doing = || format!("claiming {}", path.display());
    if claim.is_none() {
        *claim = Some(take(&path).during(doing)?);
    }
    act(claim.as_ref().expect("it was just taken")).during(doing)
}

fn take(path: &Path) -> std::io::Result<File> {
    make_claims()?;
    loop {
        let file = File::options().create(true).append(true).open(path)?;
        file.lock()?;
        // Whoever sweeps may have removed the file of a dead process with our id between the two calls.
        if fs::metadata(path)
            .is_ok_and(|at_path| file.metadata().is_ok_and(|ours| ours.ino() == at_path.ino()))
        {
            return Ok(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark { pid: 4_194_304, ground: 99 };

    #[test]
    fn every_name_leads_back_to_its_owner() {
        for name in [MARK.name(), MARK.node(7), MARK.device('v', 99), format!("{}.img", MARK.node(2))] {
            assert_eq!(Mark::of(&name), Some(MARK), "{name}");
        }
        assert_eq!(Mark::of(&format!("/some/place/{}/n1/data", MARK.name())), Some(MARK));
    }

    #[test]
    fn the_longest_name_of_a_device_fits_the_kernel() {
        assert_eq!(MARK.device('v', 99).len(), 15);
    }

    #[test]
    fn names_of_others_have_no_owner() {
        for name in [
            "",
            "lo",
            "eth0",
            "ci",
            "cilium_host",
            "cigar0",
            "ci12gx",
            "chronos-inject-",
            "chronos-inject-x-1",
            "g1",
        ] {
            assert_eq!(Mark::of(name), None, "{name}");
        }
    }

    #[test]
    fn this_process_lives_and_one_without_a_claim_does_not() {
        let mark = Mark::claim().unwrap();
        assert!(lives(mark.pid));
        assert!(!lives(MARK.pid + 1));
        let other = Mark::claim().unwrap();
        assert_ne!(other, mark);
        mark.release();
        other.release();
    }

    #[test]
    fn a_claim_that_nobody_holds_is_dead_and_its_directories_are_known() {
        let nobody = MARK.pid + 2;
        fs::create_dir_all(claims()).unwrap();
        fs::write(claim_path(nobody), format!("/x/{}\n/\n/etc\nchronos-inject-1-1\n", MARK.name())).unwrap();
        let dead = dead_claims();
        assert!(dead.contains(&(nobody, vec![PathBuf::from(format!("/x/{}", MARK.name()))])), "{dead:?}");
        forget(nobody).unwrap();
        assert!(dead_claims().iter().all(|(pid, _)| *pid != nobody));
    }
}
