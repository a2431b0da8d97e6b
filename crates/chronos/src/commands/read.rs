//! `chronos read`

use chronos_client::{Consistency, Filter, Moment, PartitionId, Read as Request, Timestamp, Version};
use clap::Args;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::moment;
use crate::output::events::EventPrinter;

const EXAMPLES: &str = "\
One entity's events come in the order of versions, a partition's in the order of positions, all events in the order of \
(recorded_at, partition, position). Everything that was acknowledged before is there, whichever node answers.

--as-of is what the store knew then: a time, or a token that an append or `chronos watermarks --token` gave. The same \
--as-of gives the same events for ever. --occurred-until is what had happened by then in the world (occurred_at, or \
recorded_at where it is absent). Together: what did we know on Monday about last week?

Exit code 3 when there is no such entity.

Examples:
  chronos read order-7
  chronos read order-7 --backward --limit 1
  chronos read order-7 --from 3 --output json | jq .payload
  chronos read --partition 5 --limit 20
  chronos read --all --type order.placed --as-of 2024-05-01T12:00:00Z
  chronos read --all --tag region:eu --occurred-until 2024-04-30";

/// Print events of an entity, of a partition, or of all partitions
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Read {
    /// Whose events
    #[arg(value_name = "ENTITY", required_unless_present_any = ["partition", "all"])]
    entity: Option<String>,
    /// All events of this partition instead
    #[arg(long, value_name = "N", conflicts_with_all = ["entity", "all"], value_parser = partition)]
    partition: Option<PartitionId>,
    /// All events instead
    #[arg(long, conflicts_with = "entity")]
    all: bool,
    /// Begin at this version (of an entity) or position (of a partition)
    #[arg(long, value_name = "N", conflicts_with = "all")]
    from: Option<u64>,
    /// With --all: go on where a limited read ended (it says so on standard error)
    #[arg(long, value_name = "CURSOR", requires = "all")]
    cursor: Option<String>,
    /// Newest first
    #[arg(long)]
    backward: bool,
    /// At most so many events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// What the store knew then: a time or a token
    #[arg(long, value_name = "TIME|TOKEN", value_parser = moment::parse_as_of)]
    as_of: Option<Moment>,
    /// What had happened by then
    #[arg(long, value_name = "TIME", value_parser = moment::parse_time, allow_hyphen_values = true)]
    occurred_until: Option<Timestamp>,
    /// Only this event type; may be repeated: any of them
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only events with this tag; may be repeated: all of them
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
}

/// Reads a partition's number.
pub(crate) fn partition(text: &str) -> Result<PartitionId, String> {
    text.parse().ok().and_then(PartitionId::new).ok_or_else(|| "give a partition from 0 to 31".to_owned())
}

impl Read {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let connection = Connection::open(context).await?;
        let mut events = connection.read(self.request()).await?;
        let mut printer = EventPrinter::new(context.output);
        let mut empty = true;
        while let Some(event) = events.next().await? {
            empty = false;
            printer.print(&event)?;
        }
        printer.finish()?;
        if events.truncated_before() > Version::ZERO {
            eprintln!("{}", erased(events.truncated_before()));
        }
        if self.all && self.limit.is_some() && !empty {
            eprintln!("to go on: --cursor {}", events.cursor());
        }
        match &self.entity {
            Some(entity) if empty && events.truncated_before() == Version::ZERO => {
                found(&connection, entity).await
            }
            _ => Ok(()),
        }
    }

    fn request(&self) -> Request {
        let mut request = match (&self.entity, self.partition) {
            (Some(entity), _) => Request::entity(entity),
            (None, Some(partition)) => Request::partition(partition),
            (None, None) => Request::all(),
        };
        request = request.filter(Filter {
            types: self.types.clone(),
            tags: self.tags.clone(),
            occurred_until: self.occurred_until,
            ..Filter::default()
        });
        if let Some(from) = self.from {
            request = request.from(from);
        }
        if let Some(cursor) = &self.cursor {
            request = request.cursor(cursor);
        }
        if self.backward {
            request = request.backward();
        }
        if let Some(limit) = self.limit {
            request = request.limit(limit);
        }
        match &self.as_of {
            Some(moment) => request.as_of(moment.clone()),
            // Who looks by hand has just done something, here or elsewhere, and wants to see it.
            None => request.consistency(Consistency::Linearizable),
        }
    }
}

/// What a reader is told of an entity that has lost its oldest events.
pub(crate) fn erased(before: Version) -> String {
    format!("truncated: versions before {before} were erased")
}

/// An empty view of an entity that is there is an answer; an entity that is not there was not found.
pub(crate) async fn found(connection: &Connection, entity: &str) -> Outcome {
    if connection.exists(entity).await? {
        return Ok(());
    }
    Err(Failure::new(Exit::NotFound, format!("there is no entity {entity}")))
}
