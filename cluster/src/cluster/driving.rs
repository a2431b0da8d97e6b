//! The placement driver: on the node that leads the system partition it looks, plans, has one step taken, waits until it
//! can be seen, writes down what has become of it, and looks again.
//!
//! It keeps nothing between two looks but when it may look again; another node goes on where it stops.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chronos_domain::PartitionId;
use chronos_store::Leftovers;
use chronos_wal::Mark;

use super::Inner;
use crate::exchange::kinds;
use crate::groups::every_group;
use crate::node::NodeId;
use crate::peer::Peers;
use crate::peer::{Denial, Denied};
use crate::placement::{Action, Group, Observed, Replica, Seen, Steer, Step, gone, plan};
use crate::raft::MembersChange;
use crate::status::{DOWN_AFTER, Heard, Report};
use crate::system::{Change, Decided, NotWritten, Placed, State};
use crate::view::{Health, Member, MemberState, Role};

/// Between two looks when there is nothing to do.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Between two looks while a copy is on its way, or a leader is.
const LOOK_SOON: Duration = Duration::from_millis(200);
/// A round of questions takes no longer; whoever has not answered by then is given nothing.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
/// After a step that failed.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// Who has just begun to lead waits until everybody had the time to report.
const SETTLED_AFTER: Duration = DOWN_AFTER;
/// A step takes no longer than this, or is taken again.
const STEP_WITHIN: Duration = Duration::from_secs(10);
/// Whoever was asked to delete what it has left, and still has it, is asked again after this: longer than a step takes, since
/// it is only room on a disk, and holds up nothing else.
const FREE_AGAIN: Duration = Duration::from_secs(20);
/// A new leader shows within so long.
const SEEN_WITHIN: Duration = Duration::from_secs(4);
/// Writing down what has happened may take so long.
const NOTED_WITHIN: Duration = Duration::from_secs(5);

impl Inner {
    /// Drives for as long as this node leads the system partition, and waits while it does not.
    pub(super) async fn drive(self: Arc<Self>) {
        let clock = &self.env.clock;
        let mut leads_since: Option<(u64, Duration)> = None;
        loop {
            clock.sleep(self.pause()).await;
            self.ban_who_is_gone();
            let Some(term) = self.driver_term() else {
                leads_since = None;
                continue;
            };
            let now = clock.monotonic();
            let since = match leads_since {
                Some((before, since)) if before == term => since,
                _ => leads_since.insert((term, now)).1,
            };
            if now.saturating_sub(since) >= SETTLED_AFTER
                && let Err(why) = self.look_and_act(term).await
            {
                chronos_env::sometimes!("placement.step_failed");
                tracing::warn!(why, "the placement did not get on; it is tried again");
                clock.sleep(TRY_AGAIN).await;
            }
        }
    }

    /// How long until the next look: not long while something is on its way.
    fn pause(&self) -> Duration {
        if self.driver_term().is_none() {
            return LOOK_AGAIN;
        }
        let learns = |report: &Report| {
            report.id != PartitionId::SYSTEM
                && report.replica.role == Role::Leader
                && !report.members.learners.is_empty()
        };
        let is_moving = self.board.all().values().any(|heard| heard.report.groups.iter().any(learns));
        if is_moving { LOOK_SOON } else { LOOK_AGAIN }
    }

    /// The term in which this node leads the system partition.
    fn driver_term(&self) -> Option<u64> {
        let leads = self.groups.leader(PartitionId::SYSTEM) == Some(self.me);
        leads.then(|| self.groups.term(PartitionId::SYSTEM))
    }

    /// Takes step after step until there is none, or this node leads no longer.
    async fn look_and_act(&self, term: u64) -> Result<(), String> {
        while self.driver_term() == Some(term) {
            let silent = self.look_around(ANSWERED_WITHIN).await;
            let (state, seen) = (self.ledger.state(), self.observe_without(&silent));
            self.note_members(&state, &seen).await?;
            if state.is_paused {
                return Ok(());
            }
            let Some(step) = plan(&state, &seen) else { return Ok(()) };
            chronos_env::sometimes!("placement.leader_moved", matches!(step.action, Action::Transfer(_)));
            chronos_env::sometimes!("placement.replica_freed", matches!(step.action, Action::Free { .. }));
            tracing::info!(partition = step.partition.get(), what = %step.action, why = step.why, "placement");
            self.have_taken(&step, term).await?;
        }
        Ok(())
    }

    /// Writes down which groups have other members than was last written.
    async fn note_members(&self, state: &State, seen: &Observed) -> Result<(), String> {
        for (id, group) in seen.groups.iter().filter(|(_, group)| group.is_settled()) {
            let Some(voters) = group.voters() else { continue };
            let now = Placed { voters: voters.clone(), learners: group.members.learners.clone() };
            let has_begun = state.placed.contains_key(id) || state.members.len() > 1;
            if !has_begun || state.placed.get(id) == Some(&now) {
                continue;
            }
            let change = Change::Placed {
                partition: *id,
                voters: now.voters.clone(),
                learners: now.learners.clone(),
                why: String::new(),
            };
            let decide = |state: &State| match state.placed.get(id) == Some(&now) {
                true => Ok(Decided::Already(())),
                false => Ok(Decided::Write(change.clone(), ())),
            };
            self.ledger.change(NOTED_WITHIN, decide).await.map_err(|error| {
                format!("where the replicas of partition {id} are was not written down: {error}")
            })?;
        }
        Ok(())
    }

