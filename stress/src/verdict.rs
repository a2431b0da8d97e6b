//! What a round came to, in short.

use std::fmt;

use chronos_history::{Invariant, Report};
use serde::{Deserialize, Serialize};

/// Violations that are kept in words.
const TOLD: usize = 10;

/// The judgement of one round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Why the round did not come to its end, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Acknowledged events that are not there (S1).
    pub lost: u64,
    /// Events that are there twice, and positions with two contents (S6, S2).
    pub duplicates: u64,
    /// Positions or versions without an event (S3, S10).
    pub gaps: u64,
    /// Invariants that were violated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violated: Vec<String>,
    /// What could not be decided, which is as bad.
    pub undecided: u64,
    /// How often an invariant was put to the test.
    pub checked: u64,
    /// The first of what is wrong, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<String>,
}

impl Verdict {
    /// Of a history that was judged, in which the cluster failed if it says so.
    #[must_use]
    pub fn of(report: &Report, failure: Option<String>) -> Verdict {
        let count = |ids: &[Invariant]| ids.iter().map(|id| report.verdicts[id].violated).sum();
        let broken = report.verdicts.iter();
        let broken =
            broken.flat_map(|(id, of)| of.violations.iter().map(move |what| format!("{id}: {what}")));
        let open = report.undecided.iter().map(|what| format!("undecided: {what}"));
        Verdict {
            failure,
            lost: count(&[Invariant::S1]),
            duplicates: count(&[Invariant::S6, Invariant::S2]),
            gaps: count(&[Invariant::S3, Invariant::S10]),
            violated: report.violated().iter().map(ToString::to_string).collect(),
            undecided: report.undecided.len() as u64,
            checked: report.verdicts.values().map(|verdict| verdict.checked).sum(),
            told: broken.chain(open).take(TOLD).collect(),
        }
    }

    /// Of a round whose history cannot be judged.
    #[must_use]
    pub fn failed(why: impl Into<String>) -> Verdict {
        Verdict { failure: Some(why.into()), ..Verdict::default() }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failure.is_none() && self.violated.is_empty() && self.undecided == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(failure) = &self.failure {
            return write!(f, "failed: {failure}");
        }
        if self.is_clean() {
            return write!(f, "clean, {} tests", self.checked);
        }
        let violated = self.violated.join(", ");
        write!(f, "NOT CLEAN: {violated}, {} undecided, {} lost, ", self.undecided, self.lost)?;
        write!(f, "{} twice, {} gaps", self.duplicates, self.gaps)
    }
}
