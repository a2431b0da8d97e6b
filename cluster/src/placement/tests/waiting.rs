//! What is said when nothing can be done.

use super::*;

/// Everything where it should be.
fn at_rest(nodes: u64, replication: u8) -> (State, Observed) {
    let state = members(nodes, replication);
    let seen = settle(&state, &at_first(&state));
    (state, seen)
}

fn said(state: &State, seen: &Observed) -> String {
    waits(state, seen).join("\n")
}

/// Whether anything at all is not as wanted.
pub(super) fn is_amiss(state: &State, seen: &Observed) -> bool {
    let is_short =
        |group: &Group| group.voters().is_none_or(|voters| voters.len() < usize::from(state.replication));
    let is_held_by_others = |group: &Group| {
        let active: BTreeSet<NodeId> = state.active().collect();
        !group.members.voters().is_subset(&active)
    };
    let is_away = |group: &Group| group.members.voters().iter().any(|node| !seen.is_up(*node));
    seen.groups
        .values()
        .any(|group| group.leader.is_none() || is_short(group) || is_held_by_others(group) || is_away(group))
}

#[test]
fn where_everything_is_as_wanted_nothing_is_said() {
    let (state, seen) = at_rest(3, 3);
    assert_eq!(waits(&state, &seen), Vec::<String>::new());
}

#[test]
fn without_a_majority_it_is_said_who_is_missing() {
    let (state, mut seen) = at_rest(3, 3);
    for gone in [2, 3] {
        seen.nodes.insert(n(gone), DOWN);
    }
    elect(&mut seen);
    assert_eq!(plan(&state, &seen), None);
    let said = said(&state, &seen);
    assert!(said.contains("the system partition has no majority of its voters, n2, n3 are down"), "{said}");
    assert!(said.contains("32 partitions (0, 1, 2, 3, 4, 5, 6, 7, …) have no majority"), "{said}");
}

#[test]
fn of_partitions_that_nobody_speaks_for_nothing_is_made_up() {
    let (state, mut seen) = at_rest(3, 1);
    // Their only replica has no room.
    let silent: Vec<PartitionId> =
        seen.groups.keys().copied().filter(|id| *id != PartitionId::SYSTEM).take(2).collect();
    for id in &silent {
        let group = seen.groups.get_mut(id).unwrap();
        (group.leader, group.members) = (None, Members::default());
    }
    let expected = "2 partitions (0, 1) have no replica that serves now: why, says chronos cluster status";
    assert_eq!(waits(&state, &seen), [expected]);
}

#[test]
fn replicas_for_which_there_are_no_nodes_are_counted_with_how_many_nodes_are_missing() {
    let (mut state, seen) = at_rest(3, 3);
    happen(&mut state, &Change::Settings { replication: Some(5), replace_after: None });
    let expected =
        "33 partitions have 3 replicas of 5 wanted: 2 more nodes are needed (chronos server --join ADDR)";
    assert_eq!(waits(&state, &seen), [expected]);
}

#[test]
fn a_node_that_holds_nothing_and_is_down_or_full_does_not_count_as_one_that_could_hold_something() {
    let (state, seen) = at_rest(3, 3);
    let (mut state, mut seen) = (members(5, state.replication), seen);
    happen(&mut state, &Change::Settings { replication: Some(5), replace_after: None });
    seen.nodes.extend([(n(4), DEAD), (n(5), FULL)]);
    let seen = settle(&state, &seen);
    let expected = "33 partitions have 3 replicas of 5 wanted: 2 more nodes are needed (chronos server --join ADDR); or n4, \
                    which is down; or room on the disk of n5";
    assert_eq!(waits(&state, &seen), [expected]);
}

#[test]
fn a_node_that_is_down_is_named_with_when_it_is_replaced_or_why_it_cannot_be() {
    let (state, mut seen) = at_rest(3, 3);
    seen.nodes.insert(n(3), DOWN);
    elect(&mut seen);
    let nobody = said(&state, &seen);
    assert!(
        nobody.contains("n3 is down, and no other node is up that could hold its 33 replicas"),
        "{nobody}"
    );
    let (state, mut seen) = at_rest(4, 3);
    seen.nodes.insert(n(3), DOWN);
    elect(&mut seen);
    let later = said(&state, &seen);
    assert!(later.contains("n3 is down for 60 s") && later.contains("cluster replace n3"), "{later}");
}

#[test]
fn a_change_half_way_that_cannot_be_finished_names_who_has_to_come_back() {
    let (state, mut seen) = at_rest(4, 3);
    let id = PartitionId::new(9).unwrap();
    let group = seen.groups.get_mut(&id).unwrap();
    let leader = group.leader.unwrap();
    // The new set has one more voter that stays, and two that have not got anything yet.
    let others: Vec<NodeId> = state.active().filter(|node| *node != leader).collect();
    for node in &others {
        group.replicas.insert(*node, Replica { lag: None, ..CURRENT });
    }
    group.members.configs = vec![BTreeSet::from([leader]), others.iter().copied().collect()];
    assert!(!matches!(plan(&state, &seen), Some(step) if step.partition == id));
    let said = said(&state, &seen);
    assert!(said.contains("partition 9 is half-way between two sets of voters"), "{said}");
    assert!(others.iter().all(|node| said.contains(&node.to_string())), "{said}");
}

#[test]
fn a_node_that_cannot_leave_is_told_what_is_missing() {
    let (mut state, mut seen) = at_rest(4, 3);
    happen(&mut state, &Change::Draining(n(4)));
    seen.nodes.insert(n(3), DOWN);
    elect(&mut seen);
    let seen = settle(&state, &seen);
    let said = said(&state, &seen);
    assert!(said.contains("n4 is leaving, and") && said.contains("undrain n4"), "{said}");
}

#[test]
fn a_node_that_was_removed_and_is_still_counted_is_named() {
    // Of six, five keep who belongs to the cluster; the sixth, which could take over, is away for good.
    let (mut state, mut seen) = at_rest(6, 1);
    let spare =
        state.active().find(|node| !seen.groups[&PartitionId::SYSTEM].members.voters().contains(node));
    seen.nodes.insert(spare.unwrap(), DEAD);
    let leader = seen.groups[&PartitionId::SYSTEM].leader;
    let gone =
        seen.groups[&PartitionId::SYSTEM].members.voters().into_iter().find(|node| Some(*node) != leader);
    let gone = gone.unwrap();
    // It gave away what it held, and then died.
    happen(&mut state, &Change::Removed(gone));
    for (_, group) in seen.groups.iter_mut().filter(|(id, _)| **id != PartitionId::SYSTEM) {
        *group = super::group(&BTreeSet::from([leader.unwrap()]), leader);
    }
    seen.nodes.insert(gone, DEAD);
    let seen = settle(&state, &seen);
    let said = said(&state, &seen);
    let expected = format!("{gone} was removed, and 1 of its replicas have nowhere to go");
    assert!(said.contains(&expected) && !said.contains("undrain"), "{said}");
}
