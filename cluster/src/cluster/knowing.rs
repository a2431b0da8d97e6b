//! What a node knows of its cluster, put together from its own groups and from what the others said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chronos_domain::PartitionId;
use chronos_store::Neighbour;
use tokio::sync::watch;

use super::{Cluster, Inner};
use crate::groups::every_group;
use crate::node::NodeId;
use crate::status::{Heard, NodeReport, Report, leader_in_term, leader_of};
use crate::view::{Member, MemberState, NodeView, PartitionView, Role, View};

impl Cluster {
    /// The whole cluster, as this node sees it now.
    pub fn view(&self) -> View {
        let inner = &self.inner;
        let heard = inner.heard();
        let state = inner.ledger.state();
        let now = inner.env.clock.monotonic();
        let partitions: Vec<PartitionView> = every_group().map(|id| group_view(id, &heard, now)).collect();
        let is_shown = |member: &&Member| {
            let node = member.node;
            // Of itself a node tells in any case: whoever asks it learns that it was removed.
            let is_of_it = node == inner.me || partitions.iter().any(|group| holds(group, node));
            member.state != MemberState::Removed || is_of_it
        };
        let members = state.members.values().filter(is_shown);
        View {
            cluster: inner.known.cluster,
            epoch: state.version,
            replication: state.replication,
            is_paused: state.is_paused,
            me: inner.me,
            nodes: members.map(|member| inner.node_view(member, &heard, &partitions)).collect(),
            partitions,
        }
    }

    /// The node that leads a partition's group, as far as this one knows: from its own replica or from what others said,
    /// whichever knows the later term.
    pub fn leader(&self, id: PartitionId) -> Option<NodeId> {
        self.inner.leader(id)
    }

    /// The same, as long as there is reason to take the leader for alive: it was heard of within the time that an election
    /// takes, here or by somebody who was heard of lately. A leader itself is alive while a quorum hears it.
    pub fn living_leader(&self, id: PartitionId) -> Option<NodeId> {
        let own = self.inner.groups.living_leader(id);
        own.max(self.inner.named_by_others(id)).map(|(_, leader)| leader)
    }

    /// The nodes that hold a replica of a partition.
    pub fn replicas(&self, id: PartitionId) -> Vec<NodeId> {
        let (heard, now) = (self.inner.heard(), self.inner.env.clock.monotonic());
        let group = group_view(id, &heard, now);
        let all: BTreeSet<NodeId> = group.voters.into_iter().chain(group.learners).collect();
        all.into_iter().collect()
    }

    /// A member; `None` for a stranger.
    pub fn member(&self, node: NodeId) -> Option<Member> {
        self.inner.ledger.state().members.get(&node).cloned()
    }

    /// The other nodes that belong to the cluster and are reached, by number.
    pub fn neighbours(&self) -> Vec<Neighbour> {
        self.inner.others_than(self.inner.me)
    }

    /// How many nodes belong to the cluster.
    pub fn members(&self) -> usize {
        let state = self.inner.ledger.state();
        let present = state.members.values().filter(|member| member.state != MemberState::Removed).count();
        // A founder counts itself before it has written so.
        present.max(1)
    }

    /// The version of the cluster's own data that this node has read.
    pub fn epoch(&self) -> u64 {
        self.inner.ledger.state().version
    }

    /// Follows [`Cluster::epoch`].
    pub fn watch_epoch(&self) -> watch::Receiver<u64> {
        self.inner.ledger.watch_epoch()
    }

    /// Asks every other node how it does, so that [`Cluster::view`] shows the present, and returns when all have answered, or
    /// after `within`. Without it what is known of others is a second or two old. Gives those that did not answer: they
    /// show with what they said last, and may be gone.
    pub async fn look_around(&self, within: Duration) -> BTreeSet<NodeId> {
        self.inner.look_around(within).await
    }
}

impl Inner {
    pub(super) async fn look_around(&self, within: Duration) -> BTreeSet<NodeId> {
        let Some(poll) = &self.poll else { return BTreeSet::new() };
        let began = self.env.clock.monotonic();
        let _ = self.env.clock.timeout(within, poll.everybody()).await;
        let has_answered = |node| self.board.heard(node).is_some_and(|at| at >= began);
        let asked = poll.peers.status().into_iter().map(|link| link.node);
        asked.filter(|node| !has_answered(*node)).collect()
    }

