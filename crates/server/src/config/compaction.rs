//! When and how fast a node turns its log into parts.

use chronos_cluster::CompactionConfig;
use serde::{Deserialize, Serialize};

use super::{Invalid, within};

/// How a node compacts. Nothing of it changes what is in a part, so nodes of one cluster may differ.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compaction {
    /// Whether events go into parts as they come. Without it only when somebody asks for it, and memory and log grow
    /// with everything that is appended in between.
    pub background: bool,
    /// Bytes of events that compaction goes through in a second while nothing presses.
    pub bytes_per_second: u64,
    /// Live log files from which on the partitions that hold the oldest are compacted, however little they have.
    pub wal_segments_max: u64,
    /// Events that wait for compaction in memory, above which appends to their partitions wait too.
    pub debt_events_max: u64,
    /// The same in bytes.
    pub debt_bytes_max: u64,
}

/// Slower than this, a log would grow faster than a small load.
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;
/// Faster than any disk.
const BYTES_PER_SECOND_MAX: u64 = 1 << 40;
/// One that is written and one that waits for compaction, in each of two lanes.
const WAL_SEGMENTS_MIN: u64 = 4;
const WAL_SEGMENTS_MAX: u64 = 1 << 20;
/// What one partition cuts at once must fit.
const DEBT_EVENTS_MIN: u64 = 1 << 17;
const DEBT_EVENTS_MAX: u64 = 1 << 30;
const DEBT_BYTES_MIN: u64 = 32 << 20;
const DEBT_BYTES_MAX: u64 = 1 << 40;

impl Default for Compaction {
    fn default() -> Self {
        let usual = CompactionConfig::default();
        Self {
            background: usual.background,
            bytes_per_second: usual.bytes_per_second,
            wal_segments_max: usual.wal_segments_max,
            debt_events_max: usual.debt_events_max,
            debt_bytes_max: usual.debt_bytes_max,
        }
    }
}

impl Compaction {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        within(
            "compaction.bytes_per_second",
            self.bytes_per_second,
            BYTES_PER_SECOND_MIN..=BYTES_PER_SECOND_MAX,
        )?;
        within("compaction.wal_segments_max", self.wal_segments_max, WAL_SEGMENTS_MIN..=WAL_SEGMENTS_MAX)?;
        within("compaction.debt_events_max", self.debt_events_max, DEBT_EVENTS_MIN..=DEBT_EVENTS_MAX)?;
        within("compaction.debt_bytes_max", self.debt_bytes_max, DEBT_BYTES_MIN..=DEBT_BYTES_MAX)
    }

    /// For the groups of a node.
    pub(crate) fn config(&self) -> CompactionConfig {
        CompactionConfig {
            background: self.background,
            bytes_per_second: self.bytes_per_second,
            wal_segments_max: self.wal_segments_max,
            debt_events_max: self.debt_events_max,
            debt_bytes_max: self.debt_bytes_max,
        }
    }
}
