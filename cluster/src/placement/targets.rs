//! On which nodes each group belongs.
//!
//! Everything follows from where the groups are now, so that little moves: who can stay stays, who is on its way is let
//! arrive, and only then is the load evened out.

use std::collections::{BTreeMap, BTreeSet};

use chronos_domain::PartitionId;

use super::observed::{Group, Observed};
use super::step::Names;
use crate::node::NodeId;
use crate::system::{State, odd};
use crate::view::MemberState;

/// The most voters the system partition has: it survives the loss of two, and a larger quorum would only be slower.
const SYSTEM_VOTERS_MAX: usize = 5;

/// Where a group belongs, and why it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) voters: BTreeSet<NodeId>,
    pub(crate) why: String,
    /// Whether the group only gives way to others: it could stay where it is.
    pub(crate) is_for_balance: bool,
}

/// Replicas of data partitions per node.
type Load = BTreeMap<NodeId, usize>;

/// Where every settled group belongs. Others stay as they are until they are settled.
pub(crate) fn targets(state: &State, seen: &Observed) -> BTreeMap<PartitionId, Target> {
    let mut load = load(seen);
    let (mut targets, nothing) = (BTreeMap::new(), Load::new());
    for (id, group) in &seen.groups {
        let Some(voters) = group.voters().filter(|_| group.is_settled()) else { continue };
        let is_system = *id == PartitionId::SYSTEM;
        let most = match is_system {
            true => odd(state.active().count().min(SYSTEM_VOTERS_MAX)),
            false => state.replicas(),
        };
        // Who votes for the system partition does not depend on who holds how much data.
        let mut target = kept(state, seen, group, voters, most, if is_system { &nothing } else { &load });
        if !is_system {
            note(&mut load, voters, &target.voters);
        } else if target.voters.len() > voters.len() {
            target.why += &format!(
                " (who belongs to the cluster is kept by up to {SYSTEM_VOTERS_MAX} nodes, however many replicas events have)"
            );
        }
        targets.insert(*id, target);
    }
    let arriving = arrivals(state, seen, &mut targets, &mut load);
    let is_quiet = state.active().all(|node| seen.is_up(node));
    if is_quiet {
        even_out(state, seen, &mut targets, &mut load, &arriving);
    }
    targets
}

fn load(seen: &Observed) -> Load {
    let data = seen.groups.iter().filter(|(id, _)| **id != PartitionId::SYSTEM);
    let mut load = Load::new();
    for node in data.flat_map(|(_, group)| group.members.voters()) {
        *load.entry(node).or_default() += 1;
    }
    load
}

fn note(load: &mut Load, before: &BTreeSet<NodeId>, after: &BTreeSet<NodeId>) {
    for gone in before.difference(after) {
        let of_it = load.entry(*gone).or_default();
        *of_it = of_it.saturating_sub(1);
    }
    for come in after.difference(before) {
        *load.entry(*come).or_default() += 1;
    }
}

fn of(load: &Load, node: NodeId) -> usize {
    load.get(&node).copied().unwrap_or(0)
}

/// The group with whoever can stay, and with others in place of those who cannot.
fn kept(
    state: &State,
    seen: &Observed,
    group: &Group,
    voters: &BTreeSet<NodeId>,
    most: usize,
    load: &Load,
) -> Target {
    let leads = |node: &NodeId| group.leader == Some(*node);
    let mut staying: Vec<NodeId> = voters.iter().copied().filter(|node| seen.stays(state, *node)).collect();
    staying.sort_by_key(|node| (!seen.is_up(*node), of(load, *node), !leads(node), *node));
    let mut coming: Vec<NodeId> =
        state.active().filter(|node| seen.can_take(state, *node) && !voters.contains(node)).collect();
    coming.sort_by_key(|node| (!group.members.learners.contains(node), of(load, *node), *node));
    let mut going: Vec<NodeId> = voters.iter().copied().filter(|node| !staying.contains(node)).collect();
    going.sort_by_key(|node| (!seen.is_up(*node), *node));
    // Odd, and no fewer than there are: who should go stays as long as nobody can take over.
    let wanted = most.min(odd(staying.len() + coming.len())).max(most.min(voters.len()));
    let chosen: BTreeSet<NodeId> = staying.into_iter().chain(coming).chain(going).take(wanted).collect();
    let why = reason(state, seen, voters, &chosen, most);
    Target { voters: chosen, why, is_for_balance: false }
}

