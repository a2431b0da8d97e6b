//! A full disk, a failing disk, a damaged part: the partition serves on, or says why not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chronos_cluster::{CompactError, CompactionConfig, Config, ProposeError};
use chronos_domain::PartitionId;
use chronos_env::sim::{FaultPlan, Repeat, World};

use crate::life::{Shared, Wish, append, lock, resolve, send};
use crate::node::{Node, PARTS, check_files, config, world};

/// Without background work, so that a test decides when there is compaction.
fn by_hand() -> Config {
    let compaction = CompactionConfig { background: false, ..CompactionConfig::default() };
    Config { compaction, ..config() }
}

/// Sends so many appends to one partition, each of which must be stored; returns the partition.
async fn fill(node: &Node, ledger: &Shared, count: u64) -> PartitionId {
    let entropy = node.env.entropy.child("fill");
    let mut partition = None;
    for _ in 0..count {
        let wish = append(&entropy, 0);
        lock(ledger).sending(&wish);
        let answer = send(node, &wish).await;
        assert!(answer.is_ok(), "{answer:?}");
        lock(ledger).answered(&wish, &answer);
        partition = Some(wish.partition());
    }
    partition.expect("at least one append")
}

fn part_files(world: &World, end: &str) -> Vec<PathBuf> {
    let files = world.disk().files().into_iter().map(|(path, _)| path);
    files.filter(|path| path.starts_with(PARTS) && path.to_string_lossy().ends_with(end)).collect()
}

#[test]
fn on_a_full_disk_the_partition_serves_and_compaction_goes_on_once_there_is_room() {
    let world = world(1);
    world.run(async {
        let node = Node::start_with(&world, by_hand()).await.unwrap();
        let ledger = Shared::default();
        fill(&node, &ledger, 40).await;
        // The log may go on in the segment it has; parts need room of their own.
        let used: u64 = world.disk().files().iter().map(|(_, len)| len.next_multiple_of(4096)).sum();
        world.disk().capacity(used + 4096);
        for _ in 0..2 {
            let full = node.compact().await.unwrap_err();
            assert!(matches!(full, CompactError::NoSpace { .. }), "{full}");
        }
        assert!(node.groups.compaction_stats().setbacks >= 2, "it was not tried again");
        let cuts = node.groups.compaction_stats().debt_cuts;
        assert!(node.compact().await.is_err());
        assert_eq!(node.groups.compaction_stats().debt_cuts, cuts, "a cut was made of nothing");
        assert!(node.groups.compaction_stats().halted.is_empty());
        assert_eq!(part_files(&world, ".tmp"), Vec::<PathBuf>::new(), "a full disk was left fuller");
        fill(&node, &ledger, 3).await;
        lock(&ledger).check(&node);
        world.disk().faults(FaultPlan::default());
        node.compact().await.unwrap();
        lock(&ledger).check(&node);
        check_files(&world, &node.groups);
        node.stop().await;
    });
}

/// Leaves room for the files that are there, and no more.
fn no_more_space(world: &World) {
    let used: u64 = world.disk().files().iter().map(|(_, len)| len.next_multiple_of(4096)).sum();
    world.disk().capacity(used);
}

/// Appends one by one until the log is full; returns how many were stored.
async fn until_full(node: &Node, ledger: &Shared) -> u64 {
    let entropy = node.env.entropy.child("until-full");
    for stored in 0..5_000 {
        let wish = append(&entropy, 0);
        lock(ledger).sending(&wish);
        let answer = send(node, &wish).await;
        lock(ledger).answered(&wish, &answer);
        match answer {
            Ok(_) => {}
            Err(ProposeError::NoSpace) => return stored,
            Err(other) => panic!("a full disk is no reason for: {other}"),
        }
    }
    panic!("the log was never full");
}

