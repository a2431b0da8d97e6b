//! One log as its caller sees it: what is flushed, changed by everything that is queued.
//!
//! Two layers. `flushed` is what a restart would find; only the lane changes it, operation by operation, in the
//! order of the queue. Over it lie the entries that wait (`pending`), and two cuts: nothing at or above
//! `visible_end` of the flushed layer and nothing up to `purged` is seen, because a truncation or purge that hides
//! it is queued. A read looks through both layers at once, so an append is readable when it returns.
//!
//! ```text
//!   flushed   . . . [5 6 7 8]          truncate(6) and append(7 8 9) are queued:
//!   pending            [7 8 9]         visible_end = 7, the old 7 and 8 are hidden
//!   seen            [5 6 7 8 9]
//! ```
//!
//! Invariants: `pending` is contiguous and starts at `visible_end`; tickets in it ascend; a flushed entry whose
//! ticket is not at the front of `pending` is one that was hidden meanwhile.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::index::{Index, Slot};
use crate::log::Entry;
use crate::queue::Ticket;
use crate::{LogState, Mark};

/// An entry that is queued and not yet flushed.
struct Pending {
    ticket: Ticket,
    entry: Entry,
}

/// A queued operation behind which the log goes on from somewhere else.
struct Turn {
    /// Entries from this ticket on came after it.
    ticket: Ticket,
    /// What came after it does not build on entries with this index or a greater one that came before it.
    forgets_from: u64,
}

/// Where an entry's payload is.
pub(crate) enum Whereabouts {
    Memory(Entry),
    Disk(Slot),
}

/// What an append may expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It continues the log; its entries have tickets from here.
    Granted(Ticket),
    /// It builds on entries that were refused.
    TooLate,
}

#[derive(Default)]
pub(crate) struct View {
    flushed: Index,
    pending: VecDeque<Pending>,
    visible_end: u64,
    purged: Option<Mark>,
    last: Option<Mark>,
    vote: Option<Bytes>,
    next_ticket: Ticket,
    turns: VecDeque<Turn>,
    /// Entries that were refused for want of space, or that build on such, and may still be queued.
    refused: Range<Ticket>,
    /// Indexes that were refused: an append that continues them was sent before the caller heard of it.
    late: Option<Range<u64>>,
}

impl View {
    /// The view of a log that was just recovered.
    pub(crate) fn recovered(flushed: Index, vote: Option<Bytes>) -> View {
        View {
            visible_end: flushed.end(),
            purged: flushed.purged(),
            last: flushed.last(),
            flushed,
            vote,
            ..View::default()
        }
    }

    pub(crate) fn state(&self, committed: u64) -> LogState {
        LogState {
            purged: self.purged,
            last: self.last,
            flushed: self.visible_end.saturating_sub(1),
            committed,
            vote: self.vote.clone(),
        }
    }

    /// The flushed layer alone.
    pub(crate) fn flushed(&self) -> &Index {
        &self.flushed
    }

    /// First and last index seen, if any entry is.
    pub(crate) fn bounds(&self) -> Option<(u64, u64)> {
        let last = self.last?.index;
        let floor = self.purged.map_or(0, |mark| mark.index + 1);
        let oldest = self.flushed.iter().next().map(|(index, _)| index);
        let oldest = oldest.filter(|index| *index < self.visible_end);
        let first =
            oldest.or_else(|| self.pending.front().map(|front| front.entry.index)).map(|at| at.max(floor))?;
        (first <= last).then_some((first, last))
    }

    pub(crate) fn find(&self, index: u64) -> Option<Whereabouts> {
        if self.purged.is_some_and(|mark| index <= mark.index) {
            return None;
        }
        let first_pending = self.pending.front().map_or(u64::MAX, |front| front.entry.index);
        if index >= first_pending {
            let at = usize::try_from(index - first_pending).ok()?;
            return self.pending.get(at).map(|found| Whereabouts::Memory(found.entry.clone()));
        }
        let slot = (index < self.visible_end).then(|| self.flushed.get(index))??;
        Some(Whereabouts::Disk(*slot))
    }

    /// Index and term of an entry that is seen, or of the last purged one.
    pub(crate) fn mark_at(&self, index: u64) -> Option<Mark> {
        match self.find(index) {
            Some(Whereabouts::Memory(entry)) => Some(Mark { index, term: entry.term }),
            Some(Whereabouts::Disk(slot)) => Some(Mark { index, term: slot.term }),
            None => self.purged.filter(|mark| mark.index == index),
        }
    }

