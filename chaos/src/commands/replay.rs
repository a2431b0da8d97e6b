//! `chaos replay`: runs one plan again.

use std::path::PathBuf;

use chronos_chaos::Profile;
use chronos_chaos::plan::Plan;

use super::{Problem, Verdict, sim};

/// Runs one plan again.
#[derive(clap::Args)]
pub(crate) struct Replay {
    /// A seed, or a file with a plan as `sim` leaves it.
    what: String,
    /// What makes a plan of the seed.
    #[arg(long, value_enum, default_value_t = Profile::Swarm)]
    profile: Profile,
    /// Virtual minutes of attack, of a seed's plan.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Where the plan and the history are left.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Replay {
    pub(crate) fn run(&self) -> Result<Verdict, Problem> {
        let plan = match self.what.parse() {
            Ok(seed) => self.profile.plan(seed, self.minutes),
            Err(_) => read(&self.what)?,
        };
        sim::run_here(&plan, self.out.clone(), None)
    }
}

fn read(file: &str) -> Result<Plan, Problem> {
    let text = std::fs::read_to_string(file);
    let text =
        text.map_err(|error| format!("{file} is neither a seed nor a file that can be read: {error}"))?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("{file} is no plan: {error}"))?)
}
