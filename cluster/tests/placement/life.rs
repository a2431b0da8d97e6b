//! What a cluster goes through.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use chronos_cluster::Order;
use chronos_cluster::peer::Why;
use chronos_domain::PartitionId;
use chronos_env::sim::World;

use crate::town::{Home, Town, n};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn one_node_becomes_three_and_everything_has_three_replicas_and_the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let world = World::new(seed);
        world.run(async {
            let mut town = Town::found(&world).await;
            town.until("the founder leads everything", |town| town.is_spread(1, &[1])).await;
            town.join(2).await;
            town.join(3).await;
            town.until("everything is spread over three", |town| town.is_spread(3, &[1, 2, 3])).await;
            town.check().await;
            town.stop().await;
        });
        world.trace().hash()
    };
    assert_eq!(run(7), run(7));
}

#[test]
fn five_nodes_share_what_three_had_and_one_that_is_drained_and_removed_leaves_nothing_behind() {
    let world = World::new(11);
    world.run(async {
        let mut town = Town::found(&world).await;
        for host in 2..=5 {
            town.join(host).await;
        }
        town.until("everything is spread over five", |town| town.is_spread(3, &[1, 2, 3, 4, 5])).await;
        let (cluster, deadline) = (town.nodes[&2].cluster.clone(), town.deadline());
        cluster.steer(Order::Drain(n(4)), deadline).await.unwrap();
        town.until("the drained node holds nothing", |town| town.is_spread(3, &[1, 2, 3, 5])).await;
        cluster.steer(Order::Remove(n(4)), town.deadline()).await.unwrap();
        town.until("the removed node belongs to nothing", |town| town.is_gone(4)).await;
        town.until("every other node turns it away", |town| {
            let others = town.nodes.values().filter(|node| node.cluster.me() != n(4));
            let gone = BTreeSet::from([n(4)]);
            others.filter_map(|node| node.cluster.peers()).all(|peers| *peers.watch_banned().borrow() == gone)
        })
        .await;
        let peers = town.nodes[&4].cluster.peers().unwrap();
        assert!(peers.stats().turned_away_by_others > 0, "{:?}", peers.status());
        town.check().await;
        town.stop().await;
    });
}

/// Members that had been removed rose again when etcd 3.6 came: two stores had disagreed for years. Here the log is the only
/// one that counts: what a node has noted beside it is not even given to these.
#[test]
fn t_28_a_node_that_was_removed_stays_removed_when_all_others_have_started_again() {
    let world = World::new(12);
    world.run(async {
        let mut town = Town::found(&world).await;
        for host in 2..=4 {
            town.join(host).await;
        }
        town.until("everything is spread over four", |town| town.is_spread(3, &[1, 2, 3, 4])).await;
        let cluster = town.nodes[&2].cluster.clone();
        cluster.steer(Order::Drain(n(4)), town.deadline()).await.unwrap();
        town.until("the drained node holds nothing", |town| town.is_spread(3, &[1, 2, 3])).await;
        cluster.steer(Order::Remove(n(4)), town.deadline()).await.unwrap();
        drop(cluster);
        town.until("the removed node belongs to nothing", |town| town.is_gone(4)).await;
        town.kill(4);
        for host in 1..=3 {
            town.kill(host);
            town.restart(host, 2).await;
            town.until("it is there again", |town| town.is_spread(3, &[1, 2, 3])).await;
        }
        town.restart(4, 2).await;
        town.until("it is turned away by all", |town| {
            let others = town.nodes.values().filter(|node| node.cluster.me() != n(4));
            let gone = BTreeSet::from([n(4)]);
            others.filter_map(|node| node.cluster.peers()).all(|peers| *peers.watch_banned().borrow() == gone)
        })
        .await;
        assert!(town.is_gone(4));
        town.until("whose place it once had", |town| town.is_spread(3, &[1, 2, 3])).await;
        town.check().await;
        town.stop().await;
    });
}

