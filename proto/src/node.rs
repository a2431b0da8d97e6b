//! What a node says about itself.

mod stats;

use chronos_domain::{Invalid, Marks, PartitionId, Position};

use crate::error::Failure;
use crate::v1;

pub use stats::{LogStats, PartitionStats, Stats};

/// One partition as the answering node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMarks {
    /// Which one.
    pub partition: PartitionId,
    /// How far it has come here, or why it is not served here.
    pub marks: Result<Marks, Failure>,
}

impl From<PartitionMarks> for v1::Watermark {
    fn from(of: PartitionMarks) -> Self {
        let (marks, failure) = match of.marks {
            Ok(marks) => (marks, None),
            Err(failure) => (Marks::default(), Some(failure.into())),
        };
        Self {
            partition: of.partition.get().into(),
            appended: marks.appended.get(),
            flushed: marks.flushed.get(),
            committed: marks.committed.get(),
            applied: marks.applied.get(),
            compacted: marks.compacted.get(),
            purged: marks.purged.get(),
            indexed: marks.indexed.get(),
            failure,
        }
    }
}

impl TryFrom<v1::Watermark> for PartitionMarks {
    type Error = Invalid;

    fn try_from(message: v1::Watermark) -> Result<Self, Invalid> {
        let marks = match message.failure {
            Some(failure) => Err(Failure::try_from(failure)?),
            None => Ok(Marks {
                appended: Position::new(message.appended),
                flushed: Position::new(message.flushed),
                committed: Position::new(message.committed),
                applied: Position::new(message.applied),
                compacted: Position::new(message.compacted),
                purged: Position::new(message.purged),
                indexed: Position::new(message.indexed),
            }),
        };
        Ok(Self { partition: crate::partition(message.partition)?, marks })
    }
}

/// Who answers, what it accepts, and how much it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// UUID of the cluster.
    pub cluster_id: String,
    /// UUID of the node.
    pub node_id: String,
    /// The version of its program.
    pub release: String,
    /// How many partitions the cluster has: 32 for life.
    pub partitions: u32,
    /// How many nodes the cluster has.
    pub nodes: u32,
    /// How durable an acknowledged append is, by its name: `quorum-fsync`.
    pub durability: String,
    /// What one request may carry.
    pub limits: v1::Limits,
    /// How much it holds, if it says so: to callers that may observe it.
    pub stats: Option<Stats>,
}

impl From<Info> for v1::InfoResponse {
    fn from(info: Info) -> Self {
        Self {
            cluster_id: info.cluster_id,
            node_id: info.node_id,
            release: info.release,
            partitions: info.partitions,
            limits: Some(info.limits),
            durability: info.durability,
            nodes: info.nodes,
            stats: info.stats.map(Into::into),
        }
    }
}

impl TryFrom<v1::InfoResponse> for Info {
    type Error = Invalid;

    fn try_from(message: v1::InfoResponse) -> Result<Self, Invalid> {
        let limits =
            message.limits.ok_or_else(|| Invalid::new("limits", "is missing from the node's answer"))?;
        Ok(Self {
            cluster_id: message.cluster_id,
            node_id: message.node_id,
            release: message.release,
            partitions: message.partitions,
            nodes: message.nodes,
            durability: message.durability,
            limits,
            stats: message.stats.map(Stats::try_from).transpose()?,
        })
    }
}
