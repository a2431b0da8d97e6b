//! Reports as bytes.

use std::time::Duration;

use bytes::Bytes;
use chronos_domain::{Marks, PartitionId, Position, Timestamp};
use chronos_proto::peer::v1;
use chronos_wal::Mark;
use prost::Message;

use super::report::{NodeReport, Report};
use crate::node::NodeId;
use crate::raft::Members;
use crate::view::{Health, ReplicaView, Role};

/// A report that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a status report is malformed: {0}")]
pub(crate) struct Malformed(String);

pub(crate) fn encode(report: &NodeReport) -> Bytes {
    let status = v1::NodeStatus {
        node: report.node.get(),
        release: report.release.clone(),
        incarnation: report.incarnation,
        epoch: report.epoch,
        replicas: report.groups.iter().map(replica_to_wire).collect(),
        silences: report.silences.iter().map(|(node, silence)| silence_to_wire(*node, *silence)).collect(),
        wall: report.wall.map(Timestamp::get),
    };
    Bytes::from(status.encode_to_vec())
}

pub(crate) fn decode(bytes: &Bytes) -> Result<NodeReport, Malformed> {
    let status = v1::NodeStatus::decode(bytes.clone()).map_err(|error| Malformed(error.to_string()))?;
    let node = NodeId::new(status.node);
    let silence = |of: v1::Silence| (NodeId::new(of.node), Duration::from_millis(of.ms));
    let groups = status.replicas.into_iter().map(|replica| replica_from_wire(node, replica));
    Ok(NodeReport {
        node,
        release: status.release,
        incarnation: status.incarnation,
        epoch: status.epoch,
        wall: status.wall.map(Timestamp::new),
        groups: groups.collect::<Result<_, _>>()?,
        silences: status.silences.into_iter().map(silence).collect(),
    })
}

fn silence_to_wire(node: NodeId, silence: Duration) -> v1::Silence {
    v1::Silence { node: node.get(), ms: u64::try_from(silence.as_millis()).unwrap_or(u64::MAX) }
}

fn replica_to_wire(report: &Report) -> v1::ReplicaStatus {
    let replica = &report.replica;
    let (health, reason) = health_to_wire(&replica.health);
    let Marks { appended, flushed, committed, applied, compacted, purged, indexed } = replica.marks;
    let marks = [appended, flushed, committed, applied, compacted, purged, indexed];
    v1::ReplicaStatus {
        partition: report.id.get().into(),
        role: role_to_wire(replica.role).into(),
        health: health.into(),
        reason,
        term: replica.term,
        marks: marks.iter().map(|mark| mark.get()).collect(),
        log_first: replica.log_first,
        log_last: replica.log_last,
        log_committed: replica.log_committed,
        parts: replica.parts,
        parts_bytes: replica.parts_bytes,
        lane: replica.lane.into(),
        last_scrub: replica.last_scrub.map(Timestamp::get),
        leader: replica.knows_leader.map(NodeId::get),
        members: Some(members_to_wire(&report.members)),
        matched: report.matched.iter().map(|(node, index)| matched(*node, *index)).collect(),
    }
}

fn matched(node: NodeId, index: u64) -> v1::Matched {
    v1::Matched { node: node.get(), index }
}

fn replica_from_wire(node: NodeId, status: v1::ReplicaStatus) -> Result<Report, Malformed> {
    let id = u8::try_from(status.partition).ok().and_then(PartitionId::of_group);
    let id = id.ok_or_else(|| Malformed(format!("there is no partition {}", status.partition)))?;
    let (role, health) = (status.role(), health_from_wire(status.health(), &status.reason));
    let replica = ReplicaView {
        node,
        role: role_from_wire(role),
        health,
        term: status.term,
        marks: marks_from_wire(&status.marks)?,
        log_first: status.log_first,
        log_last: status.log_last,
        log_committed: status.log_committed,
        parts: status.parts,
        parts_bytes: status.parts_bytes,
        lane: u8::try_from(status.lane)
            .map_err(|_| Malformed(format!("there is no lane {}", status.lane)))?,
        last_scrub: status.last_scrub.map(Timestamp::new),
        knows_leader: status.leader.map(NodeId::new),
        // Others see that better than a node itself.
        stuck: None,
    };
    let matched = status.matched.iter().map(|matched| (NodeId::new(matched.node), matched.index)).collect();
    Ok(Report { id, replica, members: members_from_wire(status.members.unwrap_or_default()), matched })
}

fn marks_from_wire(marks: &[u64]) -> Result<Marks, Malformed> {
    let [appended, flushed, committed, applied, compacted, purged, indexed] = <[u64; 7]>::try_from(marks)
        .map_err(|_| Malformed(format!("{} marks instead of 7", marks.len())))?
        .map(Position::new);
    Ok(Marks { appended, flushed, committed, applied, compacted, purged, indexed })
}

