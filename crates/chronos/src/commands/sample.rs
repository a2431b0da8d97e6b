//! `chronos sample`

use clap::Args;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::Outcome;
use crate::output::events::EventPrinter;

const EXAMPLES: &str = "\
Events spread over the whole history, for a first look at it. It takes the same time on a small and on a large store.

Examples:
  chronos sample
  chronos sample --n 5 --type order.placed
  chronos sample --n 1000 --seed 7 --output json | jq .payload       # the same sample each time";

/// Print some events, spread over the whole history
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Sample {
    /// How many
    #[arg(long, default_value_t = 20, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..=1000))]
    n: u32,
    /// Only of this type; may be repeated
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// The same number gives the same sample, as long as nothing is appended
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

impl Sample {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let sample = Connection::open(context).await?.sample(self.n, &self.types, self.seed).await?;
        let mut printer = EventPrinter::new(context.output);
        for event in &sample.events {
            printer.print(event)?;
        }
        printer.finish()
    }
}
