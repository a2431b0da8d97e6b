//! Whatever a cluster looks like: the plan comes to an end, everything is where it should be then, and nothing unsafe was
//! done on the way.

mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chronos_domain::{PartitionId, Timestamp};
use chronos_wal::Mark;
use proptest::collection::vec;
use proptest::prelude::*;

use super::foresee::carry_out;
use super::{Action, Group, Observed, Replica, Seen, Step, foresee, plan, waits};
use crate::addresses::Addresses;
use crate::groups::every_group;
use crate::node::NodeId;
use crate::raft::Members;
use crate::system::{Change, Entrant, State};
use crate::view::MemberState;

/// More steps than any cluster here needs.
const STEPS_MAX: usize = 1500;

fn n(number: u64) -> NodeId {
    NodeId::new(number)
}

fn happen(state: &mut State, change: &Change) {
    state.apply(Some(change), Timestamp::new(1));
}

/// A cluster of so many nodes.
fn members(nodes: u64, replication: u8) -> State {
    let entrant = |node: u64| Entrant {
        node: n(node),
        name: format!("n{node}"),
        machine: u128::from(node),
        addresses: Addresses::default(),
    };
    let mut state = State::default();
    happen(&mut state, &Change::Founded { cluster: 7, replication, token: None, founder: entrant(1) });
    (2..=nodes).for_each(|node| happen(&mut state, &Change::Admitted(entrant(node))));
    state
}

const UP: Seen = Seen { is_up: true, has_room: true, silent: Duration::ZERO };
const DOWN: Seen = Seen { is_up: false, has_room: true, silent: Duration::from_secs(60) };
const FULL: Seen = Seen { has_room: false, ..UP };
const DEAD: Seen = Seen { is_up: false, has_room: true, silent: Duration::from_secs(3600) };
const CURRENT: Replica = Replica { is_sound: true, lag: Some(0), last: 9, holds: true };

fn group(voters: &BTreeSet<NodeId>, leader: Option<NodeId>) -> Group {
    let members = Members {
        at: Mark { index: 1, term: 1 },
        is_committed: true,
        configs: vec![voters.clone()],
        learners: BTreeSet::new(),
    };
    Group { leader, members, replicas: voters.iter().map(|node| (*node, CURRENT)).collect() }
}

/// Everything on the first node, and all nodes up.
fn at_first(state: &State) -> Observed {
    let alone = BTreeSet::from([n(1)]);
    Observed {
        nodes: state.members.keys().map(|node| (*node, UP)).collect(),
        groups: every_group().map(|id| (id, group(&alone, Some(n(1))))).collect(),
    }
}

/// What must hold before a step is taken.
fn check(state: &State, seen: &Observed, step: &Step) {
    let group = &seen.groups[&step.partition];
    let all = || format!("{step:?}\n{group:?}\n{:?}", seen.nodes);
    assert_eq!(step.at, group.members.at, "{}", all());
    let current = |voters: &BTreeSet<NodeId>| {
        let up = |node: &&NodeId| {
            seen.nodes[node].is_up && group.replicas.get(node).is_some_and(|replica| *replica == CURRENT)
        };
        voters.iter().filter(up).count()
    };
    match &step.action {
        Action::SetVoters(voters) => {
            for config in group.members.configs.iter().chain([voters]) {
                assert!(current(config) > config.len() / 2, "a quorum would be missing: {}", all());
            }
            let leader = group.leader.expect("somebody leads");
            assert_eq!(step.by, leader);
            let is_finishing = group.members.configs.len() > 1;
            assert!(voters.contains(&leader) || is_finishing, "the leader would go: {}", all());
            for come in voters.difference(&group.members.voters()) {
                assert!(group.members.learners.contains(come), "{come} would vote at once: {}", all());
                assert_eq!(group.replicas[come], CURRENT, "{come} is not there yet: {}", all());
            }
        }
        Action::AddLearner(node) => {
            assert!(!group.members.contains(*node) && seen.nodes[node].is_up, "{}", all());
            // Who is on the way out is told of the cluster to the last, and given nothing else.
            let may_come = |state| {
                state == MemberState::Active
                    || (state == MemberState::Draining && step.partition == PartitionId::SYSTEM)
            };
            assert!(state.state_of(*node).is_some_and(may_come), "{}", all());
        }
        Action::DropLearner(node) => assert!(group.members.learners.contains(node), "{}", all()),
        Action::Transfer(to) => {
            assert!(group.members.voters().contains(to) && seen.nodes[to].is_up, "{}", all());
            assert_eq!(group.replicas[to], CURRENT, "{}", all());
            assert!(group.leader == Some(step.by) && group.leader != Some(*to), "{}", all());
        }
        Action::Free { node, .. } => assert!(!group.members.contains(*node), "{}", all()),
    }
}

