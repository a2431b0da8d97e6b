use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chronos_block::{Compression, Draft, Packer};
use chronos_domain::{
    EntityId, EventId, EventType, ForkId, PartitionId, Position, TenantId, Timestamp, Version,
};
use chronos_env::Env;
use chronos_env::sim::{FaultPlan, Repeat, World};
use chronos_wal::{Entry, LogId, Wal};

use super::*;
use crate::entry::{self, AppendCommand, Command, CutCommand, TruncateCommand};
use crate::partition::Config;
use crate::{CutLimits, Fault};

const PARTS: &str = "/data/parts/p00";
const CLUSTER: u128 = 7;
/// Entries of the history; every fifth ends a generation, so that the eighth generation completes a merge.
const ENTRIES: u64 = 47;

struct Node {
    wal: Wal,
    partition: Partition,
}

impl Node {
    fn open(world: &World) -> Result<Node, String> {
        let env = world.env();
        let mut config = chronos_wal::Config::new(PathBuf::from("/data/wal"), CLUSTER);
        config.segment_bytes = 1 << 20;
        let (wal, _) = Wal::open(&env, config).map_err(|error| error.to_string())?;
        let store = Config::new(PathBuf::from("/data/parts"), CLUSTER);
        let store = Config { cuts: CutLimits { events: 10, bytes: u64::MAX }, ..store };
        let id = PartitionId::new(0).unwrap();
        let partition = Partition::open(&env, id, wal.log(LogId::new(0)), store.of(id));
        let partition = partition.map_err(|fault| fault.to_string())?;
        Ok(Node { wal, partition })
    }

    /// Applies entries of the history from the one after the last on, up to and with `last`.
    async fn feed(&self, last: u64) -> Result<(), String> {
        for index in self.partition.applied_index().next().get()..=last {
            self.apply(index, &history(index)).await?;
        }
        Ok(())
    }

    async fn apply(&self, index: u64, commands: &[Command]) -> Result<(), String> {
        let payload = entry::encode(commands, self.partition.head());
        let (done, synced) = tokio::sync::oneshot::channel();
        let entry = Entry { index, term: 1, payload };
        self.wal.log(LogId::new(0)).append(vec![entry], Box::new(move |result| drop(done.send(result))));
        synced.await.map_err(|_| "the lane died")?.map_err(|fault| fault.to_string())?;
        self.partition
            .apply(chronos_wal::Mark { index, term: 1 }, commands)
            .map_err(|fault| fault.to_string())?;
        Ok(())
    }

    fn compact(&self) -> Result<Vec<Done>, Setback> {
        std::iter::from_fn(|| self.partition.compact_step(|_| ()).transpose()).collect()
    }

    async fn close(self) {
        drop(self.partition);
        self.wal.close().await;
    }
}

/// The commands of the entry with this index: always the same.
fn history(index: u64) -> Vec<Command> {
    let recorded_at = Timestamp::new(index.cast_signed() * 1000);
    let tenant = TenantId::default_tenant();
    let entity = |n: u64| EntityId::parse(&format!("entity-{}", n % 3)).unwrap();
    let mut packer = Packer::new();
    for event in 0..2 {
        let id = EventId::from_u128(u128::from(index * 10 + event));
        let kind = EventType::parse(if event == 0 { "kind.a" } else { "kind.b" }).unwrap();
        let payload = format!("{{\"secret\":{index},\"event\":{event}}}");
        packer.push(Draft::json(id, entity(index + event), kind, payload)).unwrap();
    }
    let block = packer.finish(Compression::None).unwrap();
    let append = AppendCommand { tenant: tenant.clone(), fork: ForkId::MAIN, recorded_at, block };
    let mut commands = vec![Command::Append(append)];
    if index.is_multiple_of(13) {
        // All but its last event, some of them of the generation that is not cut yet.
        let (fork, before) = (ForkId::MAIN, Version::new((2 * index + 1) / 3));
        commands.push(Command::Truncate(TruncateCommand {
            tenant,
            fork,
            recorded_at,
            entity: entity(1),
            before,
        }));
    }
    if index.is_multiple_of(17) || index == ENTRIES {
        commands.push(Command::Cut(CutCommand { recorded_at, settle: index == ENTRIES }));
    }
    commands
}

fn world(seed: u64) -> World {
    let world = World::new(seed);
    let env: Env = world.env();
    env.disk.create_dir_all(Path::new("/data")).unwrap();
    env.disk.sync_dir(Path::new("/")).unwrap();
    world
}

