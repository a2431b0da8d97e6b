//! Who leads: nobody who is leaving, and everybody else about as often.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chronos_domain::PartitionId;

use super::observed::{Group, Observed};
use super::step::{Action, Step};
use super::targets::Target;
use crate::node::NodeId;
use crate::system::State;

/// The next transfer that takes a group from a leader that is leaving.
pub(super) fn relieve(state: &State, seen: &Observed) -> Option<Step> {
    let leads = counts(state, seen);
    seen.groups.iter().find_map(|(id, group)| {
        let leader = group.leader.filter(|leader| !seen.stays(state, *leader))?;
        let to = heirs(state, seen, group).min_by_key(|node| (leads.get(node).copied(), *node))?;
        Some(transfer(*id, group, leader, to, format!("{leader}, which leads it, is leaving")))
    })
}

/// The next transfer that makes it more even how many data partitions each node leads; none when nobody leads two more
/// than somebody else to whom they could be given, over however many hands.
pub(super) fn even_out(
    state: &State,
    seen: &Observed,
    targets: &BTreeMap<PartitionId, Target>,
) -> Option<Step> {
    let leads = counts(state, seen);
    let most = leads.values().copied().max()?;
    let mut reached = BTreeSet::new();
    let mut next: VecDeque<NodeId> = VecDeque::new();
    for (node, _) in leads.iter().filter(|(_, count)| **count == most) {
        reached.insert(*node);
        next.push_back(*node);
    }
    // The shortest way from who leads most to who leads two fewer; its last step makes room for the one before.
    while let Some(giver) = next.pop_front() {
        let led = seen.groups.iter().filter(|(id, group)| is_led(**id, group, giver));
        let given = led.flat_map(|(id, group)| {
            let stays = |node: &NodeId| targets.get(id).is_none_or(|target| target.voters.contains(node));
            heirs(state, seen, group).filter(stays).map(|heir| (*id, group, heir)).collect::<Vec<_>>()
        });
        let given: Vec<(PartitionId, &Group, NodeId)> = given.collect();
        // To whoever leads least: another one would have to give it on.
        let least = given.iter().min_by_key(|(id, _, heir)| (leads[heir], *id)).copied();
        if let Some((id, group, heir)) = least.filter(|(.., heir)| leads[heir] + 2 <= most) {
            let why = format!("{giver} leads {} partitions, {heir} {}", leads[&giver], leads[&heir]);
            return Some(transfer(id, group, giver, heir, why));
        }
        next.extend(given.into_iter().map(|(.., heir)| heir).filter(|heir| reached.insert(*heir)));
    }
    None
}

fn is_led(id: PartitionId, group: &Group, by: NodeId) -> bool {
    id != PartitionId::SYSTEM && group.leader == Some(by)
}

/// How many data partitions each node that could lead some leads.
pub(super) fn counts(state: &State, seen: &Observed) -> BTreeMap<NodeId, usize> {
    let able = state.active().filter(|node| seen.is_up(*node));
    let count = |node| seen.groups.iter().filter(|(id, group)| is_led(**id, group, node)).count();
    able.map(|node| (node, count(node))).collect()
}

/// The voters that could lead a group instead of who does.
fn heirs<'a>(state: &'a State, seen: &'a Observed, group: &'a Group) -> impl Iterator<Item = NodeId> + 'a {
    let voters = group.voters().into_iter().flatten().copied();
    voters.filter(move |node| {
        group.leader != Some(*node) && seen.can_take(state, *node) && seen.is_current(group, *node)
    })
}

pub(super) fn transfer(partition: PartitionId, group: &Group, from: NodeId, to: NodeId, why: String) -> Step {
    Step { partition, action: Action::Transfer(to), at: group.members.at, by: from, why }
}