fn reason(
    state: &State,
    seen: &Observed,
    voters: &BTreeSet<NodeId>,
    chosen: &BTreeSet<NodeId>,
    most: usize,
) -> String {
    let going: BTreeSet<NodeId> = voters.difference(chosen).copied().collect();
    let must_go = going.iter().copied().filter(|node| !seen.stays(state, *node));
    let (silent, leaving): (BTreeSet<NodeId>, BTreeSet<NodeId>) =
        must_go.partition(|node| state.state_of(*node) == Some(MemberState::Active));
    let told = |nodes: &BTreeSet<NodeId>, [one, many]: [&str; 2], how: &str| {
        let verb = if nodes.len() == 1 { one } else { many };
        (!nodes.is_empty()).then(|| format!("{} {verb} {how}", Names(nodes)))
    };
    let why = [
        told(&leaving, ["is", "are"], "leaving"),
        told(&silent, ["was", "were"], "silent for too long and given up"),
    ];
    let why: Vec<String> = why.into_iter().flatten().collect();
    if !why.is_empty() {
        return why.join(", ");
    }
    match voters.len().cmp(&chosen.len()) {
        std::cmp::Ordering::Less if voters.len() == 1 => {
            format!("it has 1 replica and shall have {}", chosen.len())
        }
        std::cmp::Ordering::Less => {
            format!("it has {} replicas and shall have {}", voters.len(), chosen.len())
        }
        std::cmp::Ordering::Greater => format!("it has {} replicas, more than {most}", voters.len()),
        std::cmp::Ordering::Equal => String::new(),
    }
}

/// Learners that could take over from a voter that has more to carry do so: that is what they were added for. Gives the
/// groups in which that is so.
fn arrivals(
    state: &State,
    seen: &Observed,
    targets: &mut BTreeMap<PartitionId, Target>,
    load: &mut Load,
) -> BTreeSet<PartitionId> {
    let mut arriving = BTreeSet::new();
    for (id, target) in targets.iter_mut().filter(|(id, _)| **id != PartitionId::SYSTEM) {
        let group = &seen.groups[id];
        if group.voters() != Some(&target.voters) {
            continue;
        }
        let able = |node: &&NodeId| seen.can_take(state, **node) && !target.voters.contains(node);
        let Some(come) = group.members.learners.iter().find(able).copied() else { continue };
        let Some(gone) = heaviest(group, &target.voters, load) else { continue };
        if of(load, gone) > of(load, come) {
            swap(target, load, gone, come);
            arriving.insert(*id);
        }
    }
    arriving
}

/// The voter with the most replicas; of several such one that does not lead.
fn heaviest(group: &Group, voters: &BTreeSet<NodeId>, load: &Load) -> Option<NodeId> {
    voters.iter().copied().max_by_key(|node| (of(load, *node), group.leader != Some(*node), *node))
}

fn swap(target: &mut Target, load: &mut Load, gone: NodeId, come: NodeId) {
    let before = target.voters.clone();
    target.why = format!("{gone} holds {} replicas, {come} {}", of(load, gone), of(load, come));
    target.is_for_balance = true;
    target.voters.remove(&gone);
    target.voters.insert(come);
    note(load, &before, &target.voters);
}

/// Moves replicas from who has the most to who has the least, until nobody has two more than anybody else: as things will
/// be, and as they are. What is only right once something else has arrived waits for it; begun before, it would be undone.
fn even_out(
    state: &State,
    seen: &Observed,
    targets: &mut BTreeMap<PartitionId, Target>,
    load: &mut Load,
    arriving: &BTreeSet<PartitionId>,
) {
    // What is on its way already is not sent elsewhere.
    let is_free = |id: &PartitionId, target: &Target| {
        *id != PartitionId::SYSTEM
            && !arriving.contains(id)
            && seen.groups[id].voters() == Some(&target.voters)
    };
    let now = self::load(seen);
    loop {
        let nodes = || state.active().filter(|node| seen.can_take(state, *node));
        let Some(most) = nodes().max_by_key(|node| (of(load, *node), *node)) else { return };
        let Some(least) = nodes().min_by_key(|node| (of(load, *node), *node)) else { return };
        if of(load, most) < of(load, least) + 2 || of(&now, most) < of(&now, least) + 2 {
            return;
        }
        let movable = targets.iter().filter(|(id, target)| {
            is_free(id, target) && target.voters.contains(&most) && !target.voters.contains(&least)
        });
        let leads = |id: &PartitionId| seen.groups[id].leader == Some(most);
        let Some(id) = movable.map(|(id, _)| *id).min_by_key(|id| (leads(id), *id)) else { return };
        swap(targets.get_mut(&id).expect("it was found there"), load, most, least);
    }
}
