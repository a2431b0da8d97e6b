//! How long the write-ahead log is, and because of whom.

use std::sync::Arc;

use crate::LogId;
use crate::shelf::Shelf;

/// A view of the live segments, for whoever decides what to purge. Cheap to clone; outlives the log it was taken from,
/// and then no longer changes.
#[derive(Clone)]
pub struct Gauge {
    shelf: Arc<Shelf>,
}

impl Gauge {
    pub(crate) fn new(shelf: Arc<Shelf>) -> Gauge {
        Gauge { shelf }
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
