//! Who holds and leads what, as this node tells its callers.

use chronos_cluster::{NodeView, PartitionView};
use chronos_domain::{EventId, PartitionId};
use chronos_proto::{NodeId, PlacedNode, PlacedPartition, Placement};

use crate::edge::Edge;

/// The placement as this node knows it: of itself everything, of the others what they said last.
pub(crate) fn read(edge: &Edge) -> Placement {
    let view = edge.app.node().cluster().view();
    let data = view.partitions.into_iter().filter(|of| of.id != PartitionId::SYSTEM);
    Placement {
        cluster_id: EventId::from_u128(edge.identity.cluster).to_string(),
        epoch: view.epoch,
        node: number(view.me),
        nodes: view.nodes.into_iter().map(node).collect(),
        partitions: data.map(partition).collect(),
    }
}

fn node(of: NodeView) -> PlacedNode {
    PlacedNode { node: number(of.member.node), address: of.member.addresses.client, name: of.member.name }
}

/// A partition with its voters: a replica without a say is on its way in or out, and no help to a caller.
fn partition(of: PartitionView) -> PlacedPartition {
    let mut replicas: Vec<NodeId> = of.voters.into_iter().map(number).collect();
    replicas.sort_unstable();
    PlacedPartition { partition: of.id, leader: of.leader.map(number), replicas }
}

fn number(node: chronos_cluster::NodeId) -> NodeId {
    NodeId::new(node.get()).expect("nodes are numbered from 1")
}
