//! The cluster as this node sees it, in the form of the registry: its members, and its own replicas. Their names are
//! here, beside what they count.
//!
//! Every node says what it knows of itself at first hand; sums over the nodes are for whoever scrapes them all. A
//! partition is there only where this node holds a replica of it; 32 is the system partition.

use chronos_cluster::{
    Groups, Health, PartitionView, RepairStats, ReplicaView, Role, Stage, TransferStats, View, Ward,
};
use chronos_domain::PartitionId;
use prometheus::proto::MetricFamily;

use super::family::{Labels, counter, counters, gauge, gauges};

/// All of them, as of one view.
pub(super) fn families(view: &View) -> Vec<MetricFamily> {
    let mut all = members(view);
    all.extend(replicas(&own(view)));
    // The encoder takes no empty family: a node that holds nothing yet.
    all.retain(|family| !family.get_metric().is_empty());
    all
}

/// What damaged replicas of this node had done to them, and what it took over from others and gave to them as parts.
pub(super) fn healing(groups: &Groups) -> Vec<MetricFamily> {
    let mut all = repairs(&groups.repair_stats(), &groups.wards());
    all.extend(transfers(&groups.transfer_stats()));
    all
}

fn repairs(stats: &RepairStats, wards: &[Ward]) -> Vec<MetricFamily> {
    let RepairStats { found, repaired, setbacks, refused, system, .. } = stats;
    let of_kind = |all: &u64, at: usize| {
        let kind = |name: &str| vec![("kind", name.to_owned())];
        [(kind("data"), *all - system[at]), (kind("system"), system[at])]
    };
    let stages = [
        ("examined", Stage::Examined),
        ("parts wanted", Stage::PartsWanted),
        ("withheld", Stage::Withheld),
        ("catching up", Stage::CatchingUp),
        ("diverged", Stage::Diverged),
    ];
    let under_way = stages.map(|(name, stage)| {
        let count = wards.iter().filter(|ward| ward.stage == stage).count();
        (vec![("stage", name.to_owned())], float(count as u64))
    });
    let kind_of = |ward: &Ward| if ward.id == PartitionId::SYSTEM { "system" } else { "data" };
    let waits = wards.iter().map(|ward| {
        let labels = vec![("partition", ward.id.to_string()), ("kind", kind_of(ward).to_owned())];
        (labels, float(ward.attempts))
    });
    let mut all = vec![
        counters("chronos_repairs_begun_total", "Replicas found damaged here.", of_kind(found, 0)),
        counters("chronos_repairs_finished_total", "Of these, made whole again.", of_kind(repaired, 1)),
        counters(
            "chronos_repair_setbacks_total",
            "Attempts that did not come to their end; most wait for other nodes.",
            of_kind(setbacks, 2),
        ),
        counters(
            "chronos_repairs_given_up_total",
            "Repairs that are not tried again before the next start.",
            of_kind(refused, 3),
        ),
        counter(
            "chronos_repairs_anew_total",
            "Finished ones that had their log from the leader.",
            stats.anew,
        ),
        counter(
            "chronos_replicas_diverged_total",
            "Replicas that have applied what their leader does not have, and are left as they are.",
            stats.diverged,
        ),
        counter("chronos_repair_parts_total", "Damaged parts that were fetched again.", stats.parts),
        counter("chronos_repair_bytes_total", "Their bytes.", stats.bytes),
        gauges("chronos_repairs_under_way", "Replicas that are not served because of damage.", under_way),
        gauges(
            "chronos_repair_attempts",
            "How often the repair of a replica was begun that is not over.",
            waits,
        ),
    ];
    all.retain(|family| !family.get_metric().is_empty());
    all
}

fn transfers(stats: &TransferStats) -> Vec<MetricFamily> {
    vec![
        counter(
            "chronos_snapshots_offered_total",
            "Manifests offered to followers that are behind the log.",
            stats.offered,
        ),
        counter("chronos_snapshots_installed_total", "Manifests taken over from leaders.", stats.installed),
        counter("chronos_snapshot_parts_total", "Parts of these that were not here before.", stats.parts),
        counter(
            "chronos_snapshot_bytes_total",
            "Their bytes: what had to be fetched, once each.",
            stats.bytes,
        ),
    ]
}

/// What this node holds, with what is known of the whole partition.
fn own(view: &View) -> Vec<(&PartitionView, &ReplicaView)> {
    let is_own = |replica: &&ReplicaView| replica.node == view.me && replica.role != Role::Outside;
    let all = view.partitions.iter();
    all.filter_map(|partition| Some((partition, partition.replicas.iter().find(is_own)?))).collect()
}

