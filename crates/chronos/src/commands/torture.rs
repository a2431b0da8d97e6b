//! `chronos torture`

mod damage;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::cli::Context;
use crate::demo::script::Script;
use crate::demo::source::Source;
use crate::failure::{Exit, Failure, Outcome};
use crate::moment;
use crate::output::Format;
use crate::stop_request;
use crate::torture::campaign::{Campaign, possible};
use crate::torture::fault::Fault;
use damage::Damaging;

const EXAMPLES: &str = "\
Starts a cluster of its own, brings events in through the SDK, and does something bad to a random node every few seconds. \
What the SDK gives back as failed or unknown is counted and repeated with the same event ids. Then every acknowledgement is \
compared with what is stored, every replica with the others (each partition has to have as many as it should), and every \
directory is verified. Exit code 0 only when nothing is lost, double, missing or different; otherwise the directories stay \
for inspection. Of faults that take nobody by surprise (restart, rolling) the SDK must not give back one definite error.

Partitions are made of network namespaces and nftables, and need root; where they cannot be made that is said.

Examples:
  chronos torture --rounds 100
  chronos torture --fault pause,kill --nodes 5 --rounds 50
  chronos torture damage --places 200
  chronos torture --fault rolling --rounds 3
  chronos torture --rounds 100 --source file:events.ndjson --json
  sudo chronos torture --fault partition,oneway --rounds 20 --source git:.";

/// Events a second of the generated feed.
const RATE: u64 = 2000;

/// A source that ends is paced so that it lasts for so much longer than the faults should take; what is left then goes in
/// at once.
const MARGIN: f64 = 2.0;

/// Break a cluster of one's own again and again, and count what was lost
#[derive(Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Torture {
    #[command(subcommand)]
    other: Option<Other>,
    /// What is done to nodes
    #[arg(long, value_enum, value_delimiter = ',', default_value = "kill", value_name = "FAULT")]
    fault: Vec<Fault>,
    /// How often
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// From the begin of one fault to the next, at least
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = moment::parse_duration)]
    every: Duration,
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(3..=9))]
    nodes: u8,
    /// generated (a shop's order-to-cash feed), git:PATH or file:PATH (NDJSON)
    #[arg(long, default_value = "generated", value_name = "SOURCE")]
    source: Source,
    /// Events a second [default: 2000 generated ones, or so many that the source lasts]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Seed of the faults and of the generated feed
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u64,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Campaigns of another kind.
#[derive(Subcommand)]
enum Other {
    Damage(Damaging),
}

/// What a campaign ends with: evidence is left only where something was wrong.
fn judged(evidence: Option<PathBuf>) -> Outcome {
    let Some(evidence) = evidence else { return Ok(()) };
    Err(Failure::new(Exit::Failed, format!("not every promise was kept; see {}", evidence.display())))
}

impl Torture {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        if let Some(Other::Damage(damaging)) = self.other {
            return damaging.run(context).await;
        }
        let format = if self.json { Format::Json } else { context.output };
        let campaign = self.campaign().await?;
        let concluded = stop_request::or_interrupted(campaign.lead()).await?;
        concluded.report.print(format)?;
        judged(concluded.evidence)
    }

    async fn campaign(self) -> Outcome<Campaign> {
        let faults = possible(&self.fault)?;
        let (source, seed) = (self.source, self.seed);
        let endless = source == Source::Generated;
        let script = tokio::task::spawn_blocking(move || {
            let events = endless.then_some(u64::MAX);
            Script::new(source, seed, events)
        });
        let script = script
            .await
            .map_err(|e| Failure::failed(format!("lost the thread that counts events: {e}")))??;
        let each: f64 =
            faults.iter().map(|fault| fault.lasts(self.nodes).max(self.every).as_secs_f64()).sum();
        let seconds = f64::from(self.rounds) * each / faults.len() as f64 * MARGIN;
        let lasting = ((script.events as f64 / seconds) as u64).max(1);
        let rate = self.rate.unwrap_or(if endless { RATE } else { lasting });
        let Self { rounds, every, seed, .. } = self;
        Ok(Campaign { nodes: self.nodes.into(), rounds, every, faults, script, rate, seed })
    }
}
