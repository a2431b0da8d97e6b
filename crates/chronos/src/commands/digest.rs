//! `chronos digest`

use chronos_client::{Moment, PartitionDigest};
use clap::Args;
use serde_json::json;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::moment;
use crate::output::{Format, Out};

const EXAMPLES: &str = "\
One line for each partition: its number, how many events are covered, and a hash that depends on every bit of them and \
on their order. The same events give the same line on every replica, before and after compaction, restart, backup and \
restore; two nodes that differ in one bit differ in a line.

Examples:
  chronos digest > today.txt
  chronos digest --at \"$(chronos watermarks --token)\"        # a moment that stands still
  chronos digest --at 2024-05-01T12:00:00Z
  diff <(chronos digest --addr a:7400 --at $T) <(chronos digest --addr b:7400 --at $T)

Exit code 1 when a partition has no digest here; its line says why.";

/// Print one line per partition that says what it holds, bit for bit
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Digest {
    /// What the store held then: a time or a token
    #[arg(long, value_name = "TIME|TOKEN", value_parser = moment::parse_as_of)]
    at: Option<Moment>,
}

impl Digest {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let digests = Connection::open(context).await?.digests(self.at).await?;
        let mut out = Out::new(context.output);
        for one in &digests.partitions {
            match context.output {
                Format::Table => out.line(line(one))?,
                Format::Json => out.object(&object(one))?,
            }
        }
        out.finish()?;
        let whole = digests.partitions.iter().all(|one| one.digest.is_ok());
        if whole { Ok(()) } else { Err(Failure::already_told(Exit::Failed)) }
    }
}

/// Partition, position, digest: widths that never change, so that lines can be compared as text.
fn line(one: &PartitionDigest) -> String {
    let partition = one.partition.get();
    match &one.digest {
        Ok(digest) => format!("{partition:>2} {:>12} {}", digest.position.get(), digest.digest),
        Err(failure) => format!("{partition:>2} {:>12} {failure}", "?"),
    }
}

fn object(one: &PartitionDigest) -> serde_json::Value {
    match &one.digest {
        Ok(digest) => json!({
            "partition": one.partition.get(),
            "position": digest.position.get(),
            "digest": digest.digest.to_string(),
            "chain": digest.chain.to_string(),
            "root": digest.root.to_string(),
        }),
        Err(failure) => json!({
            "partition": one.partition.get(),
            "reason": failure.reason,
            "message": failure.message,
        }),
    }
}
