//! What is not as it should be although nothing is going to be done about it, and what it waits for: in sentences for
//! people, with what they can do.
//!
//! A plan is empty when everything is where it should be, and also when nothing can be done. Whoever asks for the plan must
//! be able to tell the two apart: as long as something is not as wanted, either there is a step or there is a sentence.

use std::collections::BTreeSet;

use chronos_domain::PartitionId;

use super::observed::{Group, Observed};
use super::step::Names;
use super::targets::targets;
use crate::node::NodeId;
use crate::system::State;
use crate::view::MemberState;

/// So many partitions are named; of more, only how many.
const NAMED_MAX: usize = 8;

/// What stays undone in a cluster that is seen like this and in which no further step can be taken; the gravest first.
pub(crate) fn waits(state: &State, seen: &Observed) -> Vec<String> {
    if !state.is_founded() {
        return vec![
            "this node has not read who belongs to the cluster yet; ask again in a moment".to_owned(),
        ];
    }
    let undecided = undecided(seen);
    let is_decided = undecided.is_none();
    let mut all: Vec<String> = undecided.into_iter().collect();
    all.extend(unheard(seen));
    all.extend(without_majority(seen));
    all.extend(without_leader(seen));
    all.extend(half_way(seen));
    all.extend(not_current(seen));
    all.extend(too_few(state, seen));
    // Who is down, and that no node comes or goes, is said already where nobody decides.
    all.extend(is_decided.then(|| down(state, seen)).into_iter().flatten());
    all.extend(is_decided.then(|| nowhere_to_go(state, seen)).into_iter().flatten());
    all.extend(unsound(seen));
    if all.is_empty() {
        all.extend(elsewhere(state, seen));
    }
    all
}

/// Whether of every set of voters of a group a majority is up.
fn has_majority(seen: &Observed, group: &Group) -> bool {
    let is_up = |voters: &BTreeSet<NodeId>| {
        voters.iter().filter(|node| seen.is_up(**node)).count() > voters.len() / 2
    };
    !group.members.configs.is_empty() && group.members.configs.iter().all(is_up)
}

/// Why nobody decides what is done, if nobody does.
pub(crate) fn undecided(seen: &Observed) -> Option<String> {
    let group = seen.groups.get(&PartitionId::SYSTEM)?;
    if !has_majority(seen, group) {
        return Some(format!(
            "nobody can decide what is done next: the system partition has no majority of its voters, {}: start them \
             again",
            absent(seen, &group.members.voters())
        ));
    }
    let is_led = group.leader.is_some();
    (!is_led).then(|| "nobody decides what is done next: the system partition has no leader now".to_owned())
}

/// Groups of which no replica says who belongs to them, because none serves.
fn unheard(seen: &Observed) -> Option<String> {
    let what = counted(&data(seen, |group| group.members.configs.is_empty()), "has", "have")?;
    Some(format!("{what} no replica that serves now: why, says chronos cluster status"))
}

fn without_majority(seen: &Observed) -> Option<String> {
    let lost = data(seen, |group| !group.members.configs.is_empty() && !has_majority(seen, group));
    let voters = voters_of(seen, &lost);
    let what = counted(&lost, "has", "have")?;
    Some(format!("{what} no majority of the voters, {}: start them again", absent(seen, &voters)))
}

fn without_leader(seen: &Observed) -> Option<String> {
    let what =
        counted(&data(seen, |group| has_majority(seen, group) && group.leader.is_none()), "has", "have")?;
    Some(format!("{what} no leader now, though a majority of the voters is up: one is being elected"))
}

/// Changes of voters that were interrupted and cannot be finished.
fn half_way(seen: &Observed) -> Option<String> {
    let is_stuck = |group: &Group| group.members.configs.len() > 1 && is_led(seen, group);
    let stuck: Vec<PartitionId> =
        seen.groups.iter().filter(|(_, group)| is_stuck(group)).map(|(id, _)| *id).collect();
    let voters = voters_of(seen, &stuck);
    let late: BTreeSet<NodeId> = voters
        .into_iter()
        .filter(|node| stuck.iter().any(|id| !seen.is_current(&seen.groups[id], *node)))
        .collect();
    let what = counted(&stuck, "is", "are")?;
    let why = match late.is_empty() {
        true => "the entry that says so is not committed yet".to_owned(),
        false => format!("{} must be up and up to date for that", Names(&late)),
    };
    Some(format!("{what} half-way between two sets of voters, and the change cannot be finished now: {why}"))
}

