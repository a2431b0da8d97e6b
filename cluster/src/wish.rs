//! Those who want compaction to be done now, and what they are told when it is not.

use std::sync::Arc;

use chronos_domain::PartitionId;
use tokio::sync::watch;

use crate::freshness::ReadError;

/// Why a partition was not compacted. Nothing is lost by it: what is not in parts is in the log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CompactError {
    /// This node does not serve the partition.
    #[error("{0}")]
    Refused(Arc<str>),
    /// No cut could be made.
    #[error("partition {id} was not cut: {error}")]
    NotCut {
        /// Which partition.
        id: PartitionId,
        /// Why.
        error: ReadError,
    },
    /// A failure of the disk has ended the compaction of the partition.
    #[error("partition {id} is no longer compacted until this node is started again: {reason}")]
    Halted {
        /// Which partition.
        id: PartitionId,
        /// What the disk said.
        reason: Arc<str>,
    },
    /// The disk is full; compaction is tried again by itself.
    #[error(
        "partition {id} was not compacted: the disk is full; free space, it is tried again by itself every 10 s ({reason})"
    )]
    NoSpace {
        /// Which partition.
        id: PartitionId,
        /// What the disk said.
        reason: Arc<str>,
    },
    /// The deadline passed; compaction goes on.
    #[error(
        "partition {id} was not compacted before the deadline; ask again or allow more time{}",
        Because(why)
    )]
    Late {
        /// Which partition.
        id: PartitionId,
        /// What last kept compaction on this node from coming to its end, if anything did.
        why: Option<Arc<str>>,
    },
}

struct Because<'a>(&'a Option<Arc<str>>);

impl std::fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(why) => write!(f, " (last failure: {why})"),
            None => Ok(()),
        }
    }
}

/// Counts who waits for compaction.
#[derive(Default)]
pub(crate) struct Wishes(watch::Sender<usize>);

/// One who waits, until dropped.
pub(crate) struct Wish<'a>(&'a Wishes);

impl Wishes {
    pub(crate) fn make(&self) -> Wish<'_> {
        self.0.send_modify(|wishes| *wishes += 1);
        Wish(self)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<usize> {
        self.0.subscribe()
    }
}

impl Drop for Wish<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|wishes| *wishes -= 1);
    }
}
