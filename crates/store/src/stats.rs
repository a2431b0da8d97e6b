//! What a partition holds, counted.

/// A partition's sizes at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events stored, which is the head position.
    pub events: u64,
    /// Entities with at least one event, over all tenants and forks.
    pub entities: u64,
    /// Event ids that the duplicate check holds in memory: those of events that are not in parts yet.
    pub ids: u64,
    /// Applied blocks whose events are not in parts yet.
    pub blocks: u64,
    /// Those of them that are in memory.
    pub cached_blocks: u64,
    /// Memory these blocks take.
    pub cached_bytes: u64,
    /// Memory taken by older blocks that were read back from the log.
    pub reread_bytes: u64,
    /// Entries that reads had to fetch from the log since the partition was opened.
    pub log_reads: u64,
    /// Generations in memory: the active one, and those that wait to become a part.
    pub generations: u64,
    /// Parts on disk.
    pub parts: u64,
    /// Events in them.
    pub part_events: u64,
    /// Bytes of their files, indexes included.
    pub part_bytes: u64,
    /// Bytes that their events say, before any packing; those of erased events no longer count.
    pub part_raw_bytes: u64,
    /// Events in parts whose content is gone from the disk.
    pub part_erased: u64,
    /// Entities that were truncated. Each is held in memory.
    pub tombstones: u64,
    /// Commands stored since the partition was opened, replay included.
    pub commands_stored: u64,
    /// Commands that were a repetition, likewise.
    pub commands_duplicate: u64,
    /// Commands that a rule refused, likewise.
    pub commands_rejected: u64,
}
