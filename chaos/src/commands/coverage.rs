//! `chaos coverage`: which rare events and crash points a campaign has met.

use std::io;
use std::path::PathBuf;

use chronos_chaos::coverage::Met;
use chronos_chaos::{Coverage, Profile, sim};

use super::{Problem, Verdict};

/// Says which rare events were never met, and at which crash points nothing ever crashed, and fails if there are any:
/// in results of `chaos sim`, in runs of its own, or in both together.
#[derive(clap::Args)]
pub(crate) struct Cover {
    /// What makes plans of seeds.
    #[arg(long, value_enum, default_value_t = Profile::Swarm)]
    profile: Profile,
    /// Seeds to run, the first one and the one after the last, as in 1..61.
    #[arg(long, required_unless_present = "files")]
    seeds: Option<String>,
    /// Virtual minutes of attack in each of those runs.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Files with results, a line for each seed.
    files: Vec<PathBuf>,
}

impl Cover {
    pub(crate) fn run(&self) -> Result<Verdict, Problem> {
        let mut coverage = Coverage::default();
        for file in &self.files {
            let results =
                std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            coverage.read(&results).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        if let Some(seeds) = &self.seeds {
            let (first, end) = seeds.split_once("..").ok_or("--seeds wants A..B, as in 1..61")?;
            for seed in first.parse::<u64>()?..end.parse()? {
                let report = sim::run(&self.profile.plan(seed, self.minutes), Box::new(io::sink()), None);
                coverage.add(&Met::from(&report));
            }
        }
        print!("{coverage}");
        Ok(Verdict::clean_if(coverage.is_complete()))
    }
}