fn members(view: &View) -> Vec<MetricFamily> {
    let up = view.nodes.iter().map(|node| {
        let labels = vec![("node", node.member.node.to_string()), ("name", node.member.name.clone())];
        (labels, flag(node.is_up))
    });
    let clocks = view.nodes.iter().filter_map(|node| {
        let labels = vec![("node", node.member.node.to_string()), ("name", node.member.name.clone())];
        Some((labels, seconds(node.clock_offset_micros?)))
    });
    vec![
        gauge("chronos_cluster_epoch", "Changes of members, placement and settings so far.", view.epoch),
        gauge("chronos_cluster_replication", "Replicas a partition shall have.", view.replication.into()),
        gauge(
            "chronos_cluster_paused",
            "1 while the placement driver is told to hold still.",
            view.is_paused.into(),
        ),
        gauges("chronos_cluster_node_up", "1 for each member this node has heard of lately.", up),
        gauges(
            "chronos_cluster_clock_offset_seconds",
            "How far a member's clock is at least ahead of what a majority's clocks say, or behind when negative.",
            clocks,
        ),
    ]
}

fn replicas(own: &[(&PartitionView, &ReplicaView)]) -> Vec<MetricFamily> {
    let each = |figure: fn(&PartitionView, &ReplicaView) -> f64| -> Vec<(Labels<'static>, f64)> {
        own.iter().map(|(partition, replica)| (of(partition), figure(partition, replica))).collect()
    };
    vec![
        gauges(
            "chronos_replica_leads",
            "1 where this node leads and a quorum hears it, 0 where it holds a replica and does not.",
            each(|_, replica| flag(replica.role == Role::Leader)),
        ),
        gauges(
            "chronos_replica_votes",
            "1 where this node has a say, 0 where it only receives.",
            each(|_, replica| flag(replica.role != Role::Learner)),
        ),
        gauges(
            "chronos_replica_knows_leader",
            "1 where this node knows of a leader that is alive: one it, or a quorum of that one's followers, hears.",
            each(|_, replica| flag(replica.knows_leader.is_some())),
        ),
        gauges(
            "chronos_replica_serving",
            "1 where this node's replica can do what it is there for: not starting, full, damaged or stopped.",
            each(|_, replica| flag(replica.health == Health::Serving)),
        ),
        gauges(
            "chronos_replica_term",
            "The last term this node's replica has heard of; every election begins one.",
            each(|_, replica| float(replica.term)),
        ),
        gauges(
            "chronos_replica_lag_events",
            "Events that another replica is known to have applied and this one has not.",
            each(|partition, replica| float(lag(partition, replica))),
        ),
        gauges(
            "chronos_replica_log_entries",
            "Entries of the replica that are in the log and not purged.",
            each(|_, replica| float((replica.log_last + 1).saturating_sub(replica.log_first))),
        ),
    ]
}

fn lag(partition: &PartitionView, replica: &ReplicaView) -> u64 {
    let furthest = partition.replicas.iter().map(|other| other.marks.applied.get()).max();
    furthest.unwrap_or_default().saturating_sub(replica.marks.applied.get())
}

fn of(partition: &PartitionView) -> Labels<'static> {
    vec![("partition", partition.id.to_string())]
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

