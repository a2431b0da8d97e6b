//! Which node holds what.

use std::fmt;

use chronos_domain::{Invalid, PartitionId};

use crate::v1;

/// The number of a node within its cluster, from 1. It is never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u64);

impl NodeId {
    /// The node of that number; `None` for 0, which no node has.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// What one node knows of who holds and leads what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// UUID of the cluster.
    pub cluster_id: String,
    /// How many changes of membership and placement led to this. Leaders change without it.
    pub epoch: u64,
    /// Who says so.
    pub node: NodeId,
    /// Every node of the cluster, ascending.
    pub nodes: Vec<PlacedNode>,
    /// One entry for each partition, ascending.
    pub partitions: Vec<PlacedPartition>,
}

/// One node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedNode {
    /// Its number.
    pub node: NodeId,
    /// Where clients reach it, as `host:port`; empty when it was told of no address.
    pub address: String,
    /// What people call it.
    pub name: String,
}

/// Where one partition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedPartition {
    /// Which one.
    pub partition: PartitionId,
    /// Who leads it, if anybody is known to.
    pub leader: Option<NodeId>,
    /// Who holds it, ascending.
    pub replicas: Vec<NodeId>,
}

impl Placement {
    /// Where a partition is; `None` when the answer left it out.
    #[must_use]
    pub fn partition(&self, partition: PartitionId) -> Option<&PlacedPartition> {
        self.partitions.iter().find(|of| of.partition == partition)
    }

    /// What is known of a node.
    #[must_use]
    pub fn node(&self, node: NodeId) -> Option<&PlacedNode> {
        self.nodes.iter().find(|of| of.node == node)
    }
}

impl From<Placement> for v1::PlacementResponse {
    fn from(of: Placement) -> Self {
        let nodes = of.nodes.into_iter().map(|of| v1::PlacementNode {
            node: of.node.get(),
            address: of.address,
            name: of.name,
        });
        let partitions = of.partitions.into_iter().map(|of| v1::PlacementPartition {
            partition: of.partition.get().into(),
            leader: of.leader.map(NodeId::get),
            replicas: of.replicas.into_iter().map(NodeId::get).collect(),
        });
        Self {
            epoch: of.epoch,
            node: of.node.get(),
            nodes: nodes.collect(),
            partitions: partitions.collect(),
            cluster_id: of.cluster_id,
        }
    }
}

impl TryFrom<v1::PlacementResponse> for Placement {
    type Error = Invalid;

    fn try_from(message: v1::PlacementResponse) -> Result<Self, Invalid> {
        let nodes = message
            .nodes
            .into_iter()
            .map(|of| Ok(PlacedNode { node: node(of.node)?, address: of.address, name: of.name }));
        let partitions = message.partitions.into_iter().map(|of| {
            Ok(PlacedPartition {
                partition: crate::partition(of.partition)?,
                leader: of.leader.map(node).transpose()?,
                replicas: of.replicas.into_iter().map(node).collect::<Result<_, _>>()?,
            })
        });
        Ok(Self {
            cluster_id: message.cluster_id,
            epoch: message.epoch,
            node: node(message.node)?,
            nodes: nodes.collect::<Result<_, _>>()?,
            partitions: partitions.collect::<Result<_, _>>()?,
        })
    }
}

fn node(number: u64) -> Result<NodeId, Invalid> {
    NodeId::new(number).ok_or_else(|| Invalid::new("node", "is 0; nodes are numbered from 1"))
}
