//! What the plan is made on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chronos_domain::PartitionId;

use crate::node::NodeId;
use crate::raft::Members;
use crate::system::State;
use crate::view::MemberState;

/// Entries a replica may be behind its leader and still count as up to date: what a busy group writes in a moment.
pub(crate) const LAG_MAX: u64 = 256;

/// The cluster, as it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Whoever was ever heard of.
    pub(crate) nodes: BTreeMap<NodeId, Seen>,
    /// All groups of which anything is known.
    pub(crate) groups: BTreeMap<PartitionId, Group>,
}

/// A node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Whether it was heard of lately.
    pub(crate) is_up: bool,
    /// Whether no log on it was refused space lately.
    pub(crate) has_room: bool,
    /// For how long it has not been heard of.
    pub(crate) silent: Duration,
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// Who leads it, by its own report.
    pub(crate) leader: Option<NodeId>,
    /// Who belongs to it, by the leader's report if there is one.
    pub(crate) members: Members,
    /// What nodes have of it.
    pub(crate) replicas: BTreeMap<NodeId, Replica>,
}

/// What a node has of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replica {
    /// Whether it does what it is there for.
    pub(crate) is_sound: bool,
    /// Entries it is behind the leader; `None` when that is not known, or it has none of the leader's on its disk.
    pub(crate) lag: Option<u64>,
    /// The last entry it has; 0 without any.
    pub(crate) last: u64,
    /// Whether there is anything of the group on its disk.
    pub(crate) holds: bool,
}

impl Observed {
    pub(crate) fn is_up(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|seen| seen.is_up)
    }

    /// Whether a node is taken to come back with what it has: it is to hold its share, and not silent for too long.
    pub(crate) fn stays(&self, state: &State, node: NodeId) -> bool {
        let silent = self.nodes.get(&node).map_or(Duration::MAX, |seen| seen.silent);
        state.state_of(node) == Some(MemberState::Active) && silent <= state.replace_after
    }

    /// Whether a node can be given something now.
    pub(crate) fn can_take(&self, state: &State, node: NodeId) -> bool {
        let has_room = self.nodes.get(&node).is_some_and(|seen| seen.has_room);
        self.is_up(node) && has_room && state.state_of(node) == Some(MemberState::Active)
    }

    /// Whether a node's replica of a group is up and up to date.
    pub(crate) fn is_current(&self, group: &Group, node: NodeId) -> bool {
        let replica = group.replicas.get(&node).copied().unwrap_or_default();
        let keeps_up = group.leader == Some(node) || replica.lag.is_some_and(|lag| lag <= LAG_MAX);
        self.is_up(node) && replica.is_sound && keeps_up
    }

    /// Whether of these voters a majority is up and up to date.
    pub(crate) fn has_quorum(&self, group: &Group, voters: &BTreeSet<NodeId>) -> bool {
        voters.iter().filter(|node| self.is_current(group, **node)).count() > voters.len() / 2
    }
}

impl Group {
    /// The voters, when they are not being changed.
    pub(crate) fn voters(&self) -> Option<&BTreeSet<NodeId>> {
        match self.members.configs.as_slice() {
            [voters] => Some(voters),
            _ => None,
        }
    }

    /// Whether members can be changed: nobody is half-way through it, and what they are is certain.
    pub(crate) fn is_settled(&self) -> bool {
        self.leader.is_some() && self.members.is_committed && self.voters().is_some()
    }
}
