//! The next step.

use std::collections::{BTreeMap, BTreeSet};

use chronos_domain::PartitionId;

use super::leaders::{self, counts, transfer};
use super::observed::Observed;
use super::step::{Action, Step};
use super::targets::{Target, targets};
use crate::node::NodeId;
use crate::system::State;
use crate::view::MemberState;

/// Data partitions that are copied to new replicas at the same time.
const COPIES_MAX: usize = 3;

/// The next safe step towards a cluster in which every group has the replicas it shall have, on nodes that are to stay,
/// spread evenly; `None` when there is none, for now or for good.
pub(crate) fn plan(state: &State, seen: &Observed) -> Option<Step> {
    if !state.is_founded() {
        return None;
    }
    if let Some(step) = finish(seen) {
        return Some(step);
    }
    let targets = targets(state, seen);
    // The cluster's own data first, then what must move, then what had better; of these what is on its way already, which
    // has to arrive before it is known what else should move.
    let rank = |(id, target): &(&PartitionId, &Target)| {
        let is_new = target.is_for_balance && seen.groups[*id].members.learners.is_empty();
        (**id != PartitionId::SYSTEM, target.is_for_balance, is_new, **id)
    };
    let mut in_order: Vec<(&PartitionId, &Target)> = targets.iter().collect();
    in_order.sort_by_key(rank);
    let relieved = || leaders::relieve(state, seen);
    let moved = || in_order.iter().find_map(|(id, target)| towards(state, seen, **id, target));
    let freed = || free(seen);
    relieved().or_else(moved).or_else(freed).or_else(|| leaders::even_out(state, seen, &targets))
}

/// A change of voters that stopped half-way is finished.
fn finish(seen: &Observed) -> Option<Step> {
    seen.groups.iter().find_map(|(id, group)| {
        let (leader, [_, .., last]) = (group.leader?, group.members.configs.as_slice()) else { return None };
        let both = &group.members.configs;
        if !group.members.is_committed || !both.iter().all(|voters| seen.has_quorum(group, voters)) {
            return None;
        }
        let (action, at) = (Action::SetVoters(last.clone()), group.members.at);
        let why = "a change of its voters was interrupted half-way".to_owned();
        Some(Step { partition: *id, action, at, by: leader, why })
    })
}

/// The next step of one group on its way.
fn towards(state: &State, seen: &Observed, id: PartitionId, target: &Target) -> Option<Step> {
    let group = &seen.groups[&id];
    let (leader, voters) = (group.leader?, group.voters()?);
    if !group.is_settled() || !seen.has_quorum(group, voters) {
        return None;
    }
    let step = |action, why: &str| {
        Some(Step { partition: id, action, at: group.members.at, by: leader, why: why.to_owned() })
    };
    let coming: BTreeSet<NodeId> = target.voters.difference(voters).copied().collect();
    let learners = &group.members.learners;
    if let Some(stray) = learners.iter().find(|node| !may_learn(state, id, &coming, **node)) {
        return step(Action::DropLearner(*stray), "it is not going to vote there");
    }
    let mut missing = coming.difference(learners).filter(|node| seen.is_up(**node));
    if let Some(node) = missing.next() {
        let is_free = id == PartitionId::SYSTEM || copies(seen) < COPIES_MAX || copies_to(seen, id);
        return if is_free { step(Action::AddLearner(*node), &target.why) } else { None };
    }
    if id == PartitionId::SYSTEM {
        // One that is drained, too: until it is removed it has to know who belongs to the cluster, itself included.
        let absent = |node: &NodeId| seen.is_up(*node) && !group.members.contains(*node);
        if let Some(node) = state.present().find(absent) {
            return step(Action::AddLearner(node), "every node keeps the cluster's own data");
        }
    }
    if target.voters == *voters {
        return None;
    }
    change(state, seen, id, (leader, voters), target)
}

/// Whether a node may receive a group's data without a say.
fn may_learn(state: &State, id: PartitionId, coming: &BTreeSet<NodeId>, node: NodeId) -> bool {
    match id {
        PartitionId::SYSTEM => state.state_of(node).is_some_and(|state| state != MemberState::Removed),
        _ => coming.contains(&node),
    }
}

/// Everybody who shall vote is there: they do when they have caught up, and once a leader that shall not has given way.
fn change(
    state: &State,
    seen: &Observed,
    id: PartitionId,
    (leader, voters): (NodeId, &BTreeSet<NodeId>),
    target: &Target,
) -> Option<Step> {
    let group = &seen.groups[&id];
    let is_current = |node: &NodeId| seen.is_current(group, *node);
    let has_caught_up = target.voters.difference(voters).all(is_current);
    let wide: BTreeSet<NodeId> = voters.union(&target.voters).copied().collect();
    let next = match target.voters.contains(&leader) {
        true => &target.voters,
        false => match heir(state, seen, target.voters.intersection(voters).copied().filter(is_current)) {
            Some(heir) => {
                let why = format!("{leader}, which leads it, gives its replica up: {}", target.why);
                return Some(transfer(id, group, leader, heir, why));
            }
            // Nobody who stays votes yet: both do for a moment.
            None => &wide,
        },
    };
    let is_safe = has_caught_up && next != voters && seen.has_quorum(group, next);
    let action = Action::SetVoters(next.clone());
    is_safe.then(|| Step { partition: id, action, at: group.members.at, by: leader, why: target.why.clone() })
}

/// Who of these leads the fewest partitions: another one would soon have to give it on.
fn heir(state: &State, seen: &Observed, able: impl Iterator<Item = NodeId>) -> Option<NodeId> {
    let leads = counts(state, seen);
    able.min_by_key(|node| (leads.get(node).copied().unwrap_or(usize::MAX), *node))
}

/// Data partitions that are being copied to somebody.
fn copies(seen: &Observed) -> usize {
    seen.groups.keys().filter(|id| **id != PartitionId::SYSTEM && copies_to(seen, **id)).count()
}

fn copies_to(seen: &Observed, id: PartitionId) -> bool {
    !seen.groups[&id].members.learners.is_empty()
}

/// What a node still has of a group that it does not belong to any more.
fn free(seen: &Observed) -> Option<Step> {
    seen.groups.iter().filter(|(_, group)| group.is_settled()).find_map(|(id, group)| {
        let is_left = |node: &NodeId| !group.members.contains(*node) && seen.is_up(*node);
        let (node, replica) = group.replicas.iter().find(|(node, replica)| replica.holds && is_left(node))?;
        let action = Action::Free { node: *node, last: replica.last };
        let why = "it is no member of this partition any more".to_owned();
        Some(Step { partition: *id, action, at: group.members.at, by: *node, why })
    })
}

/// Nodes that were removed and belong to a group no more, so that nothing has to be said to them.
pub(crate) fn gone(state: &State, seen: &Observed) -> BTreeMap<NodeId, bool> {
    let removed = state.members.values().filter(|member| member.state == MemberState::Removed);
    let is_out = |node: NodeId| seen.groups.values().all(|group| !group.members.contains(node));
    removed.map(|member| (member.node, is_out(member.node))).collect()
}
