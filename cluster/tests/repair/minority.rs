//! One of three is damaged.

use chronos_cluster::Stage;
use chronos_env::sim::World;
use chronos_store::{Unfinished, Withheld};

use crate::harm::{make_forget, remove_wal, spoil, strike};
use crate::node::{LONG, Node, append, converge, examine, n, seeds, three, until, used};

/// Damages random places on a node that is down, lets the others go on, and starts it. Returns the trace's hash.
fn round(seed: u64, places: u64) -> u64 {
    let world = World::new(seed);
    world.run(async {
        let dice = world.env().entropy.child("harm");
        let nodes = three(&world, 70).await;
        let mut nodes = Vec::from(nodes);
        let victim = nodes.remove(dice.below(3) as usize);
        let (number, disk) = (victim.number, victim.host.disk());
        if dice.below(2) == 0 {
            victim.kill();
        } else {
            victim.stop().await;
        }
        append(&nodes, 70..75).await;
        let harm = strike(&disk, &dice, places);
        let victim = Node::start(&world, number, 2).await;
        nodes.push(victim);
        append(&nodes, 75..80).await;
        let seen = format!("seed {seed}, n{number}: {harm:#?}");
        let healed = std::panic::AssertUnwindSafe(async {
            examine(&nodes[2]).await;
            converge(&nodes, 80).await;
        });
        if futures::FutureExt::catch_unwind(healed).await.is_err() {
            panic!("{seen}");
        }
        // Whole for good: nothing is found at the next start.
        let victim = nodes.pop().unwrap();
        victim.stop().await;
        nodes.push(Node::start(&world, number, 3).await);
        assert_eq!(nodes[2].groups.wards().iter().filter(|ward| used().contains(&ward.id)).count(), 0);
        append(&nodes, 80..82).await;
        converge(&nodes, 82).await;
        for node in nodes {
            node.stop().await;
        }
    });
    world.trace().hash()
}

/// A campaign of any length: `CHRONOS_REPAIR_ROUNDS=500 cargo test -p chronos-cluster --test repair random_places`.
#[test]
fn random_places_on_one_of_three_are_found_and_repaired_and_nothing_is_lost() {
    for seed in seeds(2) {
        round(seed, [200, 20, 3, 1][seed as usize % 4]);
    }
}

#[test]
fn the_same_seed_is_repaired_by_the_same_steps() {
    assert_eq!(round(77, 20), round(77, 20));
}

#[test]
fn damaged_parts_are_fetched_by_hash_and_the_log_stays() {
    let world = World::new(5);
    world.run(async {
        let [first, second, third] = three(&world, 70).await;
        let disk = third.host.disk();
        third.stop().await;
        assert!(spoil(&disk, ".parquet") >= 3);
        let nodes = [first, second, Node::start(&world, 3, 2).await];
        for id in used() {
            let repaired = match nodes[2].groups.repair_stats().last.get(&id) {
                Some(repaired) => repaired.clone(),
                // Opening reads the ends of files only.
                None => {
                    let deadline = nodes[2].env.clock.monotonic() + LONG;
                    nodes[2].groups.repair(id, deadline).await.unwrap().expect("there is damage")
                }
            };
            assert!(!repaired.is_anew && repaired.parts >= 1 && repaired.bytes > 0, "{repaired:?}");
            assert!(repaired.witness.is_some());
        }
        append(&nodes, 70..72).await;
        converge(&nodes, 72).await;
        assert_eq!(nodes[2].groups.repair(used()[0], nodes[2].env.clock.monotonic() + LONG).await, Ok(None));
    });
}

#[test]
fn damage_that_is_met_while_the_node_runs_is_repaired_without_a_restart() {
    let world = World::new(6);
    world.run(async {
        let nodes = three(&world, 70).await;
        let node = &nodes[1];
        assert!(spoil(&node.host.disk(), ".seg") > 0);
        spoil(&node.host.disk(), ".index");
        for id in used() {
            let deadline = node.env.clock.monotonic() + LONG;
            drop(node.groups.repair(id, deadline).await.unwrap());
        }
        assert!(node.groups.repair_stats().repaired > 0);
        append(&nodes, 70..75).await;
        converge(&nodes, 75).await;
    });
}

