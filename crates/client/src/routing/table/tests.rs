//! The rules of the table, one by one.

use chronos_proto::{PlacedNode, PlacedPartition};

use super::*;

const P: u8 = 5;

fn p() -> PartitionId {
    PartitionId::new(P).unwrap()
}

fn n(number: u64) -> NodeId {
    NodeId::new(number).unwrap()
}

fn node(number: u64) -> Way {
    Way::Node(n(number))
}

const fn millis(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// Three nodes that hold everything; the leader of partition 5 is the given one.
fn answer(by: u64, epoch: u64, leader: Option<u64>) -> Placement {
    let placed =
        |node| PlacedNode { node: n(node), address: format!("node-{node}:7400"), name: String::new() };
    let partition =
        |partition| PlacedPartition { partition, leader: leader.map(n), replicas: vec![n(1), n(2), n(3)] };
    Placement {
        cluster_id: "c".to_owned(),
        epoch,
        node: n(by),
        nodes: [1, 2, 3].map(placed).to_vec(),
        partitions: PartitionId::all().map(partition).collect(),
    }
}

/// A table that has learned that from its only seed, and reached these nodes, the nearest first.
fn table(leader: Option<u64>, reached: &[u64]) -> Table {
    let mut table = Table::new(vec!["seed:7400".to_owned()]);
    assert_eq!(table.learn(Way::Seed(0), &answer(1, 7, leader)), Learned::Taken);
    for (far, node) in (1..).zip(reached) {
        table.answered(Way::Node(n(*node)), Some(millis(far)));
    }
    table
}

/// The ways of the first attempts: a node's number with `!` where it is asked directly, `s` for a seed.
fn ways(table: &Table, aim: Aim, count: usize) -> String {
    let word = |hop: Hop| match hop.way {
        Way::Seed(seed) => format!("s{seed}"),
        Way::Node(node) => format!("{}{}", node.get(), if hop.direct { "!" } else { "" }),
    };
    (0..count).map(|turn| word(table.hop(aim, turn))).collect::<Vec<_>>().join(" ")
}

fn hint(leader: u64) -> Hint {
    Hint { leader: n(leader), address: format!("node-{leader}:7400"), epoch: 7 }
}

#[test]
fn without_a_placement_everything_goes_to_the_named_servers_in_turn() {
    let mut table = Table::new(["a:1", "b:1", "c:1"].map(str::to_owned).to_vec());
    for aim in [Aim::Leader(p()), Aim::Newest(p()), Aim::Replica(p()), Aim::Nearest, Aim::Named] {
        assert_eq!(ways(&table, aim, 4), "s0 s1 s2 s0", "{aim:?}");
    }
    table.missed(Way::Seed(0), millis(1));
    table.missed(Way::Seed(0), millis(1));
    assert_eq!(ways(&table, Aim::Named, 2), "s1 s2", "two callers who failed together move on once");
}

#[test]
fn each_kind_of_request_goes_its_own_ways() {
    let leader = Aim::Leader(p());
    let newest = Aim::Newest(p());
    let replica = Aim::Replica(p());
    // What is known of the leader, who was reached (nearest first), what is asked, where it goes.
    let cases: [(Option<u64>, &[u64], Aim, &str); 15] = [
        (Some(2), &[1, 2, 3], leader, "2! 2! 2!"),
        (Some(2), &[], leader, "s0 1 2 3"),
        (Some(2), &[3, 1], leader, "3 1 s0 2"),
        (None, &[3, 1], leader, "3! 1! 3 1 s0 2"),
        (None, &[], leader, "s0 1 2 3"),
        (Some(2), &[3, 1, 2], newest, "2! 3! 1! 3"),
        (Some(2), &[3, 1], newest, "3! 1! 3 1 s0 2"),
        (None, &[3, 1], newest, "3! 1! 3"),
        (Some(2), &[3, 1, 2], replica, "3! 1! 2! 3"),
        (Some(2), &[], replica, "s0 1 2 3"),
        (Some(2), &[1], replica, "1! 1 s0 2 3"),
        (Some(2), &[3, 1], Aim::Nearest, "3 1 s0 2"),
        (Some(2), &[], Aim::Nearest, "s0 1 2 3"),
        (Some(2), &[3, 1], Aim::Named, "s0 3 1 s0 2"),
        (Some(2), &[], Aim::Named, "s0 s0 1 2 3"),
    ];
    for (known, reached, aim, expected) in cases {
        let count = expected.split(' ').count();
        assert_eq!(ways(&table(known, reached), aim, count), expected, "{known:?} {reached:?} {aim:?}");
    }
}

#[test]
fn among_equally_near_nodes_the_lowest_number_goes_first() {
    let mut table = table(None, &[]);
    for node in [3, 1, 2] {
        table.answered(Way::Node(n(node)), Some(millis(4)));
    }
    assert_eq!(ways(&table, Aim::Replica(p()), 3), "1! 2! 3!");
}

#[test]
fn a_hint_is_followed_where_it_leads_somewhere_else() {
    // From where, to whom, whether to go there at once, and the leader afterwards.
    let cases = [
        ("a hint to another", node(1), Some(2), true, "2!"),
        ("the same hint from a named server", Way::Seed(0), Some(2), true, "2!"),
        ("a node that names itself", node(1), Some(1), false, "2! 3!"),
        ("no hint from the leader", node(1), None, false, "2! 3!"),
        ("no hint from a named server", Way::Seed(0), None, false, "2! 3!"),
        ("no hint from somebody else", node(3), None, false, "1!"),
    ];
    for (what, from, to, followed, leader) in cases {
        let mut table = table(Some(1), &[2, 3, 1]);
        let hint = to.map(hint);
        assert_eq!(table.not_leader(p(), from, hint.as_ref()), followed, "{what}");
        let ways = ways(&table, Aim::Leader(p()), leader.split(' ').count());
        assert_eq!(ways, leader, "{what}");
    }
}

#[test]
fn a_hint_to_a_node_that_was_lost_is_remembered_and_not_followed() {
    let mut table = table(Some(1), &[1, 2, 3]);
    table.doubt(node(2), millis(1));
    assert!(!table.not_leader(p(), node(1), Some(&hint(2))));
    assert_eq!(ways(&table, Aim::Leader(p()), 5), "1! 3! 1 3 s0", "or forward");
    table.answered(node(2), None);
    assert_eq!(ways(&table, Aim::Leader(p()), 1), "2!");
}

#[test]
fn a_hint_may_name_a_node_that_has_just_joined_or_moved() {
    let mut table = table(Some(1), &[1]);
    let joined = Hint { leader: n(4), address: "node-4:7400".to_owned(), epoch: 8 };
    assert!(table.not_leader(p(), node(1), Some(&joined)));
    assert_eq!(table.address(node(4)), Some("node-4:7400"));
    let nowhere = Hint { leader: n(5), address: String::new(), epoch: 8 };
    assert!(!table.not_leader(p(), node(1), Some(&nowhere)), "there is no way there");
    let moved = Hint { leader: n(2), address: "elsewhere:1".to_owned(), epoch: 9 };
    assert!(table.not_leader(p(), node(1), Some(&moved)));
    assert_eq!(table.address(node(2)), Some("elsewhere:1"));
    let old = Hint { address: "long-ago:1".to_owned(), epoch: 3, ..moved };
    table.not_leader(p(), node(1), Some(&old));
    assert_eq!(table.address(node(2)), Some("elsewhere:1"), "an older placement changes no address");
}

#[test]
fn a_lost_leader_is_asked_again_when_it_answers() {
    let mut table = table(Some(2), &[1, 2, 3]);
    table.doubt(node(2), millis(10));
    assert_eq!(ways(&table, Aim::Leader(p()), 4), "1! 3! 1 3");
    assert_eq!(table.take_due(millis(10)), [n(2)]);
    assert_eq!(table.take_due(millis(10)), [], "somebody is trying already");
    table.missed(node(2), millis(20));
    assert_eq!(table.take_due(millis(21)), [], "not at once again");
    assert_eq!(table.take_due(millis(20_000)), [n(2)]);
    table.answered(node(2), Some(millis(1)));
    assert_eq!(ways(&table, Aim::Leader(p()), 1), "2!");
}

#[test]
fn nodes_are_tried_once_they_are_known_and_only_where_there_is_an_address() {
    let mut table = Table::new(vec!["seed:1".to_owned()]);
    let mut placement = answer(1, 7, Some(1));
    placement.nodes[0].address = "0.0.0.0:7400".to_owned();
    placement.nodes[1].address = "[::]:7400".to_owned();
    table.learn(Way::Seed(0), &placement);
    assert_eq!(table.take_due(Duration::ZERO), [n(3)]);
    assert_eq!(ways(&table, Aim::Leader(p()), 2), "s0 3");
}

#[test]
fn the_callers_own_address_for_the_node_that_answers_counts_as_reached() {
    let mut table = Table::new(["node-9:7400", "node-2:7400"].map(str::to_owned).to_vec());
    table.learn(Way::Seed(1), &answer(2, 7, Some(2)));
    assert_eq!(ways(&table, Aim::Leader(p()), 1), "2!");
    let mut behind_one_address = Table::new(vec!["node-2:7400".to_owned()]);
    behind_one_address.learn(Way::Seed(0), &answer(1, 7, Some(2)));
    assert_eq!(ways(&behind_one_address, Aim::Leader(p()), 1), "s0", "another node answers there");
}

#[test]
fn what_is_older_or_of_others_is_not_taken() {
    let mut table = table(Some(1), &[1, 2, 3]);
    assert_eq!(table.learn(node(2), &answer(2, 6, Some(3))), Learned::Stale);
    assert_eq!(table.learn(node(2), &answer(3, 8, Some(3))), Learned::Stranger);
    let other = Placement { cluster_id: "d".to_owned(), ..answer(2, 9, Some(3)) };
    assert_eq!(table.learn(node(2), &other), Learned::Stranger);
    assert_eq!(table.learn(Way::Seed(0), &other), Learned::Stranger);
    assert_eq!((table.epoch(), ways(&table, Aim::Leader(p()), 1)), (7, "1!".to_owned()));
    assert_eq!(table.learn(node(2), &answer(2, 7, Some(3))), Learned::Taken);
    assert_eq!(ways(&table, Aim::Leader(p()), 1), "3!");
    assert_eq!(table.learn(node(2), &answer(2, 7, None)), Learned::Taken);
    assert_eq!(ways(&table, Aim::Leader(p()), 1), "3!", "who knows no leader does not disprove one");
}

#[test]
fn a_node_that_has_left_is_forgotten() {
    let mut table = table(Some(1), &[1, 2, 3]);
    let mut placement = answer(2, 8, Some(2));
    placement.nodes.remove(0);
    placement.partitions.iter_mut().for_each(|placed| placed.replicas = vec![n(2), n(3)]);
    assert_eq!(table.learn(node(2), &placement), Learned::Taken);
    assert_eq!(table.address(node(1)), None);
    assert_eq!(ways(&table, Aim::Replica(p()), 2), "2! 3!");
    assert_eq!(table.replicas(p()), 2);
}

#[test]
fn another_node_is_asked_for_the_placement_first_each_time_and_everybody_in_the_end() {
    let table = table(Some(1), &[1, 2]);
    let seed = Way::Seed(0);
    assert_eq!(table.to_ask(0), [node(1), node(2), seed, node(3)]);
    assert_eq!(table.to_ask(1), [node(2), node(1), seed, node(3)]);
}
