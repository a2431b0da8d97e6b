//! What a replica promised is remembered by those to whom it did, and asked for before it takes part again.

use std::collections::BTreeSet;
use std::time::Duration;

use chronos_cluster::Leftovers;
use chronos_env::Entropy;
use chronos_env::sim::World;

use crate::harm::{image_of, one_of_two_is_set_back, set_back};
use crate::node::{LONG, Node, append, converge, n, seeds, three, until, used};

/// The first is left alone for as long as it takes until it knows that it leads nobody.
async fn set_back_behind_the_back_of_who_led(world: &World, dice: &Entropy) {
    let first = one_of_two_is_set_back(world, 2).await;
    let clock = first.env.clock.clone();
    clock.sleep(Duration::from_millis(dice.below(6_000))).await;
    if dice.below(2) == 0 {
        // Whoever is elected has the second one's vote.
        world.net().partition("n1", "n3");
    }
    let gap = Duration::from_millis(dice.below(2_000));
    let order = if dice.below(2) == 0 { [3, 2] } else { [2, 3] };
    let earlier = Node::start(world, order[0], 2).await;
    clock.sleep(gap).await;
    let mut nodes = [first, earlier, Node::start(world, order[1], 2).await];
    nodes.sort_by_key(|node| node.number);
    clock.sleep(Duration::from_secs(8)).await;
    world.net().heal_all();
    append(&nodes, 60..63).await;
    converge(&nodes, 63).await;
    for id in used() {
        let repaired = nodes[1].groups.repair_stats().last[&id].clone();
        assert!(repaired.is_anew && repaired.why.contains("has lost"), "{repaired:?}");
    }
    for node in [&nodes[0], &nodes[2]] {
        let stats = node.groups.repair_stats();
        assert_eq!((stats.found, stats.diverged), (0, 0), "n{}", node.number);
    }
}

#[test]
fn a_replica_that_was_set_back_votes_for_nobody_that_lacks_what_it_acknowledged() {
    for seed in seeds(4) {
        let world = World::new(seed);
        world.run(async {
            let dice = world.env().entropy.child("accident");
            set_back_behind_the_back_of_who_led(&world, &dice).await;
        });
    }
}

/// What a leader commits rests on its own disk, too, and its followers know how far that goes.
#[test]
fn a_leader_that_was_set_back_votes_for_nobody_that_lacks_what_it_counted_itself_for() {
    let world = World::new(43);
    world.run(async {
        let second = one_of_two_is_set_back(&world, 1).await;
        assert!(used().iter().all(|id| second.groups.leader(*id) == Some(n(1))), "the first one led");
        let clock = second.env.clock.clone();
        // Whoever is elected has the first one's vote.
        world.net().partition("n2", "n3");
        let first = Node::start(&world, 1, 2).await;
        assert!(used().iter().all(|id| first.groups.partition(*id).is_err()), "it took part");
        let third = Node::start(&world, 3, 2).await;
        clock.sleep(Duration::from_secs(8)).await;
        world.net().heal_all();
        let nodes = [first, second, third];
        append(&nodes, 60..63).await;
        converge(&nodes, 63).await;
        for id in used() {
            let repaired = nodes[0].groups.repair_stats().last[&id].clone();
            assert!(repaired.is_anew && repaired.why.contains("has lost"), "{repaired:?}");
        }
        assert_eq!(nodes[1].groups.repair_stats().diverged, 0);
    });
}

/// The one that remembers does not lead any more.
#[test]
fn who_led_once_remembers_what_it_was_promised() {
    let world = World::new(44);
    world.run(async {
        let [first, second, third] = three(&world, 30).await;
        let clock = first.env.clock.clone();
        let image = image_of(&third.host.disk());
        let nodes = [first, second, third];
        append(&nodes, 30..60).await;
        converge(&nodes, 60).await;
        let [first, second, third] = nodes;
        third.stop().await;
        set_back(&world.host("n3"), &image);
        for id in used() {
            first.groups.transfer(id, n(2)).await.unwrap();
            until(&clock, "the second one leads", || second.groups.leader(id) == Some(n(2))).await;
        }
        world.net().partition("n2", "n3");
        let third = Node::start(&world, 3, 2).await;
        assert!(used().iter().all(|id| third.groups.partition(*id).is_err()), "it took part");
        world.net().heal_all();
        let nodes = [first, second, third];
        append(&nodes, 60..62).await;
        converge(&nodes, 62).await;
        assert!(used().iter().all(|id| nodes[2].groups.repair_stats().last[id].is_anew));
    });
}

/// Starts the node again that stood at this place, and counts its lives.
async fn start_again(world: &World, nodes: &mut Vec<Node>, (at, lives): (usize, &mut [u64; 3])) {
    lives[at] += 1;
    nodes.insert(at, Node::start(world, at as u64 + 1, lives[at]).await);
}