    pub(super) fn leader(&self, id: PartitionId) -> Option<NodeId> {
        let own = self.groups.leader_in_term(id);
        if self.peers.is_none() {
            return own.map(|(_, leader)| leader);
        }
        // Who was removed from a group hears no more of it, and goes on believing in the leader of then.
        own.max(self.named_by_others(id)).map(|(_, leader)| leader)
    }

    /// The leader that other nodes have named lately, with the term.
    fn named_by_others(&self, id: PartitionId) -> Option<(u64, NodeId)> {
        let (now, heard) = (self.env.clock.monotonic(), self.board.all());
        let lately = heard.values().filter(|heard| heard.is_lately(now) && heard.report.node != self.me);
        leader_in_term(lately.filter_map(|heard| heard.report.group(id)))
    }

    /// What was heard of everybody, this node's own present report included.
    pub(super) fn heard(&self) -> BTreeMap<NodeId, Heard> {
        self.board.note(self.report(), self.env.clock.monotonic());
        self.board.all()
    }

    fn node_view(
        &self,
        member: &Member,
        heard: &BTreeMap<NodeId, Heard>,
        groups: &[PartitionView],
    ) -> NodeView {
        let node = member.node;
        let last = heard.get(&node);
        let report: Option<&NodeReport> = last.map(|heard| &*heard.report);
        let now = self.env.clock.monotonic();
        let ago = last.map(|heard| now.saturating_sub(heard.at));
        let is_up = last.is_some_and(|heard| heard.is_lately(now));
        let data = || groups.iter().filter(|group| group.id != PartitionId::SYSTEM);
        let count =
            |is_so: &dyn Fn(&PartitionView) -> bool| data().filter(|group| is_so(group)).count() as u8;
        let others = heard.values().filter(|other| other.is_lately(now) && other.report.node != self.me);
        let said = |Heard { report, at, .. }: &Heard| {
            Some((report.node, report.hears(node, now.saturating_sub(*at))?))
        };
        let said: Vec<(NodeId, bool)> = others.filter_map(said).collect();
        let who = |hears: bool| said.iter().filter(|of| of.1 == hears).map(|of| of.0).collect();
        NodeView {
            member: member.clone(),
            is_up,
            heard: ago,
            release: report.map_or_else(String::new, |report| report.release.clone()),
            incarnation: report.map_or(0, |report| report.incarnation),
            leads: count(&|group| group.leader == Some(node)),
            replicas: count(&|group| is_member(group, node)),
            heard_by: who(true),
            missed_by: who(false),
            clock_offset_micros: self.groups.clocks().offset(node).filter(|_| is_up),
        }
    }
}

fn is_member(group: &PartitionView, node: NodeId) -> bool {
    group.voters.contains(&node) || group.learners.contains(&node)
}

/// Whether a node belongs to a group, or still has something of it.
fn holds(group: &PartitionView, node: NodeId) -> bool {
    is_member(group, node) || group.replicas.iter().any(|replica| replica.node == node)
}

/// One group, from what all nodes said of it. Who belongs to it is what its leader says, or else the latest entry that
/// anybody has seen; who has fallen silent leads nothing any more, nor does who hears no quorum.
pub(super) fn group_view(id: PartitionId, heard: &BTreeMap<NodeId, Heard>, now: Duration) -> PartitionView {
    let reports = || heard.values().filter_map(|heard| heard.report.group(id));
    let lately = heard.values().filter(|heard| heard.is_lately(now));
    let leader = leader_of(lately.filter_map(|heard| heard.report.group(id)));
    let rank = |report: &&Report| {
        let is_leaders = Some(report.replica.node) == leader && report.replica.role == Role::Leader;
        (is_leaders, report.members.at.term, report.members.at.index)
    };
    let members = reports().max_by_key(rank).map(|report| report.members.clone()).unwrap_or_default();
    let is_of_it = |report: &&Report| {
        members.contains(report.replica.node) || report.replica.log_last > 0 || report.replica.parts > 0
    };
    let shown = |report: &Report| {
        let mut replica = report.replica.clone();
        let stuck = heard.get(&replica.node).and_then(|heard| heard.stuck(id));
        replica.stuck = stuck.filter(|_| members.contains(replica.node));
        if replica.role == Role::Leader && Some(replica.node) != leader {
            replica.role = if members.contains(replica.node) { Role::Follower } else { Role::Outside };
        }
        replica
    };
    PartitionView {
        id,
        leader,
        term: reports().map(|report| report.replica.term).max().unwrap_or(0),
        voters: members.voters().into_iter().collect(),
        learners: members.learners.iter().copied().collect(),
        replicas: reports().filter(is_of_it).map(shown).collect(),
    }
}
