//! Where and how a number was measured.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::options::Measure;

/// The machine, the build and the settings behind a number.
#[derive(Clone, Debug, Serialize)]
pub struct Conditions {
    cpu: String,
    cores: usize,
    kernel: String,
    filesystem: String,
    /// How many threads wanted to run in the last minute when the suite began: above 1, somebody else was there.
    load_before: String,
    rustc: String,
    profile: &'static str,
    /// Ends in `-dirty` when files differed from it.
    commit: String,
    lanes: u8,
    segment_bytes: u64,
    /// Threads of a node's runtime.
    workers: usize,
    /// `separate`: of its own, on the same machine; `same`: the one that measures.
    server_process: &'static str,
}

/// A load from which on somebody else has part of the machine.
const BUSY_LOAD: f64 = 0.7;

impl Conditions {
    /// Looks around.
    #[must_use]
    pub fn observe(dir: &Path, measure: &Measure) -> Conditions {
        Conditions {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease"),
            filesystem: filesystem(dir).unwrap_or_else(unknown),
            load_before: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            rustc: said("rustc", &["--version"]),
            profile: if cfg!(debug_assertions) { "dev" } else { "release" },
            commit: said("git", &["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]),
            lanes: measure.lanes,
            segment_bytes: measure.segment_bytes,
            workers: measure.workers,
            server_process: "same",
        }
    }

    /// The same with a server in a process of its own.
    #[must_use]
    pub fn with_server(&self) -> Conditions {
        Conditions { server_process: "separate", ..self.clone() }
    }

    /// Why numbers measured here mean less than they seem to, if so.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.filesystem.starts_with("tmpfs") || self.filesystem.starts_with("ramfs") {
            let filesystem = &self.filesystem;
            warnings.push(format!(
                "the directory is on {filesystem}, where a sync is free; give --dir on a disk"
            ));
        }
        if self.load_before.parse().is_ok_and(|load: f64| load > BUSY_LOAD) {
            let load = &self.load_before;
            warnings.push(format!("somebody else uses this machine (load {load}); wait for a quiet one"));
        }
        if self.profile != "release" {
            warnings.push("this is no release build; use `cargo bench-all`".to_owned());
        }
        warnings
    }

    /// One line for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "{} ({} cores), Linux {}, {}, {}, {} profile, commit {}, {} lane(s) of {} MiB segments, {} worker(s), load before {}",
            self.cpu,
            self.cores,
            self.kernel,
            self.filesystem,
            self.rustc,
            self.profile,
            self.commit,
            self.lanes,
            self.segment_bytes >> 20,
            self.workers,
            self.load_before,
        )
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(file).map_or_else(|_| unknown(), |text| text.trim().to_owned())
}

/// The first value of a `name : value` line.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

/// Type and device of the mount that holds a directory.
fn filesystem(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    // A later mount hides an earlier one at the same place.
    let (device, _, kind) =
        mounts.filter(|(_, at, _)| dir.starts_with(at)).max_by_key(|(_, at, _)| at.len())?;
    Some(format!("{kind} on {device}"))
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
    output.map_or_else(unknown, |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
