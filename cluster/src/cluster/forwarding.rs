//! Who holds a partition, and what the callers of one node have done by another. What they ask and are told is the
//! server's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_domain::PartitionId;

use super::Cluster;
use super::knowing::group_view;
use crate::exchange::kinds;
use crate::node::NodeId;
use crate::peer::{CallError, Cause, Handler, Message};

impl Cluster {
    /// Whether this node has a replica of a partition that may answer for it. A node that is no member of the group, has
    /// not learned yet that it is one, or does not serve the partition, holds nothing that could: what it has on disk may
    /// be empty, or as old as one likes. One that was started again does not before it knows that it is as far as it was.
    pub fn holds(&self, id: PartitionId) -> bool {
        let inner = &self.inner;
        (inner.peers.is_none() || inner.groups.is_caught_up(id)) && self.is_of(id)
    }

    /// Whether this node belongs to a partition's group, as far as anybody knows: one that does not takes no commands for it.
    pub fn is_of(&self, id: PartitionId) -> bool {
        let inner = &self.inner;
        // A leader is a member; most of what is asked is asked of one.
        if inner.peers.is_none() || inner.groups.leader(id) == Some(inner.me) {
            return true;
        }
        let Some(named) = inner.groups.named_member(id) else { return false };
        // Who was removed is not sent the entry that says so; others have it, and theirs is the later one.
        let (now, heard) = (inner.env.clock.monotonic(), inner.board.all());
        let lately = heard.values().filter(|heard| heard.is_lately(now) && heard.report.node != inner.me);
        let said = lately.filter_map(|heard| heard.report.group(id)).map(|said| &said.members);
        let newest = said.max_by_key(|members| (members.at.term, members.at.index));
        newest.is_none_or(|newest| {
            newest.contains(inner.me) || (newest.at.term, newest.at.index) <= (named.term, named.index)
        })
    }

    /// The other nodes that hold a partition, best first: its leader, who knows all; then other voters that are up, then
    /// learners that are; whoever has fallen silent comes last.
    pub fn others_holding(&self, id: PartitionId) -> Vec<NodeId> {
        let inner = &self.inner;
        let (now, heard) = (inner.env.clock.monotonic(), inner.board.all());
        let (group, leader) = (group_view(id, &heard, now), inner.leader(id));
        let rank = |node: &NodeId| {
            let is_up = heard.get(node).is_some_and(|heard| heard.is_lately(now));
            (!is_up, Some(*node) != leader, !group.voters.contains(node), *node)
        };
        let members = group.voters.iter().chain(&group.learners).copied().chain(leader);
        let mut others: Vec<NodeId> = members.filter(|node| *node != inner.me).collect();
        others.sort_unstable_by_key(rank);
        others.dedup();
        others
    }

    /// From now on what callers of other nodes want of this one is answered by `handler`.
    ///
    /// # Panics
    /// When somebody answers it already.
    pub fn answer_forwarded(&self, handler: Arc<dyn Handler>) {
        self.inner.exchange.open(kinds::FORWARDED, handler);
    }

    /// Has another node do something for a caller of this one, and waits for its answer for at most `within`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn forward(
        &self,
        to: NodeId,
        of: PartitionId,
        body: Bytes,
        within: Duration,
    ) -> Result<Bytes, CallError> {
        let Some(peers) = self.peers() else {
            return Err(CallError::Unreachable { to, cause: Cause::NotAPeer });
        };
        peers.call(to, Message { group: of.get(), kind: kinds::FORWARD, body }, within).await
    }
}
