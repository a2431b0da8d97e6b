//! Two faults at once: a replica is set back while the one that remembers is away. What was acknowledged is then lost to
//! the others, and whoever still has it keeps it, and says so.

use std::time::Duration;

use chronos_cluster::{ReadError, RepairError, Stage};
use chronos_env::sim::World;
use chronos_wal::Mark;

use crate::harm::{one_of_two_is_set_back, remove_wal};
use crate::node::{LONG, Node, append, n, until, used};

/// The first has events from 30 to 60, and is cut off from the others, which go on without these.
async fn two_go_on(world: &World) -> [Node; 3] {
    let first = one_of_two_is_set_back(world, 2).await;
    world.net().isolate("n1");
    let clock = first.env.clock.clone();
    let began = clock.monotonic();
    let (second, third) = (Node::start(world, 2, 2).await, Node::start(world, 3, 2).await);
    let took = clock.monotonic() - began;
    assert!(took < Duration::from_secs(3), "each waits a moment for who does not answer: {took:?}");
    [first, second, third]
}

fn stage(node: &Node, id: chronos_domain::PartitionId) -> Option<Stage> {
    node.groups.wards().into_iter().find(|ward| ward.id == id).map(|ward| ward.stage)
}

/// With few events behind it its leader sends entries, with many parts.
#[test]
fn a_replica_with_what_its_leader_lacks_leaves_service_and_is_left_alone() {
    for (seed, new) in [(61, 2), (62, 150)] {
        let world = World::new(seed);
        world.run(async {
            let [first, second, third] = two_go_on(&world).await;
            let clock = first.env.clock.clone();
            let own = used().map(|id| first.digest(id));
            let pair = [second, third];
            append(&pair, 100..100 + new).await;
            world.net().heal_all();
            has_left_service(&first).await;
            for id in used() {
                let refusal = first.groups.partition(id).unwrap_err();
                assert!(refusal.contains("has diverged") && refusal.contains("only here"), "{refusal}");
                assert!(!first.groups.is_being_repaired(id));
            }
            assert_eq!(first.groups.repair_stats().diverged, 3);
            append(&pair, 100 + new..103 + new).await;
            // Nor after a start, and not by an order that means everything that is damaged.
            first.stop().await;
            let first = Node::start(&world, 1, 2).await;
            clock.sleep(Duration::from_secs(20)).await;
            for id in used() {
                let ordered = first.groups.repair(id, clock.monotonic() + LONG).await;
                let Err(RepairError::Refused { why, .. }) = ordered else { panic!("{ordered:?}") };
                assert!(why.contains("has diverged"), "{why}");
                assert_eq!(stage(&first, id), Some(Stage::Diverged));
            }
            let [second, third] = pair;
            let nodes = [first, second, third];
            for (id, own) in used().into_iter().zip(own) {
                assert!(nodes[0].groups.partition(id).is_err() && own.position.get() == 60);
                nodes[0].groups.give_up(id).await.unwrap();
                let repaired = nodes[0].groups.repair(id, clock.monotonic() + LONG).await.unwrap().unwrap();
                assert!(repaired.is_anew && repaired.witness.is_some(), "{repaired:?}");
            }
            append(&nodes, 103 + new..104 + new).await;
            let all = |node: &Node| used().iter().all(|id| node.head(*id) == 34 + new);
            until(&clock, "all have the same", || nodes.iter().all(all)).await;
            for id in used() {
                assert_eq!(nodes[0].digest(id), nodes[1].digest(id));
                assert_eq!(nodes[0].groups.leader(id).is_some(), nodes[2].groups.leader(id).is_some());
            }
            assert_ne!(nodes[0].groups.leader(used()[0]), Some(n(9)));
        });
    }
}

async fn has_left_service(node: &Node) {
    let has_left = || used().iter().all(|id| stage(node, *id) == Some(Stage::Diverged));
    until(&node.env.clock, "it has left service", has_left).await;
}

fn applied(node: &Node, id: chronos_domain::PartitionId) -> Mark {
    node.groups.partition(id).unwrap().applied_mark()
}

/// Whoever had asked it may go on to ask others, and it is asked itself once it has begun anew: nobody waits for as many
/// entries as it had.
#[test]
fn what_a_replica_had_before_it_diverged_is_asked_of_nobody_and_what_others_have_is_asked_of_it() {
    let world = World::new(64);
    world.run(async {
        let [first, second, third] = two_go_on(&world).await;
        let clock = first.env.clock.clone();
        let before = used().map(|id| applied(&first, id));
        let pair = [second, third];
        append(&pair, 100..102).await;
        for (id, before) in used().into_iter().zip(before) {
            let theirs = applied(&pair[0], id).max(applied(&pair[1], id));
            assert!(theirs.index < before.index && theirs > before, "{theirs:?} {before:?}");
            // It knows nothing of them yet.
            let asked = first.groups.reach(id, theirs, clock.monotonic() + LONG).await;
            assert!(matches!(asked, Err(ReadError::Apart { .. })), "{asked:?}");
            for node in &pair {
                node.groups.reach(id, before, clock.monotonic() + LONG).await.unwrap();
            }
        }
        world.net().heal_all();
        has_left_service(&first).await;
        for (id, before) in used().into_iter().zip(before) {
            first.groups.give_up(id).await.unwrap();
            first.groups.repair(id, clock.monotonic() + LONG).await.unwrap();
            first.groups.reach(id, before, clock.monotonic() + LONG).await.unwrap();
            assert!(applied(&first, id).index < before.index);
        }
    });
}

/// A replica that is whole is needed to repair others: it answers for what it promised also when it serves nobody.
#[test]
fn others_are_repaired_while_a_replica_is_left_alone() {
    let world = World::new(63);
    world.run(async {
        let [first, second, third] = two_go_on(&world).await;
        let clock = first.env.clock.clone();
        let pair = [second, third];
        append(&pair, 100..102).await;
        world.net().heal_all();
        has_left_service(&first).await;
        let [second, third] = pair;
        let disk = third.host.disk();
        third.stop().await;
        remove_wal(&disk);
        let pair = [second, Node::start(&world, 3, 3).await];
        until(&clock, "the third is whole again", || {
            used().iter().all(|id| pair[1].groups.repair_stats().last.contains_key(id))
        })
        .await;
        append(&pair, 102..103).await;
        assert!(used().iter().all(|id| first.groups.partition(*id).is_err()));
    });
}
