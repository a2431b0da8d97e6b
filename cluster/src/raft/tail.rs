//! The newest entries of a log, in memory.
//!
//! What is appended must be readable at once, is applied a moment later, and is sent to the other nodes in the same
//! moment: none of them should ask the disk. An entry stays at least until it is both on disk and applied, so the
//! log's readers never see a gap between memory and disk, nor an end where a full log has refused what is committed on
//! other nodes and must still be applied; beyond that, as long as there is room.

use std::collections::VecDeque;

use super::codec::to_log;
use super::types::{Entry, Payload, ours};

/// Bytes of payload that stay when nobody needs them for certain, where there are followers: what one has not got yet.
pub(super) const KEPT_BYTES: usize = 256 << 10;
/// Bytes beyond which entries that are on disk go even if they are not applied yet.
const HELD_BYTES_MAX: usize = 16 << 20;

/// Consecutive entries up to the last one of the log; possibly none.
#[derive(Default)]
pub(super) struct Tail {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The last entry that was applied, as everybody counts.
    applied: u64,
    /// Bytes that stay when nobody needs them for certain.
    kept_bytes: usize,
}

impl Tail {
    pub(super) fn keeping(kept_bytes: usize) -> Tail {
        Tail { kept_bytes, ..Tail::default() }
    }

    /// Takes in what is appended; gives it back as the log writes it.
    pub(super) fn push(&mut self, entries: impl IntoIterator<Item = Entry>) -> Vec<chronos_wal::Entry> {
        let mut logged = Vec::new();
        for entry in entries {
            let next = self.entries.back().map(|last| last.log_id.index + 1);
            assert!(next.is_none_or(|next| next == entry.log_id.index), "entries are appended in order");
            self.bytes += bytes_of(&entry);
            logged.push(to_log(&entry));
            self.entries.push_back(entry);
        }
        logged
    }

    /// Drops entries from openraft's index `keep_below` on.
    pub(super) fn truncate(&mut self, keep_below: u64) {
        while self.entries.back().is_some_and(|last| last.log_id.index >= keep_below) {
            self.bytes -= self.entries.pop_back().as_ref().map_or(0, bytes_of);
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    /// Entries up to this one, as everybody counts, have been applied.
    pub(super) fn applied(&mut self, applied: u64) {
        self.applied = self.applied.max(applied);
    }

    /// Lets go of what nobody needs, given how far the log is on disk.
    pub(super) fn evict(&mut self, flushed: u64) {
        while let Some(oldest) = self.entries.front() {
            let at = ours(oldest.log_id.index);
            let idle = at <= self.applied && self.bytes > self.kept_bytes;
            if at > flushed || !(idle || self.bytes > HELD_BYTES_MAX) {
                return;
            }
            self.bytes -= self.entries.pop_front().as_ref().map_or(0, bytes_of);
        }
    }

    /// Whether it is time to ask how far the log is on disk.
    pub(super) fn is_large(&self) -> bool {
        self.bytes > self.kept_bytes
    }

    /// Openraft's index of the first entry held.
    pub(super) fn first(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.log_id.index)
    }

    /// Openraft's index behind the last entry held.
    pub(super) fn end(&self) -> Option<u64> {
        self.entries.back().map(|entry| entry.log_id.index + 1)
    }

    /// Entries from `start` on, below `end`, at least one and then until they have `bytes_max`; nothing when `start` is
    /// not held.
    pub(super) fn read(&self, start: u64, end: u64, bytes_max: usize) -> Vec<Entry> {
        let Some(skip) = self.first().and_then(|first| start.checked_sub(first)) else { return Vec::new() };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let held = self.entries.iter().skip(skip).take_while(|entry| entry.log_id.index < end);
        let within = held.take_while(|entry| {
            let fits = bytes == 0 || bytes + bytes_of(entry) <= bytes_max;
            bytes += bytes_of(entry).max(1);
            fits
        });
        within.cloned().collect()
    }
}

fn bytes_of(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Normal(batch) => batch.payload.len(),
        Payload::Blank | Payload::Membership(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chronos_wal::Mark;

    use super::*;
    use crate::raft::types::{Batch, log_id_of};

    fn entry(index: u64, bytes: usize) -> Entry {
        let log_id = log_id_of(Mark { index: ours(index), term: 1 }).unwrap();
        let payload = Bytes::from(vec![1; bytes]);
        Entry { log_id, payload: Payload::Normal(Batch { payload, commands: None }) }
    }

    fn indexes(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.log_id.index).collect()
    }

    #[test]
    fn reads_are_bounded_by_bytes_and_give_at_least_one() {
        let mut tail = Tail::default();
        tail.push((5..10).map(|index| entry(index, 100)));
        assert_eq!(indexes(&tail.read(6, 9, 200)), [6, 7]);
        assert_eq!(indexes(&tail.read(6, 9, 1)), [6]);
        assert_eq!(indexes(&tail.read(4, 9, 500)), Vec::<u64>::new());
        assert_eq!(indexes(&tail.read(8, 50, 5000)), [8, 9]);
        assert_eq!(tail.end(), Some(10));
        tail.truncate(7);
        assert_eq!(indexes(&tail.read(5, 50, 5000)), [5, 6]);
    }

    #[test]
    fn an_entry_stays_until_it_is_on_disk_and_applied() {
        let mut tail = Tail::keeping(KEPT_BYTES);
        tail.push((0..8).map(|index| entry(index, KEPT_BYTES / 4)));
        tail.evict(0);
        assert_eq!(tail.first(), Some(0), "nothing is on disk");
        tail.evict(8);
        assert_eq!(tail.first(), Some(0), "nothing is applied");
        tail.applied(2);
        tail.evict(8);
        assert_eq!(tail.first(), Some(2), "two are both");
        tail.applied(8);
        tail.evict(8);
        assert_eq!(tail.first(), Some(4), "the rest is small");
    }
}
