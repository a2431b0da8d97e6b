//! How much of a log stays behind the parts, for followers that are a little behind.
//!
//! A follower that the log still reaches is sent entries, any other one parts. Entries cost the leader more for each event:
//! they are read, sent and applied one by one, while parts are files. So the log keeps what a short absence or a slow disk
//! make a follower miss, and no more: a number of entries, but only as many as hold a number of events, for one entry may
//! hold thousands; and next to none when the log is longer than it should be.

use std::collections::VecDeque;

/// Events behind the parts that are worth keeping as entries, in one partition.
const EVENTS_KEPT: u64 = 16 << 10;
/// Entries that are kept of a log that is too long: what a follower may be behind that hears everything.
const ENTRIES_KEPT_LEAST: u64 = 64;
/// How far parts were, so many times.
const SEEN_MAX: usize = 64;

/// How far the parts of one partition were, lately.
#[derive(Default)]
pub(crate) struct Retained {
    /// Entries that parts had taken in, each with the position of the last event among them; both grow.
    seen: VecDeque<(u64, u64)>,
}

impl Retained {
    /// Up to which entry the log need not be kept, if parts have taken in everything up to entry `taken_in`, which ends
    /// with `position`. `entries` are kept at most.
    pub(crate) fn up_to(&mut self, taken_in: u64, position: u64, entries: u64, is_long: bool) -> u64 {
        if self.seen.back().is_some_and(|(index, _)| *index > taken_in) {
            self.seen.clear(); // everything was discarded meanwhile
        }
        if self.seen.back().is_none_or(|(index, _)| *index < taken_in) {
            self.seen.push_back((taken_in, position));
        }
        if self.seen.len() > SEEN_MAX {
            self.seen.pop_front();
        }
        let by_events = self.seen.iter().rev().find(|(_, before)| before + EVENTS_KEPT <= position);
        let entries = if is_long { entries.min(ENTRIES_KEPT_LEAST) } else { entries };
        by_events.map_or(0, |(index, _)| *index).max(taken_in.saturating_sub(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_entries_are_kept_by_their_number_and_large_ones_by_what_they_hold() {
        let mut small = Retained::default();
        assert_eq!(small.up_to(10_000, 10_000, 4096, false), 10_000 - 4096);
        let mut large = Retained::default();
        assert_eq!(large.up_to(100, 20_000, 4096, false), 0, "nobody knows which entry held which event");
        assert_eq!(large.up_to(180, 36_000, 4096, false), 0, "16,000 events are few");
        assert_eq!(large.up_to(190, 38_000, 4096, false), 100);
        assert_eq!(large.up_to(300, 60_000, 4096, false), 190);
    }

    #[test]
    fn a_log_that_is_too_long_keeps_next_to_nothing() {
        let mut retained = Retained::default();
        assert_eq!(retained.up_to(10_000, 10_000, 4096, true), 10_000 - 64);
        assert_eq!(retained.up_to(10_001, 10_001, 8, true), 10_001 - 8);
    }

    #[test]
    fn what_was_seen_of_a_replica_that_was_discarded_is_forgotten() {
        let mut retained = Retained::default();
        retained.up_to(1000, 50_000, 4096, false);
        retained.up_to(2000, 90_000, 4096, false);
        assert_eq!(retained.up_to(10, 40_000, 4096, false), 0);
        assert_eq!(retained.up_to(20, 60_000, 4096, false), 10);
    }
}
