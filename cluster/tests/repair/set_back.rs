//! A machine is set back to an earlier image of its disk: what it has is whole, and shorter than what it acknowledged. Only
//! those can know to whom it did.

use std::time::Duration;

use chronos_env::sim::World;
use futures::FutureExt;

use crate::harm::{image_of, set_back};
use crate::node::{Node, append, converge, n, three, until, used};

/// Three nodes, of which the third is down and has forgotten everything from event 30 on; there are 60.
async fn forgetful(world: &World) -> [Node; 2] {
    let [first, second, third] = three(world, 30).await;
    third.stop().await;
    let image = image_of(&world.host("n3").disk());
    let nodes = [first, second, Node::start(world, 3, 2).await];
    append(&nodes, 30..60).await;
    converge(&nodes, 60).await;
    let [first, second, third] = nodes;
    third.stop().await;
    set_back(&world.host("n3"), &image);
    [first, second]
}

#[test]
fn a_replica_that_has_forgotten_what_it_acknowledged_is_told_by_its_leader_and_begins_anew() {
    // Whether or not there is anything new to be sent.
    for (seed, new) in [(41, 0), (42, 5)] {
        let world = World::new(seed);
        world.run(async {
            let [first, second] = forgetful(&world).await;
            append(std::slice::from_ref(&first), 60..60 + new).await;
            let nodes = [first, second, Node::start(&world, 3, 3).await];
            let clock = nodes[0].env.clock.clone();
            until(&clock, "the third was told, and has begun anew", || {
                used().iter().all(|id| nodes[2].groups.repair_stats().last.contains_key(id))
            })
            .await;
            converge(&nodes, 60 + new).await;
            for id in used() {
                let repaired = nodes[2].groups.repair_stats().last[&id].clone();
                assert!(repaired.is_anew && repaired.witness.is_some(), "{repaired:?}");
                assert!(repaired.why.contains("lost entries"), "{repaired:?}");
                assert_eq!(nodes[0].groups.leader(id), Some(n(1)), "its leader goes on leading");
            }
            for node in &nodes {
                assert!(node.groups.faulted().now_or_never().is_none());
            }
            // It votes again: of the others only one is left.
            append(&nodes, 60 + new..65 + new).await;
            converge(&nodes, 65 + new).await;
            let [first, second, third] = nodes;
            first.stop().await;
            append(&[second, third], 65 + new..66 + new).await;
        });
    }
}

/// Before it is told, and while it is repaired.
#[test]
fn a_replica_that_was_told_casts_no_vote_before_everything_is_back() {
    let world = World::new(43);
    world.run(async {
        let [first, second] = forgetful(&world).await;
        let third = Node::start(&world, 3, 3).await;
        let clock = first.env.clock.clone();
        // The census needs both others.
        world.net().isolate("n2");
        until(&clock, "the third was told", || used().iter().all(|id| third.groups.is_being_repaired(*id)))
            .await;
        first.kill();
        world.net().heal_all();
        clock.sleep(Duration::from_secs(15)).await;
        for id in used() {
            assert!(second.try_append(id, 900).await.is_err(), "{id}: led by the vote of who has forgotten");
        }
        let nodes = [Node::start(&world, 1, 2).await, second, third];
        append(&nodes, 60..62).await;
        converge(&nodes, 62).await;
    });
}

/// That is the limit: what nobody remembers is not missed.
#[test]
fn where_all_were_started_again_what_is_missing_is_sent_and_nobody_knows_of_a_loss() {
    let world = World::new(44);
    world.run(async {
        let [first, second] = forgetful(&world).await;
        first.stop().await;
        second.stop().await;
        let nodes = [
            Node::start(&world, 1, 2).await,
            Node::start(&world, 2, 2).await,
            Node::start(&world, 3, 3).await,
        ];
        append(&nodes, 60..62).await;
        converge(&nodes, 62).await;
        assert_eq!(nodes[2].groups.repair_stats().found, 0);
    });
}