    /// Takes entries in, readable from now on.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Admission {
        let first = entries[0].index;
        if let Some(late) = &mut self.late {
            let expected = self.last.map_or(late.start, |last| last.index + 1);
            if first > expected && first <= late.end {
                late.end = late.end.max(first + entries.len() as u64);
                return Admission::TooLate;
            }
        }
        let next = self.last.map(|mark| mark.index + 1);
        assert!(
            next.is_none_or(|next| next == first),
            "append starts at {first} but the log continues at {next:?}"
        );
        let ticket = self.next_ticket;
        for (entry, at) in entries.iter().zip(0..) {
            assert_eq!(entry.index, first + at, "indexes of an append must be consecutive");
            self.pending.push_back(Pending { ticket: Ticket(ticket.0 + at), entry: entry.clone() });
        }
        self.next_ticket = Ticket(ticket.0 + entries.len() as u64);
        self.last = entries.last().map(|entry| Mark { index: entry.index, term: entry.term });
        Admission::Granted(ticket)
    }

    /// Hides entries above `after`; false when there is none.
    pub(crate) fn truncate(&mut self, after: u64) -> bool {
        let purged = self.purged.map_or(0, |mark| mark.index);
        assert!(after >= purged, "truncation after {after} would reach into what was purged up to {purged}");
        if self.last.is_none_or(|last| after >= last.index) {
            return false;
        }
        self.last = self.mark_at(after);
        self.turns.push_back(Turn { ticket: self.next_ticket, forgets_from: after + 1 });
        while self.pending.back().is_some_and(|back| back.entry.index > after) {
            self.pending.pop_back();
        }
        self.visible_end = self.visible_end.min(after + 1);
        true
    }

    /// Hides entries up to `index`, which must not lie beyond the last; `None` when there is none to hide.
    pub(crate) fn purge(&mut self, index: u64) -> Option<Mark> {
        let last = self.last;
        assert!(
            last.is_some_and(|last| index <= last.index),
            "purge up to {index} but the log ends at {last:?}"
        );
        let mark = self.mark_at(index)?;
        self.purge_to(mark)
    }

    /// Hides entries up to `mark`, which may lie beyond the end; `None` when that is purged already.
    pub(crate) fn purge_to(&mut self, mark: Mark) -> Option<Mark> {
        if self.purged.is_some_and(|purged| mark.index <= purged.index) {
            return None;
        }
        while self.pending.front().is_some_and(|front| front.entry.index <= mark.index) {
            self.pending.pop_front();
        }
        self.visible_end = self.visible_end.max(mark.index + 1);
        let forgets_from = if self.last.is_none_or(|last| last.index <= mark.index) {
            self.last = Some(mark);
            0
        } else {
            u64::MAX
        };
        self.turns.push_back(Turn { ticket: self.next_ticket, forgets_from });
        self.purged = Some(mark);
        Some(mark)
    }

    /// Hides everything there is and was purged: the log takes any entry next.
    pub(crate) fn reset(&mut self) {
        self.pending.clear();
        (self.visible_end, self.purged, self.last, self.late) = (0, None, None, None);
        self.turns.push_back(Turn { ticket: self.next_ticket, forgets_from: 0 });
    }

    /// Whether the append that got `ticket` builds on entries that were refused.
    pub(crate) fn is_refused(&self, ticket: Ticket) -> bool {
        self.refused.contains(&ticket)
    }

    /// Takes back the append of `entries` that got `ticket` and will not be written, and all that builds on it:
    /// everything up to the next queued operation that makes the log go on from below it. What was taken back with an
    /// earlier one is not taken back again.
    pub(crate) fn refuse(&mut self, ticket: Ticket, entries: &[Entry]) {
        if self.is_refused(ticket) {
            return;
        }
        let first = entries[0].index;
        let behind = Ticket(ticket.0 + entries.len() as u64);
        let turn = self.turns.iter().find(|turn| turn.ticket >= behind && first >= turn.forgets_from);
        self.refused = ticket..turn.map_or(self.next_ticket, |turn| turn.ticket);
        if turn.is_some() {
            return; // nothing of it is visible any more
        }
        let end = self.last.map_or(first, |last| last.index + 1);
        self.pending.truncate(self.pending.partition_point(|pending| pending.ticket < ticket));
        let back = self.pending.back().map(|back| Mark { index: back.entry.index, term: back.entry.term });
        self.last = back.or_else(|| self.mark_at(first.checked_sub(1)?)).or(self.purged);
        self.late = Some(first..end);
    }

    /// An append that got `ticket` is flushed at these places.
    pub(crate) fn flush_append(&mut self, ticket: Ticket, places: impl Iterator<Item = (u64, Slot)>) {
        for ((index, slot), at) in places.zip(ticket.0..) {
            self.flushed.push(index, slot);
            if self.pending.front().is_some_and(|front| front.ticket == Ticket(at)) {
                self.pending.pop_front();
                self.visible_end = index + 1;
            }
        }
    }

    pub(crate) fn flush_truncate(&mut self, after: u64) {
        assert!(
            self.visible_end <= after + 1 || self.purged.is_some(),
            "truncated entries are still visible"
        );
        self.flushed.truncate(after);
        self.turns.pop_front();
    }

    pub(crate) fn flush_purge(&mut self, mark: Mark) {
        self.flushed.purge(mark);
        self.turns.pop_front();
    }

    pub(crate) fn flush_reset(&mut self) {
        self.flushed = Index::default();
        self.turns.pop_front();
    }

    pub(crate) fn flush_vote(&mut self, vote: Bytes) {
        self.vote = Some(vote);
    }
}