/// All files of parts, with their content.
fn parts(world: &World) -> BTreeMap<String, Vec<u8>> {
    let all = world.disk().snapshot().into_iter();
    let named = all.filter_map(|(path, bytes)| {
        let name = path.strip_prefix(PARTS).ok()?.to_str()?.to_owned();
        (!name.starts_with("MANIFEST")).then_some((name, bytes))
    });
    named.collect()
}

/// What a node has that compacted every cut at once, and was never disturbed.
fn reference() -> (BTreeMap<String, Vec<u8>>, chronos_parts::Manifest) {
    let world = world(1);
    world.run(async {
        let node = Node::open(&world).unwrap();
        for last in 1..=ENTRIES {
            node.feed(last).await.unwrap();
            node.compact().unwrap();
        }
        let manifest = node.partition.shelf().manifest.as_ref().clone();
        node.close().await;
        (parts(&world), manifest)
    })
}

#[test]
fn replicas_have_the_same_files_whenever_each_of_them_compacts() {
    let (files, manifest) = reference();
    assert!(manifest.parts.iter().any(|part| part.level == 1), "nothing was merged");
    assert!(manifest.parts.iter().any(|part| part.erased > 0), "nothing was erased");
    assert_eq!(files.len(), 2 * manifest.parts.len());
    for pauses in [vec![ENTRIES], vec![3, 31, ENTRIES], vec![11, 12, 13, 40, ENTRIES]] {
        let world = world(2);
        world.run(async {
            for last in pauses {
                let node = Node::open(&world).unwrap();
                node.feed(last).await.unwrap();
                node.compact().unwrap();
                node.close().await;
            }
            let node = Node::open(&world).unwrap();
            assert_eq!(*node.partition.shelf().manifest, manifest);
            assert_eq!(parts(&world), files);
            node.close().await;
        });
    }
}

#[test]
fn what_was_truncated_is_in_no_part_once_the_cut_is_taken_in() {
    let world = world(7);
    world.run(async {
        let node = Node::open(&world).unwrap();
        let mut erased = 0;
        for last in 1..=ENTRIES {
            node.feed(last).await.unwrap();
            node.compact().unwrap();
            let shelf = node.partition.shelf();
            let rows = shelf.parts.iter().flat_map(|part| {
                let meta = part.meta();
                let all: Vec<_> = (meta.first.get()..=meta.last.get()).map(Position::new).collect();
                part.rows(&all).unwrap()
            });
            for row in rows {
                let tombstones = &shelf.manifest.tombstones;
                let before = tombstones.get("default", ForkId::MAIN, row.event().entity_id);
                let (position, gone) = (row.position, row.version < before);
                assert_eq!(row.erased, gone, "position {position} after entry {last}");
                assert_eq!(row.payload().is_empty(), gone, "position {position} after entry {last}");
                erased += u64::from(gone);
            }
        }
        assert!(erased > 0, "nothing was ever erased");
        node.close().await;
    });
}

#[test]
fn a_crash_at_any_step_costs_work_and_nothing_else() {
    let (files, manifest) = reference();
    let steps = [BEGUN, WRITTEN, REWRITTEN, SWAPPED, INSTALLED, REMOVED].into_iter();
    let steps = steps.chain(chronos_parts::CRASH_POINTS.iter().copied());
    for (step, nth) in steps.flat_map(|step| [(step, 1), (step, 4)]) {
        let world = world(nth);
        world.arm_crash(step, nth);
        let first = world.run(live(&world));
        let Err(end) = first else {
            // Some steps are not passed that often.
            assert!(nth > 1, "{step} was not passed");
            continue;
        };
        assert!(world.disk().is_off(), "{step}, {nth}: ended without a crash: {end}");
        world.disk().power_on();
        world.run(live(&world)).unwrap_or_else(|end| panic!("{step}, {nth}: {end}"));
        assert_eq!(parts(&world), files, "{step}, {nth}");
        world.run(async {
            let node = Node::open(&world).unwrap();
            let found = node.partition.shelf().manifest.as_ref().clone();
            assert_eq!(
                chronos_parts::Manifest { sequence: manifest.sequence, ..found },
                manifest,
                "{step}, {nth}"
            );
            node.close().await;
        });
    }
}