/// Killed as soon as it has given something up, it is asked to delete that while nobody has missed it yet.
#[test]
fn what_a_drained_node_could_not_delete_because_it_was_away_is_deleted_when_it_is_back() {
    let world = World::new(17);
    world.run(async {
        let mut town = Town::found(&world).await;
        for host in 2..=4 {
            town.join(host).await;
        }
        town.until("everything is spread over four", |town| town.is_spread(3, &[1, 2, 3, 4])).await;
        let drained = if town.driver() == Some(4) { 3 } else { 4 };
        // What it still has of partitions that it does not belong to.
        let left = move |town: &Town| {
            let (view, node) = (town.view(), &town.nodes[&drained].cluster);
            let others = view.partitions.iter().filter(|group| !group.voters.contains(&n(drained)));
            let has = |id| node.groups().partition(id).is_ok_and(|replica| replica.applied_index().get() > 0);
            others.filter(|group| group.learners.is_empty() && has(group.id)).count()
        };
        assert_eq!(left(&town), 0);
        town.nodes[&1].cluster.steer(Order::Drain(n(drained)), town.deadline()).await.unwrap();
        while left(&town) == 0 {
            town.clock.sleep(SECOND / 100).await;
        }
        town.kill(drained);
        town.clock.sleep(2 * SECOND).await;
        town.restart(drained, 2).await;
        assert!(left(&town) > 0, "it was quicker than its end");
        town.until("it holds nothing any more", |town| {
            left(town) == 0 && town.view().partitions.iter().all(|group| !group.voters.contains(&n(drained)))
        })
        .await;
        town.check().await;
        town.stop().await;
    });
}

/// How long until everything that a node led has another leader.
async fn successors(town: &Town, dead: u64) -> Duration {
    let began = town.clock.monotonic();
    let led_by_others = || {
        let leaders = PartitionId::all().map(|id| {
            let named = town.nodes.values().filter_map(|node| node.cluster.leader(id));
            named.filter(|leader| *leader != n(dead)).max()
        });
        leaders.flatten().count()
    };
    while led_by_others() < PartitionId::all().count() {
        assert!(town.clock.monotonic() - began < 20 * SECOND, "nobody takes over");
        town.clock.sleep(SECOND / 50).await;
    }
    town.clock.monotonic() - began
}

#[test]
fn a_node_whose_process_dies_is_succeeded_sooner_than_one_that_falls_silent() {
    let world = World::new(17);
    world.run(async {
        let mut town = Town::of_three(&world).await;
        for other in ["n1", "n2"] {
            world.net().partition_one_way("n3", other);
            world.net().partition_one_way(other, "n3");
        }
        let silent = successors(&town, 3).await;
        assert!(silent > Duration::from_millis(1000), "a lease was not kept: {silent:?}");
        world.net().heal_all();
        town.until("everything is spread over three again", |town| town.is_spread(3, &[1, 2, 3])).await;
        town.kill(3);
        let dead = successors(&town, 3).await;
        assert!(dead < Duration::from_millis(1300), "a dead node was waited for: {dead:?}");
        town.stop().await;
    });
}

#[test]
fn a_founder_that_gave_everything_up_and_gets_it_back_decides_nothing_by_itself_and_leads_again() {
    let world = World::new(17);
    world.run(async {
        let mut town = Town::found(&world).await;
        // More entries than one message takes, all of a time when the founder was alone: it meets them again in pieces.
        for _ in 0..80 {
            town.append().await;
        }
        for host in 2..=4 {
            town.join(host).await;
        }
        town.until("everything is spread over four", |town| town.is_spread(3, &[1, 2, 3, 4])).await;
        let cluster = town.nodes[&2].cluster.clone();
        cluster.steer(Order::Drain(n(1)), town.deadline()).await.unwrap();
        let has_nothing = |town: &Town| {
            let data = || town.view().partitions.into_iter().filter(|group| group.id != PartitionId::SYSTEM);
            town.is_spread(3, &[2, 3, 4]) && !data().any(|of| of.replicas.iter().any(|one| one.node == n(1)))
        };
        town.until("what the founder had is deleted", has_nothing).await;
        cluster.steer(Order::Undrain(n(1)), town.deadline()).await.unwrap();
        town.until("the founder leads its share again", |town| town.is_spread(3, &[1, 2, 3, 4])).await;
        town.check().await;
        town.stop().await;
    });
}