    /// Has a step taken by whom it concerns, and waits until it shows.
    async fn have_taken(&self, step: &Step, term: u64) -> Result<(), String> {
        let steer = Steer {
            partition: step.partition,
            action: step.action.clone(),
            at: Some(step.at),
            driver_term: term,
        };
        if let Action::Free { node, last } = step.action {
            let until = self.env.clock.monotonic() + FREE_AGAIN;
            self.freed.lock().insert((step.partition, node, last), until);
        }
        let taken = match step.by == self.me {
            true => {
                self.env.clock.timeout(STEP_WITHIN, self.take(steer)).await.map_err(|_| "it took too long")?
            }
            false => self.ask_one(step.by, kinds::STEER, steer.encode(), STEP_WITHIN).await.map(drop),
        };
        let taken = taken.map_err(|error| format!("{}: {error}", step.action));
        match &step.action {
            Action::Transfer(to) => {
                taken?;
                self.until_it_leads(step.partition, *to).await
            }
            Action::Free { .. } => {
                if let Err(why) = taken {
                    tracing::warn!(partition = step.partition.get(), why, "what is left of a replica stays");
                }
                Ok(())
            }
            _ => taken,
        }
    }

    async fn until_it_leads(&self, id: PartitionId, to: NodeId) -> Result<(), String> {
        let leads = async {
            while self.observe().groups.get(&id).and_then(|group| group.leader) != Some(to) {
                self.env.clock.sleep(LOOK_SOON / 4).await;
                if self.look_around(ANSWERED_WITHIN).await.contains(&to) {
                    return Err(format!("{to}, which was to lead partition {id}, does not answer any more"));
                }
            }
            Ok(())
        };
        let late = |_| Err(format!("{to} did not begin to lead partition {id} within {SEEN_WITHIN:?}"));
        self.env.clock.timeout(SEEN_WITHIN, leads).await.unwrap_or_else(late)
    }

    /// Takes a step that is this node's to take, whoever decided on it.
    pub(super) async fn take(&self, steer: Steer) -> Result<(), NotWritten> {
        let Steer { partition: id, action, at, driver_term } = steer;
        if driver_term > 0 && driver_term < self.groups.term(PartitionId::SYSTEM) {
            chronos_env::sometimes!("placement.driver_deposed");
            return Err(refused("whoever sent this drives no longer"));
        }
        let change = match action {
            Action::AddLearner(node) => MembersChange::AddLearner(node),
            Action::DropLearner(node) => MembersChange::DropLearner(node),
            Action::SetVoters(voters) => MembersChange::Voters(voters),
            Action::Transfer(to) => return self.hand_to(id, to).await,
            Action::Free { last, .. } => return self.free(id, last, at).await,
        };
        let changed = self.groups.change_members(id, change, at).await;
        changed.map_err(|error| NotWritten::Unknown(error.to_string()))
    }

    /// Discards what this node has of a partition that it does not belong to any more, if that is still what was meant:
    /// nothing has come since, and the entry that left this node out is later than every one it knows of.
    async fn free(&self, id: PartitionId, last: u64, at: Option<Mark>) -> Result<(), NotWritten> {
        let report = self.report();
        let is_meant = |group: &Report| {
            let is_behind = at.is_some_and(|at| group.members.at.index < at.index);
            is_behind && group.replica.role != Role::Leader && group.replica.log_last == last
        };
        if !report.group(id).is_some_and(is_meant) {
            return Err(refused(format!(
                "what this node has of partition {id} is not what was to be deleted"
            )));
        }
        let reset = self.groups.reset(id, Leftovers::Remove).await;
        reset.map_err(|error| NotWritten::Unavailable(error.to_string()))
    }

    /// Has another voter lead a partition that this node leads.
    async fn hand_to(&self, id: PartitionId, to: NodeId) -> Result<(), NotWritten> {
        let seen = self.observe();
        let group = seen.groups.get(&id).filter(|_| self.groups.leader(id) == Some(self.me));
        let Some(group) = group else { return Err(NotWritten::Elsewhere(self.leader(id))) };
        if to == self.me {
            return Ok(());
        }
        if !group.members.voters().contains(&to) {
            return Err(refused(format!("{to} has no replica of partition {id} that could lead it")));
        }
        if !seen.is_current(group, to) {
            return Err(refused(format!("the replica of partition {id} on {to} is down or not up to date")));
        }
        self.groups.transfer(id, to).await.map_err(|error| NotWritten::Unavailable(error.to_string()))
    }

