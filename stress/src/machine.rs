//! Where and when a soak runs.

use std::fs;
use std::process::Command;

/// Now, in UTC.
#[must_use]
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Which build this is: the commit it was made of, with `-dirty` behind it when files differed.
#[must_use]
pub fn commit() -> String {
    let mut git = Command::new("git");
    git.args([
        "-C",
        env!("CARGO_MANIFEST_DIR"),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]);
    let said = git.output().ok().filter(|output| output.status.success());
    said.map_or_else(|| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What it runs on, in words.
#[must_use]
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo");
    let kilobytes = memory.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
    let gib = kilobytes.unwrap_or(0) >> 20;
    format!("{cores} cores, {gib} GiB, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

/// Which start of the machine this is.
#[must_use]
pub fn boot() -> String {
    read("/proc/sys/kernel/random/boot_id").trim().to_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}