/// Takes all steps; copies arrive at once.
fn settle(state: &State, seen: &Observed) -> Observed {
    let (steps, _) = foresee(state, seen, STEPS_MAX);
    let mut seen = seen.clone();
    for step in &steps {
        arrive(&mut seen);
        check(state, &seen, step);
        carry_out(&mut seen, step);
    }
    arrive(&mut seen);
    let last: Vec<&Step> = steps.iter().rev().take(6).collect();
    assert!(steps.len() < STEPS_MAX, "it never ends: {last:#?}");
    seen
}

fn arrive(seen: &mut Observed) {
    for group in seen.groups.values_mut() {
        for (node, replica) in &mut group.replicas {
            if seen.nodes[node].is_up {
                (replica.lag, replica.last) = (Some(0), CURRENT.last);
            }
        }
    }
}

fn count(seen: &Observed, node: NodeId, is_so: impl Fn(&Group, NodeId) -> bool) -> usize {
    let data = seen.groups.iter().filter(|(id, _)| **id != PartitionId::SYSTEM);
    data.filter(|(_, group)| is_so(group, node)).count()
}

/// Whether everything is where it should be, in a cluster whose nodes that shall hold something are up.
fn assert_balanced(state: &State, seen: &Observed) {
    let active: BTreeSet<NodeId> = state.active().collect();
    for (id, group) in &seen.groups {
        let voters = group.voters().expect("no change is left half-way");
        assert!(voters.is_subset(&active), "{id}: {group:?}");
        if *id == PartitionId::SYSTEM {
            let most = crate::system::odd(active.len().min(5));
            assert_eq!(voters.len(), most, "{group:?}");
            let knowing = state.present().filter(|node| seen.is_up(*node));
            assert!(knowing.into_iter().all(|node| group.members.contains(node)), "{group:?}");
        } else {
            assert_eq!(voters.len(), state.replicas(), "{id}: {group:?}");
            assert!(group.members.learners.is_empty(), "{id}: {group:?}");
        }
        assert!(voters.contains(&group.leader.expect("somebody leads")), "{id}: {group:?}");
    }
    let spread = |counts: Vec<usize>| counts.iter().max().unwrap() - counts.iter().min().unwrap();
    let replicas = active.iter().map(|node| count(seen, *node, |g, node| g.members.voters().contains(&node)));
    let replicas: Vec<usize> = replicas.collect();
    assert!(spread(replicas.clone()) <= 1, "replicas {replicas:?}");
    let leads: Vec<usize> =
        active.iter().map(|node| count(seen, *node, |g, node| g.leader == Some(node))).collect();
    assert!(spread(leads.clone()) <= 1, "leaders {leads:?}");
}

#[test]
fn a_cluster_grows_from_one_node_to_three_to_five_and_shrinks_again() {
    let mut state = members(1, 3);
    let mut seen = at_first(&state);
    assert_eq!(plan(&state, &seen), None, "alone there is nothing to do");
    for nodes in [3, 5] {
        state = members(nodes, 3);
        seen.nodes = state.members.keys().map(|node| (*node, UP)).collect();
        seen = settle(&state, &seen);
        assert_balanced(&state, &seen);
    }
    for leaving in [2, 4] {
        happen(&mut state, &Change::Draining(n(leaving)));
        let why = format!("n{leaving} is leaving");
        let (steps, _) = foresee(&state, &seen, STEPS_MAX);
        assert!(
            steps.iter().any(|step| step.why == why) && !steps.iter().any(|step| step.why.contains("silent"))
        );
        seen = settle(&state, &seen);
        assert_balanced(&state, &seen);
        let is_known = |(id, group): (&PartitionId, &Group)| {
            group.members.contains(n(leaving)) == (*id == PartitionId::SYSTEM)
        };
        assert!(seen.groups.iter().all(is_known), "n{leaving} knows the cluster and holds nothing");
        happen(&mut state, &Change::Removed(n(leaving)));
        seen = settle(&state, &seen);
        let is_out = seen.groups.values().all(|group| !group.members.contains(n(leaving)));
        assert!(is_out, "n{leaving} still belongs to something");
        let has_nothing = seen.groups.values().all(|group| !group.replicas.contains_key(&n(leaving)));
        assert!(has_nothing, "n{leaving} still has something");
    }
}

