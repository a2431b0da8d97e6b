//! `chronos`. What it does is in the library of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    chronos_cli::run()
}