/// A life in which everything happens that may happen to replicas whose disks keep what they were given.
async fn life(world: &World, dice: &Entropy) {
    let nodes = three(world, 20).await;
    let clock = nodes[0].env.clock.clone();
    let mut nodes = Vec::from(nodes);
    let (mut events, mut lives) = (20, [1; 3]);
    for _ in 0..6 {
        let at = dice.below(3) as usize;
        match dice.below(5) {
            0 | 1 => {
                // Also without what was not synced, and in the middle of whatever it was doing.
                let node = nodes.remove(at);
                match dice.below(2) {
                    0 => node.lose_power(),
                    _ => node.kill(),
                }
                append(&nodes, events..events + 4).await;
                events += 4;
                clock.sleep(Duration::from_millis(dice.below(3_000))).await;
                start_again(world, &mut nodes, (at, &mut lives)).await;
            }
            2 => {
                // What a leader wrote that nobody else has is cut when it is back.
                let leads = used().map(|id| nodes[at].groups.leader(id) == Some(n(at as u64 + 1)));
                world.net().isolate(&format!("n{}", at + 1));
                for (id, _) in used().into_iter().zip(leads).filter(|(_, leads)| *leads) {
                    let lonely = nodes[at].try_append(id, 10_000 + events);
                    drop(clock.timeout(Duration::from_millis(50), lonely).await);
                }
                clock.sleep(Duration::from_millis(dice.below(5_000))).await;
                if dice.below(2) == 0 {
                    nodes.remove(at).kill();
                    start_again(world, &mut nodes, (at, &mut lives)).await;
                }
                world.net().heal_all();
            }
            3 => {
                let to = n(dice.below(3) + 1);
                for id in used() {
                    let leader = nodes.iter().find(|node| node.groups.leader(id) == Some(n(node.number)));
                    if let Some(leader) = leader {
                        drop(leader.groups.transfer(id, to).await);
                    }
                }
            }
            _ => {
                // As the placement does that takes a replica away and gives it back.
                for id in used() {
                    drop(nodes[at].groups.reset(id, Leftovers::Remove).await);
                }
                if dice.below(2) == 0 {
                    nodes.remove(at).kill();
                    start_again(world, &mut nodes, (at, &mut lives)).await;
                }
            }
        }
        append(&nodes, events..events + 3).await;
        events += 3;
        // Whoever was discarded votes again then: what comes next takes one of the others away.
        let heads = |node: &Node| used().map(|id| node.head(id));
        until(&clock, "all have the same", || nodes.iter().all(|node| heads(node) == heads(&nodes[0]))).await;
        clock.sleep(Duration::from_millis(200)).await;
        for node in &nodes {
            let stats = node.groups.repair_stats();
            assert_eq!((stats.found, stats.diverged), (0, 0), "n{}: {:#?}", node.number, node.groups.wards());
        }
    }
    for id in used() {
        let digests: BTreeSet<_> = nodes.iter().map(|node| node.digest(id).digest.0).collect();
        assert_eq!(digests.len(), 1, "partition {id}");
        assert_eq!((0..events).find(|number| !nodes[0].has(id, *number)), None, "partition {id}");
    }
}

#[test]
fn a_replica_that_keeps_what_it_was_given_is_never_said_to_have_lost_anything() {
    for seed in seeds(2) {
        let world = World::new(1_000 + seed);
        world.run(async {
            let dice = world.env().entropy.child("life");
            life(&world, &dice).await;
        });
    }
}

#[test]
fn a_replica_that_was_taken_away_and_given_back_has_lost_nothing() {
    let world = World::new(45);
    world.run(async {
        let [first, second, third] = three(&world, 30).await;
        let clock = first.env.clock.clone();
        for id in used() {
            first.groups.set_voters(id, BTreeSet::from([n(1), n(2)])).await.unwrap();
            third.groups.reset(id, Leftovers::Remove).await.unwrap();
        }
        third.stop().await;
        let nodes = [first, second, Node::start(&world, 3, 2).await];
        append(&nodes, 30..40).await;
        for id in used() {
            nodes[0].groups.add_learner(id, n(3)).await.unwrap();
            nodes[0].groups.set_voters(id, BTreeSet::from([n(1), n(2), n(3)])).await.unwrap();
        }
        converge(&nodes, 40).await;
        let [first, second, third] = nodes;
        third.kill();
        let third = Node::start(&world, 3, 3).await;
        clock.sleep(Duration::from_secs(3)).await;
        for node in [&first, &second, &third] {
            assert_eq!(node.groups.repair_stats().found, 0, "{:#?}", node.groups.wards());
        }
        let nodes = [first, second, third];
        append(&nodes, 40..41).await;
        converge(&nodes, 41).await;
    });
}

/// Nobody remembers anything: nobody has to be waited for.
#[test]
fn when_all_start_at_once_none_waits_for_the_others() {
    let world = World::new(46);
    world.run(async {
        let nodes = three(&world, 30).await;
        let clock = nodes[0].env.clock.clone();
        nodes.into_iter().for_each(Node::kill);
        let began = clock.monotonic();
        let (first, (second, third)) = futures::join!(Node::start(&world, 1, 2), async {
            futures::join!(Node::start(&world, 2, 2), Node::start(&world, 3, 2))
        });
        let took = clock.monotonic() - began;
        assert!(took < Duration::from_millis(1_200), "{took:?}");
        let nodes = [first, second, third];
        append(&nodes, 30..32).await;
        converge(&nodes, 32).await;
        assert!(clock.monotonic() < LONG);
    });
}