#[test]
fn no_partition_changes_its_leader_twice_while_a_cluster_grows() {
    for (from, to, replication) in [(1, 3, 3), (1, 5, 3), (3, 4, 3), (3, 5, 5), (5, 7, 3), (1, 9, 5)] {
        let state = members(from, replication);
        let mut seen = settle(&state, &at_first(&state));
        let state = members(to, replication);
        seen.nodes = state.members.keys().map(|node| (*node, UP)).collect();
        let (steps, _) = foresee(&state, &seen, STEPS_MAX);
        let handed = steps.iter().filter(|step| matches!(step.action, Action::Transfer(_)));
        let mut once = BTreeSet::new();
        let twice = handed.map(|step| step.partition).find(|partition| !once.insert(*partition));
        assert_eq!(twice, None, "{from} become {to}, with {replication} replicas");
    }
}

#[test]
fn what_a_partition_shall_have_is_what_it_gets_and_why_the_system_partition_gets_more_is_said() {
    let mut state = members(5, 3);
    let mut seen = at_first(&state);
    // Admitted, and not started yet.
    seen.nodes.insert(n(5), DOWN);
    let whys = |state: &State, seen: &Observed, is_system: bool| -> BTreeSet<String> {
        let of = |step: &&Step| (step.partition == PartitionId::SYSTEM) == is_system;
        let (steps, _) = foresee(state, seen, STEPS_MAX);
        let grows = |step: &Step| step.why.contains("shall have").then(|| step.why.clone());
        steps.iter().filter(of).filter_map(grows).collect()
    };
    let system = |has, gets| {
        format!(
            "it has {has} and shall have {gets} (who belongs to the cluster is kept by up to 5 nodes, however many replicas \
             events have)"
        )
    };
    assert_eq!(whys(&state, &seen, true), [system("1 replica", 3)].into());
    assert_eq!(whys(&state, &seen, false), ["it has 1 replica and shall have 3".to_owned()].into());
    seen = settle(&state, &seen);
    seen.nodes.insert(n(5), UP);
    assert_eq!(whys(&state, &seen, true), [system("3 replicas", 5)].into());
    happen(&mut state, &Change::Settings { replication: Some(5), replace_after: None });
    assert_eq!(whys(&state, &seen, false), ["it has 3 replicas and shall have 5".to_owned()].into());
}

#[test]
fn who_is_silent_for_a_moment_keeps_its_share_and_who_is_silent_for_long_is_replaced() {
    let state = members(4, 3);
    let mut seen = settle(&state, &at_first(&state));
    let gone = n(2);
    let others: BTreeSet<NodeId> = [1, 3, 4].map(n).into();
    for group in seen.groups.values_mut().filter(|group| group.leader == Some(gone)) {
        group.leader = group.members.voters().intersection(&others).next().copied();
    }
    seen.nodes.insert(gone, DOWN);
    let moves = |step: &Step| !matches!(step.action, Action::Transfer(_));
    assert!(!foresee(&state, &seen, 99).0.iter().any(moves), "a restart must not move data");
    seen.nodes.insert(gone, DEAD);
    let why = |step: &Step| step.why.contains("n2 was silent for too long");
    assert!(foresee(&state, &seen, 99).0.iter().any(why), "and why is told");
    let seen = settle(&state, &seen);
    for (id, group) in seen.groups.iter().filter(|(id, _)| **id != PartitionId::SYSTEM) {
        assert_eq!(group.voters(), Some(&others), "{id}");
    }
}

#[test]
fn who_has_no_room_keeps_what_it_has_and_is_given_nothing() {
    let state = members(3, 1);
    let mut seen = settle(&state, &at_first(&state));
    let held = |seen: &Observed| -> BTreeSet<PartitionId> {
        let groups = seen.groups.iter().filter(|(_, group)| group.members.contains(n(3)));
        groups.map(|(id, _)| *id).collect()
    };
    // It looks empty, as nobody speaks for its groups.
    for group in seen.groups.values_mut().filter(|group| group.leader == Some(n(3))) {
        (group.leader, group.members) = (None, Members::default());
    }
    let before = held(&seen);
    seen.nodes.insert(n(3), FULL);
    assert_eq!(held(&settle(&state, &seen)), before, "it is given something");
    seen.nodes.insert(n(3), UP);
    assert_ne!(held(&settle(&state, &seen)), before, "it was not worth giving it anything");
}

