//! A node's view of its cluster in the words of the wire.

use std::collections::BTreeSet;

use chronos_cluster as cluster;
use chronos_domain::Timestamp;
use chronos_proto::cluster::{Addresses, Health, Node, NodeId, NodeState, Partition, Replica, Role, Status};

/// With who was asked just now and did not answer.
pub(super) fn status(view: cluster::View, silent: &BTreeSet<NodeId>, at: Timestamp) -> Status {
    Status {
        cluster: view.cluster,
        epoch: view.epoch,
        replication: view.replication,
        is_paused: view.is_paused,
        me: view.me,
        at,
        nodes: view.nodes.into_iter().map(|of| node(of, silent)).collect(),
        partitions: view.partitions.into_iter().map(partition).collect(),
    }
}

fn node(of: cluster::NodeView, silent: &BTreeSet<NodeId>) -> Node {
    let member = of.member;
    let is_silent = silent.contains(&member.node);
    let cluster::Addresses { client, peer, admin } = member.addresses;
    Node {
        node: member.node,
        name: member.name,
        machine: member.machine,
        addresses: Addresses { client, peer, admin },
        state: match member.state {
            cluster::MemberState::Active => NodeState::Active,
            cluster::MemberState::Draining => NodeState::Draining,
            cluster::MemberState::Removed => NodeState::Removed,
        },
        since: member.since,
        is_up: of.is_up,
        heard: of.heard,
        release: of.release,
        incarnation: of.incarnation,
        leads: of.leads,
        replicas: of.replicas,
        is_silent,
        clock_offset_micros: of.clock_offset_micros,
        heard_by: of.heard_by,
        missed_by: of.missed_by,
    }
}

fn partition(of: cluster::PartitionView) -> Partition {
    Partition {
        id: of.id,
        leader: of.leader,
        term: of.term,
        voters: of.voters,
        learners: of.learners,
        replicas: of.replicas.into_iter().map(replica).collect(),
    }
}

fn replica(of: cluster::ReplicaView) -> Replica {
    Replica {
        node: of.node,
        role: match of.role {
            cluster::Role::Leader => Role::Leader,
            cluster::Role::Follower => Role::Follower,
            cluster::Role::Candidate => Role::Candidate,
            cluster::Role::Learner => Role::Learner,
            cluster::Role::Outside => Role::Outside,
        },
        health: match of.health {
            cluster::Health::Serving => Health::Serving,
            cluster::Health::Starting => Health::Starting,
            cluster::Health::Full => Health::Full,
            cluster::Health::Refused(why) => Health::Refused(why.to_string()),
            cluster::Health::Repairing(why) => Health::Repairing(why.to_string()),
            cluster::Health::Ended(why) => Health::Ended(why.to_string()),
        },
        term: of.term,
        marks: of.marks,
        log_first: of.log_first,
        log_last: of.log_last,
        log_committed: of.log_committed,
        parts: of.parts,
        parts_bytes: of.parts_bytes,
        lane: of.lane,
        last_scrub: of.last_scrub,
        knows_leader: of.knows_leader,
        stuck: of.stuck,
    }
}
