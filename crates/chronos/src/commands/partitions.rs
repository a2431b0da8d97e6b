//! `chronos partitions`

use chronos_client::{PartitionId, PartitionMarks, Stats};
use clap::Args;
use serde_json::json;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::Outcome;
use crate::output::{Format, Out};
use crate::table::{Align, Table, grouped};

const EXAMPLES: &str = "\
An entity lives in one of 32 partitions for ever; a partition's positions are exactly 1 to its head.

Examples:
  chronos partitions
  chronos partitions --output json | jq 'select(.served | not)'";

/// List the partitions: how many events and entities each has, and whether it is served
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Partitions {}

impl Partitions {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let connection = Connection::open(context).await?;
        // In this order, so that no entity is counted whose events are not.
        let stats = connection.info().await?.stats;
        let marks = connection.watermarks().await?;
        let mut out = Out::new(context.output);
        let mut table = Table::new(&[
            ("PARTITION", Align::Right),
            ("POSITIONS", Align::Right),
            ("EVENTS", Align::Right),
            ("ENTITIES", Align::Right),
            ("STATE", Align::Left),
        ]);
        for one in &marks.partitions {
            let entities = stats.as_ref().and_then(|stats| entities(stats, one.partition));
            match context.output {
                Format::Table => table.row(row(one, entities)),
                Format::Json => out.object(&object(one, entities))?,
            }
        }
        out.table(&table)?;
        out.finish()
    }
}

/// How many entities the partition has, if the server says so.
fn entities(stats: &Stats, partition: PartitionId) -> Option<u64> {
    stats.partitions.iter().find(|of| of.partition == partition).map(|of| of.entities)
}

fn row(one: &PartitionMarks, entities: Option<u64>) -> [String; 5] {
    let partition = one.partition.to_string();
    let unknown = || "?".to_owned();
    match &one.marks {
        Ok(marks) => {
            let head = marks.applied.get();
            let positions = if head == 0 { "none".to_owned() } else { format!("1..{head}") };
            [partition, positions, grouped(head), entities.map_or_else(unknown, grouped), "served".to_owned()]
        }
        Err(failure) => [partition, unknown(), unknown(), unknown(), format!("REFUSED: {failure}")],
    }
}

fn object(one: &PartitionMarks, entities: Option<u64>) -> serde_json::Value {
    match &one.marks {
        Ok(marks) => json!({
            "partition": one.partition.get(),
            "served": true,
            "head": marks.applied.get(),
            "events": marks.applied.get(),
            "entities": entities,
        }),
        Err(failure) => json!({
            "partition": one.partition.get(),
            "served": false,
            "reason": failure.reason,
            "message": failure.message,
        }),
    }
}