#[test]
fn where_nobody_can_take_over_everybody_stays() {
    let mut state = members(3, 3);
    let seen = settle(&state, &at_first(&state));
    happen(&mut state, &Change::Removed(n(3)));
    let seen = settle(&state, &seen);
    assert!(seen.groups.values().all(|group| group.voters().is_some_and(|voters| voters.len() != 2)));
}

#[test]
fn a_change_that_was_interrupted_is_finished_first() {
    let state = members(4, 3);
    let mut seen = settle(&state, &at_first(&state));
    let half_way = PartitionId::new(9).unwrap();
    let group = seen.groups.get_mut(&half_way).unwrap();
    let voters = group.members.voters();
    let come = state.active().find(|node| !voters.contains(node)).unwrap();
    let gone = *voters.iter().find(|node| Some(**node) != group.leader).unwrap();
    let mut next = voters;
    next.remove(&gone);
    next.insert(come);
    group.members.configs.push(next.clone());
    group.replicas.insert(come, CURRENT);
    let step = plan(&state, &seen).unwrap();
    assert_eq!((step.partition, step.action.clone()), (half_way, Action::SetVoters(next)));
    check(&state, &seen, &step);
}

#[test]
fn what_lags_behind_does_not_vote() {
    let state = members(3, 3);
    let mut seen = at_first(&state);
    for _ in 0..STEPS_MAX {
        let Some(step) = plan(&state, &seen) else { break };
        assert!(!matches!(step.action, Action::SetVoters(_)), "{step:?}");
        carry_out(&mut seen, &step);
    }
    // Nor are all partitions copied at once.
    let copied = seen.groups.iter().filter(|(_, group)| !group.members.learners.is_empty()).count();
    assert_eq!(copied, 3 + 1);
}

/// Data partitions of clusters that are drawn: fewer than there are, and quicker to settle.
const FEW: usize = 9;

#[test]
fn a_single_replica_on_its_way_arrives_though_others_wait_to_be_moved_too() {
    let state = members(3, 1);
    let mut seen = at_first(&state);
    let led_by = [&[1][..], &[3, 2], &[3], &[2], &[2], &[2], &[3], &[3], &[1]];
    let group_of = |nodes: &[u64]| group(&nodes.iter().copied().map(n).collect(), Some(n(nodes[0])));
    seen.groups = few().zip(led_by).map(|(id, nodes)| (id, group_of(nodes))).collect();
    seen.groups.insert(PartitionId::SYSTEM, group_of(&[3]));
    let on_its_way = seen.groups.values_mut().nth(3).unwrap();
    on_its_way.members.learners.insert(n(1));
    on_its_way.replicas.insert(n(1), CURRENT);
    let seen = settle(&state, &seen);
    assert_balanced(&state, &seen);
    assert_eq!(plan(&state, &seen), None);
}

fn few() -> impl Iterator<Item = PartitionId> {
    PartitionId::all().take(FEW).chain([PartitionId::SYSTEM])
}

/// Something that happens to a cluster of seven.
#[derive(Clone, Debug)]
enum Event {
    Up(u64),
    Down(u64),
    Dead(u64),
    Drain(u64),
    Undrain(u64),
    Remove(u64),
    Replication(u8),
    Steps(usize),
}

fn any_event() -> impl Strategy<Value = Event> {
    let node = 1_u64..=7;
    prop_oneof![
        node.clone().prop_map(Event::Up),
        node.clone().prop_map(Event::Down),
        node.clone().prop_map(Event::Dead),
        node.clone().prop_map(Event::Drain),
        node.clone().prop_map(Event::Undrain),
        node.prop_map(Event::Remove),
        prop_oneof![Just(1_u8), Just(3), Just(5)].prop_map(Event::Replication),
        (1_usize..60).prop_map(Event::Steps),
        (1_usize..60).prop_map(Event::Steps),
    ]
}

