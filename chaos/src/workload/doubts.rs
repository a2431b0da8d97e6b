//! Appends of which nobody knew what became of them, and what it was: for the marks of rare events.

use std::collections::{BTreeMap, BTreeSet};

use chronos_env::sometimes;
use chronos_history::answer::{Answer, Outcome, Reason};
use chronos_history::fact::LogChunk;
use chronos_history::{EventId, Op};

/// What is known of appends, each named by its first event: all of its events are stored, or none.
#[derive(Default)]
pub(super) struct Doubts {
    sent: BTreeSet<EventId>,
    open: BTreeMap<Op, Sent>,
    unknown: BTreeSet<EventId>,
}

struct Sent {
    first: EventId,
    /// Nobody has sent it before.
    is_new: bool,
}

impl Doubts {
    /// An append is about to be sent.
    pub(super) fn begin(&mut self, op: Op, first: EventId) {
        let is_new = self.sent.insert(first);
        self.open.insert(op, Sent { first, is_new });
    }

    /// An operation ended.
    pub(super) fn end(&mut self, op: Op, outcome: &Outcome) {
        sometimes!(
            "run.damage_told",
            matches!(outcome, Outcome::Fail(refusal) if refusal.reason == Reason::Corrupt)
        );
        let Some(Sent { first, is_new }) = self.open.remove(&op) else { return };
        match outcome {
            Outcome::Ok(Answer::Append(appended)) if appended.dedup => {
                sometimes!("run.retry_met_its_first_attempt", is_new);
                sometimes!("run.unknown_then_duplicate", self.unknown.contains(&first));
            }
            Outcome::Unknown(_) => drop(self.unknown.insert(first)),
            _ => {}
        }
    }

    /// This is what a replica has in the end.
    pub(super) fn found(&mut self, log: &LogChunk) {
        for event in &log.events {
            sometimes!("run.unknown_then_found", self.unknown.contains(&event.id));
            self.unknown.remove(&event.id);
        }
    }

    /// All replicas were read.
    pub(super) fn finish(&mut self) {
        sometimes!("run.unknown_then_absent", !self.unknown.is_empty());
    }
}
