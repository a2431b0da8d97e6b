//! Who belongs to a group, as an operator or the placement sees it; and the door for messages of other nodes.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronos_domain::PartitionId;
use chronos_wal::Mark;

use crate::consensus::Phase;
use crate::groups::Groups;
use crate::node::NodeId;
use crate::peer::Handler;
use crate::raft::{MembersChange, Metrics, Raft, WatchReceiver, change_members};
use crate::repair::Gate;

/// Why the members of a group were not changed, or perhaps were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the members of partition {id} were not changed for certain: {why}; look who they are and try again")]
pub struct MembersError {
    /// Which partition.
    pub id: PartitionId,
    /// What stood in the way.
    pub why: String,
}

impl Groups {
    /// Answers the messages of the consensus that come from other nodes.
    pub fn handler(&self) -> Arc<dyn Handler> {
        Arc::new(Gate { post: self.post().clone(), ballots: self.ballots().clone() })
    }

    /// The node that leads a partition's group, as far as this one knows.
    pub fn leader(&self, id: PartitionId) -> Option<NodeId> {
        let Phase::Serving(running) = self.group(id).ok()?.consensus.phase_now() else { return None };
        running.raft.metrics().borrow_watched().current_leader
    }

    /// The same, with the term in which it does.
    pub(crate) fn leader_in_term(&self, id: PartitionId) -> Option<(u64, NodeId)> {
        let Phase::Serving(running) = self.group(id).ok()?.consensus.phase_now() else { return None };
        let metrics = running.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.current_leader.map(|leader| (metrics.current_term, leader))
    }

    /// The same, as long as there is reason to take the leader for alive.
    pub(crate) fn living_leader(&self, id: PartitionId) -> Option<(u64, NodeId)> {
        self.group(id).ok()?.consensus.living_leader()
    }

    /// Has a node receive everything of a partition, without a vote. To be asked of the leader; returns when the node has
    /// caught up.
    ///
    /// # Errors
    /// See [`MembersError`].
    pub async fn add_learner(&self, id: PartitionId, node: NodeId) -> Result<(), MembersError> {
        let raft = self.raft(id)?;
        let added = raft.add_learner(node, (), false).await;
        added.map_err(|error| MembersError { id, why: error.to_string() })?;
        // openraft would wait until it is no further behind than a follower that is sent entries; here, that is any.
        let mut metrics = raft.metrics();
        let goal = metrics.borrow_watched().last_log_index;
        let has_caught_up = |metrics: &Metrics| {
            let matching = metrics.replication.as_ref().and_then(|nodes| nodes.get(&node));
            let reached = matching.and_then(Option::as_ref).map(|log_id| log_id.index);
            reached >= goal
        };
        let ended = |metrics: &Metrics| metrics.replication.is_none() || metrics.running_state.is_err();
        let over = metrics.wait_until(|metrics| ended(metrics) || has_caught_up(metrics)).await;
        let is_there = over.is_ok() && has_caught_up(&metrics.borrow_watched());
        let lost = || MembersError { id, why: format!("this node no longer leads while {node} catches up") };
        is_there.then_some(()).ok_or_else(lost)
    }

    /// Makes these nodes, which must be learners or voters already, the voters of a partition; who is not among them is
    /// no member any more. To be asked of the leader. One change at a time; one that was interrupted half-way is finished
    /// by asking again.
    ///
    /// # Errors
    /// See [`MembersError`].
    pub async fn set_voters(&self, id: PartitionId, voters: BTreeSet<NodeId>) -> Result<(), MembersError> {
        let changed = self.raft(id)?.change_membership(voters, false).await;
        changed.map(drop).map_err(|error| MembersError { id, why: error.to_string() })
    }

    /// Asks the leader of a partition, which this node must be, to hand over to another voter. Returns when it has begun.
    ///
    /// # Errors
    /// See [`MembersError`].
    pub async fn transfer(&self, id: PartitionId, to: NodeId) -> Result<(), MembersError> {
        let begun = self.raft(id)?.trigger().transfer_leader(to).await;
        begun.map_err(|error| MembersError { id, why: error.to_string() })
    }

    /// Changes the members of a partition, if they are those that the entry `at` names; see [`change_members`].
    pub(crate) async fn change_members(
        &self,
        id: PartitionId,
        change: MembersChange,
        at: Option<Mark>,
    ) -> Result<(), MembersError> {
        change_members(&self.raft(id)?, change, at).await.map_err(|why| MembersError { id, why })
    }

    /// The term of a partition, as far as this node knows; 0 where its group does not run.
    pub(crate) fn term(&self, id: PartitionId) -> u64 {
        self.raft(id).map_or(0, |raft| raft.metrics().borrow_watched().current_term)
    }

    fn raft(&self, id: PartitionId) -> Result<Raft, MembersError> {
        let refused = |why: String| MembersError { id, why };
        match self.group(id).map_err(|why| refused(why.to_string()))?.consensus.phase_now() {
            Phase::Serving(running) => Ok(running.raft),
            Phase::Full => Err(refused("the disk is full".to_owned())),
            Phase::Starting => Err(refused("its group is being started".to_owned())),
            Phase::Ended(reason) => Err(refused(reason.to_string())),
        }
    }
}
