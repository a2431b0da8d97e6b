//! The command line of the attacks.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use chronos_chaos::plan::Plan;
use chronos_chaos::sim::{self, Report};
use clap::{Parser, Subcommand};
use serde_json::json;

/// Attacks a cluster and judges what it did.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Attacks simulated clusters, one for each seed.
    Sim {
        /// The first seed and the one after the last, as in 1..61.
        #[arg(long)]
        seeds: String,
        /// Virtual minutes of attack.
        #[arg(long, default_value_t = 5)]
        minutes: u64,
        /// Where histories are left; nowhere otherwise.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Where everything that happens is written down.
        #[arg(long)]
        trace: Option<PathBuf>,
        /// Show what nodes log.
        #[arg(long)]
        log: bool,
    },
}

fn main() -> ExitCode {
    let Command::Sim { seeds, minutes, out, trace, log } = Args::parse().command;
    if log {
        tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::INFO).init();
    }
    let (first, end) = seeds.split_once("..").expect("seeds are A..B");
    let mut failed = false;
    for seed in first.parse::<u64>().expect("a number")..end.parse().expect("a number") {
        let plan = Plan::swarm(seed, minutes * 60);
        let dir = out
            .clone()
            .unwrap_or_else(|| std::env::temp_dir().join(format!("chronos-chaos-{}", std::process::id())));
        std::fs::create_dir_all(&dir).expect("a directory");
        std::fs::write(
            dir.join(format!("{seed}.plan.json")),
            serde_json::to_string_pretty(&plan).expect("plain data"),
        )
        .expect("a file");
        let history = dir.join(format!("{seed}.jsonl"));
        #[expect(clippy::disallowed_methods, reason = "histories are files of this machine")]
        let sink: Box<dyn Write + Send> = Box::new(BufWriter::new(File::create(&history).expect("a file")));
        #[expect(clippy::disallowed_methods, reason = "how long a simulation takes is no part of it")]
        let began = Instant::now();
        let report = sim::run(&plan, sink, trace.as_deref());
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
        failed |= report.outcome.failure.is_some() || found.is_some();
        println!("{} {}", line(&report, &plan, simulated), found.unwrap_or_else(|| "clean".into()));
        if out.is_none() {
            let _ = std::fs::remove_dir_all(&dir);
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn line(report: &Report, plan: &Plan, wall_seconds: f64) -> serde_json::Value {
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
        "points": report.passed.len(),
        "wall_seconds": wall_seconds,
    })
}
