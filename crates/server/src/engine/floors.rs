//! How far this node has said its partitions are applied, here or elsewhere.
//!
//! One question is answered in steps: first a replica is made as fresh as it has to be, then it is read. Between the two
//! steps the replica may be another one: it was discarded here and begins with nothing, or it is new here while the first
//! step was done elsewhere. So every step that says how far something is applied is noted, and no read answers from
//! before that.
//!
//! A floor outlives the replica of which it was said, and is never taken back: a read between its two steps relies on it,
//! and what it was told may come from another node. But it is an entry, with its term, and not a number. For it may be of a
//! history that is not the cluster's: that of a replica that has diverged, here or where this node has asked, with more
//! entries than the others have. A replica parts only from a leader of a later term, and an entry of a later term is past
//! the floor, whatever its index. So nobody who follows that leader is bound by it, the replica that begins anew included.
//!
//! That makes no read stale. Along one history terms do not fall: who has applied an entry of a later term has applied
//! everything up to the floor before. Two histories there are only where a disk has lost what it acknowledged, and what the
//! one lacks of the other it will not have, however long a read waits. Of the two Raft goes on with that of the later term;
//! a replica that has only the other one is refused, even if it has more entries.

use chronos_domain::PartitionId;
use chronos_domain::limits::PARTITIONS;
use chronos_wal::Mark;
use parking_lot::Mutex;

/// By partition: the last entry of which was said that it is applied.
pub(super) struct Floors(Vec<Mutex<Mark>>);

impl Floors {
    pub(super) fn new() -> Floors {
        Floors((0..=PARTITIONS).map(|_| Mutex::new(Mark { term: 0, index: 0 })).collect())
    }

    pub(super) fn at(&self, id: PartitionId) -> Mark {
        *self.0[id.index()].lock()
    }

    pub(super) fn raise(&self, id: PartitionId, applied: Mark) {
        let mut floor = self.0[id.index()].lock();
        *floor = applied.max(*floor);
    }
}
