//! Who holds and leads what, as this node tells its callers.

use chronos_cluster::{MemberState, NodeView, PartitionView, View};
use chronos_domain::{EventId, PartitionId};
use chronos_proto::{NodeId, PlacedNode, PlacedPartition, Placement};

use crate::edge::Edge;

/// The placement as this node knows it.
pub(crate) fn read(edge: &Edge) -> Placement {
    of(&edge.app.node().cluster().view())
}

/// What callers need of a view: data partitions, and members that are there.
fn of(view: &View) -> Placement {
    let present = view.nodes.iter().filter(|node| node.member.state != MemberState::Removed);
    let partitions = view.partitions.iter().filter(|of| of.id != PartitionId::SYSTEM);
    Placement {
        cluster_id: EventId::from_u128(view.cluster).to_string(),
        epoch: view.epoch,
        node: number(view.me).expect("a node that runs has a number"),
        nodes: present.filter_map(node).collect(),
        partitions: partitions.map(partition).collect(),
    }
}

fn node(of: &NodeView) -> Option<PlacedNode> {
    let (address, name) = (of.member.addresses.client.clone(), of.member.name.clone());
    Some(PlacedNode { node: number(of.member.node)?, address, name })
}

/// Learners are left out: one may be far behind, and is about to be a voter or gone.
fn partition(of: &PartitionView) -> PlacedPartition {
    let mut replicas: Vec<NodeId> = of.voters.iter().filter_map(|node| number(*node)).collect();
    replicas.sort_unstable();
    PlacedPartition { partition: of.id, leader: of.leader.and_then(number), replicas }
}

fn number(node: chronos_cluster::NodeId) -> Option<NodeId> {
    NodeId::new(node.get())
}
