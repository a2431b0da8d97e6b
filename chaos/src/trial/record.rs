//! What came of a run, as one line.

use core::fmt;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Failure;
use crate::coverage::Met;

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Of its plan.
    pub seed: u64,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// What was counted; nothing when the process ended before it could say.
    pub measured: Option<Measured>,
    /// Seconds from the start of its process to the end.
    pub wall_seconds: f64,
}

/// What one run counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Of everything that happened: the same for the same plan and code. 16 hexadecimal digits.
    pub trace_hash: String,
    /// Nodes of the cluster.
    pub nodes: u32,
    /// From the first start of a node to the last read.
    pub virtual_seconds: u64,
    /// Operations that clients began.
    pub operations: u64,
    /// Events that were acknowledged.
    pub acked: u64,
    /// Appends that were refused by a rule.
    pub refused: u64,
    /// Operations that certainly did nothing.
    pub undone: u64,
    /// Appends of which it was not known, when they ended, whether they had happened.
    pub unknown: u64,
    /// Reads that were answered.
    pub read: u64,
    /// What the history shows; nothing when it has no end, so that it cannot be judged whole.
    pub found: Option<Found>,
    /// Leaders that were elected, if that was counted.
    pub elections: Option<u64>,
    /// Snapshots that were installed, if that was counted.
    pub snapshots: Option<u64>,
    /// Seconds in which a core that was left alone served every partition again (L1), if it came to that.
    pub core_served_seconds: Option<f64>,
    /// Seconds in which the healed cluster was whole again (L2), if it came to that.
    pub whole_seconds: Option<f64>,
    /// Episodes that began, by the kind of their fault.
    pub faults: BTreeMap<String, u64>,
    /// Episodes whose fault could not be had, by kind. They are not among the others.
    pub skipped: BTreeMap<String, u64>,
    /// What an operator had to do.
    pub care: Vec<String>,
    /// Partitions that nobody serves in the end, and why: in a run beyond the atlas that is an answer.
    #[serde(default)]
    pub unserved: Vec<String>,
    /// Rare events and crash points.
    pub met: Met,
    /// Processes of nodes that were started.
    pub lives: u64,
    /// Why processes ended by themselves.
    pub ends: Vec<String>,
    /// Seconds of this machine that the run took.
    pub run_seconds: f64,
    /// Seconds of this machine that judging it took.
    pub judge_seconds: f64,
}

/// Violations that a history shows, in words of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Acknowledged events that are not there: violations of S1.
    pub lost: u64,
    /// Events that are there more than once: violations of S6.
    pub duplicates: u64,
    /// Positions and versions that are missing or out of order: violations of S3 and S10.
    pub gaps: u64,
}

impl Record {
    /// Whether nothing failed.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.failure.is_none()
    }

    /// The record as one JSON object. What nobody could count is null.
    #[must_use]
    pub fn json(&self) -> Value {
        let measured = self.measured.as_ref();
        let found = measured.and_then(|measured| measured.found);
        json!({
            "seed": self.seed,
            "ok": self.is_ok(),
            "failure": self.failure,
            "trace_hash": measured.map(|m| &m.trace_hash),
            "nodes": measured.map(|m| m.nodes),
            "virtual_seconds": measured.map(|m| m.virtual_seconds),
            "operations": measured.map(|m| m.operations),
            "acked": measured.map(|m| m.acked),
            "refused": measured.map(|m| m.refused),
            "undone": measured.map(|m| m.undone),
            "unknown": measured.map(|m| m.unknown),
            "read": measured.map(|m| m.read),
            "lost": found.map(|f| f.lost),
            "duplicates": found.map(|f| f.duplicates),
            "gaps": found.map(|f| f.gaps),
            "elections": measured.and_then(|m| m.elections),
            "snapshots": measured.and_then(|m| m.snapshots),
            "core_served_seconds": measured.and_then(|m| m.core_served_seconds),
            "whole_seconds": measured.and_then(|m| m.whole_seconds),
            "faults": measured.map(|m| &m.faults),
            "skipped": measured.map(|m| &m.skipped),
            "care": measured.map(|m| &m.care),
            "unserved": measured.map(|m| &m.unserved),
            "sometimes": measured.map(|m| &m.met.sometimes),
            "passed": measured.map(|m| &m.met.passed),
            "crashed": measured.map(|m| &m.met.crashed),
            "lives": measured.map(|m| m.lives),
            "ends": measured.map(|m| &m.ends),
            "wall_seconds": self.wall_seconds,
            "run_seconds": measured.map(|m| m.run_seconds),
            "judge_seconds": measured.map(|m| m.judge_seconds),
        })
    }
}

