//! Where the entries of one log lie on disk: exactly what replaying its flushed frames yields.

use std::collections::VecDeque;

use crate::numbers::LogSeq;

/// An entry's name: its term and its index.
///
/// The greater one is that of the later term, and within a term the one further on. Terms do not fall along a log, so along
/// one history that is the order of the entries; of two histories Raft goes on with the one whose last entry is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The term it was proposed in.
    pub term: u64,
    /// The position in the log.
    pub index: u64,
}

/// Names an open segment for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentKey(pub(crate) u32);

/// Where one entry's frame lies. There is one in memory for every entry of every log, so it is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) term: u64,
    pub(crate) seq: LogSeq,
    pub(crate) offset: u64,
    pub(crate) segment: SegmentKey,
    pub(crate) payload_len: u32,
}

const _: () = assert!(size_of::<Slot>() <= 32, "one of these is held per entry");

/// The flushed entries of one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Index of `slots[0]`, if there is one.
    first: u64,
    slots: VecDeque<Slot>,
    purged: Option<Mark>,
}

impl Index {
    pub(crate) fn purged(&self) -> Option<Mark> {
        self.purged
    }

    /// One past the last entry, 0 for a log that never had one.
    pub(crate) fn end(&self) -> u64 {
        match (self.slots.is_empty(), self.purged) {
            (false, _) => self.first + self.slots.len() as u64,
            (true, Some(mark)) => mark.index + 1,
            (true, None) => 0,
        }
    }

    pub(crate) fn last(&self) -> Option<Mark> {
        let back = self.slots.back().map(|slot| Mark { index: self.end() - 1, term: slot.term });
        back.or(self.purged)
    }

    pub(crate) fn get(&self, index: u64) -> Option<&Slot> {
        let at = index.checked_sub(self.first)?;
        self.slots.get(usize::try_from(at).ok()?)
    }

    /// Whether an entry of this index may come next. A log that holds nothing and never purged takes any.
    pub(crate) fn takes(&self, index: u64) -> bool {
        (self.slots.is_empty() && self.purged.is_none()) || index == self.end()
    }

    pub(crate) fn push(&mut self, index: u64, slot: Slot) {
        assert!(self.takes(index), "entry {index} does not continue a log that ends before {}", self.end());
        if self.slots.is_empty() {
            self.first = index;
        }
        self.slots.push_back(slot);
    }

    /// Drops entries above `after`.
    pub(crate) fn truncate(&mut self, after: u64) {
        let keep = (after + 1).saturating_sub(self.first);
        self.slots.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }

    /// Drops entries up to `mark`, which may lie beyond the last.
    pub(crate) fn purge(&mut self, mark: Mark) {
        let gone = (mark.index + 1).saturating_sub(self.first).min(self.slots.len() as u64);
        self.slots.drain(..gone as usize);
        self.first += gone;
        self.purged = Some(mark);
    }

    /// The sequence number of the first entry's frame. Entries lie in the order of their indexes, so no entry has a
    /// smaller one.
    pub(crate) fn first_seq(&self) -> Option<LogSeq> {
        self.slots.front().map(|slot| slot.seq)
    }

    /// The same, as it will be after a purge up to `mark`.
    pub(crate) fn first_seq_after(&self, mark: Option<Mark>) -> Option<LogSeq> {
        match mark {
            Some(mark) if !self.slots.is_empty() => {
                self.get((mark.index + 1).max(self.first)).map(|slot| slot.seq)
            }
            _ => self.first_seq(),
        }
    }

    /// Indexes and places, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Slot)> {
        (self.first..).zip(&self.slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(seq: u64) -> Slot {
        Slot { term: 1, seq: LogSeq(seq), offset: 4096, segment: SegmentKey(0), payload_len: 0 }
    }

    fn index_of(range: std::ops::RangeInclusive<u64>) -> Index {
        let mut index = Index::default();
        range.for_each(|at| index.push(at, slot(at)));
        index
    }

    #[test]
    fn a_purge_beyond_the_end_moves_the_log_ahead() {
        let mut index = index_of(1..=5);
        index.purge(Mark { index: 20, term: 4 });
        assert_eq!((index.end(), index.last()), (21, Some(Mark { index: 20, term: 4 })));
        assert!(index.takes(21));
        assert!(!index.takes(6));
    }

    #[test]
    fn a_truncation_takes_the_tail_and_a_purge_the_head() {
        let mut index = index_of(3..=9);
        index.truncate(7);
        index.purge(Mark { index: 4, term: 1 });
        assert_eq!(index.iter().map(|(at, _)| at).collect::<Vec<_>>(), [5, 6, 7]);
        assert_eq!((index.get(4), index.get(8)), (None, None));
        assert_eq!(index.first_seq_after(Some(Mark { index: 5, term: 1 })), Some(LogSeq(6)));
        assert_eq!(index.first_seq_after(Some(Mark { index: 7, term: 1 })), None);
        index.truncate(4);
        assert_eq!(index.last(), Some(Mark { index: 4, term: 1 }));
        assert!(index.takes(5));
    }

    #[test]
    fn truncating_below_the_first_entry_leaves_nothing() {
        let mut index = index_of(10..=12);
        index.truncate(4);
        assert_eq!((index.end(), index.first_seq()), (0, None));
    }
}
