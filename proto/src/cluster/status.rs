//! Everything at one glance.

use chronos_domain::{Invalid, PartitionId, Timestamp};

use super::{Node, NodeId, Partition, each, small, uuid, v1};

/// A cluster as one of its nodes sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which cluster.
    pub cluster: u128,
    /// Grows with every change of members, placement and settings.
    pub epoch: u64,
    /// How many replicas a partition has.
    pub replication: u8,
    /// Whether the placement driver is paused.
    pub is_paused: bool,
    /// Whose view it is.
    pub me: NodeId,
    /// When it was taken.
    pub at: Timestamp,
    /// All that belong to it, ascending.
    pub nodes: Vec<Node>,
    /// All partitions, ascending, the system partition last.
    pub partitions: Vec<Partition>,
}

impl Status {
    /// What is known of a node.
    #[must_use]
    pub fn node(&self, node: NodeId) -> Option<&Node> {
        self.nodes.iter().find(|of| of.node == node)
    }

    /// What is known of a partition.
    #[must_use]
    pub fn partition(&self, id: PartitionId) -> Option<&Partition> {
        self.partitions.iter().find(|of| of.id == id)
    }
}

impl From<Status> for v1::StatusResponse {
    fn from(of: Status) -> Self {
        Self {
            cluster: of.cluster.to_be_bytes().to_vec().into(),
            epoch: of.epoch,
            replication: of.replication.into(),
            paused: of.is_paused,
            me: of.me.get(),
            at: of.at.get(),
            nodes: of.nodes.into_iter().map(Into::into).collect(),
            partitions: of.partitions.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::StatusResponse> for Status {
    type Error = Invalid;

    fn try_from(message: v1::StatusResponse) -> Result<Self, Invalid> {
        Ok(Self {
            cluster: uuid("cluster", &message.cluster)?,
            epoch: message.epoch,
            replication: small("replication", message.replication)?,
            is_paused: message.paused,
            me: NodeId::new(message.me),
            at: Timestamp::new(message.at),
            nodes: each(message.nodes)?,
            partitions: each(message.partitions)?,
        })
    }
}