fn is_led(seen: &Observed, group: &Group) -> bool {
    has_majority(seen, group) && group.leader.is_some()
}

/// Groups whose members cannot be changed safely, because too few of them have everything.
fn not_current(seen: &Observed) -> Option<String> {
    let is_late = |group: &Group| {
        is_led(seen, group) && group.voters().is_some_and(|voters| !seen.has_quorum(group, voters))
    };
    let late: Vec<PartitionId> =
        seen.groups.iter().filter(|(_, group)| is_late(group)).map(|(id, _)| *id).collect();
    let what = counted(&late, "waits", "wait")?;
    Some(format!("{what} until a majority of the voters is up to date: see chronos partition list"))
}

/// Groups that have fewer replicas than they should, for want of nodes that could hold some.
fn too_few(state: &State, seen: &Observed) -> Option<String> {
    let wanted = usize::from(state.replication);
    let has = |group: &Group| group.voters().map(BTreeSet::len);
    let short = seen.groups.values().filter_map(has).filter(|count| *count < wanted);
    let (count, fewest) = short.fold((0, wanted), |(count, least), has| (count + 1, least.min(has)));
    let (able, unable): (BTreeSet<NodeId>, BTreeSet<NodeId>) =
        state.active().partition(|node| seen.can_take(state, *node));
    if count == 0 || able.len() >= wanted {
        return None;
    }
    let partitions = if count == 1 { "partition has" } else { "partitions have" };
    let replicas = if fewest == 1 { "replica" } else { "replicas" };
    let missing = wanted - able.len();
    let nodes = if missing == 1 { "node is" } else { "nodes are" };
    let or_else = unable.iter().map(|node| match seen.is_up(*node) {
        true => format!("; or room on the disk of {node}"),
        false => format!("; or {node}, which is down"),
    });
    Some(format!(
        "{count} {partitions} {fewest} {replicas} of {wanted} wanted: {missing} more {nodes} needed (chronos server --join \
         ADDR){}",
        or_else.collect::<String>()
    ))
}

/// Nodes that are away, and what becomes of what they hold.
fn down(state: &State, seen: &Observed) -> Vec<String> {
    let is_away = |node: &NodeId| !seen.is_up(*node) && holds(seen, *node) > 0;
    let told = |node: NodeId| {
        let silent = seen.nodes.get(&node).map_or(state.replace_after, |seen| seen.silent);
        let is_given_up = !seen.stays(state, node);
        let has_heir = state.active().any(|other| {
            let can_take = |group: &Group| group.members.contains(node) && !group.members.contains(other);
            seen.can_take(state, other) && seen.groups.values().any(can_take)
        });
        match (has_heir, is_given_up) {
            (false, _) => format!(
                "{node} is down, and no other node is up that could hold its {} replicas instead: start it again, or add \
                 a node (chronos server --join ADDR)",
                holds(seen, node)
            ),
            (true, true) => format!("{node} is down, and what it holds waits for what is said above"),
            (true, false) => format!(
                "{node} is down for {} s; what it holds is made anew elsewhere when that are {} s, or at once: chronos \
                 cluster replace {node}",
                silent.as_secs(),
                state.replace_after.as_secs()
            ),
        }
    };
    state.present().filter(is_away).map(told).collect()
}

