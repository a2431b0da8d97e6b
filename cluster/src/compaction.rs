//! How a node compacts: what is configured, and what can be seen of it.

use std::sync::Arc;
use std::time::Duration;

use chronos_domain::PartitionId;
use chronos_store::Done;
use parking_lot::Mutex;

use crate::backlog::Held;

/// When and how fast a node compacts. Nothing of it changes what is in a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionConfig {
    /// Whether cuts are taken into parts as they come. Without it only when somebody asks, and memory grows with what
    /// is appended in between.
    pub background: bool,
    /// Bytes of events, before encoding, that compaction goes through in a second while nothing presses: it pauses in
    /// between. At least 1.
    pub bytes_per_second: u64,
    /// Live segments of the write-ahead log from which on partitions that hold the oldest of them are cut.
    pub wal_segments_max: u64,
    /// Events of this node that are cut and not yet in parts, above which appends to their partitions wait.
    pub debt_events_max: u64,
    /// The same as bytes of events, before encoding.
    pub debt_bytes_max: u64,
}

impl Default for CompactionConfig {
    fn default() -> CompactionConfig {
        CompactionConfig {
            background: true,
            bytes_per_second: 64 << 20,
            wal_segments_max: 8,
            debt_events_max: 1 << 19,
            debt_bytes_max: 128 << 20,
        }
    }
}

/// What compaction of a node has done since it was started, and what it has before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactionStats {
    /// Cuts taken into parts.
    pub cuts: u64,
    /// Events that went from the log into parts.
    pub events: u64,
    /// Parts that were replaced by merged ones.
    pub merged: u64,
    /// Parts that were written again because of truncations only.
    pub erased: u64,
    /// Bytes of events, before encoding, that were gone through.
    pub bytes_in: u64,
    /// Bytes of files that were written.
    pub bytes_out: u64,
    /// How long the last cut took, pauses included.
    pub last_duration: Duration,
    /// Compactions that did not come to their end.
    pub setbacks: u64,
    /// Why the last of them did not.
    pub last_error: Option<Arc<str>>,
    /// Partitions that are no longer compacted until the node is started again.
    pub halted: Vec<PartitionId>,
    /// Cuts that wait.
    pub debt_cuts: u64,
    /// Their events.
    pub debt_events: u64,
    /// What these say, in bytes before encoding.
    pub debt_bytes: u64,
}

/// The counters behind [`CompactionStats`].
#[derive(Default)]
pub(crate) struct Counters(Mutex<CompactionStats>);

impl Counters {
    pub(crate) fn done(&self, done: &Done, took: Duration) {
        let mut stats = self.0.lock();
        stats.cuts += 1;
        stats.events += done.events;
        stats.merged += done.merged;
        stats.erased += done.erased;
        stats.bytes_in += done.bytes_in;
        stats.bytes_out += done.bytes_out;
        stats.last_duration = took;
    }

    pub(crate) fn set_back(&self, why: Arc<str>) {
        let mut stats = self.0.lock();
        stats.setbacks += 1;
        stats.last_error = Some(why);
    }

    pub(crate) fn halted(&self, id: PartitionId) {
        let mut stats = self.0.lock();
        if !stats.halted.contains(&id) {
            stats.halted.push(id);
        }
    }

    pub(crate) fn read(&self, held: Held) -> CompactionStats {
        let (debt_cuts, debt_events, debt_bytes) = (held.cuts, held.events, held.bytes);
        CompactionStats { debt_cuts, debt_events, debt_bytes, ..self.0.lock().clone() }
    }
}