impl fmt::Display for Record {
    /// A line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            None => f.write_str("clean")?,
            Some(failure) => write!(f, "FAILED, {failure}")?,
        }
        if let Some(measured) = &self.measured {
            let Measured { nodes, virtual_seconds, operations, acked, trace_hash, .. } = measured;
            let episodes: u64 = measured.faults.values().sum();
            write!(
                f,
                "; {nodes} nodes, {virtual_seconds} virtual seconds, {operations} operations, {acked} events \
                 acknowledged, {episodes} episodes of {} kinds, trace {trace_hash}",
                measured.faults.len()
            )?;
            if !measured.unserved.is_empty() {
                write!(f, "; {} partitions refused in the end", measured.unserved.len())?;
            }
        }
        write!(f, "; {:.1} s", self.wall_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Way;

    /// What whoever reads the lines relies on.
    const KEYS: [&str; 13] = [
        "seed",
        "ok",
        "trace_hash",
        "virtual_seconds",
        "operations",
        "acked",
        "lost",
        "duplicates",
        "gaps",
        "elections",
        "snapshots",
        "faults",
        "wall_seconds",
    ];

    fn measured() -> Measured {
        Measured {
            trace_hash: "00ff".to_owned(),
            nodes: 3,
            virtual_seconds: 300,
            operations: 100,
            acked: 90,
            refused: 1,
            undone: 2,
            unknown: 3,
            read: 4,
            found: Some(Found { lost: 1, duplicates: 2, gaps: 3 }),
            elections: Some(5),
            snapshots: None,
            core_served_seconds: Some(2.5),
            whole_seconds: Some(0.1),
            skipped: [("swizzle".to_owned(), 1)].into(),
            care: vec!["seat 2 got a new node".to_owned()],
            unserved: vec!["partition 5: nobody has it".to_owned()],
            faults: [("kill".to_owned(), 2), ("pause".to_owned(), 1)].into(),
            met: Met { crashed: [("wal.append".to_owned(), 7)].into(), ..Met::default() },
            lives: 5,
            ends: vec!["did not start".to_owned()],
            run_seconds: 1.5,
            judge_seconds: 0.25,
        }
    }

    #[test]
    fn a_line_has_every_key_with_what_was_counted() {
        let record = Record { seed: 7, failure: None, measured: Some(measured()), wall_seconds: 2.0 };
        let line = record.json();
        for key in KEYS {
            assert!(line.get(key).is_some(), "{key} is missing in {line}");
        }
        assert_eq!((&line["ok"], &line["lost"], &line["duplicates"]), (&json!(true), &json!(1), &json!(2)));
        assert_eq!((&line["gaps"], &line["elections"]), (&json!(3), &json!(5)));
        assert_eq!(line["faults"], json!({"kill": 2, "pause": 1}));
        assert_eq!(line["snapshots"], Value::Null, "what nobody counted is not zero");
    }

    #[test]
    fn a_run_that_died_has_every_key_and_no_numbers() {
        let failure = Failure { way: Way::Died, what: "signal 9".to_owned() };
        let line = Record { seed: 7, failure: Some(failure), measured: None, wall_seconds: 2.0 }.json();
        for key in KEYS {
            let value = line.get(key).unwrap_or_else(|| panic!("{key} is missing in {line}"));
            let known = ["seed", "ok", "wall_seconds"].contains(&key);
            assert_eq!(value.is_null(), !known, "{key} is {value}");
        }
        assert_eq!(line["ok"], json!(false));
    }

    #[test]
    fn what_was_counted_is_told_from_one_process_to_another_as_it_is() {
        let text = serde_json::to_string(&measured()).unwrap();
        assert_eq!(serde_json::from_str::<Measured>(&text).unwrap(), measured());
    }
}
