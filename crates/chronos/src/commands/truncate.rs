//! `chronos truncate`

use chronos_client::Version;
use clap::Args;
use serde_json::json;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::Outcome;
use crate::output::{Format, Out};

const EXAMPLES: &str = "\
Erases what the entity's events before a version say: payload, metadata, tags and the time they happened. It cannot be \
undone. Positions, versions, ids and types stay, so that nothing has a gap and no digest changes; reads of the entity \
begin at that version and say so. The bytes leave the Parquet parts when the server next compacts (`chronos compact \
--wait`), and the log when its files are used again: after as many bytes of new events as its files take (`chronos stats`).

At least one event stays. To repeat the command is harmless.

Examples:
  chronos truncate order-7 --before 100        # versions 1 to 99 are erased

Exit code 4 when there is no such entity, or nothing of it would be left.";

/// Erase what an entity's events before a version say, for ever
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Truncate {
    /// Whose events
    #[arg(value_name = "ENTITY")]
    entity: String,
    /// The first version that stays
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    before: u64,
}

impl Truncate {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let connection = Connection::open(context).await?;
        let done = connection.truncate(&self.entity, Version::new(self.before)).await?;
        let mut out = Out::new(context.output);
        match context.output {
            Format::Table => out.line(format!(
                "{} is truncated before version {}; versions {} to {} are left",
                self.entity,
                done.before,
                done.before.get().max(1),
                done.version
            ))?,
            Format::Json => out.object(&json!({
                "entity_id": self.entity,
                "partition": done.partition.get(),
                "truncated_before": done.before.get(),
                "version": done.version.get(),
            }))?,
        }
        out.finish()
    }
}
