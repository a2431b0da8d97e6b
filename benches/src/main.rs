//! `cargo bench-all`: measures Chronos and prints JSON lines.

use std::process::ExitCode;

use chronos_benches::options::Options;
use chronos_benches::suite;
use clap::Parser;

fn main() -> ExitCode {
    match suite::run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("chronos-benches: {failure}");
            ExitCode::FAILURE
        }
    }
}