#[test]
fn a_full_log_refuses_appends_for_certain_and_takes_them_again_once_there_is_room() {
    let world = world(11);
    world.run(async {
        let node = Node::start_with(&world, by_hand()).await.unwrap();
        let ledger = Shared::default();
        let id = fill(&node, &ledger, 20).await;
        for round in 0..3 {
            no_more_space(&world);
            let stored = until_full(&node, &ledger).await;
            assert!(round == 0 || stored > 0, "nothing was stored before the disk was full again");
            let head = node.groups.partition(id).unwrap().head();
            let began = node.env.clock.monotonic();
            let entropy = node.env.entropy.child("refused");
            for _ in 0..20 {
                let refused = send(&node, &append(&entropy, 0)).await;
                assert!(matches!(refused, Err(ProposeError::NoSpace)), "{refused:?}");
            }
            assert_eq!(node.env.clock.monotonic(), began, "who is refused is told at once");
            assert_eq!(node.groups.partition(id).unwrap().head(), head, "what was refused was stored");
            node.groups.settle(id).await.unwrap();
            world.disk().faults(FaultPlan::default());
            node.env.clock.sleep(Duration::from_secs(2)).await;
            fill(&node, &ledger, 5).await;
        }
        lock(&ledger).check(&node);
        node.compact().await.unwrap();
        lock(&ledger).check(&node);
        node.stop().await;
        let node = Node::start(&world).await.unwrap();
        lock(&ledger).check(&node);
        node.stop().await;
    });
}

#[test]
fn a_node_that_starts_on_a_full_disk_reads_and_appends_once_there_is_room() {
    let world = world(12);
    world.run(async {
        let node = Node::start_with(&world, by_hand()).await.unwrap();
        let ledger = Shared::default();
        fill(&node, &ledger, 20).await;
        no_more_space(&world);
        until_full(&node, &ledger).await;
        node.stop().await;
        no_more_space(&world);
        let node = Node::start_with(&world, by_hand()).await.unwrap();
        lock(&ledger).check(&node);
        until_full(&node, &ledger).await;
        lock(&ledger).check(&node);
        world.disk().faults(FaultPlan::default());
        node.env.clock.sleep(Duration::from_secs(2)).await;
        fill(&node, &ledger, 5).await;
        lock(&ledger).check(&node);
        node.stop().await;
    });
}

#[test]
fn appends_in_flight_together_when_the_log_gets_full_are_each_stored_or_certainly_not() {
    let world = world(13);
    world.run(async {
        let node = std::sync::Arc::new(Node::start_with(&world, by_hand()).await.unwrap());
        let ledger = Shared::default();
        let id = fill(&node, &ledger, 20).await;
        no_more_space(&world);
        let clients = (0..8).map(|client| {
            let (node, ledger) = (std::sync::Arc::clone(&node), ledger.clone());
            let entropy = node.env.entropy.child(&format!("client-{client}"));
            node.clone().env.tasks.spawn("client", async move {
                for _ in 0..400 {
                    let wish = append(&entropy, 0);
                    lock(&ledger).sending(&wish);
                    let answer = send(&node, &wish).await;
                    lock(&ledger).answered(&wish, &answer);
                    match answer {
                        Ok(_) => {}
                        Err(ProposeError::NoSpace) => return true,
                        Err(other) => panic!("neither stored nor refused: {other}"),
                    }
                }
                false
            })
        });
        let clients: Vec<_> = clients.collect();
        for client in clients {
            assert!(client.await.unwrap(), "a client never met a full disk");
        }
        node.groups.settle(id).await.unwrap();
        lock(&ledger).check(&node);
        std::sync::Arc::into_inner(node).unwrap().stop().await;
        world.disk().faults(FaultPlan::default());
        let node = Node::start(&world).await.unwrap();
        lock(&ledger).check(&node);
        node.stop().await;
    });
}

#[test]
fn after_a_failed_sync_of_the_log_nothing_is_acknowledged_and_the_node_says_why_it_should_end() {
    let world = world(14);
    world.run(async {
        let node = Node::start_with(&world, by_hand()).await.unwrap();
        let ledger = Shared::default();
        let id = fill(&node, &ledger, 20).await;
        let head = node.groups.partition(id).unwrap().head();
        world.disk().fail_sync(".seg", 1, Repeat::Once);
        let entropy = node.env.entropy.child("unknown");
        let wish = append(&entropy, 0);
        lock(&ledger).sending(&wish);
        let answer = send(&node, &wish).await;
        assert!(matches!(answer, Err(ProposeError::Unknown(_))), "{answer:?}");
        let reason = node.groups.faulted().await;
        assert!(reason.contains("the log stopped") && reason.contains("sync"), "{reason}");
        let late = send(&node, &append(&entropy, 0)).await;
        assert!(matches!(late, Err(ProposeError::Unavailable(_))), "{late:?}");
        assert_eq!(node.groups.partition(id).unwrap().head(), head);
        node.groups.settle(id).await.unwrap();
        node.stop().await;
        let node = Node::start(&world).await.unwrap();
        resolve(&node, &ledger).await;
        lock(&ledger).check(&node);
        node.stop().await;
    });
}

