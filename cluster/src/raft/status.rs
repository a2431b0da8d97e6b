//! What a running group says about itself, in our words.

use std::collections::{BTreeMap, BTreeSet};

use chronos_wal::Mark;
use openraft::{Instant as _, ServerState};

use super::Metrics;
use super::settings::Pace;
use super::types::mark_of;
use crate::node::NodeId;
use crate::view::Role;

/// Who belongs to a group, as one replica knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    /// The entry that says so; zero for what was known before there was one.
    pub(crate) at: Mark,
    /// Whether that entry is committed, as far as this replica knows.
    pub(crate) is_committed: bool,
    /// Who has a say: one set, or two of which both must agree while the first gives way to the second.
    pub(crate) configs: Vec<BTreeSet<NodeId>>,
    /// Who receives everything without a say.
    pub(crate) learners: BTreeSet<NodeId>,
}

impl Default for Membership {
    /// Nobody.
    fn default() -> Membership {
        let at = Mark { index: 0, term: 0 };
        Membership { at, is_committed: false, configs: Vec::new(), learners: BTreeSet::new() }
    }
}

impl Membership {
    /// Everybody who has a say.
    pub(crate) fn voters(&self) -> BTreeSet<NodeId> {
        self.configs.iter().flatten().copied().collect()
    }

    /// Whether a node belongs to the group.
    pub(crate) fn contains(&self, node: NodeId) -> bool {
        self.learners.contains(&node) || self.configs.iter().any(|config| config.contains(&node))
    }
}

/// A group, as its replica here sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) role: Role,
    pub(crate) term: u64,
    pub(crate) members: Membership,
    /// Of a leader: the last entry it knows to be on each other member's disk.
    pub(crate) matched: BTreeMap<NodeId, u64>,
    /// The last entry known to be committed.
    pub(crate) committed: u64,
}

/// Of a leader: whether so many others have heard of it lately that nobody else can have been elected for long; always
/// where nobody else has a say.
pub(crate) fn is_heard_by_quorum(metrics: &Metrics, pace: Pace) -> bool {
    let voters = metrics.membership_config.membership().get_joint_config();
    let decides_alone = voters.iter().all(|config| config.iter().eq([&metrics.id]));
    decides_alone || metrics.last_quorum_acked.is_some_and(|acked| acked.elapsed() < pace.silent_after())
}

/// Reads openraft's metrics.
pub(crate) fn status_of(metrics: &Metrics) -> Status {
    let stored = &metrics.membership_config;
    let membership = stored.membership();
    let members = Membership {
        at: mark_of(stored.log_id().as_ref()),
        is_committed: metrics.committed_membership_config.log_id() == stored.log_id(),
        configs: membership.get_joint_config().clone(),
        learners: membership.learner_ids().collect(),
    };
    let role = match metrics.state {
        ServerState::Leader => Role::Leader,
        _ if !members.contains(metrics.id) => Role::Outside,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Learner | ServerState::Shutdown => Role::Learner,
    };
    let replication = metrics.replication.iter().flatten();
    let matched = replication.map(|(node, matched)| (*node, mark_of(matched.as_ref()).index)).collect();
    let committed = mark_of(metrics.local_committed.as_ref()).index;
    Status { role, term: metrics.current_term, members, matched, committed }
}