/// Nodes that are to go and cannot, or are gone and still counted, because nobody takes what they hold.
fn nowhere_to_go(state: &State, seen: &Observed) -> Vec<String> {
    // One that is down and to come back is told of where all that are down are.
    let is_leaving = |node: &NodeId| match state.state_of(*node) {
        None | Some(MemberState::Active) => false,
        Some(MemberState::Removed) => true,
        Some(_) => seen.is_up(*node),
    };
    let told = |node: NodeId| {
        let of = |group: &&Group| group.members.voters().contains(&node);
        let left = seen.groups.values().filter(of).count();
        let places: BTreeSet<NodeId> = state.active().filter(|other| seen.can_take(state, *other)).collect();
        let (how, undo) = match state.state_of(node) {
            Some(MemberState::Removed) => ("was removed", String::new()),
            _ => ("is leaving", format!(", or take it back (chronos cluster undrain {node})")),
        };
        (left > 0).then(|| {
            format!(
                "{node} {how}, and {left} of its replicas have nowhere to go: the nodes that are up and could hold some \
                 are {}; add one (chronos server --join ADDR){undo}",
                if places.is_empty() { "none".to_owned() } else { Names(&places).to_string() }
            )
        })
    };
    state.members.keys().copied().filter(is_leaving).filter_map(told).collect()
}

/// Replicas that are there and do not serve.
fn unsound(seen: &Observed) -> Option<String> {
    let ill = seen.groups.iter().flat_map(|(id, group)| {
        let members = group.members.voters();
        let ill = group.replicas.iter().filter(move |(node, of)| members.contains(node) && !of.is_sound);
        ill.filter(|(node, _)| seen.is_up(**node)).map(move |(node, _)| format!("{} on {node}", named(*id)))
    });
    let ill: Vec<String> = ill.collect();
    let first = ill.first()?;
    let what = if ill.len() == 1 { "1 replica does" } else { &format!("{} replicas do", ill.len()) };
    Some(format!("{what} not serve ({first}{}): why, says chronos cluster status", more(ill.len(), 1)))
}

/// Whatever else is not where it belongs.
fn elsewhere(state: &State, seen: &Observed) -> Vec<String> {
    let is_wrong = |(id, voters): &(PartitionId, BTreeSet<NodeId>)| {
        seen.groups[id].voters().is_some_and(|now| now != voters)
    };
    let told = |(id, voters): (PartitionId, BTreeSet<NodeId>)| {
        format!("{} belongs on {}, and nothing can be done about it now", named(id), Names(&voters))
    };
    let all = targets(state, seen).into_iter().map(|(id, target)| (id, target.voters));
    all.filter(is_wrong).map(told).take(NAMED_MAX).collect()
}

fn data(seen: &Observed, is_so: impl Fn(&Group) -> bool) -> Vec<PartitionId> {
    let data = seen.groups.iter().filter(|(id, _)| **id != PartitionId::SYSTEM);
    data.filter(|(_, group)| is_so(group)).map(|(id, _)| *id).collect()
}

fn voters_of(seen: &Observed, groups: &[PartitionId]) -> BTreeSet<NodeId> {
    groups.iter().flat_map(|id| seen.groups[id].members.voters()).collect()
}

/// Groups in which a node has a say, or is on its way.
fn holds(seen: &Observed, node: NodeId) -> usize {
    seen.groups.values().filter(|group| group.members.contains(node)).count()
}

/// Which of these are not up.
fn absent(seen: &Observed, voters: &BTreeSet<NodeId>) -> String {
    let away: BTreeSet<NodeId> = voters.iter().copied().filter(|node| !seen.is_up(*node)).collect();
    match away.len() {
        0 => "as far as this node knows".to_owned(),
        1 => format!("{} is down", Names(&away)),
        _ => format!("{} are down", Names(&away)),
    }
}

/// So many partitions, by number, with a verb; `None` for none.
fn counted(groups: &[PartitionId], one: &str, many: &str) -> Option<String> {
    match groups {
        [] => None,
        [only] => Some(format!("{} {one}", named(*only))),
        some => {
            let numbers: Vec<String> = some.iter().take(NAMED_MAX).map(|id| short(*id)).collect();
            let more = more(some.len(), NAMED_MAX);
            Some(format!("{} partitions ({}{more}) {many}", some.len(), numbers.join(", ")))
        }
    }
}

fn more(count: usize, named: usize) -> &'static str {
    if count > named { ", …" } else { "" }
}

fn named(id: PartitionId) -> String {
    if id == PartitionId::SYSTEM { "the system partition".to_owned() } else { format!("partition {id}") }
}

fn short(id: PartitionId) -> String {
    if id == PartitionId::SYSTEM { "system".to_owned() } else { id.to_string() }
}
