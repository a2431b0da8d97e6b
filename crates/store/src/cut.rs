//! Where generations end.
//!
//! A cut is decided by apply at the end of a log entry, from nothing but the log: replicas that apply the same entries
//! cut at the same positions and so write identical parts.

use chronos_domain::{LogIndex, Position, Timestamp};

/// The end of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Counts the cuts of a partition, from 1.
    pub number: u64,
    /// The entry at whose end it lies.
    pub index: LogIndex,
    /// The term of that entry.
    pub term: u64,
    /// The last position before it.
    pub head: Position,
    /// No event after it is recorded before this.
    pub recorded_at: Timestamp,
    /// Entities with at least one event up to there, over all tenants and forks.
    pub entities: u64,
    /// Whether somebody asked for it who is going to keep the part.
    pub settle: bool,
}

/// When a generation is cut without anybody asking. Part of the replicated state machine: all replicas of a partition
/// must have the same ones, so only tests choose their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutLimits {
    /// As soon as it holds so many events.
    pub events: u64,
    /// As soon as its events say so many bytes, before any packing.
    pub bytes: u64,
}

impl Default for CutLimits {
    fn default() -> CutLimits {
        CutLimits { events: 64 << 10, bytes: 8 << 20 }
    }
}
