//! How far this node has said its partitions are applied, here or elsewhere.
//!
//! One question is answered in steps: first a replica is made as fresh as it has to be, then it is read. Between the two
//! steps the replica may be another one: it was discarded here and begins with nothing, or it is new here while the first
//! step was done elsewhere. So every step that says how far something is applied is noted, and no read answers from
//! before that.

use std::sync::atomic::{AtomicU64, Ordering};

use chronos_domain::limits::PARTITIONS;
use chronos_domain::{LogIndex, PartitionId};

/// By partition: the last entry of which was said that it is applied.
pub(super) struct Floors(Vec<AtomicU64>);

impl Floors {
    pub(super) fn new() -> Floors {
        Floors((0..=PARTITIONS).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn at(&self, id: PartitionId) -> LogIndex {
        LogIndex::new(self.0[id.index()].load(Ordering::SeqCst))
    }

    /// What was said of a history that is not the cluster's binds nobody.
    pub(super) fn forget(&self, id: PartitionId) {
        self.0[id.index()].store(0, Ordering::SeqCst);
    }

    pub(super) fn raise(&self, id: PartitionId, applied: LogIndex) {
        self.0[id.index()].fetch_max(applied.get(), Ordering::SeqCst);
    }
}
