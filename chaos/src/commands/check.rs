//! `chaos check`: judges histories.

use std::path::PathBuf;

use chronos_history::{check_lines, read};

use super::{Problem, Verdict};

/// Judges a history.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// All files of the history, plain or gzip'ed, in any order.
    #[arg(required = true)]
    history: Vec<PathBuf>,
}

impl Check {
    pub(crate) fn run(&self) -> Result<Verdict, Problem> {
        let report = check_lines(&read(&self.history)?);
        print!("{report}");
        Ok(Verdict::clean_if(report.is_clean()))
    }
}