#[test]
fn after_a_failed_write_the_partition_serves_from_its_log_and_the_next_start_compacts() {
    for fault in ["write", "sync"] {
        let world = world(2);
        world.run(async {
            let node = Node::start_with(&world, by_hand()).await.unwrap();
            let ledger = Shared::default();
            let id = fill(&node, &ledger, 20).await;
            match fault {
                "write" => world.disk().fail_write(PARTS, 2, Repeat::Once),
                _ => world.disk().fail_sync(PARTS, 3, Repeat::Once),
            }
            let halted = node.compact().await.unwrap_err();
            assert!(matches!(halted, CompactError::Halted { id: which, .. } if which == id), "{halted}");
            assert_eq!(node.groups.compaction_stats().halted, [id]);
            fill(&node, &ledger, 20).await;
            lock(&ledger).check(&node);
            node.stop().await;
            let node = Node::start(&world).await.unwrap();
            node.compact().await.unwrap();
            lock(&ledger).check(&node);
            check_files(&world, &node.groups);
            node.stop().await;
        });
    }
}

#[test]
fn damage_found_by_a_merge_closes_the_partition_and_no_other() {
    let world = world(3);
    world.run(async {
        let node = Node::start_with(&world, by_hand()).await.unwrap();
        let ledger = Shared::default();
        let id = fill(&node, &ledger, 8).await;
        node.compact().await.unwrap();
        let file = part_files(&world, ".parquet").remove(0);
        world.disk().flip_bit(&file, 300, 1).unwrap();
        fill(&node, &ledger, 80).await;
        let halted = node.compact().await.unwrap_err();
        assert!(matches!(halted, CompactError::Halted { .. }), "{halted}");
        let refusal = node.groups.partition(id).unwrap_err();
        assert!(refusal.contains(file.file_name().unwrap().to_str().unwrap()), "{refusal}");
        let served = PartitionId::all().filter(|other| node.groups.partition(*other).is_ok()).count();
        assert_eq!(served, 31);
        node.stop().await;
    });
}

#[test]
fn a_node_that_is_stopped_while_it_compacts_leaves_no_half_a_part() {
    let world = world(4);
    world.run(async {
        let slow = CompactionConfig { bytes_per_second: 1, ..CompactionConfig::default() };
        let slow = Config { compaction: slow, ..config() };
        let node = Node::start_with(&world, slow).await.unwrap();
        let ledger = Shared::default();
        fill(&node, &ledger, 40).await;
        // The first slice is through, and the pause after it is long.
        node.env.clock.sleep(Duration::from_millis(10)).await;
        assert_eq!(node.groups.compaction_stats().cuts, 0);
        node.stop().await;
        assert_eq!(part_files(&world, ".tmp"), Vec::<PathBuf>::new());
        let node = Node::start(&world).await.unwrap();
        lock(&ledger).check(&node);
        check_files(&world, &node.groups);
        node.stop().await;
    });
}

#[test]
fn what_is_compacted_and_purged_already_is_left_alone() {
    let world = world(5);
    world.run(async {
        let node = Node::start(&world).await.unwrap();
        let ledger = Shared::default();
        fill(&node, &ledger, 20).await;
        node.compact().await.unwrap();
        let (cuts, files) = (node.groups.compaction_stats().cuts, world.disk().snapshot());
        node.compact().await.unwrap();
        assert_eq!(node.groups.compaction_stats().cuts, cuts);
        let unchanged = |(path, bytes): (&PathBuf, &Vec<u8>)| {
            !path.starts_with(Path::new(PARTS)) || world.disk().snapshot().get(path) == Some(bytes)
        };
        assert!(files.iter().all(unchanged));
        let wish = Wish::Cut(PartitionId::new(3).unwrap());
        send(&node, &wish).await.unwrap();
        node.compact().await.unwrap();
        assert_eq!(node.groups.compaction_stats().cuts, cuts + 1, "a cut of a partition without events");
        node.stop().await;
    });
}
