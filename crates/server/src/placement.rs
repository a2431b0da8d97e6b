//! Who holds and leads what, as this node tells its callers.

use chronos_app::Node as _;
use chronos_domain::{EventId, PartitionId};
use chronos_proto::{NodeId, PlacedNode, PlacedPartition, Placement};

use crate::edge::Edge;

/// The placement as this node knows it.
pub(crate) fn read(edge: &Edge) -> Placement {
    let me = NodeId::new(1).expect("1 is not 0");
    let partition = |partition| PlacedPartition {
        partition,
        leader: edge.app.node().marks(partition).is_ok().then_some(me),
        replicas: vec![me],
    };
    Placement {
        cluster_id: EventId::from_u128(edge.identity.cluster).to_string(),
        epoch: 0,
        node: me,
        nodes: vec![PlacedNode { node: me, address: String::new(), name: String::new() }],
        partitions: PartitionId::all().map(partition).collect(),
    }
}
