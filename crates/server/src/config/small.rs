//! Bounds for nodes that live for minutes.

/// How little has to gather until a node does what it does now and then. No configuration file has it: it is for
/// simulations, whose minutes have to show what takes a node days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Small {
    /// Events of a partition after which they are cut off to become a part.
    pub cut_events: u64,
    /// Entries that stay in a log though parts have taken them in: a follower that is further behind is sent parts.
    pub entries_kept: u64,
    /// Bytes of one log file. Less than half of it is the largest entry that a log takes: whoever sets this sees to it that
    /// no larger one comes.
    pub segment_bytes: u64,
    /// Live log files from which on the partitions that hold the oldest are compacted, however little they have.
    pub wal_segments_max: u64,
    /// Bytes of events that compaction goes through in a second while nothing presses.
    pub compaction_bytes_per_second: u64,
}
