//! A disk does not let itself be read when a node starts, and does so later.

use std::path::PathBuf;

use chronos_domain::PartitionId;
use chronos_env::sim::{FaultPlan, Repeat, SimDisk, World};

use crate::node::{LONG, Node, append, converge, examine, three, until, used};

/// The files of partition 1 that say which parts it has.
fn manifests(disk: &SimDisk) -> Vec<PathBuf> {
    let is_one = |path: &PathBuf| {
        let path = path.to_string_lossy();
        path.contains("/p01/") && path.to_lowercase().contains("manifest")
    };
    disk.snapshot().into_keys().filter(is_one).collect()
}

/// Three nodes, of which the third has started without being able to read one of its partitions.
async fn unread(world: &World) -> ([Node; 3], PartitionId) {
    let id = used()[0];
    let [first, second, third] = three(world, 30).await;
    let deadline = third.env.clock.monotonic() + LONG;
    first.groups.compact(&[id], deadline).await.unwrap();
    let of_third = third.groups.partition(id).unwrap();
    until(&third.env.clock, "the cut is applied", || of_third.debt().uncut_entries == 0).await;
    third.groups.compact(&[id], deadline).await.unwrap();
    drop(of_third);
    third.stop().await;
    let disk = world.host("n3").disk();
    assert!(!manifests(&disk).is_empty());
    for path in manifests(&disk) {
        disk.fail_read(&path.to_string_lossy(), 1, Repeat::Forever);
    }
    let third = Node::start(world, 3, 2).await;
    let why = third.groups.partition(id).err().unwrap();
    assert!(why.contains("could not be read") && why.contains("tried again"), "{why}");
    assert!(!third.groups.is_being_repaired(id), "nothing is known to be damaged");
    let nodes = [first, second, third];
    append(&nodes, 30..35).await;
    (nodes, id)
}

#[test]
fn a_partition_that_could_not_be_read_is_opened_as_soon_as_it_can() {
    let world = World::new(61);
    world.run(async {
        let (nodes, id) = unread(&world).await;
        world.host("n3").disk().faults(FaultPlan::default());
        let third = &nodes[2].groups;
        until(&nodes[2].env.clock, "the partition is in service", || third.partition(id).is_ok()).await;
        converge(&nodes, 35).await;
        assert!(third.repair_stats().last.is_empty(), "nothing was repaired");
        // It has a say: of the others only one is left.
        let [first, second, third] = nodes;
        first.stop().await;
        append(&[second, third], 35..36).await;
    });
}

#[test]
fn what_is_damaged_when_it_is_read_at_last_is_repaired() {
    let world = World::new(62);
    world.run(async {
        let (nodes, id) = unread(&world).await;
        let disk = world.host("n3").disk();
        for path in manifests(&disk) {
            disk.flip_bit(&path, 20, 3).unwrap();
        }
        disk.faults(FaultPlan::default());
        let third = &nodes[2].groups;
        until(&nodes[2].env.clock, "it is repaired", || third.repair_stats().last.contains_key(&id)).await;
        converge(&nodes, 35).await;
        examine(&nodes[2]).await;
    });
}
