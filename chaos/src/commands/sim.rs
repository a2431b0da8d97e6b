//! `chaos sim`: attacks simulated clusters.

use std::io::{self, Write};
use std::path::PathBuf;
use std::thread;

use chronos_chaos::campaign::{self, Campaign, Origin, Results, Run};
use chronos_chaos::trial::{Ask, Runner};
use chronos_chaos::{Profile, Seeds};

use super::{Problem, Verdict};

/// Attacks simulated clusters, one for each seed, each in a process of its own.
///
/// Plans in chaos/seeds, which once found something, are run first. Exit code: 0 when nothing failed, 1 when a seed or a
/// plan that is kept did, 2 when the campaign could not be done.
#[derive(clap::Args)]
pub(crate) struct Sim {
    /// What makes plans of seeds.
    #[arg(long, value_enum, default_value_t = Profile::Swarm)]
    profile: Profile,
    /// The first seed and the one after the last, as in 1..61; or one seed.
    #[arg(long, value_name = "A..B", allow_hyphen_values = true)]
    seeds: Seeds,
    /// Virtual minutes of attack in each run [default: 5 for a swarm and beyond, 10080 for a week].
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
    /// Print one JSON object for each seed, and nothing else to the standard output.
    #[arg(long)]
    json: bool,
    /// How many seeds run at a time [default: as many as there are cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Where plans, histories and logs of all runs are left. Without it only those of failed ones are, in a temporary
    /// directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// One file with the results of the whole campaign. What is in there already, of this commit, is not run again.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Where everything that happens in a run is written down. For one seed; kept plans are not run.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Have nodes log, into the logs that runs leave.
    #[arg(long)]
    log: bool,
    /// Leave out the plans in chaos/seeds.
    #[arg(long)]
    no_kept: bool,
}

impl Sim {
    pub(crate) fn run(&self) -> Result<Verdict, Problem> {
        let campaign = self.campaign()?;
        let results = campaign::run(&campaign, &Runner::same()?, &mut |run| self.tell(run))?;
        eprintln!("{}", summary(&results));
        Ok(Verdict::clean_if(results.is_clean()))
    }

    fn campaign(&self) -> Result<Campaign, Problem> {
        if self.trace.is_some() && !self.seeds.is_one() {
            return Err("--trace is of one run: give one seed with --seeds, or leave it out".into());
        }
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let dir = || std::env::temp_dir().join(format!("chronos-chaos-{}", std::process::id()));
        Ok(Campaign {
            commit: campaign::commit(),
            profile: self.profile,
            minutes: self.profile.minutes(self.minutes)?,
            seeds: self.seeds.clone(),
            kept: if self.no_kept || self.trace.is_some() { Vec::new() } else { campaign::kept()? },
            jobs: self.jobs.map_or_else(cores, usize::from),
            dir: self.out.clone().unwrap_or_else(dir),
            leave_all: self.out.is_some(),
            results: self.results.clone(),
            ask: Ask { trace: self.trace.clone(), log: self.log },
        })
    }

    /// A line for each run, and for one that failed what to do next.
    fn tell(&self, run: &Run) {
        let name = match &run.origin {
            Origin::Kept(name) => format!("kept {name}"),
            Origin::Seed(seed) => format!("seed {seed}"),
        };
        match (&run.origin, self.json) {
            (Origin::Seed(_), true) => say(&run.record.json().to_string()),
            (Origin::Kept(_), true) => eprintln!("{name}: {}", run.record),
            (_, false) => say(&format!("{name}: {}", run.record)),
        }
        if !run.record.is_ok() {
            eprintln!("  {name} failed; run it again: {}", run.replay);
            if let Some(left) = &run.left {
                eprintln!("  {name} left {}, {}", left.plan().display(), left.history().display());
            }
        }
    }
}

/// A line at a time, whoever reads them.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    // Who does not listen any more still wants the campaign, for its results.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn summary(results: &Results) -> String {
    let totals = &results.totals;
    let mut text = format!(
        "{} seeds, {} clean, {} failed; {} virtual hours, {} operations, {} events acknowledged: {} lost, {} duplicates, {} \
         gaps; {} episodes of {} kinds, {} crash points; {:.0} s; commit {}",
        totals.runs,
        totals.clean,
        totals.failed,
        totals.virtual_seconds / 3600,
        totals.operations,
        totals.acked,
        totals.lost,
        totals.duplicates,
        totals.gaps,
        totals.episodes,
        totals.faults.len(),
        totals.crash_points_hit,
        results.elapsed_seconds,
        results.commit,
    );
    if totals.unjudged > 0 {
        text += &format!("\n{} of them could not be judged whole", totals.unjudged);
    }
    for failed in &results.failures {
        text += &format!("\nfailed: {}, {}: {}", failed.name, failed.failure, failed.replay);
    }
    text
}
