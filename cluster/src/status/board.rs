//! What each node said last, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use super::report::{NodeReport, Report};
use crate::node::NodeId;
use crate::view::Role;

/// A node of which nothing was heard for so long is down.
pub(crate) const DOWN_AFTER: Duration = Duration::from_secs(3);

/// A node's last words.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// On the clock of `env`, since its start.
    pub(crate) at: Duration,
    pub(crate) report: Arc<NodeReport>,
}

impl Heard {
    /// Whether that was so short a time ago that the node is taken to be up.
    pub(crate) fn is_lately(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) < DOWN_AFTER
    }
}

/// The last words of every node, this one's included. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Board(Arc<RwLock<BTreeMap<NodeId, Heard>>>);

impl Board {
    /// Writes down what a node said.
    pub(crate) fn note(&self, report: NodeReport, at: Duration) {
        self.0.write().insert(report.node, Heard { at, report: Arc::new(report) });
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

/// Who leads a group, going by what its replicas say: whoever is named, by itself or by others, in the greatest term.
pub(crate) fn leader_of<'a>(reports: impl Iterator<Item = &'a Report>) -> Option<NodeId> {
    leader_in_term(reports).map(|(_, leader)| leader)
}

/// The same, with the term.
pub(crate) fn leader_in_term<'a>(reports: impl Iterator<Item = &'a Report>) -> Option<(u64, NodeId)> {
    let named = reports.filter_map(|Report { replica, .. }| match replica.role {
        Role::Leader => Some((replica.term, replica.node)),
        _ => replica.knows_leader.map(|leader| (replica.term, leader)),
    });
    named.max()
}
