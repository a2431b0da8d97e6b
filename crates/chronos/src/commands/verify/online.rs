//! A server that checks itself: one answer for each partition, as it is done.

use chronos_client::VerifiedPartition;
use serde_json::{Value, json};

use super::verdict;
use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{Format, Out};
use crate::table::grouped;

/// What all partitions have in common.
#[derive(Default)]
struct Sum {
    parts: u64,
    events: u64,
    entries: u64,
    bytes: u64,
    findings: usize,
    refused: usize,
}

pub(super) async fn run(context: &Context) -> Outcome {
    let mut answers = Connection::open(context).await?.verify(&[]).await?;
    let (mut out, mut sum) = (Out::new(context.output), Sum::default());
    while let Some(one) = answers.next().await.map_err(|e| Failure::from(&e))? {
        match context.output {
            Format::Table => lines(&mut out, &one)?,
            Format::Json => out.object(&object(&one))?,
        }
        sum.add(&one);
    }
    match context.output {
        Format::Table => out.line(sum.line())?,
        Format::Json => out.object(&sum.object())?,
    }
    out.finish()?;
    if sum.is_clean() { Ok(()) } else { Err(Failure::already_told(Exit::Failed)) }
}

/// One line for a partition that is whole and has anything, more for one that is not.
fn lines(out: &mut Out, one: &VerifiedPartition) -> Outcome {
    let partition = one.partition.get();
    match &one.outcome {
        Err(failure) => out.line(format!("partition {partition}: not served: {}", failure.message)),
        Ok(seen) => {
            for finding in &seen.findings {
                out.line(format!("damage: {finding}"))?;
            }
            let state = if seen.findings.is_empty() { "whole" } else { "DAMAGED" };
            let [parts, events, entries, bytes] =
                [seen.parts, seen.events, seen.log_entries, seen.bytes].map(grouped);
            out.line(format!(
                "partition {partition}: {state}; {events} events in {parts} parts, {entries} log entries, {bytes} bytes"
            ))
        }
    }
}

fn object(one: &VerifiedPartition) -> Value {
    let partition = one.partition.get();
    match &one.outcome {
        Err(failure) => json!({
            "kind": "partition",
            "partition": partition,
            "whole": false,
            "reason": failure.reason,
            "message": failure.message,
        }),
        Ok(seen) => json!({
            "kind": "partition",
            "partition": partition,
            "whole": seen.findings.is_empty(),
            "parts": seen.parts,
            "events": seen.events,
            "entries": seen.log_entries,
            "bytes": seen.bytes,
            "findings": seen.findings,
        }),
    }
}

impl Sum {
    fn add(&mut self, one: &VerifiedPartition) {
        let Ok(seen) = &one.outcome else {
            self.refused += 1;
            return;
        };
        self.parts += seen.parts;
        self.events += seen.events;
        self.entries += seen.log_entries;
        self.bytes += seen.bytes;
        self.findings += seen.findings.len();
    }

    fn is_clean(&self) -> bool {
        self.findings == 0 && self.refused == 0
    }

    fn line(&self) -> String {
        let verdict = match (self.refused, self.findings) {
            (0, findings) => verdict(findings, 0),
            (refused, 0) => format!("not all could be checked, partitions that are not served: {refused}"),
            (refused, findings) => {
                format!("{}, partitions that are not served: {refused}", verdict(findings, 0))
            }
        };
        let [parts, events, entries, bytes] =
            [self.parts, self.events, self.entries, self.bytes].map(grouped);
        format!("{verdict}: {events} events in {parts} parts, {entries} log entries, {bytes} bytes")
    }

    fn object(&self) -> Value {
        json!({
            "kind": "summary",
            "clean": self.is_clean(),
            "parts": self.parts,
            "events": self.events,
            "entries": self.entries,
            "bytes": self.bytes,
            "findings": self.findings,
            "partitions_refused": self.refused,
        })
    }
}
