//! The disk of one of three is full: the others go on, and nobody ends.

use std::ops::Range;
use std::time::Duration;

use chronos_domain::PartitionId;
use chronos_env::sim::World;

use crate::node::{Node, append_one, converge, n, seeds, three, until, used};

/// Leaves a node no byte more than it has.
fn fill(node: &Node) {
    let disk = node.host.disk();
    disk.capacity(disk.files().iter().map(|(_, bytes)| bytes).sum());
}

/// Appends to every used partition until `is_enough`; says how many events each has then.
async fn append_until(nodes: &[Node], events: Range<u64>, is_enough: impl Fn() -> bool) -> u64 {
    for number in events {
        if is_enough() {
            return number;
        }
        for id in used() {
            append_one(nodes, id, number).await;
        }
    }
    panic!("the disk is never full");
}

#[test]
fn a_follower_without_room_goes_back_to_its_disk_and_catches_up_when_there_is_room() {
    seeds(1).for_each(|seed| follower(&World::new(seed)));
}

fn follower(world: &World) {
    world.run(async {
        let nodes = three(world, 5).await;
        let third = &nodes[2];
        let lives = used().map(|id| third.groups.partition(id).unwrap().life());
        fill(third);
        // So it hears that others have committed something before it comes to know that it has no room for it.
        third.host.disk().slow_syncs(Duration::from_millis(300));
        let is_full = |id: &PartitionId| third.groups.is_full(*id);
        let events = append_until(&nodes, 5..5000, || used().iter().all(is_full)).await;
        let went_back = |(id, life): (PartitionId, u64)| third.groups.partition(id).unwrap().life() != life;
        assert!(used().into_iter().zip(lives).any(went_back), "nothing was applied that its log refused");
        // Others do not wait for it, and what it has can be read.
        for id in used() {
            append_one(&nodes, id, events).await;
            assert!(third.head(id) > 0 && third.head(id) <= events, "partition {id}: {}", third.head(id));
            assert!(third.has(id, 0), "the first event of partition {id}");
        }
        let fault = third.env.clock.timeout(Duration::from_secs(5), third.groups.faulted()).await;
        assert!(fault.is_err(), "it ends: {fault:?}");
        third.host.disk().slow_syncs(Duration::ZERO);
        third.host.disk().capacity(u64::MAX);
        converge(&nodes, events + 1).await;
        // Its disk has what it says it has.
        let [first, second, third] = nodes;
        third.lose_power();
        let nodes = [first, second, Node::start(world, 3, 2).await];
        converge(&nodes, events + 1).await;
    });
}

#[test]
fn a_leader_without_room_is_followed_by_one_that_has() {
    seeds(1).for_each(|seed| leader(&World::new(seed)));
}

fn leader(world: &World) {
    world.run(async {
        let nodes = three(world, 5).await;
        let (first, clock) = (&nodes[0], nodes[0].env.clock.clone());
        assert!(used().iter().all(|id| first.groups.leader(*id) == Some(n(1))));
        fill(first);
        first.host.disk().slow_syncs(Duration::from_millis(300));
        let is_full = |id: &PartitionId| first.groups.is_full(*id);
        let events = append_until(&nodes, 5..5000, || used().iter().all(is_full)).await;
        for id in used() {
            append_one(&nodes, id, events).await;
            let refused = first.try_append(id, events + 1).await.unwrap_err();
            assert!(refused.to_string().contains("does not lead"), "{refused}");
        }
        clock.sleep(Duration::from_secs(5)).await;
        first.host.disk().slow_syncs(Duration::ZERO);
        first.host.disk().capacity(u64::MAX);
        until(&clock, "it serves again", || used().iter().all(|id| !is_full(id))).await;
        converge(&nodes, events + 1).await;
    });
}