/// One life: goes on with the history, compacts after every third entry, purges the log behind it.
async fn live(world: &World) -> Result<(), String> {
    let node = Node::open(world)?;
    for last in (1..=ENTRIES).filter(|last| last % 3 == 0 || *last == ENTRIES) {
        node.feed(last).await?;
        for done in node.compact().map_err(|setback| setback.to_string())? {
            let (tell, told) = tokio::sync::oneshot::channel();
            let up_to = done.purge_to.get();
            node.wal.log(LogId::new(0)).purge(up_to, Box::new(move |purged| drop(tell.send(purged))));
            told.await.map_err(|_| "the lane died")?.map_err(|fault| fault.to_string())?;
            node.partition.raise_purged(done.purge_to);
        }
    }
    node.close().await;
    Ok(())
}

#[test]
fn a_full_disk_leaves_nothing_behind_and_compaction_goes_on_when_there_is_room() {
    let (files, manifest) = reference();
    let world = world(3);
    world.run(async {
        let node = Node::open(&world).unwrap();
        node.feed(20).await.unwrap();
        node.compact().unwrap();
        node.feed(ENTRIES).await.unwrap();
        let before = parts(&world);
        let used: u64 = world.disk().files().iter().map(|(_, len)| len.next_multiple_of(4096)).sum();
        // Room for the first file of a part and not for the second, for half a file, for a part and no manifest…
        for room in [0, 4096, 8192, 12288, 16384, 20480] {
            world.disk().faults(FaultPlan::default().capacity(used + room));
            match node.compact() {
                Err(Setback::NoSpace(_)) => {}
                other => panic!("with {room} bytes of room: {other:?}"),
            }
            let now = parts(&world);
            assert!(now.len() >= before.len(), "with {room} bytes of room something was lost");
            assert!(now.keys().all(|name| !name.ends_with(".tmp")), "{:?}", now.keys());
        }
        world.disk().faults(FaultPlan::default());
        node.compact().unwrap();
        assert_eq!(parts(&world), files);
        assert_eq!(*node.partition.shelf().manifest, manifest);
        node.close().await;
    });
}

#[test]
fn a_disk_that_fails_is_not_trusted_and_nothing_is_lost() {
    let (files, _) = reference();
    for (what, plan) in [
        ("write", FaultPlan::default().fail_write(PARTS, 1, Repeat::Once)),
        ("sync", FaultPlan::default().fail_sync(PARTS, 1, Repeat::Once)),
        ("later sync", FaultPlan::default().fail_sync(PARTS, 4, Repeat::Once)),
        ("misdirected write", FaultPlan::default().misdirect_write(PARTS, 1, 4096)),
    ] {
        let world = world(4);
        world.run(async {
            let node = Node::open(&world).unwrap();
            node.feed(12).await.unwrap();
            node.compact().unwrap();
            node.feed(ENTRIES).await.unwrap();
            world.disk().faults(plan);
            let setback = node.compact().unwrap_err();
            assert!(matches!(setback, Setback::Failed(_)), "{what}: {setback:?}");
            node.close().await;
            let node = Node::open(&world).unwrap_or_else(|fault| panic!("{what}: {fault}"));
            node.compact().unwrap();
            assert_eq!(parts(&world), files, "{what}");
            node.close().await;
        });
    }
}

#[test]
fn a_damaged_part_is_never_merged_into_a_new_one() {
    let world = world(5);
    world.run(async {
        let node = Node::open(&world).unwrap();
        node.feed(30).await.unwrap();
        node.compact().unwrap();
        let name = parts(&world).into_keys().find(|name| name.ends_with(".parquet")).unwrap();
        world.disk().flip_bit(&Path::new(PARTS).join(name), 1000, 3).unwrap();
        node.feed(ENTRIES).await.unwrap();
        let setback = node.compact().unwrap_err();
        assert!(matches!(setback, Setback::Damaged(Fault::Corrupt(_))), "{setback:?}");
        let manifest = node.partition.shelf().manifest.clone();
        assert!(manifest.parts.iter().all(|part| part.level == 0), "the damage was merged");
        node.close().await;
    });
}

#[test]
fn a_compaction_that_is_given_up_leaves_no_file_behind() {
    let world = world(6);
    world.run(async {
        let node = Node::open(&world).unwrap();
        node.feed(ENTRIES).await.unwrap();
        for slices in 0.. {
            let before = parts(&world);
            let mut compaction = node.partition.begin_compaction().unwrap();
            let over = (0..slices).find_map(|_| match compaction.step().unwrap() {
                Slice::Over(done) => Some(done),
                Slice::More { .. } => None,
            });
            if over.is_some() {
                break;
            }
            compaction.abandon();
            assert_eq!(parts(&world), before, "after {slices} slices");
        }
        node.close().await;
    });
}
