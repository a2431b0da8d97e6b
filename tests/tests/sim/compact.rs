//! A whole node that is told to compact, between and under power cuts: what was promised stays where it was promised,
//! when all of it is in parts and the log has let go of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use chronos_app::{Principal, Wait};
use chronos_domain::PartitionId;
use chronos_env::sim::World;
use chronos_server::{Engine, Node};

use crate::life::{DATA, Shared, aftermath, config, lock, send, under_load};

const PATIENCE: Duration = Duration::from_secs(60);

type App = chronos_app::App<Engine>;

/// Starts a node on what the last life left and has it compact everything, unless the power goes first.
async fn compacting(world: &World) {
    let env = world.env();
    let Ok(node) = Node::start(env.clone(), &config()).await else { return };
    let failed = compact(world, node.app()).await;
    if !world.disk().is_off() {
        assert_eq!(failed, Vec::<String>::new());
        node.stop().await;
    }
}

/// Why partitions were not compacted.
async fn compact(world: &World, app: &App) -> Vec<String> {
    let all: Vec<_> = PartitionId::all().collect();
    let deadline = world.env().clock.monotonic() + PATIENCE;
    let each = app.compact(&Principal::default(), &all, (Wait::Yes, deadline)).await.expect("anybody may");
    each.into_iter().filter_map(|(_, done)| done.err()).map(|error| error.to_string()).collect()
}

async fn digests(world: &World, app: &App) -> Vec<String> {
    let deadline = world.env().clock.monotonic() + PATIENCE;
    let digests = app.digests(&Principal::default(), None, deadline).await.expect("anybody may");
    let line = |(_, digest): (_, Result<chronos_app::Digest, chronos_app::Error>)| {
        format!("{:?}", digest.expect("every partition has one"))
    };
    digests.partitions.into_iter().map(line).collect()
}

/// The files of the data directory, with their lengths, without those of the log, and without `NODE`, which each start
/// writes.
fn files(world: &World) -> BTreeMap<PathBuf, u64> {
    let others = [format!("{DATA}/wal"), format!("{DATA}/NODE")];
    let is_kept = |path: &PathBuf| !others.iter().any(|other| path.starts_with(other));
    world.disk().files().into_iter().filter(|(path, _)| is_kept(path)).collect()
}

/// Compacts all of it, and compares digests before and after, and after another start on parts alone.
fn same_digests_on_parts_alone(world: &World, ledger: &Shared) {
    let before = world.run(async {
        let node = Node::start(world.env(), &config()).await.expect("a healthy start");
        let before = digests(world, node.app()).await;
        assert_eq!(compact(world, node.app()).await, Vec::<String>::new());
        assert_eq!(digests(world, node.app()).await, before);
        node.stop().await;
        before
    });
    let compacted = files(world);
    let leaked: Vec<_> =
        compacted.keys().filter(|path| path.extension().is_some_and(|end| end == "tmp")).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    world.run(async {
        let node = Node::start(world.env(), &config()).await.expect("a healthy start");
        assert_eq!(files(world), compacted, "a start after a compaction changed files");
        assert_eq!(digests(world, node.app()).await, before);
        // What was asked first is still known, though the log has long forgotten it.
        for n in 0..20 {
            let Some(first) = lock(ledger).acknowledged_request(n) else { break };
            let answer = send(&world.env(), node.app(), &first).await;
            assert!(answer.as_ref().is_ok_and(|answer| answer.deduplicated), "{answer:?}");
            lock(ledger).answered(&first, &answer);
        }
        node.stop().await;
    });
}

/// Every step between the log and the parts.
fn crash_points() -> impl Iterator<Item = &'static str> {
    let compaction = chronos_store::CRASH_POINTS.iter().copied().filter(|point| point.contains("compact"));
    compaction.chain(["parts.write.parquet", "parts.write.renamed", "parts.manifest.renamed"]).chain([
        "parts.manifest.twin_renamed",
        "cluster.purge.before",
        "cluster.purge.done",
    ])
}

/// A restart of Fauna in the middle of a compaction deleted files that were in use.
#[test]
fn t_22_nothing_promised_is_lost_when_the_power_goes_at_any_step_of_a_compaction() {
    let mut missed = Vec::new();
    for (seed, point) in (1..).zip(crash_points()) {
        let world = World::new(seed);
        let ledger = Shared::default();
        let mut cuts = 0;
        for nth in [1, 9] {
            world.arm_crash("nowhere", 1);
            world.run(under_load(&world, &ledger, 10)).expect("a healthy start");
            world.arm_crash(point, nth);
            world.run(compacting(&world));
            if world.disk().is_off() {
                cuts += 1;
                world.disk().power_on();
            }
        }
        world.arm_crash("nowhere", 1);
        aftermath(&world, &ledger);
        same_digests_on_parts_alone(&world, &ledger);
        aftermath(&world, &ledger);
        if cuts == 0 {
            missed.push(point);
        }
    }
    // Nothing is merged or erased in so short a life: groups with smaller cuts have tests of their own.
    missed.retain(|point| *point != "store.compact.rewritten");
    assert!(missed.is_empty(), "no life of a node passed {missed:?}");
}

#[test]
fn a_node_that_compacts_under_load_keeps_what_it_promised() {
    for seed in 0..4 {
        let world = World::new(seed);
        let ledger = Shared::default();
        for _ in 0..3 {
            world.run(async {
                let load = under_load(&world, &ledger, 15);
                load.await.expect("a healthy start");
                compacting(&world).await;
            });
        }
        aftermath(&world, &ledger);
        same_digests_on_parts_alone(&world, &ledger);
    }
}
