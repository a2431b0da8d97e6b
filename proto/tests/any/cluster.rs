//! Arbitrary clusters, and what is done to them.

use std::time::Duration;

use chronos_domain::Marks;
use chronos_proto::cluster::{
    Addresses, Change, ChangeKind, Compacted, Comparison, Health, Node, NodeConfig, NodeId, NodeState,
    Partition, Plan, PlannedStep, Repaired, Replica, ReplicaDigest, Role, ScrubBegun, Setting,
    SettingChanged, Status, Verdict, VerifiedReplica,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::admin::{self, or_failure, partition, position};
use super::time;

fn node_id() -> impl Strategy<Value = NodeId> {
    any::<u64>().prop_map(NodeId::new)
}

fn addresses() -> impl Strategy<Value = Addresses> {
    any::<[String; 3]>().prop_map(|[client, peer, admin]| Addresses { client, peer, admin })
}

fn node() -> impl Strategy<Value = Node> {
    let who = (node_id(), any::<String>(), any::<u128>(), addresses());
    let how = (select(NodeState::ALL), time(), any::<bool>(), option::of(any::<u64>()));
    let what =
        (any::<String>(), any::<u64>(), any::<u8>(), any::<u8>(), any::<bool>(), option::of(any::<i64>()));
    let by = (vec(node_id(), 0..3), vec(node_id(), 0..3));
    (who, how, what, by).prop_map(|(who, how, what, (heard_by, missed_by))| {
        let (node, name, machine, addresses) = who;
        let (release, incarnation, leads, replicas, is_silent, clock_offset_micros) = what;
        let (state, since, is_up, heard) = how;
        let heard = heard.map(Duration::from_millis);
        Node {
            node,
            name,
            machine,
            addresses,
            state,
            since,
            is_up,
            heard,
            release,
            incarnation,
            leads,
            replicas,
            is_silent,
            clock_offset_micros,
            heard_by,
            missed_by,
        }
    })
}

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![
        Just(Health::Serving),
        Just(Health::Starting),
        Just(Health::Full),
        any::<String>().prop_map(Health::Refused),
        any::<String>().prop_map(Health::Repairing),
        any::<String>().prop_map(Health::Ended),
    ]
}

fn marks() -> impl Strategy<Value = Marks> {
    (position(), position(), position(), position(), position(), position(), position()).prop_map(
        |(appended, flushed, committed, applied, compacted, purged, indexed)| Marks {
            appended,
            flushed,
            committed,
            applied,
            compacted,
            purged,
            indexed,
        },
    )
}

fn replica() -> impl Strategy<Value = Replica> {
    let who = (node_id(), select(Role::ALL), health(), marks());
    let stuck = option::of(any::<u64>().prop_map(Duration::from_millis));
    let rest = (any::<[u64; 6]>(), any::<u8>(), option::of(time()), option::of(node_id()), stuck);
    (who, rest).prop_map(|((node, role, health, marks), (numbers, lane, last_scrub, knows_leader, stuck))| {
        let [term, log_first, log_last, log_committed, parts, parts_bytes] = numbers;
        Replica {
            node,
            role,
            health,
            term,
            marks,
            log_first,
            log_last,
            log_committed,
            parts,
            parts_bytes,
            lane,
            last_scrub,
            knows_leader,
            stuck,
        }
    })
}

fn whole_partition() -> impl Strategy<Value = Partition> {
    let members = (vec(node_id(), 0..4), vec(node_id(), 0..2));
    (partition(), option::of(node_id()), any::<u64>(), members, vec(replica(), 0..4)).prop_map(
        |(id, leader, term, (voters, learners), replicas)| Partition {
            id,
            leader,
            term,
            voters,
            learners,
            replicas,
        },
    )
}

pub(crate) fn status() -> impl Strategy<Value = Status> {
    let who = (any::<u128>(), any::<u64>(), any::<u8>(), any::<bool>(), node_id(), time());
    (who, vec(node(), 0..4), vec(whole_partition(), 0..4)).prop_map(|(who, nodes, partitions)| {
        let (cluster, epoch, replication, is_paused, me, at) = who;
        Status { cluster, epoch, replication, is_paused, me, at, nodes, partitions }
    })
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    let what = (option::of(node_id()), option::of(partition()), any::<String>());
    (time(), any::<u64>(), select(ChangeKind::ALL), what).prop_map(
        |(at, epoch, kind, (node, partition, text))| Change { at, epoch, kind, node, partition, text },
    )
}

pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    let step = (any::<[String; 2]>(), option::of(partition()), option::of(node_id()))
        .prop_map(|([what, why], partition, node)| PlannedStep { what, why, partition, node });
    let waits = vec(any::<String>(), 0..3);
    (any::<bool>(), vec(step, 0..4), waits).prop_map(|(is_paused, steps, waits)| Plan {
        is_paused,
        steps,
        waits,
    })
}

pub(crate) fn compacted() -> impl Strategy<Value = Compacted> {
    (option::of(node_id()), admin::compacted()).prop_map(|(node, outcome)| Compacted { node, outcome })
}

pub(crate) fn scrub() -> impl Strategy<Value = ScrubBegun> {
    (node_id(), or_failure(any::<u32>())).prop_map(|(node, partitions)| ScrubBegun { node, partitions })
}

pub(crate) fn verified() -> impl Strategy<Value = VerifiedReplica> {
    (node_id(), admin::verified()).prop_map(|(node, outcome)| VerifiedReplica { node, outcome })
}

pub(crate) fn comparison() -> impl Strategy<Value = Comparison> {
    let digest = (node_id(), admin::digest()).prop_map(|(node, digest)| ReplicaDigest { node, digest });
    let verdict = select(Verdict::ALL);
    (partition(), position(), verdict, vec(digest, 0..4)).prop_map(
        |(partition, position, verdict, replicas)| Comparison { partition, position, verdict, replicas },
    )
}

pub(crate) fn repaired() -> impl Strategy<Value = Repaired> {
    let did = or_failure(vec(any::<String>(), 0..3));
    (node_id(), partition(), did).prop_map(|(node, partition, did)| Repaired { node, partition, did })
}

pub(crate) fn config() -> impl Strategy<Value = NodeConfig> {
    let setting = (any::<[String; 2]>(), any::<bool>(), option::of(any::<String>()))
        .prop_map(|([key, value], is_live, started_with)| Setting { key, value, is_live, started_with });
    (node_id(), or_failure(vec(setting, 0..4))).prop_map(|(node, settings)| NodeConfig { node, settings })
}

pub(crate) fn changed() -> impl Strategy<Value = SettingChanged> {
    let outcome = or_failure((any::<String>(), any::<String>(), any::<bool>()));
    (node_id(), outcome).prop_map(|(node, outcome)| SettingChanged { node, outcome })
}
