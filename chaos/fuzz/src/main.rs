//! `cargo fuzz-all`: builds the targets for libFuzzer, runs them, and says what came of it.
//!
//! ```text
//!  options ─ build ─ campaign ─┬─ a process of libFuzzer for each target, so many at a time
//!              │               └─ results: a line for each target, totals over all runs in a file
//!              └─ cargo, with this program in front of rustc (instrument)
//! ```

#![expect(
    clippy::disallowed_methods,
    reason = "it starts processes, writes files and measures real time; nothing of it is simulated"
)]

mod runner;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(ended) = runner::instrument::as_rustc() {
        return ended;
    }
    match runner::run() {
        Ok(ended) => ended,
        Err(error) => {
            eprintln!("fuzz-all: {error}");
            ExitCode::from(2)
        }
    }
}