#[test]
fn a_driver_that_dies_half_way_is_followed_by_another_and_a_node_that_stays_dead_is_replaced() {
    let world = World::new(13);
    world.run(async {
        let mut town = Town::found(&world).await;
        for host in 2..=4 {
            town.join(host).await;
        }
        let deadline = town.deadline();
        let cluster = town.nodes[&1].cluster.clone();
        cluster.steer(Order::ReplaceAfter(20 * SECOND), deadline).await.unwrap();
        let has_begun = |town: &Town| {
            let moved = town.view().partitions.iter().filter(|group| group.voters.len() == 3).count();
            moved > 6 && town.view().partitions[PartitionId::SYSTEM.index()].voters.len() == 3
        };
        town.until("the system partition and some others have moved", has_begun).await;
        drop(cluster);
        let driver = town.driver().unwrap();
        town.kill(driver);
        town.clock.sleep(5 * SECOND).await;
        town.restart(driver, 2).await;
        town.until("everything is spread over four", |town| town.is_spread(3, &[1, 2, 3, 4])).await;
        town.kill(3);
        town.until("the dead node is replaced", |town| town.is_spread(3, &[1, 2, 4])).await;
        town.check().await;
        town.stop().await;
    });
}

#[test]
fn a_restored_directory_is_not_taken_for_the_founder_by_a_node_that_has_found_no_leader_since_it_started() {
    let world = World::new(19);
    world.run(async {
        let mut town = Town::found(&world).await;
        town.until("the founder leads everything", |town| town.is_spread(1, &[1])).await;
        let members = town.admit(2).await;
        town.kill(1);
        // It has the founder's number and address, and says nothing of the past; nobody else is there to be asked.
        town.start(Home { dir: "/restored", machine: 99, ..Home::of(1) }, 9).await;
        let restored = town.nodes[&1].cluster.peers().unwrap().clone();
        restored.set_peer(n(2), "n2:7000");
        for incarnation in 1..=2 {
            let removed = BTreeSet::from([n(3)]);
            town.start(Home { members: members.clone(), removed, ..Home::of(2) }, incarnation).await;
            let told_so = restored.stats().turned_away_by_others;
            town.clock.sleep(10 * SECOND).await;
            let second = &town.nodes[&2].cluster;
            let peers = second.peers().unwrap();
            assert!(peers.stats().turned_away(Why::Outdated) > 0, "{:?}", peers.status());
            assert!(restored.stats().turned_away_by_others > told_so, "{:?}", restored.status());
            let linked =
                peers.status().into_iter().chain(restored.status()).any(|link| link.state == Some(Ok(())));
            assert!(!linked, "{:?} {:?}", peers.status(), restored.status());
            assert_eq!(
                (second.leader(PartitionId::SYSTEM), second.epoch()),
                (None, 0),
                "it follows somebody"
            );
            assert!(peers.is_banned(n(3)), "who was removed is let in again");
            town.kill(2);
        }
        town.stop().await;
    });
}

#[test]
fn who_leads_is_known_without_a_break_while_all_is_well_and_not_any_more_when_a_majority_is_gone() {
    let world = World::new(29);
    world.run(async {
        let mut town = Town::of_three(&world).await;
        let groups = || PartitionId::all().chain([PartitionId::SYSTEM]);
        // Nothing is written meanwhile: an idle cluster is well, too.
        for _ in 0..400 {
            town.clock.sleep(SECOND / 20).await;
            for node in town.nodes.values() {
                let unknown: Vec<_> =
                    groups().filter(|id| node.cluster.living_leader(*id).is_none()).collect();
                assert!(unknown.is_empty(), "{} knows nobody who leads {unknown:?}", node.cluster.me());
            }
        }
        assert_eq!(town.nodes[&1].cluster.plan(&BTreeSet::new()), chronos_cluster::Plan::default());
        town.kill(2);
        town.kill(3);
        // Who reports is believed for three seconds.
        town.clock.sleep(6 * SECOND).await;
        let left = town.nodes[&1].cluster.clone();
        assert!(groups().all(|id| left.living_leader(id).is_none()), "somebody dead is said to lead");
        assert!(groups().any(|id| left.leader(id).is_some()), "it was known once");
        let view = left.view();
        assert!(view.partitions.iter().all(|group| group.leader.is_none()), "{:?}", view.partitions);
        assert!(view.nodes.iter().all(|node| node.leads == 0), "{:?}", view.nodes);
        let own = |group: &chronos_cluster::PartitionView| {
            group
                .replicas
                .iter()
                .find(|replica| replica.node == n(1))
                .is_some_and(|of| of.knows_leader.is_none())
        };
        assert!(view.partitions.iter().all(own), "{:?}", view.partitions);
        let waits = left.plan(&BTreeSet::new()).waits.join("\n");
        assert!(
            waits.contains("the system partition has no majority of its voters, n2, n3 are down"),
            "{waits}"
        );
        let paused = left.steer(Order::Pause, town.clock.monotonic() + SECOND).await;
        let why = paused.unwrap_err().to_string();
        assert!(
            why.contains("nothing was changed: nobody can decide") && why.contains("n2, n3 are down"),
            "{why}"
        );
        town.restart(2, 2).await;
        town.until("everything has a leader again", |town| {
            let knows = |id| town.nodes.values().all(|node| node.cluster.living_leader(id).is_some());
            PartitionId::all().chain([PartitionId::SYSTEM]).all(knows)
        })
        .await;
        town.stop().await;
    });
}