fn members_to_wire(members: &Members) -> v1::GroupMembers {
    let numbers = |nodes: &std::collections::BTreeSet<NodeId>| nodes.iter().map(|node| node.get()).collect();
    v1::GroupMembers {
        term: members.at.term,
        index: members.at.index,
        is_committed: members.is_committed,
        configs: members.configs.iter().map(|nodes| v1::NodeSet { nodes: numbers(nodes) }).collect(),
        learners: numbers(&members.learners),
    }
}

fn members_from_wire(members: v1::GroupMembers) -> Members {
    let set = |nodes: Vec<u64>| nodes.into_iter().map(NodeId::new).collect();
    Members {
        at: Mark { index: members.index, term: members.term },
        is_committed: members.is_committed,
        configs: members.configs.into_iter().map(|config| set(config.nodes)).collect(),
        learners: set(members.learners),
    }
}

const fn role_to_wire(role: Role) -> v1::ReplicaRole {
    match role {
        Role::Leader => v1::ReplicaRole::Leader,
        Role::Follower => v1::ReplicaRole::Follower,
        Role::Candidate => v1::ReplicaRole::Candidate,
        Role::Learner => v1::ReplicaRole::Learner,
        Role::Outside => v1::ReplicaRole::Outside,
    }
}

const fn role_from_wire(role: v1::ReplicaRole) -> Role {
    match role {
        v1::ReplicaRole::Leader => Role::Leader,
        v1::ReplicaRole::Follower => Role::Follower,
        v1::ReplicaRole::Candidate => Role::Candidate,
        v1::ReplicaRole::Learner => Role::Learner,
        v1::ReplicaRole::Outside => Role::Outside,
    }
}

fn health_to_wire(health: &Health) -> (v1::ReplicaHealth, String) {
    match health {
        Health::Starting => (v1::ReplicaHealth::Starting, String::new()),
        Health::Serving => (v1::ReplicaHealth::Serving, String::new()),
        Health::Full => (v1::ReplicaHealth::Full, String::new()),
        Health::Refused(why) => (v1::ReplicaHealth::Refused, why.to_string()),
        Health::Repairing(why) => (v1::ReplicaHealth::Repairing, why.to_string()),
        Health::Ended(why) => (v1::ReplicaHealth::Ended, why.to_string()),
    }
}

fn health_from_wire(health: v1::ReplicaHealth, why: &str) -> Health {
    match health {
        v1::ReplicaHealth::Starting => Health::Starting,
        v1::ReplicaHealth::Serving => Health::Serving,
        v1::ReplicaHealth::Full => Health::Full,
        v1::ReplicaHealth::Refused => Health::Refused(why.into()),
        v1::ReplicaHealth::Repairing => Health::Repairing(why.into()),
        v1::ReplicaHealth::Ended => Health::Ended(why.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn a_report_that_was_sent_is_the_report_that_is_read() {
        let n = NodeId::new;
        let position = Position::new;
        let replica = ReplicaView {
            node: n(3),
            role: Role::Leader,
            health: Health::Refused("it is broken".into()),
            term: 5,
            marks: Marks {
                appended: position(9),
                flushed: position(8),
                committed: position(7),
                applied: position(6),
                compacted: position(5),
                purged: position(4),
                indexed: position(3),
            },
            log_first: 2,
            log_last: 19,
            log_committed: 18,
            parts: 4,
            parts_bytes: 1 << 40,
            lane: 2,
            last_scrub: Some(Timestamp::new(-7)),
            knows_leader: Some(n(3)),
            stuck: None,
        };
        let members = Members {
            at: Mark { index: 11, term: 4 },
            is_committed: true,
            configs: vec![BTreeSet::from([n(1), n(2)]), BTreeSet::from([n(3)])],
            learners: BTreeSet::from([n(4)]),
        };
        let matched = BTreeMap::from([(n(1), 17), (n(4), 0)]);
        let group = Report { id: PartitionId::SYSTEM, replica, members, matched };
        let report = NodeReport {
            node: n(3),
            release: "1.2.3".into(),
            incarnation: 8,
            epoch: 77,
            wall: Some(Timestamp::new(-5)),
            groups: vec![group],
            silences: BTreeMap::from([(n(1), Duration::from_millis(7)), (n(4), Duration::from_secs(5))]),
        };
        assert_eq!(decode(&encode(&report)), Ok(report));
        assert!(decode(&Bytes::from_static(b"\xff\xff\xff")).is_err());
    }
}
