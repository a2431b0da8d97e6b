//! What the command line may say.

use std::io;
use std::path::PathBuf;

use clap::Parser;

use super::target::Target;

/// Attacks every decoder, and the store as a whole, with inputs that are led by the code they reach
#[derive(Parser)]
#[command(name = "fuzz-all")]
pub(crate) struct Options {
    /// How long each target is attacked; 60 where nothing is said of executions
    #[arg(long)]
    seconds: Option<u64>,
    /// End a target after so many executions, or when its time is over if that is said too
    #[arg(long)]
    pub(crate) executions: Option<u64>,
    /// Attack these targets only; may be given several times
    #[arg(long, value_name = "TARGET")]
    only: Vec<String>,
    /// How many targets are attacked at a time
    #[arg(long, default_value_t = 1)]
    pub(crate) jobs: usize,
    /// Say of each target what came of it as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Execute this input once and show what it breaks
    #[arg(long, value_name = "FILE")]
    pub(crate) replay: Option<PathBuf>,
    /// Where totals are kept over all runs
    #[arg(long, value_name = "FILE")]
    pub(crate) results: Option<PathBuf>,
    /// Begin new totals; corpora are kept
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Say what there is to attack
    #[arg(long)]
    pub(crate) list: bool,
}

const SECONDS: u64 = 60;

impl Options {
    /// How long a target is attacked at most.
    pub(crate) fn seconds(&self) -> Option<u64> {
        self.seconds.or_else(|| self.executions.is_none().then_some(SECONDS))
    }

    /// Those of the targets that are meant.
    pub(crate) fn of(&self, known: Vec<Target>) -> io::Result<Vec<Target>> {
        if self.only.is_empty() {
            return Ok(known);
        }
        let find = |name: &String| {
            let found = known.iter().find(|target| target.name == *name).cloned();
            found.ok_or_else(|| io::Error::other(format!("there is no target {name}; --list names them")))
        };
        self.only.iter().map(find).collect()
    }
}