#[test]
fn who_does_not_answer_a_question_just_asked_is_named() {
    let world = World::new(31);
    world.run(async {
        let mut town = Town::of_three(&world).await;
        let cluster = town.nodes[&1].cluster.clone();
        assert_eq!(cluster.look_around(SECOND).await, BTreeSet::new());
        town.kill(3);
        town.clock.sleep(SECOND / 20).await;
        assert_eq!(cluster.look_around(SECOND).await, BTreeSet::from([n(3)]));
        let is_up = |node: &chronos_cluster::NodeView| node.is_up;
        assert!(
            cluster.view().nodes.iter().all(is_up),
            "it was heard of a moment ago, and counts as up until it is missed"
        );
        town.stop().await;
    });
}

#[test]
fn a_node_that_has_just_died_is_given_nothing() {
    let world = World::new(37);
    world.run(async {
        let mut town = Town::of_three(&world).await;
        let (cluster, clock) = (town.nodes[&1].cluster.clone(), town.clock.clone());
        cluster.steer(Order::Pause, town.deadline()).await.unwrap();
        for partition in PartitionId::all().chain([PartitionId::SYSTEM]) {
            while cluster.leader(partition) != Some(n(1)) {
                let _ = cluster.steer(Order::Transfer { partition, to: n(1) }, town.deadline()).await;
                clock.sleep(SECOND / 10).await;
            }
        }
        // Long enough to drive.
        clock.sleep(5 * SECOND).await;
        let given = async || {
            let silent = cluster.look_around(SECOND).await;
            let plan = cluster.plan(&silent);
            let is_given = |to: u64| plan.steps.iter().any(|step| step.what == format!("let n{to} lead it"));
            [2, 3].map(is_given)
        };
        assert_eq!(given().await, [true, true]);
        town.kill(3);
        clock.sleep(SECOND / 20).await;
        assert_eq!(given().await, [true, false]);
        cluster.steer(Order::Resume, town.deadline()).await.unwrap();
        let resumed = clock.monotonic();
        let leads = |node: usize| cluster.view().nodes[node].leads;
        while leads(1) < 16 {
            clock.sleep(SECOND / 10).await;
        }
        let took = clock.monotonic() - resumed;
        assert!(took < 6 * SECOND, "the driver waited for a dead node to lead: {took:?}");
        town.stop().await;
    });
}

#[test]
fn damage_that_a_node_meets_in_the_clusters_own_data_is_repaired_though_no_client_ever_reads_it() {
    let world = World::new(31);
    world.run(async {
        let mut town = Town::of_three(&world).await;
        let leader = town.driver().unwrap();
        let host = (1..=3).find(|host| *host != leader).unwrap();
        for host in [leader, host] {
            let (cluster, deadline) = (town.nodes[&host].cluster.clone(), town.deadline());
            cluster.groups().compact(&[PartitionId::SYSTEM], deadline).await.unwrap();
        }
        town.kill(host);
        let disk = world.host(&format!("n{host}")).disk();
        let is_part = |path: &&PathBuf| {
            path.starts_with("/data/parts/p32") && path.to_string_lossy().ends_with(".parquet")
        };
        let files = disk.snapshot();
        let parts: Vec<_> = files.keys().filter(is_part).collect();
        assert!(!parts.is_empty(), "{:?}", files.keys());
        for part in parts {
            disk.flip_bit(part, 100, 3).unwrap();
        }
        // It cannot read who else there is, and has kept what it was told.
        let members = town.admit(host).await;
        town.start(Home { members, ..Home::of(host) }, 2).await;
        town.until("the node found it, and has its replica repaired", |town| {
            let stats = town.nodes[&host].cluster.groups().repair_stats();
            stats.last.contains_key(&PartitionId::SYSTEM)
        })
        .await;
        town.until("it knows the others again", |town| town.is_spread(3, &[1, 2, 3])).await;
        town.check().await;
        town.stop().await;
    });
}
