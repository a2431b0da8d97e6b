//! `chronos verify`

use std::path::PathBuf;

use chronos_env::Env;
use chronos_store::{Damage, Report, TornTail};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::Context;
use crate::data_dir;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{Format, Out};
use crate::table::{Align, Table, grouped};

const EXAMPLES: &str = "\
Every frame of the log and its chain, every block's checksum, and that positions and every entity's versions have no
gap. Nothing is ever written. The server that owns the directory must be stopped.

A torn tail is what a crash leaves behind of a write that nobody was told of. It is no damage: the next start of the
server cuts it off.

Examples:
  chronos verify --data ./data
  chronos verify --data ./data --output json      # one object per partition, damage and torn tail, then a summary

Exit code 0: all is as it was written. 1: it is not; every damage is named with file, byte, partition and position.";

/// Check a data directory, offline and without changing it
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {
    /// The data directory
    #[arg(long, env = "CHRONOS_DATA", value_name = "DIR")]
    data: PathBuf,
}

impl Verify {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let data = data_dir::resolve(&self.data)?;
        let report = chronos_store::verify(&Env::real().disk, &data)
            .map_err(|e| Failure::failed(format!("cannot verify {}: {e}", data.display())))?;
        let mut out = Out::new(context.output);
        match context.output {
            Format::Table => tables(&mut out, &report)?,
            Format::Json => objects(&mut out, &report)?,
        }
        out.finish()?;
        if report.is_clean() { Ok(()) } else { Err(Failure::already_told(Exit::Failed)) }
    }
}

fn tables(out: &mut Out, report: &Report) -> Outcome {
    let mut partitions = Table::new(&[
        ("PARTITION", Align::Right),
        ("POSITIONS", Align::Right),
        ("ENTITIES", Align::Right),
        ("LOG ENTRIES", Align::Right),
        ("STATE", Align::Left),
    ]);
    for partition in &report.partitions {
        let state = if partition.whole { "whole" } else { "DAMAGED" };
        partitions.row([
            partition.partition.to_string(),
            format!("1..{}", grouped(partition.head.get())),
            grouped(partition.entities),
            grouped(partition.entries),
            state.to_owned(),
        ]);
    }
    out.table(&partitions)?;
    for tail in &report.torn_tails {
        let (file, offset, bytes) = (tail.file.display(), tail.offset, tail.bytes);
        out.line(format!(
            "torn tail: {file} at byte {offset}, {bytes} bytes, never acknowledged; the next start cuts it"
        ))?;
    }
    for damage in &report.damages {
        out.line(format!("damage: {damage}"))?;
    }
    let verdict = match report.damages.len() {
        0 => "clean".to_owned(),
        1 => "1 damage".to_owned(),
        n => format!("{n} damages"),
    };
    let (events, frames, bytes) = (grouped(report.events()), grouped(report.frames), grouped(report.bytes));
    out.line(format!("{verdict}: {events} events in {frames} frames, {bytes} bytes"))
}

fn objects(out: &mut Out, report: &Report) -> Outcome {
    for partition in &report.partitions {
        out.object(&json!({
            "kind": "partition",
            "partition": partition.partition.get(),
            "head": partition.head.get(),
            "entities": partition.entities,
            "entries": partition.entries,
            "whole": partition.whole,
        }))?;
    }
    for tail in &report.torn_tails {
        out.object(&torn_tail(tail))?;
    }
    for found in &report.damages {
        out.object(&damage(found))?;
    }
    out.object(&json!({
        "kind": "summary",
        "clean": report.is_clean(),
        "events": report.events(),
        "frames": report.frames,
        "bytes": report.bytes,
        "torn_tails": report.torn_tails.len(),
        "damages": report.damages.len(),
    }))
}

fn torn_tail(tail: &TornTail) -> Value {
    json!({
        "kind": "torn_tail",
        "file": tail.file.display().to_string(),
        "offset": tail.offset,
        "bytes": tail.bytes,
    })
}

fn damage(damage: &Damage) -> Value {
    json!({
        "kind": "damage",
        "file": damage.file.display().to_string(),
        "offset": damage.offset,
        "partition": damage.partition.map(|partition| partition.get()),
        "log_index": damage.index.map(|index| index.get()),
        "position": damage.position.map(|position| position.get()),
        "what": damage.what,
    })
}
