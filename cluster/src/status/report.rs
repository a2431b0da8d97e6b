//! What a node says about its own replicas.

use std::collections::BTreeMap;
use std::time::Duration;

use chronos_domain::{Marks, PartitionId, Timestamp};

use super::board::DOWN_AFTER;
use super::poll::EVERY;
use crate::consensus::Phase;
use crate::groups::{Groups, every_group};
use crate::node::NodeId;
use crate::raft::{Members, WatchReceiver, status_of};
use crate::view::{Health, ReplicaView, Role};

/// Whoever hears a node has heard of it within so long. That is a round of questions less than it takes until one is down, as
/// of two nodes that miss a dead one the first may do so a round before the second.
const HEARD_WITHIN: Duration = DOWN_AFTER.saturating_sub(EVERY);

/// A node, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeReport {
    pub(crate) node: NodeId,
    pub(crate) release: String,
    pub(crate) incarnation: u64,
    /// The version of the cluster's state that it has read.
    pub(crate) epoch: u64,
    /// What its wall clock said then, if it says so.
    pub(crate) wall: Option<Timestamp>,
    /// By the number of the group.
    pub(crate) groups: Vec<Report>,
    /// How long it has not heard of each other node that it looks for; since its own start where it never did.
    pub(crate) silences: BTreeMap<NodeId, Duration>,
}

/// One replica, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) id: PartitionId,
    pub(crate) replica: ReplicaView,
    /// Who belongs to the group.
    pub(crate) members: Members,
    /// Of a leader: the last entry it knows to be on each other member's disk.
    pub(crate) matched: BTreeMap<NodeId, u64>,
}

impl NodeReport {
    /// What it says about one group.
    pub(crate) fn group(&self, id: PartitionId) -> Option<&Report> {
        self.groups.iter().find(|report| report.id == id)
    }

    /// Whether it hears another node, going by what it said so long ago; `None` where that is too close to be told, or it does
    /// not look for that one.
    pub(crate) fn hears(&self, node: NodeId, ago: Duration) -> Option<bool> {
        let silence = *self.silences.get(&node)?;
        match (silence >= DOWN_AFTER, silence + ago < HEARD_WITHIN) {
            (true, _) => Some(false),
            (false, is_heard) => is_heard.then_some(true),
        }
    }
}

/// What this node has to say about its replicas.
pub(crate) fn own(groups: &Groups, me: NodeId) -> Vec<Report> {
    let scrub = groups.scrub_stats();
    let one = |id: PartitionId| {
        let mut report = report(groups, id, me);
        report.replica.lane = id.get() % groups.lanes();
        report.replica.last_scrub = scrub.looked_at(id);
        report
    };
    every_group().map(one).collect()
}

fn report(groups: &Groups, id: PartitionId, me: NodeId) -> Report {
    match groups.any_group(id) {
        Err(reason) if groups.is_being_repaired(id) => silent(id, me, Health::Repairing(reason)),
        Err(reason) => silent(id, me, Health::Refused(reason)),
        Ok((group, quarantined)) => {
            let phase = group.consensus.phase_now();
            let mut report = silent(id, me, health(&phase, group.consensus.is_caught_up()));
            if let Some(reason) = quarantined {
                report.replica.health = Health::Refused(reason);
            }
            let (partition, log) = (&group.subject.partition, group.subject.log.state());
            let shelf = partition.shelf();
            let replica = &mut report.replica;
            replica.marks = partition.marks();
            if replica.health == Health::Serving && !group.consensus.is_caught_up() {
                // It went back in between.
                replica.health = Health::Starting;
            }
            replica.log_first = log.purged.map_or(0, |mark| mark.index) + 1;
            replica.log_last = log.last.map_or(0, |mark| mark.index);
            replica.log_committed = log.committed;
            replica.parts = shelf.manifest.parts.len() as u64;
            replica.parts_bytes = partition.part_bytes();
            if let Phase::Serving(running) = phase {
                let status = status_of(&running.raft.metrics().borrow_watched());
                replica.role = status.role;
                replica.term = status.term;
                replica.knows_leader = group.consensus.living_leader().map(|(_, leader)| leader);
                replica.log_committed = replica.log_committed.max(status.committed);
                report.members = status.members;
                report.matched = status.matched;
            }
            report
        }
    }
}

/// A replica of which nothing more is known than how it is.
pub(super) fn silent(id: PartitionId, node: NodeId, health: Health) -> Report {
    let replica = ReplicaView {
        node,
        role: Role::Outside,
        health,
        term: 0,
        marks: Marks::default(),
        log_first: 1,
        log_last: 0,
        log_committed: 0,
        parts: 0,
        parts_bytes: 0,
        lane: 0,
        last_scrub: None,
        knows_leader: None,
        stuck: None,
    };
    Report { id, replica, members: Members::default(), matched: BTreeMap::new() }
}

fn health(phase: &Phase, is_caught_up: bool) -> Health {
    match phase {
        Phase::Starting => Health::Starting,
        Phase::Serving(_) if !is_caught_up => Health::Starting,
        Phase::Serving(_) => Health::Serving,
        Phase::Full => Health::Full,
        Phase::Ended(reason) => Health::Ended(reason.clone()),
    }
}
