//! `cargo chaos`: the command line of the attacks.

mod commands;

use std::process::ExitCode;

use clap::Parser;

use commands::{Command, Verdict};

/// Attacks a cluster and judges what it did.
///
/// Exit code: 0 when all that was run or judged is clean, 1 when something failed, 2 when it could not be done.
#[derive(Parser)]
#[command(name = "chaos")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match Args::parse().command.run() {
        Ok(Verdict::Clean) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("chaos: {problem}");
            ExitCode::from(2)
        }
    }
}
