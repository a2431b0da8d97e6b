//! S19: the past reads the same for ever.
//!
//! That two answers to the same question are the same is not compared between them: each is compared with what the
//! final log says the answer is, as soon as the moment asked about lies in the past for certain.

use super::judge::{Judge, Open};
use crate::call::Then;
use crate::report::At;
use crate::report::Invariant::S19;

impl Judge<'_> {
    /// The head that a read of a partition as of then worked with.
    pub(super) fn head_then(&mut self, at: At, open: &Open<'_>, log: usize, then: Then, head: u64) {
        let (low, high) = match then {
            Then::Pos(position) => (position.0, position.0),
            Then::Time(micros) => self.heads_at(log, micros, open.floor),
            Then::Rev(_) => return self.report.undecided(at, "a partition has no version to read as of"),
        };
        self.report.check(S19, at, low <= head && head <= high, || {
            format!("as of {then:?} the head is {high}, the answer has {head}")
        });
    }

    /// The lowest and the highest head that an answer as of a time may have: one, as soon as something recorded later is
    /// known to be there.
    pub(super) fn heads_at(&self, log: usize, micros: i64, floor: u64) -> (u64, u64) {
        let head = self.oracle.logs[log].head_at(micros);
        (if head < floor { head } else { 0 }, head)
    }
}
