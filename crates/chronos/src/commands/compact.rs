//! `chronos compact`

use chronos_client::{CompactedPartition, PartitionId};
use clap::Args;
use serde_json::json;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{Format, Out};
use crate::table::{Align, Table, grouped};

const EXAMPLES: &str = "\
A server compacts by itself, when enough has been appended. This has it write everything it stores by now into Parquet \
parts, pack them as small as possible, and let go of the log behind them. Appends go on meanwhile.

Without --wait the command returns as soon as that is certain to happen; `chronos watermarks` shows how far it is.

Examples:
  chronos compact
  chronos compact --wait

Exit code 1 when a partition could not be compacted; it says why.";

/// Write everything stored by now into Parquet parts
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Compact {
    /// Return when it is done, however long that takes
    #[arg(long)]
    wait: bool,
}

impl Compact {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let connection = Connection::open(context).await?;
        let all = if self.wait { wait(&connection).await? } else { connection.compact(&[]).await? };
        let mut out = Out::new(context.output);
        let mut table =
            Table::new(&[("PARTITION", Align::Right), ("UP TO", Align::Right), ("STATE", Align::Left)]);
        for one in &all {
            match context.output {
                Format::Table => table.row(self.row(one)),
                Format::Json => out.object(&object(one))?,
            }
        }
        out.table(&table)?;
        out.finish()?;
        if all.iter().all(|one| one.position.is_ok()) {
            Ok(())
        } else {
            Err(Failure::already_told(Exit::Failed))
        }
    }

    fn row(&self, one: &CompactedPartition) -> [String; 3] {
        let partition = one.partition.to_string();
        let state = if self.wait { "compacted" } else { "asked for" };
        match &one.position {
            Ok(position) => [partition, grouped(position.get()), state.to_owned()],
            Err(failure) => [partition, "?".to_owned(), format!("FAILED: {failure}")],
        }
    }
}

/// Asks again for the partitions that are not done, until none is left.
async fn wait(connection: &Connection) -> Outcome<Vec<CompactedPartition>> {
    let (mut done, mut left) = (Vec::new(), PartitionId::all().collect::<Vec<_>>());
    while !left.is_empty() {
        let answers = connection.compact_and_wait(&left).await?;
        let late = |one: &CompactedPartition| {
            one.position.as_ref().is_err_and(|failure| failure.reason == "DEADLINE_EXCEEDED")
        };
        left = answers.iter().filter(|one| late(one)).map(|one| one.partition).collect();
        done.extend(answers.into_iter().filter(|one| !late(one)));
    }
    done.sort_by_key(|one| one.partition);
    Ok(done)
}

fn object(one: &CompactedPartition) -> serde_json::Value {
    match &one.position {
        Ok(position) => json!({"partition": one.partition.get(), "position": position.get()}),
        Err(failure) => json!({
            "partition": one.partition.get(),
            "reason": failure.reason,
            "message": failure.message,
        }),
    }
}
