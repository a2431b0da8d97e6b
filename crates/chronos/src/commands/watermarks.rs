//! `chronos watermarks`

use chronos_client::{PartitionMarks, Token};
use clap::Args;
use serde_json::json;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::{Failure, Outcome};
use crate::output::{Format, Out};
use crate::table::{Align, Table};

const EXAMPLES: &str = "\
Positions, per partition, on the node that answers:
  appended    in its log              flushed    synced to its disk
  committed   durable on a quorum     applied    visible to readers
  compacted   in Parquet parts        purged     removed from the log
  indexed     searchable

Examples:
  chronos watermarks
  chronos read --all --as-of \"$(chronos watermarks --token)\"      # a moment that stands still";

/// Print how far each partition has come
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Watermarks {
    /// Print only the token of everything applied
    #[arg(long)]
    token: bool,
}

impl Watermarks {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let marks = Connection::open(context).await?.watermarks().await?;
        let mut out = Out::new(context.output);
        if self.token {
            out.line(of_everything(&marks)?.to_string())?;
            return out.finish();
        }
        let names =
            ["PARTITION", "APPENDED", "FLUSHED", "COMMITTED", "APPLIED", "COMPACTED", "PURGED", "INDEXED"];
        let mut table = Table::new(&names.map(|name| (name, Align::Right)));
        for one in &marks.partitions {
            match context.output {
                Format::Table => table.row(row(one)),
                Format::Json => out.object(&object(one))?,
            }
        }
        out.table(&table)?;
        if context.output == Format::Table {
            out.line(format!("token {}", marks.token))?;
        }
        out.finish()
    }
}

/// The token of all partitions. One that leaves out a partition would make its events look as if there were none.
fn of_everything(marks: &chronos_client::Watermarks) -> Outcome<Token> {
    let refused =
        marks.partitions.iter().find_map(|one| one.marks.as_ref().err().map(|why| (one.partition, why)));
    match refused {
        None => Ok(marks.token.clone()),
        Some((partition, why)) => Err(Failure::failed(format!(
            "partition {partition} is not served, so there is no moment of everything: {}",
            why.message
        ))),
    }
}

fn row(one: &PartitionMarks) -> [String; 8] {
    let partition = one.partition.to_string();
    match &one.marks {
        Err(_) => {
            let refused = || "refused".to_owned();
            [partition, refused(), refused(), refused(), refused(), refused(), refused(), refused()]
        }
        Ok(m) => {
            let [a, b, c, d, e, f, g] =
                [m.appended, m.flushed, m.committed, m.applied, m.compacted, m.purged, m.indexed]
                    .map(|position| position.to_string());
            [partition, a, b, c, d, e, f, g]
        }
    }
}

fn object(one: &PartitionMarks) -> serde_json::Value {
    match &one.marks {
        Ok(marks) => json!({
            "partition": one.partition.get(),
            "appended": marks.appended.get(),
            "flushed": marks.flushed.get(),
            "committed": marks.committed.get(),
            "applied": marks.applied.get(),
            "compacted": marks.compacted.get(),
            "purged": marks.purged.get(),
            "indexed": marks.indexed.get(),
        }),
        Err(failure) => json!({
            "partition": one.partition.get(),
            "reason": failure.reason,
            "message": failure.message,
        }),
    }
}
