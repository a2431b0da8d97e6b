//! `chaos trial`: one run in this process, for the one who started it. See [`chronos_chaos::trial::Runner`].

use std::io::{self, Write};
use std::path::PathBuf;
use std::process;

use chronos_chaos::plan_file::PlanFile;
use chronos_chaos::trial::{Place, stand};
use tracing_subscriber::filter::LevelFilter;

use super::{Problem, Verdict};

/// Does one run whose plan lies at a place, and tells what came of it in one line.
#[derive(clap::Args)]
pub(crate) struct Trial {
    dir: PathBuf,
    name: String,
    #[arg(long)]
    trace: Option<PathBuf>,
    #[arg(long)]
    log: bool,
}

impl Trial {
    pub(crate) fn run(&self) -> Result<Verdict, Problem> {
        if self.log {
            tracing_subscriber::fmt().with_max_level(LevelFilter::INFO).with_writer(io::stderr).init();
        }
        let place = Place::new(&self.dir, &self.name);
        let plan = PlanFile::read(&place.plan())?.plan;
        let told = stand(&plan, &place, self.trace.as_deref(), || say(""))?;
        say(&serde_json::to_string(&told)?);
        Ok(Verdict::Clean)
    }
}

/// When nobody listens any more, there is nothing to go on for.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        process::exit(1);
    }
}
