//! What each node said last, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chronos_domain::PartitionId;
use parking_lot::RwLock;

use super::report::{NodeReport, Report};
use crate::node::NodeId;
use crate::view::Role;

/// A node of which nothing was heard for so long is down.
pub const DOWN_AFTER: Duration = Duration::from_secs(3);

/// A node's last words.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// On the clock of `env`, since its start.
    pub(crate) at: Duration,
    pub(crate) report: Arc<NodeReport>,
    /// Since when a replica has been behind others and has not moved, for those of which that is so.
    stuck: BTreeMap<PartitionId, Duration>,
}

impl Heard {
    /// Whether that was so short a time ago that the node is taken to be up.
    pub(crate) fn is_lately(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) < DOWN_AFTER
    }

    /// For how long the node's replica of a group had been behind others without moving when it was heard of; `None` when
    /// it was not behind, or had moved.
    pub(crate) fn stuck(&self, id: PartitionId) -> Option<Duration> {
        let since = self.stuck.get(&id)?;
        Some(self.at.saturating_sub(*since)).filter(|time| !time.is_zero())
    }
}

/// The last words of every node, this one's included. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Board(Arc<RwLock<BTreeMap<NodeId, Heard>>>);

impl Board {
    /// Writes down what a node said.
    pub(crate) fn note(&self, report: NodeReport, at: Duration) {
        let mut all = self.0.write();
        let stuck = stuck(&all, &report, at);
        all.insert(report.node, Heard { at, report: Arc::new(report), stuck });
    }

    /// Forgets a node that is no member any more.
    pub(crate) fn forget(&self, node: NodeId) {
        self.0.write().remove(&node);
    }

    /// What was heard of whom.
    pub(crate) fn all(&self) -> BTreeMap<NodeId, Heard> {
        self.0.read().clone()
    }

    /// When a node was heard of last.
    pub(crate) fn heard(&self, node: NodeId) -> Option<Duration> {
        self.0.read().get(&node).map(|heard| heard.at)
    }
}

/// Who leads a group and is alive, going by what its replicas say: whoever is named, by itself or by others, in the
/// greatest term.
pub(crate) fn leader_of<'a>(reports: impl Iterator<Item = &'a Report>) -> Option<NodeId> {
    leader_in_term(reports).map(|(_, leader)| leader)
}

/// The same, with the term.
pub(crate) fn leader_in_term<'a>(reports: impl Iterator<Item = &'a Report>) -> Option<(u64, NodeId)> {
    let named = reports.filter_map(|Report { replica, .. }| Some((replica.term, replica.knows_leader?)));
    named.max()
}

/// Since when each replica of a node that reports now has been behind what others know to be committed, and has not
/// applied anything.
fn stuck(
    all: &BTreeMap<NodeId, Heard>,
    report: &NodeReport,
    now: Duration,
) -> BTreeMap<PartitionId, Duration> {
    let before = all.get(&report.node);
    let since = |group: &Report| {
        let applied = group.replica.marks.applied;
        let others = all.values().filter_map(|heard| heard.report.group(group.id));
        let is_behind = others.chain([group]).any(|other| other.replica.marks.committed > applied);
        let was = before.and_then(|before| before.report.group(group.id));
        let has_moved = was.is_none_or(|was| was.replica.marks.applied != applied);
        let since = before.and_then(|before| before.stuck.get(&group.id)).filter(|_| !has_moved);
        // Who is no member yet is behind nobody.
        let is_part = group.replica.role != Role::Outside;
        (is_part && is_behind).then(|| (group.id, since.copied().unwrap_or(now)))
    };
    report.groups.iter().filter_map(since).collect()
}

#[cfg(test)]
mod tests {
    use chronos_domain::{Marks, Position};

    use super::super::report::silent;
    use super::*;
    use crate::view::Health;

    const ID: PartitionId = PartitionId::SYSTEM;
    const SECOND: Duration = Duration::from_secs(1);

    fn report(node: u64, committed: u64, applied: u64) -> NodeReport {
        let mut group = silent(ID, NodeId::new(node), Health::Serving);
        group.replica.role = Role::Follower;
        let [committed, applied] = [committed, applied].map(Position::new);
        group.replica.marks = Marks { committed, applied, ..Marks::default() };
        let (release, incarnation, epoch) = (String::new(), 1, 1);
        let silences = BTreeMap::new();
        NodeReport {
            node: NodeId::new(node),
            release,
            incarnation,
            epoch,
            wall: None,
            groups: vec![group],
            silences,
        }
    }

    #[test]
    fn a_replica_is_stuck_from_when_it_was_seen_behind_until_it_moves_or_is_not_behind_any_more() {
        let board = Board::default();
        let stuck = |node| board.all()[&NodeId::new(node)].stuck(ID);
        let mut time = SECOND;
        let mut say = |node, committed, applied| {
            time += SECOND;
            board.note(report(node, committed, applied), time);
        };
        say(1, 7, 7);
        say(2, 7, 7);
        say(2, 7, 7);
        assert_eq!(stuck(2), None, "nothing happens, and that is all right");
        say(1, 9, 9);
        say(2, 7, 7);
        assert_eq!(stuck(2), None, "it has only just been seen to be behind");
        say(2, 7, 7);
        say(2, 7, 7);
        assert_eq!(stuck(2), Some(2 * SECOND));
        say(2, 9, 8);
        assert_eq!(stuck(2), None, "it has moved");
        say(2, 9, 8);
        assert_eq!(stuck(2), Some(SECOND), "and stands again, behind what it knows itself");
        say(2, 9, 9);
        say(2, 9, 9);
        assert_eq!((stuck(1), stuck(2)), (None, None));
    }

    #[test]
    fn a_leader_that_no_quorum_hears_leads_nothing() {
        let named = |term, leader: Option<u64>| {
            let mut report = silent(ID, NodeId::new(term), Health::Serving);
            (report.replica.term, report.replica.role) = (term, Role::Leader);
            report.replica.knows_leader = leader.map(NodeId::new);
            report
        };
        assert_eq!(leader_of([named(4, None), named(3, None)].iter()), None);
        assert_eq!(leader_of([named(4, None), named(3, Some(3))].iter()), Some(NodeId::new(3)));
    }
}
