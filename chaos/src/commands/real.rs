//! `chaos real`: attacks real processes.

use std::path::PathBuf;

use chronos_chaos::plan::Plan;
use chronos_chaos::real::{self, Settings};

use super::{Problem, Verdict};

const AFTER: &str = "\
As root each node has a network namespace, a disk, a control group and a clock of its own, and everything that the machine \
can have done to it is done; otherwise less, and what is not done is said. All of it is gone afterwards.

Plans by name: mixed, leader-kills, power-cuts, rot, partitions, clocks, full-disks, pauses, rolling, slow-follower, \
one-faulty.";

/// Attacks a cluster of real processes on this machine, and judges what it did.
#[derive(clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Real {
    /// A plan by name, or a file with one as this leaves it.
    #[arg(long, default_value = "mixed")]
    plan: String,
    /// Minutes of attack, of a plan by name; what comes before and after takes some more.
    #[arg(long, default_value_t = 2)]
    minutes: u64,
    /// How many nodes, of a plan by name.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=5))]
    nodes: u32,
    /// From which a plan by name grows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where plan, history, logs and verdict are left.
    #[arg(long)]
    out: PathBuf,
    /// The product's binary; otherwise the one beside this program, which is built when it is missing or older.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Print the verdict for machines, in one line.
    #[arg(long)]
    json: bool,
}

impl Real {
    pub(crate) fn run(&self) -> Result<Verdict, Problem> {
        let plan = self.plan()?;
        let told = |problem: real::Problem| -> Problem { problem };
        let settings = Settings::new(real::binary(self.binary.as_deref()).map_err(told)?, &self.out);
        eprintln!(
            "chaos: {} for {} s on {} nodes, seed {}, {} episodes; {}",
            self.plan,
            plan.seconds,
            plan.nodes,
            plan.seed,
            plan.episodes.len(),
            self.out.display()
        );
        let report = real::run(&plan, &settings).map_err(told)?;
        for unable in &report.unable {
            eprintln!("chaos: this machine cannot have {unable}");
        }
        if self.json {
            println!("{}", report.json(&plan));
        } else {
            println!("{report}");
        }
        Ok(Verdict::clean_if(report.is_clean()))
    }

    fn plan(&self) -> Result<Plan, Problem> {
        if let Some(plan) = Plan::named(&self.plan, self.seed, self.nodes, self.minutes * 60) {
            return Ok(plan);
        }
        let text = std::fs::read_to_string(&self.plan).map_err(|error| {
            format!(
                "--plan {} is neither one of {:?} nor a file that can be read: {error}",
                self.plan,
                Plan::NAMES
            )
        })?;
        Ok(serde_json::from_str(&text)
            .map_err(|error| format!("--plan {} is no plan: {error}", self.plan))?)
    }
}
