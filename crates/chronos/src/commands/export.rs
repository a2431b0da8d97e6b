//! `chronos export`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use chronos_client::{Consistency, Moment, PartitionId, Read};
use clap::{Args, ValueEnum};

use crate::cli::Context;
use crate::commands::read::found;
use crate::connect::Connection;
use crate::failure::{Failure, Outcome};
use crate::moment;
use crate::output::events::object;

const EXAMPLES: &str = "\
One event object a line, with the fields of an event; payload and metadata byte for byte as they were stored (but a \
JSON text with a line break between its tokens loses that white space, because a line is an event). `chronos import` \
reads it back. An event that `chronos truncate` has erased is a line with \"erased\": true and no content: it cannot be \
imported again. `chronos backup` and `chronos restore` keep such a history as it is.

The whole export is one moment: that of --as-of, or else of its beginning, with everything that was acknowledged by then.

Order. `partition`, the default: by partition, then position. `time`: by (recorded_at, partition, position).

What is the same after export --all, import into an empty store, and export again: every line and the order of the \
lines (in the default order), byte for byte, but for recorded_at, which the new store sets; versions, positions and \
partitions come out the same. With --order time the lines are the same but partitions may interleave otherwise, as \
recorded_at does. After the export of one entity its positions differ too: the partition's other events are missing.

Examples:
  chronos export > backup.ndjson
  chronos export --output-file backup.ndjson --as-of 2024-05-01T12:00:00Z
  chronos export --entity order-7 | chronos import - --addr other:7400
  chronos export --order time | head -1";

/// Write events as lines of JSON
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Export {
    /// Only this entity's events, in the order of versions
    #[arg(long, value_name = "ENTITY", conflicts_with_all = ["all", "order"])]
    entity: Option<String>,
    /// Everything (the default)
    #[arg(long)]
    all: bool,
    /// What the store knew then: a time or a token
    #[arg(long, value_name = "TIME|TOKEN", value_parser = moment::parse_as_of)]
    as_of: Option<Moment>,
    /// The order of the lines
    #[arg(long, value_enum, default_value_t, value_name = "ORDER")]
    order: Order,
    /// Where to [default: standard output]
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

/// The order of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Order {
    /// By partition, then position: the same after a round trip.
    #[default]
    Partition,
    /// By the time of recording, then partition, then position.
    Time,
}

impl Export {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let connection = Connection::open(context).await?;
        let mut lines = Lines::open(self.output_file.as_ref())?;
        match (&self.entity, self.order) {
            (Some(entity), _) => self.entity(&connection, entity, &mut lines).await?,
            (None, Order::Time) => lines.copy(&connection, self.bounded(Read::all())).await?,
            (None, Order::Partition) => self.partitions(&connection, &mut lines).await?,
        }
        lines.finish()
    }

    async fn entity(&self, connection: &Connection, entity: &str, lines: &mut Lines) -> Outcome {
        lines.copy(connection, self.bounded(Read::entity(entity))).await?;
        if lines.count == 0 { found(connection, entity).await } else { Ok(()) }
    }

    /// 32 reads of one moment.
    async fn partitions(&self, connection: &Connection, lines: &mut Lines) -> Outcome {
        let moment = match &self.as_of {
            Some(moment) => moment.clone(),
            None => Moment::Token(connection.now().await?),
        };
        for partition in PartitionId::all() {
            // A token does not name a partition in which there is nothing.
            let nothing = matches!(&moment, Moment::Token(token) if token.get(partition).is_zero());
            if !nothing {
                lines.copy(connection, Read::partition(partition).as_of(moment.clone())).await?;
            }
        }
        Ok(())
    }

    fn bounded(&self, read: Read) -> Read {
        match &self.as_of {
            Some(moment) => read.as_of(moment.clone()),
            None => read.consistency(Consistency::Linearizable),
        }
    }
}

/// Where the lines go.
struct Lines {
    writer: Box<dyn Write + Send>,
    /// The file's name, unless it is standard output.
    path: Option<PathBuf>,
    line: Vec<u8>,
    count: u64,
}

const BUFFER_BYTES: usize = 1 << 18;

impl Lines {
    fn open(path: Option<&PathBuf>) -> Outcome<Self> {
        let writer: Box<dyn Write + Send> = match path {
            None => Box::new(BufWriter::with_capacity(BUFFER_BYTES, std::io::stdout())),
            Some(path) => {
                let file = File::create(path)
                    .map_err(|e| Failure::failed(format!("cannot write {}: {e}", path.display())))?;
                Box::new(BufWriter::with_capacity(BUFFER_BYTES, file))
            }
        };
        Ok(Self { writer, path: path.cloned(), line: Vec::new(), count: 0 })
    }

    async fn copy(&mut self, connection: &Connection, read: Read) -> Outcome {
        let mut events = connection.read(read).await?;
        while let Some(event) = events.next().await? {
            object(&mut self.line, &event);
            self.count += 1;
            let written = self.writer.write_all(&self.line);
            written.map_err(|e| self.failed(&e))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Outcome {
        let flushed = self.writer.flush();
        flushed.map_err(|e| self.failed(&e))
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        match &self.path {
            None => Failure::output(error),
            Some(path) => Failure::failed(format!("cannot write {}: {error}", path.display())),
        }
    }
}
