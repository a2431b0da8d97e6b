//! `chronos bench catch-up`: a follower comes back after a long absence, and the others go on.
//!
//! ```text
//!  load ──────────────────────────────────────────────────────────────────────────────────────────► all the time
//!  measured     │ all there │          │ one away │ catching up, killed now and then │ afterwards │
//!  the follower  ───────────┴─ killed ─── events ─┴─ back ─ killed ─ back ─ … ─ back ─┴─ level
//! ```
//!
//! The load is the same from the first second to the last: so many appends a second, or as many as some callers get
//! through. What the follower costs the leaders is how much slower the same load is while it catches up.

mod course;
mod load;
mod report;

use std::sync::Arc;
use std::time::Duration;

use chronos_client::{ClusterAdmin, Options};
use clap::Args;

use crate::cli::Context;
use crate::demo::dice::Dice;
use crate::demo::ledger::Ledger;
use crate::demo::script::Script;
use crate::demo::source::Source;
use crate::demo::stage::Stage;
use crate::failure::{Exit, Failure, Outcome};
use crate::fleet::Fleet;
use crate::fleet::ground::Ground;
use crate::ingest::progress::{Measure, Progress};
use crate::moment;
use crate::operator::failed;
use crate::output::Format;
use course::Course;
use load::{Load, Phase};

const EXAMPLES: &str = "\
Three nodes of its own under a steady load. One is killed, and --events are appended and compacted, until the logs of the \
others no longer reach back to it. It comes back, takes over the parts it has missed, is killed --kills times meanwhile, \
and goes on each time with what it has. The load is measured with all nodes there, with one away, and while it catches up.

Exit code 0 only when it catches up through all kills, holds the same as the others bit for bit, and the load is never \
slower by more than 20 % (throughput, and the median of latencies) than with all nodes there.

Examples:
  chronos bench catch-up
  chronos bench catch-up --events 100000 --kills 2 --measure 5s --json
  chronos bench catch-up --rate 0                      # as many appends as 16 callers get through";

/// How long an operator waits for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How fast parts are sent.
const THROTTLE: &str = "cluster.transfer_bytes_per_second";
/// Nodes of the cluster.
const NODES: usize = 3;

/// A follower that was away for long catches up, and what that costs the leaders
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CatchUp {
    /// Events that are appended while it is away
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..))]
    events: u64,
    /// How often it is killed while it catches up
    #[arg(long, default_value_t = 5, value_name = "N")]
    kills: u32,
    /// Appends a second of the steady load; 0 for as many as its callers get through
    #[arg(long, default_value_t = 200, value_name = "N")]
    rate: u64,
    /// Callers of the load
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    callers: u32,
    /// Bytes of parts that each node sends in a second at most [default: as a node is configured]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    throttle: Option<u64>,
    /// How long the load is measured before and after
    #[arg(long, default_value = "20s", value_name = "TIME", value_parser = moment::parse_duration)]
    measure: Duration,
    /// Seed of the events, and of the choice of the node
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u64,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

impl CatchUp {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let format = if self.json { Format::Json } else { context.output };
        let stage =
            Stage::on(Fleet::found(NODES, Ground::loopback()).await?, Options::default().deadline).await?;
        stage.fleet.settled().await?;
        let addresses: Vec<String> = (0..NODES).map(|at| stage.fleet.admin_address(at)).collect();
        let options = Options { deadline: PATIENCE, ..Options::default() };
        let admin = ClusterAdmin::connect_with(&addresses.join(","), options).map_err(Failure::usage)?;
        // The leaders stay where they are: the same ones are measured from the first second to the last.
        admin.pause().await.map_err(failed)?;
        if let Some(throttle) = self.throttle {
            let changed = admin.set_config(THROTTLE, &throttle.to_string(), &[]).await.map_err(failed)?;
            if let Some(Err(why)) = changed.into_iter().map(|one| one.outcome).find(Result::is_err) {
                return Err(Failure::failed(format!("{THROTTLE} cannot be set: {why}")));
            }
        }
        let script = Script::new(Source::Generated, self.seed, Some(self.events))?;
        let ledger = Arc::new(Ledger::new(Progress::new(Measure::Events(self.events))));
        let load = Load::start(&stage.connection, self.callers, self.rate, self.seed);
        let victim = Dice::new(self.seed).below(NODES as u64) as usize;
        let mut course = Course { stage, admin, script, ledger, load, victim, kills: self.kills };
        let report = course.run(self.measure).await;
        match report {
            Ok(report) => {
                report.print(format)?;
                let clean = report.is_clean();
                if clean { Ok(()) } else { Err(Failure::already_told(Exit::Failed)) }
            }
            Err(failure) => {
                let evidence = course.stage.fleet.keep().display();
                let text = format!("{failure}; the directories are kept in {evidence}");
                Err(Failure::new(failure.exit(), text))
            }
        }
    }
}
