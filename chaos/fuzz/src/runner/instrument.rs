//! This program in front of rustc.
//!
//! Cargo calls it for the crates of this workspace only, so that what is measured, and what inputs are led by, is our own
//! code: libraries are the ones of any release build, and an execution costs a fraction of what it would if the
//! counters of a query engine had to be looked through after each. It stands on stable: the pass is part of LLVM.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Set where this program is rustc's wrapper.
pub(super) const ASKED: &str = "CHRONOS_FUZZ_INSTRUMENTS";

/// Coverage as libFuzzer wants it, and every assertion of a debug build.
const FLAGS: [&str; 8] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Cdebug-assertions=on",
    "-Coverflow-checks=on",
];

/// Becomes rustc, if that is what this process is for.
pub(crate) fn as_rustc() -> Option<ExitCode> {
    std::env::var_os(ASKED)?;
    let mut args = std::env::args_os().skip(1);
    let rustc = args.next()?;
    let args: Vec<OsString> = args.collect();
    let mut command = Command::new(rustc);
    command.args(&args);
    if is_of_the_product(&args) {
        command.args(FLAGS);
    }
    // Only returns when it cannot.
    let error = command.exec();
    eprintln!("fuzz-all: cannot start rustc: {error}");
    Some(ExitCode::FAILURE)
}

/// Not a question of cargo about rustc, nor a build script, which runs without libFuzzer.
fn is_of_the_product(args: &[OsString]) -> bool {
    let name = args.iter().skip_while(|arg| *arg != "--crate-name").nth(1);
    name.and_then(|name| name.to_str())
        .is_some_and(|name| name != "___" && !name.starts_with("build_script_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crates_of_the_product_are_instrumented() {
        let is = |args: &[&str]| is_of_the_product(&args.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(is(&["--crate-name", "chronos_wal", "--edition=2024"]));
        assert!(!is(&["--crate-name", "build_script_build"]));
        assert!(!is(&["-", "--crate-name", "___", "--print=file-names"]));
        assert!(!is(&["-vV"]));
    }
}