    /// Nodes that were removed, and have nothing more to give up or cannot be asked for it, are not talked to any more.
    /// Every node comes to that by itself.
    fn ban_who_is_gone(&self) {
        let (Some(peers), state) = (&self.peers, self.ledger.state()) else { return };
        let is_left = |member: &Member| {
            member.state == MemberState::Removed && member.node != self.me && !peers.is_banned(member.node)
        };
        if !state.members.values().any(is_left) {
            return;
        }
        let seen = self.observe();
        if !seen.groups.values().all(|group| group.leader.is_some()) {
            return;
        }
        for (node, is_out) in gone(&state, &seen) {
            let holds = seen.groups.values().any(|group| group.replicas.get(&node).is_some_and(|r| r.holds));
            if is_out && (!holds || !seen.is_up(node)) {
                self.board.forget(node);
                if node != self.me && peers.ban(node) {
                    tracing::info!(%node, "a node that was removed is turned away from now on");
                }
            }
        }
    }

    /// The cluster as the placement sees it.
    pub(super) fn observe(&self) -> Observed {
        self.observe_without(&BTreeSet::new())
    }

    /// The same, with nodes for down that have not answered just now: what is given to one that has died a moment ago is waited
    /// for in vain, and one that is only slow is given something at the next look.
    pub(super) fn observe_without(&self, silent: &BTreeSet<NodeId>) -> Observed {
        let (now, state, heard) = (self.env.clock.monotonic(), self.ledger.state(), self.heard());
        let silence = |node: NodeId| {
            let at = heard.get(&node).map_or(self.began, |heard: &Heard| heard.at.max(self.began));
            now.saturating_sub(at)
        };
        let seen = |node: NodeId| {
            let silence = silence(node);
            let is_up = heard.contains_key(&node) && silence < DOWN_AFTER && !silent.contains(&node);
            let is_full = |of: &Report| of.replica.health == Health::Full;
            let has_room = heard.get(&node).is_none_or(|heard| !heard.report.groups.iter().any(is_full));
            Seen { is_up, has_room, silent: silence }
        };
        let nodes = state.members.keys().map(|node| (*node, seen(*node))).collect();
        let mut observed = Observed { nodes, ..Observed::default() };
        let freed = self.freed.lock();
        for id in every_group() {
            let reports: Vec<&Report> = heard.values().filter_map(|heard| heard.report.group(id)).collect();
            let mut group = group_of(&reports, |node| observed.is_up(node));
            for (node, replica) in &mut group.replicas {
                let until = freed.get(&(id, *node, replica.last));
                replica.holds &= until.is_none_or(|until| now >= *until);
            }
            observed.groups.insert(id, group);
        }
        observed
    }
}

/// One group, from what is said of it.
fn group_of(reports: &[&Report], is_up: impl Fn(NodeId) -> bool) -> Group {
    let leads = |report: &&&Report| report.replica.role == Role::Leader && is_up(report.replica.node);
    // Of two who say so the one with the lower term has not yet heard that it is over.
    let leader = reports.iter().filter(leads).max_by_key(|report| report.replica.term).copied();
    let latest =
        || reports.iter().max_by_key(|report| (report.members.at.term, report.members.at.index)).copied();
    let replica = |report: &&Report| {
        let (node, view) = (report.replica.node, &report.replica);
        let lag = leader.and_then(|leader| {
            // However short the log is: who has none of it may have no room for it.
            let matched = leader.matched.get(&node).copied().filter(|matched| *matched > 0)?;
            Some(leader.replica.log_last.saturating_sub(matched))
        });
        let holds = view.log_last > 0 || view.parts > 0;
        (node, Replica { is_sound: view.health == Health::Serving, lag, last: view.log_last, holds })
    };
    Group {
        leader: leader.map(|leader| leader.replica.node),
        members: leader.or_else(latest).map(|report| report.members.clone()).unwrap_or_default(),
        replicas: reports.iter().map(replica).collect(),
    }
}

fn refused(why: impl Into<String>) -> NotWritten {
    NotWritten::Refused(Denied::new(Denial::Malformed, why))
}

/// Has nobody taken for a member but the machine that was admitted as it. To be done before anybody is called: an address
/// may by now be that of another machine.
pub(super) fn know_machines(peers: &Peers, state: &State) {
    state.members.values().for_each(|member| peers.know_machine(member.node, member.machine));
}

/// Keeps the links in step with the members.
pub(super) async fn keep_links(inner: Arc<Inner>) {
    let Some(peers) = inner.peers.clone() else { return };
    let mut states = inner.ledger.watch();
    loop {
        let state = states.borrow_and_update().clone();
        know_machines(&peers, &state);
        let known = state
            .members
            .values()
            .filter(|member| member.state != MemberState::Removed && !member.addresses.peer.is_empty());
        known.for_each(|member| peers.set_peer(member.node, &member.addresses.peer));
        if states.changed().await.is_err() {
            return;
        }
    }
}
