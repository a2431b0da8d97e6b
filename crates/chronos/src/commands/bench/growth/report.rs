//! What growing and shrinking cost.

use serde::Serialize;

use crate::demo::proof::Findings;
use crate::failure::Outcome;
use crate::fleet::traffic::Traffic;
use crate::output::{Format, Out};
use crate::table::{Align, Table, grouped};
use crate::torture::steady::Experience;

/// One change of the cluster, until it is at rest again.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) what: String,
    pub(super) seconds: f64,
    #[serde(flatten)]
    pub(super) traffic: Traffic,
    /// Nodes that hold something in the end.
    pub(super) nodes: usize,
    /// The fewest and the most partitions that one of them leads.
    pub(super) leads: (usize, usize),
    /// And holds.
    pub(super) holds: (usize, usize),
    /// Events acknowledged meanwhile.
    pub(super) acknowledged: u64,
    /// What the SDK gave back meanwhile.
    #[serde(flatten)]
    pub(super) sdk: Experience,
}

/// All of it, and under which conditions.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Events that were there before anything moved.
    pub(super) events_first: u64,
    /// That were offered meanwhile.
    pub(super) events_per_second: u64,
    pub(super) replicas_per_partition: u8,
    pub(super) cores: usize,
    pub(super) steps: Vec<Step>,
    #[serde(flatten)]
    pub(super) found: Findings,
    pub(super) digests_compared: usize,
    pub(super) digests_different: usize,
    /// Attempts that the SDK made again by itself.
    pub(super) retries: u64,
    pub(super) verify_clean: bool,
}

impl Report {
    /// Whether every promise was kept.
    pub(super) fn is_clean(&self) -> bool {
        self.found.is_kept() && self.digests_different == 0 && self.verify_clean
    }

    pub(super) fn print(&self, format: Format) -> Outcome {
        let mut out = Out::new(format);
        match format {
            Format::Json => out.object(self)?,
            Format::Table => {
                out.table(&self.table())?;
                out.line("")?;
                self.summary().into_iter().try_for_each(|line| out.line(line))?;
            }
        }
        out.finish()
    }

    fn table(&self) -> Table {
        let right = |name| (name, Align::Right);
        let mut table = Table::new(&[
            ("STEP", Align::Left),
            right("SECONDS"),
            right("PARTS MIB"),
            right("MESSAGES MIB"),
            right("NODES"),
            right("LEADS"),
            right("HOLDS"),
            right("EVENTS"),
            right("SILENCE MS"),
            right("SLOWEST MS"),
            right("ERRORS"),
            right("UNKNOWN"),
        ]);
        let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
        let range = |(least, most): (usize, usize)| format!("{least}..{most}");
        for step in &self.steps {
            table.row([
                step.what.clone(),
                format!("{:.1}", step.seconds),
                mib(step.traffic.part_bytes),
                mib(step.traffic.message_bytes),
                step.nodes.to_string(),
                range(step.leads),
                range(step.holds),
                grouped(step.acknowledged),
                grouped(step.sdk.longest_silence_ms),
                grouped(step.sdk.slowest_append_ms),
                grouped(step.sdk.definite_errors),
                grouped(step.sdk.unknown_outcomes),
            ]);
        }
        table
    }

    fn summary(&self) -> Vec<String> {
        let Findings { head, acknowledged, lost, duplicates, gaps } = self.found;
        let (first, rate) = (grouped(self.events_first), grouped(self.events_per_second));
        let (acknowledged, stored, retries) = (grouped(acknowledged), grouped(head), grouped(self.retries));
        let (replicas, cores) = (self.replicas_per_partition, self.cores);
        let (digests, different) = (self.digests_compared, self.digests_different);
        let directories = if self.verify_clean { "clean" } else { "DAMAGED" };
        let verdict = if self.is_clean() { "every promise was kept" } else { "NOT EVERY PROMISE WAS KEPT" };
        vec![
            format!(
                "{first} events first, then {rate} a second; {replicas} replicas; all nodes on this machine, {cores} cores"
            ),
            format!(
                "{acknowledged} events acknowledged, {stored} stored: {lost} lost, {duplicates} duplicates, {gaps} gaps; \
                 {retries} retries inside of the SDK"
            ),
            format!(
                "{digests} digests, {different} partitions whose replicas differ; directories {directories}"
            ),
            verdict.to_owned(),
        ]
    }
}
