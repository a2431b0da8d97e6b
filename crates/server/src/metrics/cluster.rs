//! The cluster as this node sees it, in the form of the registry: its members, and its own replicas. Their names are
//! here, beside what they count.
//!
//! Every node says what it knows of itself at first hand; sums over the nodes are for whoever scrapes them all. A
//! partition is there only where this node holds a replica of it; 32 is the system partition.

use chronos_cluster::{Health, PartitionView, ReplicaView, Role, View};
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
    vec![
        gauge("chronos_cluster_epoch", "Changes of members, placement and settings so far.", view.epoch),
        gauge("chronos_cluster_replication", "Replicas a partition shall have.", view.replication.into()),
        gauge(
            "chronos_cluster_paused",
            "1 while the placement driver is told to hold still.",
            view.is_paused.into(),
        ),
        gauges("chronos_cluster_node_up", "1 for each member this node has heard of lately.", up),
    ]
}

fn replicas(own: &[(&PartitionView, &ReplicaView)]) -> Vec<MetricFamily> {
    let each = |figure: fn(&PartitionView, &ReplicaView) -> f64| -> Vec<(Labels<'static>, f64)> {
        own.iter().map(|(partition, replica)| (of(partition), figure(partition, replica))).collect()
    };
    vec![
        gauges(
            "chronos_replica_leads",
            "1 where this node leads, 0 where it holds a replica and does not.",
            each(|_, replica| flag(replica.role == Role::Leader)),
        ),
        gauges(
            "chronos_replica_votes",
            "1 where this node has a say, 0 where it only receives.",
            each(|_, replica| flag(replica.role != Role::Learner)),
        ),
        gauges(
            "chronos_replica_knows_leader",
            "1 where this node knows who leads.",
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
    fn what_this_node_does_not_hold_is_left_out() {
        let all = families(&view(vec![replica(1, Role::Leader, 100), replica(2, Role::Outside, 0)]));
        assert_eq!(value(&all, "chronos_replica_leads"), None);
        assert_eq!(value(&all, "chronos_cluster_replication"), Some(3.0));
    }
}
