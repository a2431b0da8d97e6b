//! `chronos verify`

mod online;

use std::path::{Path, PathBuf};

use chronos_domain::PartitionId;
use chronos_env::Env;
use chronos_store::{Damage, PartitionReport, Pending, Report, TornTail};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::Context;
use crate::data_dir;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{Format, Out};
use crate::table::{Align, Table, grouped};

const EXAMPLES: &str = "\
Everything that is on disk: the log with its chain, every event, the Parquet parts with their indexes, the manifests, and \
that positions and every entity's versions have no gap. Nothing is ever written.

Without --online it reads the data directory of a server that is stopped. With --online the running server reads it, parts \
and log, while it goes on serving; what it finds damaged it no longer serves. A server does so by itself all the time, \
slowly (chronos server --scrub-period-s).

A partition is unfinished when the node died while it took over parts of another replica, began anew, or was repaired. That \
is no damage either: it is said what the next start will do.

A torn tail is what a crash leaves behind of a write that nobody was told of. It is no damage: the next start of the \
server cuts it off.

Examples:
  chronos verify --data ./data
  chronos verify --online --addr db1:7400
  chronos verify --data ./data --output json      # one object per partition, damage and torn tail, then a summary

Exit code 0: all is as it was written. 1: it is not, or could not be read; every damage is named with file, byte, \
partition and position.";

/// Check that everything is as it was written, without changing it
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Verify {
    /// The data directory of a server that is stopped
    #[arg(long, env = "CHRONOS_DATA", value_name = "DIR", required_unless_present = "online")]
    data: Option<PathBuf>,
    /// Let the running server check itself
    #[arg(long)]
    online: bool,
}

impl Verify {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        match self.data {
            Some(data) if !self.online => offline(&data, context),
            _ => online::run(context).await,
        }
    }
}

fn offline(data: &Path, context: &Context) -> Outcome {
    let data = data_dir::resolve(data)?;
    let disk = Env::real().disk;
    if chronos_store::backup::is_backup(disk.as_ref(), &data) {
        let dir = data.display();
        return Err(Failure::usage(format!(
            "{dir} holds a backup, not a server's data; check it with: chronos backup --verify {dir}"
        )));
    }
    let report = chronos_store::verify(&disk, &data)
        .map_err(|e| Failure::failed(format!("cannot verify {}: {e}", data.display())))?;
    let mut out = Out::new(context.output);
    match context.output {
        Format::Table => tables(&mut out, &report)?,
        Format::Json => objects(&mut out, &report)?,
    }
    out.finish()?;
    if report.is_clean() { Ok(()) } else { Err(Failure::already_told(Exit::Failed)) }
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
        let state = state(report, partition);
        partitions.row([
            name(partition.partition),
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
    for pending in &report.pending {
        out.line(format!("unfinished: {pending}"))?;
    }
    for damage in &report.damages {
        out.line(format!("damage: {damage}"))?;
    }
    let verdict = verdict(report.damages.len(), report.pending.len());
    let (events, frames, bytes) = (grouped(report.events()), grouped(report.frames), grouped(report.bytes));
    out.line(format!("{verdict}: {events} events in {frames} frames, {bytes} bytes"))
}

/// The system partition is where the cluster keeps what it knows about itself.
fn name(partition: PartitionId) -> String {
    if partition == PartitionId::SYSTEM { "system".to_owned() } else { partition.to_string() }
}

/// What a summary begins with.
fn verdict(damages: usize, pending: usize) -> String {
    match (damages, pending) {
        (0, 0) => "clean".to_owned(),
        (0, n) => format!("no damage, {n} unfinished"),
        (1, _) => "1 damage".to_owned(),
        (n, _) => format!("{n} damages"),
    }
}

/// How a partition is.
fn state(report: &Report, partition: &PartitionReport) -> &'static str {
    let id = partition.partition;
    if report.damages.iter().any(|damage| damage.partition == Some(id)) {
        return "DAMAGED";
    }
    match report.pending.iter().any(|pending| pending.partition == id) {
        true => "unfinished",
        false if partition.whole => "whole",
        false => "DAMAGED",
    }
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
            "state": state(report, partition).to_lowercase(),
        }))?;
    }
    for pending in &report.pending {
        out.object(&unfinished(pending))?;
    }
    for tail in &report.torn_tails {
        out.object(&torn_tail(tail))?;
    }
    for found in &report.damages {
        out.object(&damage(found))?;
    }
    out.object(&json!({
        "kind": "summary",
        "clean": report.is_clean() && report.pending.is_empty(),
        "unfinished": report.pending.len(),
        "events": report.events(),
        "frames": report.frames,
        "bytes": report.bytes,
        "torn_tails": report.torn_tails.len(),
        "damages": report.damages.len(),
    }))
}

fn unfinished(pending: &Pending) -> Value {
    json!({
        "kind": "unfinished",
        "partition": pending.partition.get(),
        "file": pending.file.display().to_string(),
        "what": pending.what.to_string(),
        "next": pending.what.next(),
    })
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
