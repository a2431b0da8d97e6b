//! Which outcomes a run has met, each of which it must.

use std::cell::RefCell;
use std::collections::BTreeMap;

use chronos_domain::{Expectation, PartitionState, Position, Rejection, Verdict};

use crate::Logged;

const ALL: [&str; 12] = [
    "checked only",
    "condition failed",
    "condition passed",
    "conflict",
    "conflict at the first event",
    "conflict at a later event",
    "duplicate",
    "duplicate that would fail its expectation now",
    "held back in time",
    "wrong version: expected an exact one",
    "wrong version: expected existence",
    "wrong version: expected none",
];

#[derive(Default)]
pub(crate) struct Coverage(RefCell<BTreeMap<&'static str, u64>>);

impl Coverage {
    pub(crate) fn count(&self, logged: &Logged, verdict: &Verdict, before: &PartitionState) {
        match verdict {
            Verdict::Stored(receipt) => {
                self.met("checked only", receipt.first == Position::ZERO);
                self.met("held back in time", receipt.recorded_at > logged.recorded_at);
                self.met("condition passed", logged.request.condition.is_some());
            }
            Verdict::Duplicate(_) => {
                self.met("duplicate", true);
                let stale = |(_, e): &(_, Expectation)| *e == Expectation::NoEntity;
                let written = before.head() > Position::ZERO;
                self.met(
                    "duplicate that would fail its expectation now",
                    written && logged.request.entities.iter().any(stale),
                );
            }
            Verdict::Rejected(rejection) => self.rejected(logged, rejection),
        }
    }

    fn rejected(&self, logged: &Logged, rejection: &Rejection) {
        match rejection {
            Rejection::WrongExpectedVersion { expected, .. } => self.met(
                match *expected {
                    Expectation::Exists => "wrong version: expected existence",
                    Expectation::NoEntity => "wrong version: expected none",
                    _ => "wrong version: expected an exact one",
                },
                true,
            ),
            Rejection::ConditionFailed { .. } => self.met("condition failed", true),
            Rejection::IdempotencyConflict { event_id } => {
                let first = logged.request.events.first().is_some_and(|event| event.id == *event_id);
                self.met("conflict", true);
                self.met(
                    if first { "conflict at the first event" } else { "conflict at a later event" },
                    true,
                );
            }
            other => panic!("apply decided what the edge decides: {other}"),
        }
    }

    fn met(&self, what: &'static str, really: bool) {
        assert!(ALL.contains(&what), "{what}");
        *self.0.borrow_mut().entry(what).or_default() += u64::from(really);
    }

    pub(crate) fn assert_complete(&self) {
        let counts = self.0.borrow();
        let missed: Vec<_> =
            ALL.iter().filter(|what| counts.get(**what).copied().unwrap_or(0) == 0).collect();
        assert!(missed.is_empty(), "never met: {missed:?} in {counts:?}");
    }
}
