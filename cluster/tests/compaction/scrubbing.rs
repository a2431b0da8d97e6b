//! The search for damage, in virtual time: pass after pass, slowly, beside everything else.

use std::path::PathBuf;
use std::time::Duration;

use chronos_cluster::{Config, ScrubConfig, ScrubStats};
use chronos_domain::PartitionId;
use chronos_env::sim::{Repeat, World};
use chronos_store::Nature;

use crate::life::{Shared, append, lock, send};
use crate::node::{Node, PARTS, config, world};

const PERIOD: Duration = Duration::from_secs(300);
/// Slow enough that a pass over a small node takes a while.
const BYTES_PER_SECOND: u64 = 2_000;

fn scrubbing() -> Config {
    let scrub = ScrubConfig { background: true, period: PERIOD, bytes_per_second_max: BYTES_PER_SECOND };
    Config { scrub, ..config() }
}

/// A node with parts of one partition, which is given back too.
async fn filled(world: &World, ledger: &Shared) -> (Node, PartitionId) {
    let node = Node::start_with(world, scrubbing()).await.unwrap();
    let entropy = node.env.entropy.child("fill");
    let mut partition = None;
    for _ in 0..40 {
        let wish = append(&entropy, 0);
        lock(ledger).sending(&wish);
        let answer = send(&node, &wish).await;
        assert!(answer.is_ok(), "{answer:?}");
        lock(ledger).answered(&wish, &answer);
        partition = Some(wish.partition());
    }
    node.compact().await.unwrap();
    (node, partition.unwrap())
}

/// Waits until so many passes are over.
async fn passes(node: &Node, count: u64) -> ScrubStats {
    let give_up = node.env.clock.monotonic() + PERIOD * 10;
    loop {
        let stats = node.groups.scrub_stats();
        if stats.passes >= count {
            return stats;
        }
        assert!(node.env.clock.monotonic() < give_up, "{count} passes are not over: {stats:?}");
        node.env.clock.sleep(Duration::from_secs(1)).await;
    }
}

fn a_part(world: &World) -> (PathBuf, u64) {
    let is_part = |file: &PathBuf| {
        file.starts_with(PARTS) && file.extension().is_some_and(|ending| ending == "parquet")
    };
    world.disk().files().into_iter().find(|(file, _)| is_part(file)).unwrap()
}

#[test]
fn a_pass_takes_the_time_its_bytes_cost_and_the_next_one_begins_a_period_later() {
    let world = world(1);
    world.run(async {
        let (node, id) = filled(&world, &Shared::default()).await;
        let first = passes(&node, 1).await.last.unwrap();
        let bytes = first.seen.bytes;
        assert!(bytes >= node.groups.partition(id).unwrap().part_bytes(), "{first:?}");
        assert!(first.seen.findings.is_empty() && first.refused.is_empty(), "{first:?}");
        let due = Duration::from_secs(bytes / BYTES_PER_SECOND);
        assert!(first.took + Duration::from_secs(1) >= due, "{bytes} bytes in {:?}", first.took);
        assert!(first.took <= due + PERIOD / 2, "{bytes} bytes in {:?}", first.took);
        let second = passes(&node, 2).await.last.unwrap();
        let apart = second.began.get() - first.began.get();
        assert_eq!(apart / 1_000_000, PERIOD.as_secs().cast_signed());
        node.stop().await;
    });
}

#[test]
fn damage_is_found_once_and_its_partition_refused_while_the_others_serve() {
    let world = world(2);
    world.run(async {
        let ledger = Shared::default();
        let (node, id) = filled(&world, &ledger).await;
        let (file, len) = a_part(&world);
        world.disk().flip_bit(&file, len / 2, 1).unwrap();
        let stats = passes(&node, 1).await;
        assert_eq!(stats.found, 1, "{stats:?}");
        assert_eq!((&stats.findings[0].damage.file, stats.findings[0].nature), (&file, Nature::Damaged));
        assert!(node.groups.partition(id).unwrap_err().contains(file.to_str().unwrap()));
        let served = PartitionId::all().filter(|id| node.groups.partition(*id).is_ok());
        assert_eq!(served.count(), PartitionId::all().len() - 1);
        let stats = passes(&node, 3).await;
        assert_eq!((stats.found, stats.last.unwrap().refused), (1, vec![id]));
        node.stop().await;
    });
}

#[test]
fn what_cannot_be_read_is_reported_and_served_on() {
    let world = world(3);
    world.run(async {
        let ledger = Shared::default();
        let (node, id) = filled(&world, &ledger).await;
        let (file, _) = a_part(&world);
        world.disk().fail_read(file.to_str().unwrap(), 1, Repeat::Once);
        let stats = passes(&node, 1).await;
        assert_eq!(stats.found, 1, "{stats:?}");
        assert_eq!(stats.findings[0].nature, Nature::Unreadable);
        assert!(node.groups.partition(id).is_ok());
        assert!(passes(&node, 2).await.last.unwrap().seen.findings.is_empty(), "the disk has recovered");
        lock(&ledger).check(&node);
        node.stop().await;
    });
}

#[test]
fn whoever_asks_gets_the_same_at_once() {
    let world = world(4);
    world.run(async {
        let (node, id) = filled(&world, &Shared::default()).await;
        let whole = node.groups.verify(id, None).await.unwrap();
        assert!(whole.parts > 0 && whole.findings.is_empty(), "{whole:?}");
        let (file, len) = a_part(&world);
        world.disk().flip_bit(&file, len - 1, 7).unwrap();
        let began = node.env.clock.monotonic();
        let found = node.groups.verify(id, None).await.unwrap();
        assert_eq!(node.env.clock.monotonic(), began, "nobody told it to be slow");
        assert_eq!(found.findings.len(), 1, "{found:?}");
        assert!(node.groups.verify(id, None).await.is_err(), "the partition is refused");
        assert_eq!(node.groups.scrub_stats().findings, found.findings);
        node.stop().await;
    });
}
