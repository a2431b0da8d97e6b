//! The program that holds all targets, with libFuzzer.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::instrument::ASKED;

const BIN: &str = "fuzz-target";
const TARGETS: &str = "chronos-fuzz-targets";
/// Nothing of it is built. Named beside the targets, it makes cargo choose the features of libraries as it does for
/// `cargo chaos`, so that what takes long to compile is compiled once for both.
const HARNESS: &str = "chronos-chaos";

/// Builds it and says where it is.
///
/// # Errors
/// When cargo cannot be started or does not build it; it has said why.
pub(super) fn program() -> io::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--package", TARGETS, "--package", HARNESS, "--bin", BIN])
        .args(["--features", &format!("{TARGETS}/libfuzzer")])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("RUSTC_WORKSPACE_WRAPPER", std::env::current_exe()?)
        .env(ASKED, "1")
        .stderr(Stdio::inherit())
        .output()?;
    let says = String::from_utf8_lossy(&built.stdout);
    let program = says.lines().filter_map(executable).next_back();
    match program {
        Some(program) if built.status.success() => Ok(program),
        _ => Err(io::Error::other(format!("the targets were not built ({})", built.status))),
    }
}

fn executable(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    (message["target"]["name"] == BIN).then(|| message["executable"].as_str().map(PathBuf::from))?
}
