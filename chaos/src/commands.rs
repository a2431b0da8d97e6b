//! What can be asked for, a file each.
//!
//! A command prints what it finds and says whether that is clean. An error means that it could not be done as it was
//! asked for: its text says what is wrong, where, and what to do next.

mod bugs;
mod check;
mod coverage;
mod real;
mod replay;
mod sim;
mod trial;

use std::error::Error;

use clap::Subcommand;

/// Whether what was attacked or judged is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All of it.
    Clean,
    /// Something is not.
    Failed,
}

/// Why something could not be done.
pub(crate) type Problem = Box<dyn Error>;

/// One of the things that can be asked for.
#[derive(Subcommand)]
pub(crate) enum Command {
    Sim(sim::Sim),
    Replay(replay::Replay),
    Check(check::Check),
    Coverage(coverage::Cover),
    #[command(hide = true)]
    Trial(trial::Trial),
    Real(real::Real),
    Bugs(bugs::Bugs),
}

impl Command {
    /// Does it.
    pub(crate) fn run(&self) -> Result<Verdict, Problem> {
        match self {
            Command::Sim(sim) => sim.run(),
            Command::Replay(replay) => replay.run(),
            Command::Check(check) => check.run(),
            Command::Coverage(cover) => cover.run(),
            Command::Trial(trial) => trial.run(),
            Command::Real(real) => real.run(),
            Command::Bugs(bugs) => bugs.run(),
        }
    }
}

impl Verdict {
    /// Clean if that is so.
    pub(crate) fn clean_if(is_clean: bool) -> Verdict {
        if is_clean { Verdict::Clean } else { Verdict::Failed }
    }
}