/// A cluster in which groups lie anywhere, with a quorum each, and everybody up.
fn anywhere() -> impl Strategy<Value = (State, Observed)> {
    let voters = prop_oneof![
        proptest::sample::subsequence((1_u64..=7).collect::<Vec<_>>(), 1),
        proptest::sample::subsequence((1_u64..=7).collect::<Vec<_>>(), 3),
        proptest::sample::subsequence((1_u64..=7).collect::<Vec<_>>(), 5),
    ];
    let one = (voters, any::<proptest::sample::Index>(), proptest::option::of(1_u64..=7));
    let replication = prop_oneof![Just(1_u8), Just(3), Just(5)];
    (replication, 3_u64..=7, vec(one, FEW + 1)).prop_map(|(replication, nodes, groups)| {
        let state = members(nodes, replication);
        let place = |(id, (voters, leads, learner)): (PartitionId, _)| {
            let (voters, leads, learner): (Vec<u64>, proptest::sample::Index, Option<u64>) =
                (voters, leads, learner);
            let mut voters: BTreeSet<NodeId> =
                voters.into_iter().filter(|node| *node <= nodes).map(n).collect();
            if voters.is_empty() {
                voters.insert(n(1));
            }
            let all: Vec<NodeId> = voters.iter().copied().collect();
            let mut group = group(&voters, Some(*leads.get(&all)));
            if let Some(learner) =
                learner.filter(|node| *node <= nodes).map(n).filter(|node| !voters.contains(node))
            {
                group.members.learners.insert(learner);
                group.replicas.insert(learner, CURRENT);
            }
            (id, group)
        };
        let groups: BTreeMap<PartitionId, Group> = few().zip(groups).map(place).collect();
        let nodes = state.members.keys().map(|node| (*node, UP)).collect();
        (state, Observed { nodes, groups })
    })
}

/// Leaders that are down give way to a voter that is up, where a majority is.
fn elect(seen: &mut Observed) {
    let nodes = seen.nodes.clone();
    let is_up = |node: &NodeId| nodes.get(node).is_some_and(|seen| seen.is_up);
    for group in seen.groups.values_mut() {
        if group.leader.is_some_and(|leader| is_up(&leader) && group.members.voters().contains(&leader)) {
            continue;
        }
        let has_quorum =
            |config: &BTreeSet<NodeId>| config.iter().filter(|n| is_up(n)).count() > config.len() / 2;
        let able = group.members.configs.iter().all(has_quorum);
        group.leader = group.members.voters().into_iter().find(|node| able && is_up(node));
    }
}

fn strike(state: &mut State, seen: &mut Observed, event: &Event) {
    let mut note = |node: u64, how: Seen| {
        if let Some(seen) = seen.nodes.get_mut(&n(node)) {
            *seen = how;
        }
    };
    match event {
        Event::Up(node) => note(*node, UP),
        Event::Down(node) => note(*node, DOWN),
        Event::Dead(node) => note(*node, DEAD),
        Event::Drain(node) => happen(state, &Change::Draining(n(*node))),
        Event::Undrain(node) => happen(state, &Change::Undrained(n(*node))),
        Event::Remove(node) => happen(state, &Change::Removed(n(*node))),
        Event::Replication(replicas) => {
            happen(state, &Change::Settings { replication: Some(*replicas), replace_after: None });
        }
        Event::Steps(most) => {
            for _ in 0..*most {
                arrive(seen);
                let Some(step) = plan(state, seen) else { return };
                check(state, seen, &step);
                carry_out(seen, &step);
            }
        }
    }
    elect(seen);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn from_anywhere_everything_gets_to_where_it_should_be((state, seen) in anywhere()) {
        let seen = settle(&state, &seen);
        assert_balanced(&state, &seen);
        prop_assert_eq!(plan(&state, &seen), None);
        let waits = waits(&state, &seen);
        prop_assert_eq!(waits.is_empty(), state.active().count() >= usize::from(state.replication), "{:?}", waits);
    }

    #[test]
    fn whatever_happens_no_step_is_unsafe_and_there_is_an_end(
        (state, seen) in anywhere(),
        events in vec(any_event(), 1..25),
    ) {
        let (mut state, mut seen) = (state, seen);
        for event in &events {
            strike(&mut state, &mut seen, event);
        }
        let end = settle(&state, &seen);
        let is_told = !waits(&state, &end).is_empty();
        prop_assert!(is_told || !waiting::is_amiss(&state, &end), "nothing is said of {:?}", end);
        // All come back, and enough of them are to stay.
        for node in seen.nodes.values_mut() {
            *node = UP;
        }
        elect(&mut seen);
        let active = state.active().count();
        let seen = settle(&state, &seen);
        if active >= 1 {
            assert_balanced(&state, &seen);
        }
    }
}
