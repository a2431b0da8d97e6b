//! `chronos get`

use chronos_domain::EventId;
use clap::Args;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::Outcome;
use crate::output::{Format, Out, events};

const EXAMPLES: &str = "\
Examples:
  chronos get 0192f0c1-2345-7abc-8def-0123456789ab
  chronos get 0192f0c1-2345-7abc-8def-0123456789ab --output json | jq .payload

Exit code 3 when no event has this id.";

/// Print one event by its id
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Get {
    /// Its UUID
    #[arg(value_name = "EVENT_ID", value_parser = EventId::parse)]
    event_id: EventId,
}

impl Get {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let event = Connection::open(context).await?.get(self.event_id).await?;
        let mut out = Out::new(context.output);
        match context.output {
            Format::Table => out.table(&events::record(&event))?,
            Format::Json => {
                let mut line = Vec::new();
                events::object(&mut line, &event);
                out.bytes(&line)?;
            }
        }
        out.finish()
    }
}
