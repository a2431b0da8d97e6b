//! Why votes are withheld: the same accident, once with repair and once with a replica that is told to begin anew.

use std::time::Duration;

use chronos_cluster::Leftovers;
use chronos_env::sim::World;

use crate::harm::remove_wal;
use crate::node::{Node, append, append_one, converge, three, used};

/// An event is acknowledged by the first two while the third is down. Then the first is gone.
async fn accident(world: &World) -> Node {
    let [first, second, third] = three(world, 30).await;
    third.stop().await;
    for id in used() {
        append_one(std::slice::from_ref(&first), id, 30).await;
    }
    first.kill();
    second
}

#[test]
fn a_replica_that_is_discarded_on_purpose_does_not_vote_away_what_it_acknowledged() {
    let world = World::new(21);
    world.run(async {
        let second = accident(&world).await;
        for id in used() {
            second.groups.reset(id, Leftovers::Remove).await.unwrap();
        }
        let third = Node::start(&world, 3, 2).await;
        third.env.clock.sleep(Duration::from_secs(20)).await;
        for id in used() {
            for node in [&second, &third] {
                assert!(node.try_append(id, 99).await.is_err(), "{id}: led without what was acknowledged");
            }
        }
        // Nor after a restart, as long as it has not everything again.
        second.stop().await;
        let second = Node::start(&world, 2, 2).await;
        third.env.clock.sleep(Duration::from_secs(20)).await;
        for id in used() {
            assert!(third.try_append(id, 99).await.is_err(), "{id}: led without what was acknowledged");
        }
        // Once it has, it votes again: without it there is no majority.
        let first = Node::start(&world, 1, 2).await;
        let nodes = [first, second, third];
        append(&nodes, 31..33).await;
        converge(&nodes, 33).await;
        let [first, second, third] = nodes;
        first.stop().await;
        append(&[second, third], 33..34).await;
    });
}

#[test]
fn a_replica_that_is_repaired_does_not() {
    let world = World::new(21);
    world.run(async {
        let second = accident(&world).await;
        let disk = second.host.disk();
        second.stop().await;
        remove_wal(&disk);
        let second = Node::start(&world, 2, 2).await;
        let third = Node::start(&world, 3, 2).await;
        third.env.clock.sleep(Duration::from_secs(20)).await;
        for id in used() {
            assert!(third.try_append(id, 99).await.is_err(), "it was elected without what was acknowledged");
        }
        let nodes = [Node::start(&world, 1, 2).await, second, third];
        append(&nodes, 31..33).await;
        converge(&nodes, 33).await;
    });
}