#[expect(clippy::cast_precision_loss, reason = "the registry's numbers are floats")]
fn float(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "the registry's numbers are floats")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// What this node passes on to others for its callers.
pub(super) fn forwarded([commands, reads, failed]: [u64; 3]) -> Vec<MetricFamily> {
    let kind = |name: &str| vec![("kind", name.to_owned())];
    vec![
        counters(
            "chronos_forwarded_total",
            "Requests that this node passed on to one that leads or holds the partition.",
            [(kind("command"), commands), (kind("read"), reads)],
        ),
        counter("chronos_forwarded_failed_total", "Those of them that failed, for whatever reason.", failed),
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chronos_cluster::NodeId;
    use chronos_domain::{Marks, PartitionId, Position};

    use super::*;

    fn replica(node: u64, role: Role, applied: u64) -> ReplicaView {
        ReplicaView {
            node: NodeId::new(node),
            role,
            health: Health::Serving,
            term: 4,
            marks: Marks { applied: Position::new(applied), ..Marks::default() },
            log_first: 11,
            log_last: 20,
            log_committed: 20,
            parts: 0,
            parts_bytes: 0,
            lane: 0,
            last_scrub: None,
            knows_leader: None,
            stuck: None,
        }
    }

    fn view(replicas: Vec<ReplicaView>) -> View {
        let partition = PartitionView {
            id: PartitionId::new(7).unwrap(),
            leader: None,
            term: 4,
            voters: Vec::new(),
            learners: Vec::new(),
            replicas,
        };
        let (cluster, epoch, replication, is_paused, me) = (1, 9, 3, true, NodeId::new(2));
        View { cluster, epoch, replication, is_paused, me, nodes: Vec::new(), partitions: vec![partition] }
    }

    fn value(families: &[MetricFamily], name: &str) -> Option<f64> {
        let family = families.iter().find(|family| family.name() == name)?;
        Some(family.get_metric()[0].get_gauge().get_value())
    }

    #[test]
    fn a_replica_that_lags_says_how_far() {
        let sick = ReplicaView { health: Health::Refused(Arc::from("x")), ..replica(2, Role::Follower, 30) };
        let all = families(&view(vec![replica(1, Role::Leader, 100), sick]));
        let value = |name| value(&all, name).unwrap();
        assert_eq!(value("chronos_replica_lag_events"), 70.0);
        assert_eq!(value("chronos_replica_leads"), 0.0);
        assert_eq!(value("chronos_replica_serving"), 0.0);
        assert_eq!(value("chronos_replica_log_entries"), 10.0);
        assert_eq!((value("chronos_cluster_paused"), value("chronos_cluster_epoch")), (1.0, 9.0));
    }

    #[test]
    fn repairs_are_counted_by_kind_of_partition_and_shown_by_stage() {
        let system = [2, 0, 0, 0];
        let stats = RepairStats { found: 5, repaired: 3, diverged: 1, system, ..RepairStats::default() };
        let ward = |id, stage| Ward {
            id,
            why: Arc::from("x"),
            since: chronos_domain::Timestamp::new(0),
            stage,
            attempts: 4,
            setback: None,
        };
        let data = |number| PartitionId::new(number).unwrap();
        let wards = [
            ward(PartitionId::SYSTEM, Stage::Withheld),
            ward(data(3), Stage::Withheld),
            ward(data(4), Stage::Diverged),
        ];
        let all = repairs(&stats, &wards);
        let values = |name: &str| -> Vec<f64> {
            let family = all.iter().find(|family| family.name() == name).unwrap();
            let each = family.get_metric().iter();
            each.map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value()).collect()
        };
        assert_eq!(values("chronos_repairs_begun_total"), [3.0, 2.0]);
        assert_eq!(values("chronos_repairs_finished_total"), [3.0, 0.0]);
        assert_eq!(values("chronos_repairs_under_way"), [0.0, 0.0, 2.0, 0.0, 1.0]);
        assert_eq!(values("chronos_replicas_diverged_total"), [1.0]);
        assert_eq!(values("chronos_repair_attempts"), [4.0, 4.0, 4.0]);
        let none = repairs(&RepairStats::default(), &[]);
        assert!(none.iter().all(|family| family.name() != "chronos_repair_attempts"), "no empty family");
    }

    #[test]
    fn the_clock_of_a_node_is_told_where_it_is_known() {
        let node = |number, clock_offset_micros| chronos_cluster::NodeView {
            member: chronos_cluster::Member {
                node: NodeId::new(number),
                name: format!("db{number}"),
                machine: number.into(),
                addresses: chronos_cluster::Addresses::default(),
                state: chronos_cluster::MemberState::Active,
                since: chronos_domain::Timestamp::ZERO,
            },
            is_up: true,
            heard: None,
            release: String::new(),
            incarnation: 1,
            leads: 0,
            replicas: 0,
            clock_offset_micros,
            heard_by: Vec::new(),
            missed_by: Vec::new(),
        };
        let nodes = vec![node(1, None), node(2, Some(-2_500_000))];
        let all = families(&View { nodes, ..view(Vec::new()) });
        let family =
            all.iter().find(|family| family.name() == "chronos_cluster_clock_offset_seconds").unwrap();
        let [only] = family.get_metric() else { panic!("{family:?}") };
        assert_eq!(only.get_gauge().get_value(), -2.5);
        assert_eq!(only.get_label()[0].value(), "n2");
    }

    #[test]
    fn what_this_node_does_not_hold_is_left_out() {
        let all = families(&view(vec![replica(1, Role::Leader, 100), replica(2, Role::Outside, 0)]));
        assert_eq!(value(&all, "chronos_replica_leads"), None);
        assert_eq!(value(&all, "chronos_cluster_replication"), Some(3.0));
    }
}
