//! `chronos import`

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use futures::{Stream, StreamExt, pin_mut};

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::{Failure, Outcome};
use crate::ingest::chunks::Source;
use crate::ingest::cut::Size;
use crate::ingest::intake::Intake;
use crate::ingest::lines::{Format, Numbering, Read};
use crate::ingest::progress::{Measure, Progress};
use crate::ingest::reading;
use crate::ingest::tally::{OnError, Tally};

const EXAMPLES: &str = r#"A line is one event; entity_id, event_type and payload are needed, everything else is optional:
  {"entity_id":"order-7","event_type":"order.placed","payload":{"total":42},"occurred_at":1714521600000000}

What `chronos export` writes is read back: fields that a server sets are ignored, any other unknown field is an error.
Payload and metadata are stored byte for byte as they stand in the line; JSON is nested 127 levels deep at most.

Resumable and idempotent: events without event_id get one that follows from their line (and from how often the same
line came before), so importing a file again stores nothing new, and an import that was interrupted goes on where it
was. An exported line whose event is stored already counts as there, also where the export had to leave out white space.
Within a partition, so also within an entity, events are stored in the order of the file.

With --on-error skip a line that is no event, and an event that a rule refuses (such as other content under an id that
is stored), is named on standard error and counted as skipped; the exit code is 0 all the same: look at `skipped` of
--output json.

Examples:
  chronos import events.ndjson
  chronos import events.ndjson.zst --on-error skip
  zcat old.gz | chronos import -
  chronos import cloud.ndjson --format cloudevents

CloudEvents (JSON, 1.0): subject (or source) without leading slashes becomes the entity, id the event id when it is a UUID,
else one derived from source and id; time becomes occurred_at, data or data_base64 the payload, datacontenttype its
content type (application/json without one), every other attribute metadata."#;

/// Store the events of a file
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Import {
    /// One event a line, or that compressed with zstd; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What a line is
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// What to do about a line that cannot be stored
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    on_error: OnError,
}

impl Import {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let source = Source::open(&self.file)
            .map_err(|e| Failure::failed(format!("cannot read {}: {e}", self.file.display())))?;
        let connection = Connection::open(context).await?;
        let progress = Progress::new(Measure::Bytes { taken: source.taken.clone(), length: source.length });
        let tally = Arc::new(Tally::new(self.file.clone(), self.on_error, progress, connection.counters()));
        let mut intake = Intake::start(&connection.sink(), &tally, Size::DEFAULT);
        let fed = self.feed(reading::lines(source, self.format), &tally, &mut intake).await;
        // Everything before a bad line goes in, nothing after it.
        let settled = intake.finish().await;
        let summary = tally.finish();
        // A lane's failure is what stopped the feeding, if both failed.
        match settled.and(fed) {
            Ok(()) => summary.print(context.output),
            Err(why) => Err(summary.interrupted(&why)),
        }
    }

    async fn feed(
        &self,
        lines: impl Stream<Item = std::io::Result<Vec<Read>>>,
        tally: &Tally,
        intake: &mut Intake<Tally>,
    ) -> Outcome {
        let mut numbering = Numbering::default();
        pin_mut!(lines);
        while let Some(chunk) = lines.next().await {
            let cannot = |e| Failure::failed(format!("cannot read {}: {e}", self.file.display()));
            for read in chunk.map_err(cannot)? {
                tally.read();
                match read {
                    Ok((line, parsed)) => intake.take(numbering.item(line, parsed)).await?,
                    Err(bad) => tally.bad_line(bad.line, &bad.reason)?,
                }
            }
        }
        Ok(())
    }
}
