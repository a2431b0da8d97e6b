//! Clusters for tests of what is made of them.

use std::time::Duration;

use chronos_domain::{Marks, PartitionId, Timestamp};
use chronos_proto::cluster::{Addresses, Health, Node, NodeId, NodeState, Partition, Replica, Role, Status};

fn node(number: u64) -> Node {
    Node {
        node: NodeId::new(number),
        name: String::new(),
        machine: 0,
        addresses: Addresses::default(),
        state: NodeState::Active,
        since: Timestamp::ZERO,
        is_up: true,
        heard: Some(Duration::ZERO),
        release: String::new(),
        incarnation: 1,
        leads: 0,
        replicas: 32,
        is_silent: false,
        clock_offset_micros: None,
        heard_by: Vec::new(),
        missed_by: Vec::new(),
    }
}

fn replica(node: NodeId) -> Replica {
    Replica {
        node,
        role: Role::Follower,
        health: Health::Serving,
        term: 1,
        marks: Marks::default(),
        log_first: 1,
        log_last: 1,
        log_committed: 1,
        parts: 0,
        parts_bytes: 0,
        lane: 0,
        last_scrub: None,
        knows_leader: Some(NodeId::new(1)),
        stuck: None,
    }
}

/// All partitions on nodes 1 to 3 of `nodes`, led by the first.
pub(super) fn cluster(nodes: u64) -> Status {
    let voters: Vec<NodeId> = (1..=nodes.min(3)).map(NodeId::new).collect();
    let partition = |id| Partition {
        id,
        leader: Some(NodeId::new(1)),
        term: 1,
        voters: voters.clone(),
        learners: Vec::new(),
        replicas: voters.iter().map(|node| replica(*node)).collect(),
    };
    Status {
        cluster: 1,
        epoch: 1,
        replication: 3,
        is_paused: false,
        me: NodeId::new(1),
        at: Timestamp::ZERO,
        nodes: (1..=nodes).map(node).collect(),
        partitions: PartitionId::all().chain([PartitionId::SYSTEM]).map(partition).collect(),
    }
}
