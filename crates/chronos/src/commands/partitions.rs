//! `chronos partitions`

use chronos_client::PartitionMarks;
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

/// List the partitions: how many events each has, and whether it is served
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Partitions {}

impl Partitions {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let marks = Connection::open(context).await?.watermarks().await?;
        let mut out = Out::new(context.output);
        let mut table = Table::new(&[
            ("PARTITION", Align::Right),
            ("POSITIONS", Align::Right),
            ("EVENTS", Align::Right),
            ("STATE", Align::Left),
        ]);
        for one in &marks.partitions {
            match context.output {
                Format::Table => table.row(row(one)),
                Format::Json => out.object(&object(one))?,
            }
        }
        out.table(&table)?;
        out.finish()
    }
}

fn row(one: &PartitionMarks) -> [String; 4] {
    let partition = one.partition.to_string();
    match &one.marks {
        Ok(marks) => {
            let head = marks.applied.get();
            let positions = if head == 0 { "none".to_owned() } else { format!("1..{head}") };
            [partition, positions, grouped(head), "served".to_owned()]
        }
        Err(failure) => [partition, "?".to_owned(), "?".to_owned(), format!("REFUSED: {failure}")],
    }
}

fn object(one: &PartitionMarks) -> serde_json::Value {
    match &one.marks {
        Ok(marks) => json!({
            "partition": one.partition.get(),
            "served": true,
            "head": marks.applied.get(),
            "events": marks.applied.get(),
        }),
        Err(failure) => json!({
            "partition": one.partition.get(),
            "served": false,
            "reason": failure.reason,
            "message": failure.message,
        }),
    }
}
