//! `chronos torture damage`

use clap::Args;

use crate::cli::Context;
use crate::failure::Outcome;
use crate::output::Format;
use crate::stop_request;
use crate::torture::damage::{Act, Damage};

const EXAMPLES: &str = "\
Starts three nodes of its own and fills them, compacting now and then, so that there are logs, votes, parts, indexes and \
manifests. Then, act by act:

  one-node    kills a node, turns bits, zeroes blocks, truncates and deletes files in --places random places over all kinds
              of file, and starts it again: every place must be noticed by an offline check before, everything must be
              mended from the other nodes, and nothing may be left of it
  no-start    damages what says which node it is: the refusal must say what an operator has to do, and that is done
  two-nodes   the same damage to two of three nodes: every answer must be the truth or an error

Exit code 0 only when nothing went unnoticed, unmended, lost or was made up; otherwise the directories stay.

Examples:
  chronos torture damage
  chronos torture damage --seed 7 --places 20 --rounds 5 --act one-node
  chronos torture damage --act two-nodes --json";

/// Damage what nodes have on disk, and see what they make of it
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Damaging {
    /// Places that are damaged on a node
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=5000))]
    places: u32,
    /// How often one node is damaged
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// What happens, in order
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "one-node,no-start,two-nodes",
        value_name = "ACT"
    )]
    act: Vec<Act>,
    /// Events of the generated feed
    #[arg(long, default_value_t = 20_000, value_name = "N", value_parser = clap::value_parser!(u64).range(100..))]
    events: u64,
    /// Seed of the feed, of the nodes and of the places
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u64,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

impl Damaging {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let format = if self.json { Format::Json } else { context.output };
        let Self { act: acts, events, places, rounds, seed, .. } = self;
        let damage = Damage { acts, events, places: places as usize, rounds, seed };
        let concluded = stop_request::or_interrupted(damage.lead()).await?;
        concluded.report.print(format)?;
        super::judged(concluded.evidence)
    }
}
