//! Bounds: of the log, of what waits in memory, and of the pace.

use std::sync::Arc;
use std::time::Duration;

use chronos_block::{Compression, Packer};
use chronos_cluster::{CompactionConfig, Config, ProposeError};
use chronos_env::sim::World;
use chronos_store::CutLimits;

use crate::life::{Shared, Wish, draft, entity, lock, send};
use crate::node::{Node, SEGMENT_BYTES, check_files, config, world};

/// An append of one event of a group, with a payload of about 2 KiB.
fn one(node: &Node, group: u64) -> Wish {
    let mut packer = Packer::new();
    packer.push(draft(&node.env.entropy.child("one"), entity(group, 0), 4096)).unwrap();
    Wish::Append(packer.finish(Compression::None).unwrap())
}

async fn put(node: &Node, ledger: &Shared, group: u64) {
    let wish = one(node, group);
    lock(ledger).sending(&wish);
    let answer = send(node, &wish).await;
    assert!(answer.is_ok(), "{answer:?}");
    lock(ledger).answered(&wish, &answer);
}

#[test]
fn the_log_stays_short_though_one_partition_holds_on_to_its_oldest_entry() {
    let world = world(1);
    world.run(async {
        // Nothing is cut on its own: only because the log is long.
        let mut config = config();
        config.store.cuts = CutLimits { events: u64::MAX, bytes: u64::MAX };
        config.compaction.wal_segments_max = 3;
        let node = Node::start_with(&world, config).await.unwrap();
        let ledger = Shared::default();
        put(&node, &ledger, 0).await;
        let mut longest = 0;
        for _ in 0..600 {
            put(&node, &ledger, 1).await;
            longest = longest.max(node.wal.gauge().segments());
        }
        let written = node.wal.stats().bytes / SEGMENT_BYTES;
        assert!(written > 6, "the log was never long: {written} segments");
        assert!(longest <= 5, "the log had {longest} segments at a time, of {written}");
        let quiet = node.groups.partition(one(&node, 0).partition()).unwrap().shelf();
        assert_eq!(quiet.manifest.compacted.get(), 1, "the quiet partition was not cut");
        lock(&ledger).check(&node);
        node.stop().await;
    });
}

/// Compaction so slow that appends outrun it.
fn slow(debt_events_max: u64) -> Config {
    let compaction =
        CompactionConfig { debt_events_max, bytes_per_second: 20_000, ..CompactionConfig::default() };
    Config { compaction, ..config() }
}

#[test]
fn appends_wait_for_compaction_when_too_much_is_in_memory_and_other_partitions_do_not() {
    let world = world(2);
    world.run(async {
        let mut config = slow(30);
        // Cuts of no event of other partitions disturb.
        config.store.cuts = CutLimits { events: 10, bytes: u64::MAX };
        let node = Arc::new(Node::start_with(&world, config).await.unwrap());
        let ledger = Shared::default();
        let mut most = 0;
        for n in 0..200 {
            put(&node, &ledger, 0).await;
            most = most.max(node.groups.compaction_stats().debt_events);
            if n % 50 == 0 {
                put(&node, &ledger, 1).await;
            }
        }
        assert!(most > 15, "nothing ever waited: {most} events at most");
        assert!(most <= 30 + 10, "{most} events waited in memory");
        lock(&ledger).check(&node);
        Arc::into_inner(node).unwrap().stop().await;
    });
}

#[test]
fn an_append_that_waited_in_vain_for_compaction_is_certainly_not_done() {
    let world = world(3);
    world.run(async {
        let mut config = slow(0);
        config.store.cuts = CutLimits { events: 1, bytes: u64::MAX };
        let node = Node::start_with(&world, config).await.unwrap();
        let ledger = Shared::default();
        // Nothing can be compacted: the disk has failed the parts, and only them.
        world.disk().fail_write("/data/parts", 1, chronos_env::sim::Repeat::Forever);
        put(&node, &ledger, 0).await;
        node.env.clock.sleep(Duration::from_secs(1)).await;
        let answer = send(&node, &one(&node, 0)).await;
        assert!(matches!(answer, Err(ProposeError::Behind)), "{answer:?}");
        put(&node, &ledger, 1).await;
        lock(&ledger).check(&node);
        node.stop().await;
    });
}

#[test]
fn compaction_keeps_its_pace_unless_somebody_waits_for_it() {
    let took = |asked: bool| {
        let world: World = world(4);
        world.run(async {
            let mut config = config();
            config.compaction.bytes_per_second = 10_000;
            let node = Node::start_with(&world, config).await.unwrap();
            let ledger = Shared::default();
            for _ in 0..60 {
                put(&node, &ledger, 0).await;
            }
            let began = node.env.clock.monotonic();
            if asked {
                node.compact().await.unwrap();
            }
            while node.groups.compaction_stats().debt_cuts > 0 {
                node.env.clock.sleep(Duration::from_millis(100)).await;
            }
            let took = node.env.clock.monotonic() - began;
            check_files(&world, &node.groups);
            node.stop().await;
            took
        })
    };
    let (paced, at_once) = (took(false), took(true));
    assert!(paced > Duration::from_secs(5), "120 kB at 10 kB a second took {paced:?}");
    assert!(at_once < Duration::from_secs(1), "who asked waited {at_once:?}");
}
