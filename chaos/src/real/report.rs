//! What a run came to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chronos_history::{Invariant, Report as Judged};
use serde_json::json;

use super::Figures;
use crate::attack::Outcome;
use crate::plan::Plan;
use crate::workload::Tally;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// How the cluster came through.
    pub outcome: Outcome,
    /// How operations ended.
    pub tally: Tally,
    /// From the first start to the last read.
    pub wall: Duration,
    /// Episodes that were had, by the kind of their fault.
    pub faults: BTreeMap<&'static str, u64>,
    /// Kinds of faults that this machine cannot have, each with the reason.
    pub unable: Vec<String>,
    /// What the nodes were given: network, disks, control groups, clocks.
    pub ground: String,
    /// Processes that were started.
    pub lives: u64,
    /// Why processes ended by themselves.
    pub ends: Vec<String>,
    /// What the checker says of the history.
    pub verdict: Judged,
    /// How fast it was.
    pub figures: Figures,
}

impl Report {
    /// Whether the cluster came through and kept every promise.
    pub fn is_clean(&self) -> bool {
        self.outcome.failure.is_none() && self.verdict.is_clean()
    }

    /// How often an invariant was broken.
    fn broken(&self, invariant: Invariant) -> u64 {
        self.verdict.verdicts.get(&invariant).map_or(0, |verdict| verdict.violated)
    }

    /// Everything, for machines.
    pub fn json(&self, plan: &Plan) -> serde_json::Value {
        let Report { outcome, tally, verdict, .. } = self;
        let millis = |time: Option<Duration>| time.map(|time| time.as_millis() as u64);
        let skipped = |skipped: &crate::Skipped| json!({"kind": skipped.kind, "why": skipped.why});
        let broken: BTreeMap<String, u64> =
            verdict.violated().into_iter().map(|id| (id.to_string(), self.broken(id))).collect();
        let checked: BTreeMap<String, u64> =
            verdict.verdicts.iter().map(|(id, of)| (id.to_string(), of.checked)).collect();
        json!({
            "seed": plan.seed,
            "ok": self.is_clean(),
            "failure": outcome.failure,
            "nodes": plan.nodes,
            "attack_seconds": plan.seconds,
            "wall_seconds": self.wall.as_secs_f64(),
            "ground": self.ground,
            "operations": tally.operations,
            "acked": tally.acknowledged,
            "refused": tally.refused,
            "undone": tally.undone,
            "unknown": tally.unknown,
            "read": tally.read,
            "lost": self.broken(Invariant::S1),
            "duplicates": self.broken(Invariant::S6),
            "gaps": self.broken(Invariant::S3),
            "broken": broken,
            "undecided": verdict.undecided.len(),
            "violations": self.violations(20),
            "checked": checked,
            "faults": self.faults,
            "episodes": self.faults.values().sum::<u64>(),
            "skipped": outcome.skipped.iter().map(skipped).collect::<Vec<_>>(),
            "unable": self.unable,
            "elections": outcome.elections,
            "lives": self.lives,
            "ends": self.ends,
            "care": outcome.care,
            "core_served_after_ms": millis(outcome.core_served_after),
            "whole_after_ms": millis(outcome.whole_after),
            "figures": self.figures,
        })
    }

    /// The first of what is broken or undecided, in words.
    pub fn violations(&self, limit: usize) -> Vec<String> {
        let all = self.verdict.verdicts.iter();
        let broken = all.flat_map(|(id, of)| of.violations.iter().map(move |what| format!("{id}: {what}")));
        let undecided = self.verdict.undecided.iter().map(|what| format!("undecided: {what}"));
        broken.chain(undecided).take(limit).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { outcome, tally, figures, .. } = self;
        writeln!(f, "ground      {}", self.ground)?;
        writeln!(
            f,
            "operations  {} ({} events acknowledged, {} reads, {} refused, {} not done, {} unknown)",
            tally.operations, tally.acknowledged, tally.read, tally.refused, tally.undone, tally.unknown
        )?;
        let kinds: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        writeln!(f, "episodes    {}: {}", self.faults.values().sum::<u64>(), kinds.join(", "))?;
        for skipped in &outcome.skipped {
            writeln!(f, "NOT RUN     {}: {}", skipped.kind, skipped.why)?;
        }
        writeln!(f, "processes   {} started, {} ended by themselves", self.lives, self.ends.len())?;
        let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
        for end in &self.ends {
            *ends.entry(end).or_default() += 1;
        }
        for (end, count) in ends {
            writeln!(f, "            {count} × {end}")?;
        }
        for care in &outcome.care {
            writeln!(f, "operator    {care}")?;
        }
        for (name, pace) in [("calm", figures.calm), ("faulty", figures.faulty)] {
            writeln!(
                f,
                "{name:<11} {:.0} s, {:.1} operations/s, p50 {:.1} ms, p99 {:.1} ms, {} refused or not done",
                pace.seconds, pace.done_per_second, pace.latency.p50_ms, pace.latency.p99_ms, pace.not_done
            )?;
        }
        if figures.recovery.count + figures.unrecovered > 0 {
            let spread = figures.recovery;
            writeln!(
                f,
                "recovery    {} leader kills: p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms; {} not seen",
                spread.count, spread.p50_ms, spread.p99_ms, spread.max_ms, figures.unrecovered
            )?;
        }
        writeln!(
            f,
            "core alone  {:?}; whole {:?}; elections {}",
            outcome.core_served_after, outcome.whole_after, outcome.elections
        )?;
        if let Some(failure) = &outcome.failure {
            writeln!(f, "FAILED      {failure}")?;
        }
        for violation in self.violations(20) {
            writeln!(f, "BROKEN      {violation}")?;
        }
        let verdict = if self.is_clean() { "clean" } else { "NOT CLEAN" };
        write!(
            f,
            "verdict     {verdict}: {} lost, {} twice, {} gaps",
            self.broken(Invariant::S1),
            self.broken(Invariant::S6),
            self.broken(Invariant::S3)
        )
    }
}
