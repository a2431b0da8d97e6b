//! How much a node holds, counted.

use chronos_domain::{Invalid, PartitionId};

use crate::v1;

/// What the partitions hold that the answering node serves, added up: over all tenants and forks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entities with at least one event.
    pub entities: u64,
    /// Events.
    pub events: u64,
    /// Append requests that stored something: one block each.
    pub blocks: u64,
    /// How many of the blocks are in memory.
    pub cached_blocks: u64,
    /// Memory these blocks take.
    pub cached_bytes: u64,
    /// How many partitions the node does not serve.
    pub partitions_refused: u32,
    /// Each partition that is served, ascending.
    pub partitions: Vec<PartitionStats>,
    /// The node's log; `None` while the node stops.
    pub log: Option<LogStats>,
}

impl From<Stats> for v1::Stats {
    fn from(of: Stats) -> Self {
        Self {
            entities: of.entities,
            events: of.events,
            blocks: of.blocks,
            cached_blocks: of.cached_blocks,
            cached_bytes: of.cached_bytes,
            partitions_refused: of.partitions_refused,
            partitions: of.partitions.into_iter().map(Into::into).collect(),
            log: of.log.map(Into::into),
        }
    }
}

impl TryFrom<v1::Stats> for Stats {
    type Error = Invalid;

    fn try_from(message: v1::Stats) -> Result<Self, Invalid> {
        Ok(Self {
            entities: message.entities,
            events: message.events,
            blocks: message.blocks,
            cached_blocks: message.cached_blocks,
            cached_bytes: message.cached_bytes,
            partitions_refused: message.partitions_refused,
            partitions: message
                .partitions
                .into_iter()
                .map(PartitionStats::try_from)
                .collect::<Result<_, _>>()?,
            log: message.log.map(Into::into),
        })
    }
}

/// What one partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionStats {
    /// Which one.
    pub partition: PartitionId,
    /// Events.
    pub events: u64,
    /// Entities with at least one event.
    pub entities: u64,
}

impl From<PartitionStats> for v1::PartitionStats {
    fn from(of: PartitionStats) -> Self {
        Self { partition: of.partition.get().into(), events: of.events, entities: of.entities }
    }
}

impl TryFrom<v1::PartitionStats> for PartitionStats {
    type Error = Invalid;

    fn try_from(message: v1::PartitionStats) -> Result<Self, Invalid> {
        let partition = crate::partition(message.partition)?;
        Ok(Self { partition, events: message.events, entities: message.entities })
    }
}

/// The log of a node. All but the files is counted since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Bytes of frames written.
    pub bytes: u64,
    /// Group commits.
    pub units: u64,
    /// `fdatasync` calls for group commits.
    pub syncs: u64,
    /// Files in use now.
    pub segments: u64,
}

impl From<LogStats> for v1::LogStats {
    fn from(of: LogStats) -> Self {
        Self { bytes: of.bytes, units: of.units, syncs: of.syncs, segments: of.segments }
    }
}

impl From<v1::LogStats> for LogStats {
    fn from(message: v1::LogStats) -> Self {
        Self { bytes: message.bytes, units: message.units, syncs: message.syncs, segments: message.segments }
    }
}
