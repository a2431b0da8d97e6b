//! `chaos sim`: attacks simulated clusters.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use chronos_chaos::Profile;
use chronos_chaos::coverage::Met;
use chronos_chaos::plan::Plan;
use chronos_chaos::sim::{self, Report};
use serde_json::json;

use super::{Problem, Verdict};

/// Attacks simulated clusters, one for each seed.
#[derive(clap::Args)]
pub(crate) struct Sim {
    /// What makes plans of seeds.
    #[arg(long, value_enum, default_value_t = Profile::Swarm)]
    profile: Profile,
    /// The first seed and the one after the last, as in 1..61.
    #[arg(long)]
    seeds: String,
    /// Virtual minutes of attack.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Where plans and histories are left; nowhere otherwise.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Where everything that happens is written down.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Show what nodes log.
    #[arg(long)]
    log: bool,
}

impl Sim {
    pub(crate) fn run(&self) -> Result<Verdict, Problem> {
        if self.log {
            tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::INFO).init();
        }
        let (first, end) = self.seeds.split_once("..").ok_or("--seeds wants A..B, as in 1..61")?;
        let mut all = Verdict::Clean;
        for seed in first.parse::<u64>()?..end.parse()? {
            let plan = self.profile.plan(seed, self.minutes);
            if run_here(&plan, self.out.clone(), self.trace.as_deref())? == Verdict::Failed {
                all = Verdict::Failed;
            }
        }
        Ok(all)
    }
}

/// Runs a plan in this process, judges it, and prints a line.
pub(super) fn run_here(plan: &Plan, out: Option<PathBuf>, trace: Option<&Path>) -> Result<Verdict, Problem> {
    let seed = plan.seed;
    let dir = out.clone();
    let dir =
        dir.unwrap_or_else(|| std::env::temp_dir().join(format!("chronos-chaos-{}", std::process::id())));
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join(format!("{seed}.plan.json")), serde_json::to_string_pretty(plan)?)?;
    let history = dir.join(format!("{seed}.jsonl"));
    #[expect(clippy::disallowed_methods, reason = "histories are files of this machine")]
    let sink: Box<dyn Write + Send> = Box::new(BufWriter::new(File::create(&history)?));
    #[expect(clippy::disallowed_methods, reason = "how long a simulation takes is no part of it")]
    let began = Instant::now();
    let report = sim::run(plan, sink, trace);
    let simulated = began.elapsed().as_secs_f64();
    let verdict = chronos_history::check(&[&history]);
    let found = match &verdict {
        Err(error) => Some(error.to_string()),
        Ok(verdict) if verdict.is_clean() => None,
        Ok(verdict) => {
            let all = verdict
                .verdicts
                .iter()
                .flat_map(|(id, of)| of.violations.iter().map(move |v| format!("{id:?} {v}")));
            Some(
                all.chain(verdict.undecided.iter().map(|v| format!("undecided {v}")))
                    .take(5)
                    .collect::<Vec<_>>()
                    .join("; "),
            )
        }
    };
    let is_clean = report.outcome.failure.is_none() && found.is_none();
    println!("{} {}", line(&report, plan, simulated), found.unwrap_or_else(|| "clean".into()));
    if out.is_none() {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(Verdict::clean_if(is_clean))
}

fn line(report: &Report, plan: &Plan, wall_seconds: f64) -> serde_json::Value {
    let Met { sometimes, passed, crashed } = Met::from(report);
    json!({
        "seed": report.seed,
        "ok": report.outcome.failure.is_none(),
        "failure": report.outcome.failure,
        "trace_hash": format!("{:016x}", report.trace_hash),
        "nodes": plan.nodes,
        "virtual_seconds": report.virtual_time.as_secs(),
        "operations": report.tally.operations,
        "acked": report.tally.acknowledged,
        "refused": report.tally.refused,
        "undone": report.tally.undone,
        "unknown": report.tally.unknown,
        "read": report.tally.read,
        "faults": report.faults,
        "lives": report.lives,
        "ends": report.ends,
        "points": passed.len(),
        "sometimes": sometimes,
        "passed": passed,
        "crashed": crashed,
        "wall_seconds": wall_seconds,
    })
}
