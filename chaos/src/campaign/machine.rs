//! Where and of what a campaign's numbers are.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// A machine, and the program on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Of which kind its processor is.
    pub cpu: String,
    /// How many of them a process may use, if the system says so.
    pub cores: Option<usize>,
    /// Mebibytes of memory, if the system says so.
    pub memory_mib: Option<u64>,
    /// Of the system.
    pub kernel: String,
    /// What the program was compiled with.
    pub rustc: String,
    /// `release`, or `dev` with all assertions.
    pub build: String,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn this() -> Machine {
        let kib = field("/proc/meminfo", "MemTotal")
            .and_then(|kib| kib.trim_end_matches(" kB").parse::<u64>().ok());
        Machine {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            cores: std::thread::available_parallelism().ok().map(usize::from),
            memory_mib: kib.map(|kib| kib >> 10),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .map_or_else(|_| unknown(), |text| text.trim().to_owned()),
            rustc: said(Command::new("rustc").arg("--version")).unwrap_or_else(unknown),
            build: if cfg!(debug_assertions) { "dev" } else { "release" }.to_owned(),
        }
    }
}

/// The commit of the tree that this program was built from. Ends in `-dirty` when files differ from it.
#[must_use]
pub fn commit() -> String {
    let arguments =
        ["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"];
    said(Command::new("git").args(arguments)).unwrap_or_else(unknown)
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// The first value of a `name : value` line.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
