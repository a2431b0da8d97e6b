//! `chronos demo`

use clap::Args;

use crate::cli::Context;
use crate::demo::script::Script;
use crate::demo::show::Show;
use crate::demo::source::Source;
use crate::demo::voice::Audience;
use crate::failure::{Failure, Outcome};
use crate::output::{Format, Out};
use crate::stop_request;

const EXAMPLES: &str = "\
Starts three nodes in a temporary directory, brings events in, kills the leader of the busiest partition (SIGKILL) while \
acknowledgements are flowing, times the fail-over, lets the node return and catch up, compares every acknowledgement that \
was ever given with what is stored and every replica with the others, and reads an entity as of before the crash. Cleans \
up behind itself. Exit code 1 when a single promise was broken; the directories then stay for inspection.

Examples:
  chronos demo
  chronos demo --events 1000000
  chronos demo --source git:.
  chronos demo --source file:events.ndjson.zst --json | tail -1";

/// Events of a demo of the generated feed.
const EVENTS: u64 = 200_000;

/// Watch a cluster keep its word: ingest, a leader killed, fail-over, proof, time travel
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// generated (a shop's order-to-cash feed), git:PATH or file:PATH (NDJSON)
    #[arg(long, default_value = "generated", value_name = "SOURCE")]
    source: Source,
    /// How many events [default: 200000 generated ones, or all that the source has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// Seed of the generated feed
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u64,
    /// Tell the story on standard error, and the result as one JSON object on standard output
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let machines = self.json || context.output == Format::Json;
        let audience = if machines { Audience::Machines } else { Audience::People };
        let events = self.events.or_else(|| (self.source == Source::Generated).then_some(EVENTS));
        let (source, seed) = (self.source, self.seed);
        let script = tokio::task::spawn_blocking(move || Script::new(source, seed, events))
            .await
            .map_err(|e| Failure::failed(format!("lost the thread that counts events: {e}")))??;
        let (finale, fleet) = stop_request::or_interrupted(Show::new(script, audience).play()).await?;
        if audience == Audience::Machines {
            let mut out = Out::new(Format::Json);
            out.object(&finale)?;
            out.finish()?;
        }
        finale.close(fleet)
    }
}
