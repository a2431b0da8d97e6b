//! Clusters for tests of what is printed.

use std::time::Duration;

use chronos_client::cluster::{Addresses, Health, Node, NodeId, NodeState, Partition, Replica, Role, Status};
use chronos_client::{PartitionId, Position, Timestamp};
use chronos_domain::Marks;

const NOON: i64 = 1_714_564_800_000_000;

/// Three nodes that are up, and have their share.
pub(crate) fn healthy() -> Status {
    let partitions = PartitionId::all().chain([PartitionId::SYSTEM]).map(|id| partition(id, 3)).collect();
    let nodes = [(1, 11), (2, 11), (3, 10)].map(|(number, leads)| node(number, leads)).into();
    status(nodes, partitions, 3)
}

/// A node on its own.
pub(crate) fn alone() -> Status {
    let partitions = PartitionId::all().chain([PartitionId::SYSTEM]).map(|id| partition(id, 1)).collect();
    let addresses = Addresses { peer: String::new(), ..node(1, 32).addresses };
    let node = Node { name: String::new(), addresses, ..node(1, 32) };
    status(vec![node], partitions, 1)
}

/// Whatever can be wrong.
pub(crate) fn troubled() -> Status {
    let mut status = healthy();
    status.is_paused = true;
    status.nodes[0].leads = 21;
    status.nodes[1].leads = 9;
    status.nodes[1].state = NodeState::Draining;
    status.nodes[2].leads = 0;
    status.nodes[2].is_up = false;
    status.nodes[2].heard = Some(Duration::from_secs(12));
    for partition in &mut status.partitions {
        if partition.leader == Some(NodeId::new(3)) {
            partition.leader = Some(NodeId::new(1));
        }
        for replica in &mut partition.replicas {
            replica.marks.applied = Position::new(1_000 + u64::from(partition.id.get()));
        }
    }
    status.partitions[7].leader = None;
    status.partitions[3].replicas[1].health = Health::Refused("part 12 is not as it was written".to_owned());
    status.partitions[9].voters.remove(1);
    for replica in [0, 2] {
        status.partitions[5].replicas[replica].marks.committed = Position::new(2_501_005);
        status.partitions[5].replicas[replica].marks.applied = Position::new(2_501_005);
    }
    status
}

fn status(nodes: Vec<Node>, partitions: Vec<Partition>, replication: u8) -> Status {
    Status {
        cluster: 0x0189_0a5d_ac96_774b_bcce_b302_099a_8057,
        epoch: 42,
        replication,
        is_paused: false,
        me: NodeId::new(1),
        at: Timestamp::new(NOON),
        nodes,
        partitions,
    }
}

fn node(number: u64, leads: u8) -> Node {
    let address = |port: u16| format!("10.0.0.{number}:{port}");
    Node {
        node: NodeId::new(number),
        name: format!("db{number}"),
        machine: number.into(),
        addresses: Addresses { client: address(7400), peer: address(7401), admin: address(7402) },
        state: NodeState::Active,
        since: Timestamp::new(NOON),
        is_up: true,
        heard: Some(Duration::from_millis(if number == 1 { 0 } else { 400 })),
        release: "0.1.0".to_owned(),
        incarnation: 4,
        leads,
        replicas: 32,
        is_silent: false,
        clock_offset_micros: Some(0),
        heard_by: Vec::new(),
        missed_by: Vec::new(),
    }
}

/// Led in turn; who has a higher number than the leader is two events behind.
fn partition(id: PartitionId, replicas: u64) -> Partition {
    let leader = u64::from(id.get()) % replicas + 1;
    let voters: Vec<NodeId> = (1..=replicas).map(NodeId::new).collect();
    let replicas = voters.iter().map(|node| replica(id, *node, leader)).collect();
    Partition { id, leader: Some(NodeId::new(leader)), term: 3, voters, learners: Vec::new(), replicas }
}

fn replica(id: PartitionId, node: NodeId, leader: u64) -> Replica {
    let head = 1_000 + u64::from(id.get());
    let applied = Position::new(if node.get() > 1 && node.get() != leader { head - 2 } else { head });
    let head = Position::new(head);
    Replica {
        node,
        role: if node.get() == leader { Role::Leader } else { Role::Follower },
        health: Health::Serving,
        term: 3,
        marks: Marks {
            appended: head,
            flushed: head,
            committed: applied,
            applied,
            compacted: Position::new(900),
            purged: Position::new(800),
            indexed: applied,
        },
        log_first: 101,
        log_last: 250,
        log_committed: 250,
        parts: 4,
        parts_bytes: 12_345_678,
        lane: 0,
        last_scrub: Some(Timestamp::new(NOON - 7_200_000_000)),
        knows_leader: Some(NodeId::new(leader)),
        stuck: None,
    }
}
