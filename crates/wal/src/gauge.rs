//! How long the write-ahead log is, and because of whom.

use std::sync::Arc;
use std::time::Duration;

use crate::LogId;
use crate::numbers::LaneId;
use crate::shelf::Shelf;
use crate::stats::Counters;

/// A view of the live segments, for whoever decides what to purge. Cheap to clone; outlives the log it was taken from,
/// and then no longer changes.
#[derive(Clone)]
pub struct Gauge {
    shelf: Arc<Shelf>,
    counters: Arc<Counters>,
    lanes: u8,
}

impl Gauge {
    pub(crate) fn new(shelf: Arc<Shelf>, counters: Arc<Counters>, lanes: u8) -> Gauge {
        Gauge { shelf, counters, lanes }
    }

    /// Whether what is written to a log waits for a slow disk at `now` (since the start of the clock): the last `run`
    /// syncs of its lane each took `limit` or longer, or the one under way takes as long as all of them.
    pub fn is_slow(&self, log: LogId, limit: Duration, run: u32, now: Duration) -> bool {
        self.counters.is_slow(usize::from(LaneId::of(log, self.lanes).0), limit, run, now)
    }

    /// Live segments, of all lanes: those that hold frames somebody needs, or that stand behind such a one.
    pub fn segments(&self) -> u64 {
        self.shelf.count()
    }

    /// The logs that keep the oldest segment of some lane from being used again: as soon as each of them is purged up
    /// to its end, at least one segment is free. Empty when there is nothing to gain.
    pub fn holders(&self) -> Vec<LogId> {
        let mut logs: Vec<LogId> = self.shelf.holders().into_iter().flatten().map(|(log, _)| log).collect();
        logs.sort_unstable();
        logs.dedup();
        logs
    }
}

impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gauge({} segments)", self.segments())
    }
}
