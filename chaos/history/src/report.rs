//! The verdict.

use core::fmt;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Op;

/// Violations of one invariant that are kept in full; more are only counted.
const KEPT: usize = 100;

macro_rules! invariants {
    ($($(#[$doc:meta])* $name:ident)*) => {
        /// What a history must show, as numbered in the verification plan.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Invariant { $($(#[$doc])* $name,)* }

        impl Invariant {
            /// All of them.
            pub const ALL: &[Invariant] = &[$(Invariant::$name,)*];
        }
    };
}

invariants! {
    /// Durability: what was acknowledged is there for ever.
    S1
    /// Uniqueness: one position never carries two contents.
    S2
    /// Gapless: positions are 1 to n, every range is contiguous.
    S3
    /// No phantom: what is there was sent, with that content, tenant and entity.
    S4
    /// No risen failure: a definite failure never appears.
    S5
    /// At most once: an id occurs once.
    S6
    /// Retry equivalence: the same request gets the same answer, another one with its ids is refused.
    S7
    /// Appends and strong reads of a partition are linearizable.
    S8
    /// An expectation or condition decides exactly as it says.
    S9
    /// Versions of an entity are 1 to k in the order of positions.
    S10
    /// Watermarks: nothing above one is returned, what is below one is committed, none falls.
    S11
    /// Sessions: monotonic reads, own writes are read.
    S12
    /// A batch is all there and contiguous, and no watermark splits one.
    S13
    /// Subscriptions: in order, no gap, no duplicate on a connection.
    S14
    /// Replicas agree.
    S15
    /// Raft: one leader a term, nothing regresses.
    S16
    /// Compaction keeps content, and deletes only what no synced manifest names.
    S17
    /// A snapshot installs what it was taken of.
    S18
    /// The past reads the same for ever.
    S19
    /// Forks and their parents do not write into each other.
    S20
    /// A tenant sees nothing of another.
    S21
    /// Corrupt bytes are never served as good.
    S22
    /// After a failed write of log or vote a node stops.
    S23
    /// An index finds exactly what a scan finds.
    S24
    /// Each decision has one record in a gapless, chained audit log.
    S25
    /// Recorded times never decrease in a partition.
    S26
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Something that must not be, and where in the history it shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Index of the line that shows it.
    pub index: u64,
    /// The operation, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<Op>,
    /// A sentence.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.op {
            Some(op) => write!(f, "line {}, operation {op}: {}", self.index, self.what),
            None => write!(f, "line {}: {}", self.index, self.what),
        }
    }
}

/// What became of one invariant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// How often it was put to the test. Zero means that the history says nothing about it.
    pub checked: u64,
    /// How often it failed.
    pub violated: u64,
    /// The first of them.
    pub violations: Vec<Violation>,
}

/// What a history proves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Lines read.
    pub lines: u64,
    /// Operations called.
    pub operations: u64,
    /// Answers about partitions that had no final log, judged by what else was said of them. None within the atlas.
    pub without_log: u64,
    /// Of each invariant. All are there, also those that were never put to the test.
    pub verdicts: BTreeMap<Invariant, Verdict>,
    /// What could not be decided, and why. As bad as a violation.
    pub undecided: Vec<Violation>,
}

/// Where in a history something shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) index: u64,
    pub(crate) op: Option<Op>,
}

impl At {
    pub(crate) fn line(index: u64) -> At {
        At { index, op: None }
    }
}

impl Report {
    /// Whether nothing is violated and nothing undecided. Look at [`Verdict::checked`] for how much that means.
    pub fn is_clean(&self) -> bool {
        self.undecided.is_empty() && self.violated().is_empty()
    }

    /// The invariants that are violated.
    pub fn violated(&self) -> Vec<Invariant> {
        let bad = self.verdicts.iter().filter(|(_, verdict)| verdict.violated > 0);
        bad.map(|(invariant, _)| *invariant).collect()
    }
}

/// A report in the making.
pub(crate) struct Tally {
    pub(crate) lines: u64,
    pub(crate) operations: u64,
    pub(crate) without_log: u64,
    verdicts: [Verdict; Invariant::ALL.len()],
    undecided: Vec<Violation>,
}

impl Tally {
    pub(crate) fn new(lines: u64) -> Tally {
        let verdicts = std::array::from_fn(|_| Verdict::default());
        Tally { lines, operations: 0, without_log: 0, verdicts, undecided: Vec::new() }
    }

    /// Notes one test of an invariant and its outcome, and gives the outcome back.
    pub(crate) fn check(
        &mut self,
        of: Invariant,
        at: At,
        holds: bool,
        what: impl FnOnce() -> String,
    ) -> bool {
        self.verdicts[of as usize].checked += 1;
        if !holds {
            self.violate(of, at, what());
        }
        holds
    }

    #[cold]
    pub(crate) fn violate(&mut self, of: Invariant, at: At, what: String) {
        let verdict = &mut self.verdicts[of as usize];
        verdict.violated += 1;
        if verdict.violations.len() < KEPT {
            verdict.violations.push(Violation { index: at.index, op: at.op, what });
        }
    }

    #[cold]
    pub(crate) fn undecided(&mut self, at: At, what: impl Into<String>) {
        if self.undecided.len() < KEPT {
            self.undecided.push(Violation { index: at.index, op: at.op, what: what.into() });
        }
    }

    pub(crate) fn report(self) -> Report {
        let Tally { lines, operations, without_log, verdicts, undecided } = self;
        let verdicts = Invariant::ALL.iter().copied().zip(verdicts).collect();
        Report { lines, operations, without_log, verdicts, undecided }
    }
}

impl fmt::Display for Report {
    /// A line for each invariant, then what is wrong.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} lines, {} operations", self.lines, self.operations)?;
        if self.without_log > 0 {
            writeln!(f, "{} answers were judged without a final log", self.without_log)?;
        }
        for (invariant, verdict) in &self.verdicts {
            writeln!(f, "{invariant:4} {:>10} checked {:>8} violated", verdict.checked, verdict.violated)?;
            for violation in &verdict.violations {
                writeln!(f, "       {violation}")?;
            }
        }
        for violation in &self.undecided {
            writeln!(f, "undecided: {violation}")?;
        }
        Ok(())
    }
}