#[test]
fn a_crash_at_any_time_of_a_repair_leaves_it_to_be_finished() {
    let world = World::new(7);
    world.run(async {
        let [first, second, third] = three(&world, 50).await;
        let (clock, disk) = (first.env.clock.clone(), third.host.disk());
        third.stop().await;
        remove_wal(&disk);
        let nodes = [first, second];
        let mut life = 2;
        for pause in [1, 5, 20, 60, 120, 300, 700] {
            let third = Node::start(&world, 3, life).await;
            clock.sleep(std::time::Duration::from_millis(pause)).await;
            third.kill();
            life += 1;
        }
        append(&nodes, 50..52).await;
        let [first, second] = nodes;
        let third = Node::start(&world, 3, life).await;
        converge(&[first, second, third], 52).await;
    });
}

/// It would be elected otherwise, or make the other one a leader, before it has what it once acknowledged.
#[test]
fn t_15_no_vote_is_cast_before_everything_is_back() {
    let world = World::new(8);
    world.run(async {
        let [first, second, third] = three(&world, 50).await;
        let (clock, disk) = (first.env.clock.clone(), third.host.disk());
        third.stop().await;
        remove_wal(&disk);
        // The leader of everything is gone, and of the two that are left one has lost its promises.
        let first_number = first.number;
        first.stop().await;
        let third = Node::start(&world, 3, 2).await;
        clock.sleep(std::time::Duration::from_secs(8)).await;
        for id in used() {
            assert_eq!(second.groups.leader(id).filter(|leader| *leader != n(first_number)), None);
            let ward = third.groups.wards().into_iter().find(|ward| ward.id == id).unwrap();
            assert_eq!(ward.stage, Stage::Withheld);
            assert!(ward.setback.unwrap().contains("n1"));
        }
        let first = Node::start(&world, 1, 2).await;
        until(&clock, "the third is whole", || third.groups.wards().is_empty()).await;
        let nodes = [first, second, third];
        append(&nodes, 50..55).await;
        converge(&nodes, 55).await;
    });
}

/// The founder least of all: it would found every group once more.
#[test]
fn t_31_who_has_forgotten_everything_is_not_taken_for_new() {
    let world = World::new(9);
    world.run(async {
        let [first, second, third] = three(&world, 70).await;
        let disk = first.host.disk();
        first.stop().await;
        make_forget(&disk);
        let nodes = [second, third, Node::start(&world, 1, 2).await];
        for id in used() {
            assert!(nodes[2].groups.wards().iter().any(|ward| ward.id == id), "partition {id} is in service");
        }
        append(&nodes, 70..75).await;
        converge(&nodes, 75).await;
        for id in used() {
            let repaired = nodes[2].groups.repair_stats().last[&id].clone();
            assert!(repaired.is_anew && repaired.witness.is_some(), "{repaired:?}");
        }
    });
}

/// The census waits for the second node: whoever looks at the third one meanwhile is told what is going on.
#[test]
fn an_offline_check_of_a_replica_that_waits_for_its_repair_says_so() {
    let world = World::new(21);
    world.run(async {
        let [first, second, third] = three(&world, 50).await;
        let disk = third.host.disk();
        second.stop().await;
        third.stop().await;
        remove_wal(&disk);
        let third = Node::start(&world, 3, 2).await;
        let waits = || third.groups.wards().iter().filter(|ward| ward.stage == Stage::Withheld).count() >= 3;
        until(&first.env.clock, "all wait for the census", waits).await;
        third.kill();
        let env = world.host("n3").env();
        let report = chronos_store::verify(&env.disk, std::path::Path::new("/data")).unwrap();
        for id in used() {
            let pending = report.pending.iter().find(|pending| pending.partition == id).unwrap();
            assert_eq!(pending.what, Unfinished::Withheld(Withheld::Damaged));
            assert!(pending.to_string().contains("it neither serves nor votes before"), "{pending}");
            assert!(
                report.damages.iter().any(|damage| damage.partition == Some(id)),
                "its log is damaged, too"
            );
        }
        let nodes = [first, Node::start(&world, 2, 2).await, Node::start(&world, 3, 3).await];
        converge(&nodes, 50).await;
        for node in nodes {
            node.stop().await;
        }
        let report = chronos_store::verify(&env.disk, std::path::Path::new("/data")).unwrap();
        assert_eq!(report.pending, []);
    });
}
