//! A node's partitions are backed up and restored, as a whole, to a moment, damaged, and with the power failing anywhere.

#![allow(clippy::unwrap_used, reason = "a test says what must not fail by unwrapping it")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronos_domain::{PartitionId, Position, Space, Timestamp, Token, Version};
use chronos_env::sim::World;
use chronos_env::{Disk, EntryKind, Env, OpenMode};
use chronos_store::backup::{
    Arrival, At, BackupDir, Error, NamedFile, RESTORE_CRASH_POINTS, Restored, Share, Source, Whose, restore,
    verify,
};
use chronos_store::{Command, CutCommand, DataDir, Options, Partition, Range};
use support::commands::sample;
use support::node::{DATA, Node, USED};
use support::oracle::same_events;
use support::run::Run;

const CLUSTER_AT: Timestamp = Timestamp::new(1_000_000);
const CACHE: usize = 1 << 20;
/// Of a usual history.
const ENTRIES: usize = 45;
/// Of one that is restored very often: still several parts a partition.
const FEW_ENTRIES: usize = 15;

fn backup_dir() -> PathBuf {
    PathBuf::from("/backup")
}

fn id(at: usize) -> PartitionId {
    PartitionId::new(USED[at]).unwrap()
}

/// Appends random entries to all partitions.
async fn write(node: &Node, run: &mut Run, from: usize, entries: usize) {
    for (n, wishes) in sample(3 * (from + entries)).chunks(3).enumerate().skip(from) {
        run.entry(node, n % USED.len(), wishes).await;
    }
}

/// Everything in parts, and most of it out of the log.
async fn settle(node: &Node, run: &mut Run) {
    for at in 0..USED.len() {
        let recorded_at = Timestamp::new(run.oracles[at].clock());
        let cut = [Command::Cut(CutCommand { recorded_at, settle: true })];
        let outcomes = node.append(at, &cut).await.unwrap();
        assert_eq!(outcomes, run.acknowledged(at, &cut));
        node.compact(at, usize::MAX, at != 1).await.unwrap();
    }
}

/// What a node gives to whoever copies it. Partitions that are not used are those of a node that never used them.
fn source(env: &Env, node: &Node) -> Source {
    let cluster = node.partition(0).shelf().manifest.cluster;
    let shelves = PartitionId::all().map(|id| match USED.iter().position(|used| *used == id.get()) {
        Some(at) => node.partition(at).shelf(),
        None => unused(env, cluster, id),
    });
    Source::new("test", cluster, CLUSTER_AT, shelves.map(Share::Here).collect())
}

fn unused(_env: &Env, cluster: u128, id: PartitionId) -> Arc<chronos_store::Shelf> {
    let manifest = Arc::new(chronos_parts::Manifest::start(cluster, id));
    Arc::new(chronos_store::Shelf { manifest, parts: Vec::new() })
}

/// One run of a backup; returns how many bytes were copied.
fn back_up(env: &Env, source: &Source) -> Result<u64, Error> {
    let mut backup = BackupDir::open(env, &backup_dir(), &mut |_| {})?;
    let mut copied = 0;
    for file in backup.plan(source.listing())?.missing {
        copied += fetch(&mut backup, source, &file)?;
    }
    backup.commit(source.listing().clone())?;
    Ok(copied)
}

fn fetch(backup: &mut BackupDir, source: &Source, file: &NamedFile) -> Result<u64, Error> {
    let (from, mut copied) = (source.file(file.partition, &file.name).unwrap(), 0);
    loop {
        let mut incoming = backup.receive(file)?;
        while !incoming.is_complete() {
            let piece = from.read(incoming.offset(), 1 << 10).unwrap();
            copied += piece.len() as u64;
            incoming.write(&piece)?;
        }
        if backup.finish(file, incoming)? == Arrival::Whole {
            return Ok(copied);
        }
    }
}

/// A node with some history, all of it in a backup.
async fn backed_up(env: &Env) -> (Run, Node) {
    backed_up_with(env, ENTRIES).await
}

async fn backed_up_with(env: &Env, entries: usize) -> (Run, Node) {
    let mut run = Run::new();
    let node = Node::open(env, CACHE).unwrap();
    write(&node, &mut run, 0, entries).await;
    settle(&node, &mut run).await;
    back_up(env, &source(env, &node)).unwrap();
    (run, node)
}

/// The node is gone: its directory is out of the way.
fn lose(env: &Env) {
    env.disk.rename(Path::new(DATA), Path::new("/data/lost")).unwrap();
}

async fn restore_to(env: &Env, at: &At) -> Result<Restored, Error> {
    restore_as(env, at, Whose::Kept).await
}

async fn restore_as(env: &Env, at: &At, whose: Whose) -> Result<Restored, Error> {
    restore(env, &backup_dir(), Path::new(DATA), (at, whose), "test", &mut |_, _| {}).await
}

/// All files below a directory.
fn tree(disk: &dyn Disk, dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in disk.list(dir).unwrap() {
        let path = dir.join(&entry.name);
        match entry.kind {
            EntryKind::Dir => files.extend(tree(disk, &path)),
            EntryKind::File => drop(files.insert(path.clone(), disk.read_file(&path).unwrap())),
        }
    }
    files
}

#[test]
fn a_restored_node_answers_as_the_lost_one_did_and_goes_on() {
    let world = World::new(1);
    let env = world.env();
    world.run(async {
        let (mut run, node) = backed_up(&env).await;
        let cluster = source(&env, &node).listing().cluster;
        let token = source(&env, &node).listing().token();
        node.close().await;
        let lost = DataDir::open(&env, Path::new(DATA), &Options::default()).unwrap().identity.clone();
        lose(&env);
        let restored = restore_to(&env, &At::End).await.unwrap();
        assert_eq!(
            (restored.cluster, restored.from_cluster, restored.token.clone()),
            (cluster, cluster, token)
        );
        assert_ne!(restored.node, lost.node, "it is another node");
        let report = chronos_store::verify(&env.disk, Path::new(DATA)).unwrap();
        assert!(report.is_clean(), "{:?}", report.damages);
        let node = Node::open(&env, CACHE).unwrap();
        run.check(&node);
        // Some of these are retries of what was stored before the backup: the answers are the original ones.
        write(&node, &mut run, ENTRIES, 60).await;
        run.check(&node);
        settle(&node, &mut run).await;
        run.check(&node);
        node.close().await;
        let node = Node::open(&env, CACHE).unwrap();
        run.check(&node);
        node.close().await;
    });
}

#[test]
fn what_is_restored_belongs_to_a_cluster_of_its_own_and_never_into_the_backup_it_came_from() {
    let world = World::new(3);
    let env = world.env();
    world.run(async {
        let (run, node) = backed_up(&env).await;
        let (cluster, token) = (source(&env, &node).listing().cluster, source(&env, &node).listing().token());
        node.close().await;
        lose(&env);
        let restored = restore_as(&env, &At::End, Whose::Fresh).await.unwrap();
        assert_eq!((restored.from_cluster, restored.token.clone()), (cluster, token));
        assert_ne!(restored.cluster, cluster);
        let dir = DataDir::open(&env, Path::new(DATA), &Options::default()).unwrap();
        let (identity, seat) = (dir.identity.clone(), dir.seat().clone());
        drop(dir);
        assert_eq!((identity.cluster, identity.node), (restored.cluster, restored.node));
        assert_eq!(
            (seat.incarnation, seat.starts, seat.disowned),
            (0, vec![], None),
            "it has somebody's past"
        );
        let report = chronos_store::verify(&env.disk, Path::new(DATA)).unwrap();
        assert!(report.is_clean(), "{:?}", report.damages);
        let node = Node::open(&env, CACHE).unwrap();
        run.check(&node);
        let refused = back_up(&env, &source(&env, &node)).unwrap_err();
        assert!(matches!(refused, Error::OtherCluster { .. }), "{refused}");
        node.close().await;
    });
}

#[test]
fn a_second_backup_copies_only_what_is_new_and_restores_what_was_added() {
    let world = World::new(2);
    let env = world.env();
    world.run(async {
        let (mut run, node) = backed_up(&env).await;
        let before = source(&env, &node).listing().clone();
        assert_eq!(back_up(&env, &source(&env, &node)).unwrap(), 0, "nothing is new");
        write(&node, &mut run, ENTRIES, 9).await;
        settle(&node, &mut run).await;
        let after = source(&env, &node);
        let known: Vec<NamedFile> = before.files().collect();
        let new: u64 =
            after.listing().files().filter(|file| !known.contains(file)).map(|file| file.meta.bytes).sum();
        assert!(new < after.listing().bytes(), "some parts must have stayed as they were");
        assert_eq!(back_up(&env, &after).unwrap(), new);
        drop(after);
        node.close().await;
        lose(&env);
        restore_to(&env, &At::End).await.unwrap();
        let node = Node::open(&env, CACHE).unwrap();
        run.check(&node);
        node.close().await;
    });
}

#[test]
fn what_is_held_for_a_backup_can_be_copied_though_its_files_were_merged_away() {
    let world = World::new(3);
    let env = world.env();
    world.run(async {
        let mut run = Run::new();
        let node = Node::open(&env, CACHE).unwrap();
        write(&node, &mut run, 0, 30).await;
        settle(&node, &mut run).await;
        let held = source(&env, &node);
        write(&node, &mut run, 30, 150).await;
        settle(&node, &mut run).await;
        let names = |listing: &chronos_store::backup::Listing| listing.files().collect::<Vec<_>>();
        let now = names(source(&env, &node).listing());
        let gone = names(held.listing()).into_iter().filter(|file| !now.contains(file)).count();
        assert!(gone > 0, "nothing was merged or erased meanwhile");
        back_up(&env, &held).unwrap();
        assert!(verify(&env.disk, &backup_dir(), &mut |_| {}).unwrap().damages.is_empty());
        drop(held);
        node.close().await;
    });
}

/// Every event up to a bound, its digest, and nothing else.
fn check_prefix(lost: &Partition, restored: &Partition, bound: Position) {
    assert_eq!(restored.head(), bound);
    assert_eq!(restored.digest(None).unwrap(), lost.digest(Some(bound)).unwrap());
    for n in 1..=bound.get() + 1 {
        let read = |partition: &Partition| partition.at(Position::new(n)).unwrap();
        let (wanted, got) = (read(lost).filter(|event| event.position <= bound), read(restored));
        same_events(got.as_slice(), &wanted.iter().collect::<Vec<_>>());
        let Some(event) = wanted else { continue };
        let space = Space { tenant: event.tenant.as_str(), fork: event.fork };
        let entity = event.event().entity_id.to_owned();
        let version = lost.version_at_bound(space, &entity, bound).unwrap();
        assert_eq!(restored.version(space, &entity).unwrap(), version, "{entity} at {bound}");
        let range = Range::forward();
        let page = restored.entity(space, &entity, range).unwrap();
        let kept = page.truncated_before.max(Version::new(1)).get()..=version.get();
        assert!(
            page.events.iter().map(|event| event.version.get()).eq(kept),
            "{entity} at {bound}: {page:?}"
        );
    }
}

#[test]
fn a_restore_to_a_token_or_a_moment_is_that_past_and_nothing_else() {
    let world = World::new(4);
    let env = world.env();
    world.run(async {
        let (_, lost) = backed_up(&env).await;
        let heads: Vec<u64> = (0..USED.len()).map(|at| lost.partition(at).head().get()).collect();
        let part_end = lost.partition(0).shelf().parts[0].meta().last.get();
        let mut moments: Vec<(At, Vec<Position>)> = Vec::new();
        for wanted in
            [[0, 0, 0], [1, heads[1], 0], [part_end, heads[1] / 2, 7], [part_end + 1, 3, heads[2] - 1]]
        {
            let bounds: Vec<Position> = wanted.into_iter().map(Position::new).collect();
            let token: Token = (0..USED.len()).map(|at| (id(at), bounds[at])).collect();
            moments.push((At::Token(token), bounds));
        }
        let last = lost.partition(0).recorded_at().get();
        for moment in [-1, last / 3, last / 2, last] {
            let moment = Timestamp::new(moment);
            let bounds = (0..USED.len()).map(|at| lost.partition(at).bound_at(moment).unwrap());
            moments.push((At::Moment(moment), bounds.collect()));
        }
        for (n, (at, bounds)) in moments.iter().enumerate() {
            let target = PathBuf::from(format!("/restored-{n}"));
            let restored = restore(&env, &backup_dir(), &target, (at, Whose::Fresh), "test", &mut |_, _| {})
                .await
                .unwrap();
            assert_eq!(restored.token, (0..USED.len()).map(|at| (id(at), bounds[at])).collect::<Token>());
            let node = Node::open_in(&env, &target, CACHE).unwrap();
            for (at, bound) in bounds.iter().enumerate() {
                check_prefix(lost.partition(at), node.partition(at), *bound);
            }
            // It goes on from there, as another history.
            let mut next = Run::new();
            let wishes = &sample(3)[..1];
            let commands = next.commands(0, wishes);
            node.append(0, &commands).await.unwrap();
            node.compact(0, usize::MAX, true).await.unwrap();
            node.close().await;
            Node::open_in(&env, &target, CACHE).unwrap().close().await;
            let report = chronos_store::verify(&env.disk, &target).unwrap();
            assert!(report.is_clean(), "{at:?}: {:?}", report.damages);
        }
        lost.close().await;
    });
}

#[test]
fn a_moment_beyond_the_backup_is_refused() {
    let world = World::new(5);
    let env = world.env();
    world.run(async {
        let (_, node) = backed_up(&env).await;
        let beyond = node.partition(1).head().next();
        node.close().await;
        lose(&env);
        let later = At::Moment(Timestamp::new(CLUSTER_AT.get() + 1));
        for at in [
            later,
            At::Token(Token::at(id(1), beyond)),
            At::Token(Token::at(PartitionId::new(7).unwrap(), Position::new(1))),
        ] {
            let refused = restore_to(&env, &at).await.unwrap_err();
            assert!(matches!(refused, Error::Beyond(_) | Error::Later { .. }), "{at:?}: {refused}");
            assert!(!env.disk.exists(Path::new(DATA)).unwrap());
        }
    });
}

/// Breaks one file; what was there before comes back from its snapshot.
fn change(disk: &dyn Disk, path: &Path, bytes: Option<&[u8]>) {
    disk.remove(path).unwrap();
    if let Some(bytes) = bytes {
        let file = disk.open(path, OpenMode::CreateNew).unwrap();
        file.write_at(bytes, 0).unwrap();
        file.sync_data().unwrap();
    }
}

fn put_back(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    if disk.exists(path).unwrap() {
        disk.remove(path).unwrap();
    }
    let file = disk.open(path, OpenMode::CreateNew).unwrap();
    file.write_at(bytes, 0).unwrap();
}

#[test]
fn damage_of_any_file_is_found_named_and_never_restored() {
    let world = World::new(6);
    let env = world.env();
    world.run(async {
        let (_, node) = backed_up(&env).await;
        node.close().await;
        lose(&env);
        let disk = env.disk.as_ref();
        let whole = tree(disk, &backup_dir());
        let mut kinds = BTreeMap::new();
        for (path, bytes) in whole.iter().filter(|(path, _)| path.file_name().unwrap() != "LOCK") {
            let kind = path.extension().map_or("BACKUP", |extension| extension.to_str().unwrap());
            let seen: &mut u32 = kinds.entry(kind.to_owned()).or_default();
            *seen += 1;
            if *seen > 3 {
                continue;
            }
            let mut flipped = bytes.clone();
            let at = bytes.len() * (*seen as usize) / 4;
            flipped[at] ^= 1 << (at % 8);
            let mut longer = bytes.clone();
            longer.push(0);
            let broken =
                [Some(&flipped[..]), Some(&bytes[..bytes.len() - 1]), Some(&longer[..]), Some(&[]), None];
            for content in broken {
                change(disk, path, content);
                let refused = restore_to(&env, &At::End).await.expect_err("a damaged backup was restored");
                let name = path.file_name().unwrap().to_str().unwrap();
                assert!(refused.to_string().contains(name), "{name}: {refused}");
                assert!(!disk.exists(Path::new(DATA)).unwrap());
                put_back(disk, path, bytes);
            }
        }
        assert_eq!(kinds.keys().collect::<Vec<_>>(), ["BACKUP", "index", "parquet"]);
        restore_to(&env, &At::End).await.unwrap();
    });
}

#[test]
fn exchanged_files_are_found() {
    let world = World::new(7);
    let env = world.env();
    world.run(async {
        let (_, node) = backed_up(&env).await;
        node.close().await;
        lose(&env);
        let disk = env.disk.as_ref();
        for end in ["parquet", "index"] {
            let whole = tree(disk, &backup_dir());
            let of_kind = || whole.iter().filter(|(path, _)| path.extension().is_some_and(|e| e == end));
            let ((one, first), (two, second)) = (of_kind().next().unwrap(), of_kind().next_back().unwrap());
            assert_ne!(one, two);
            change(disk, one, Some(second));
            change(disk, two, Some(first));
            let Error::DamagedFiles(damages) = restore_to(&env, &At::End).await.unwrap_err() else {
                panic!("another error")
            };
            assert_eq!(damages.len(), 2, "{damages:?}");
            put_back(disk, one, first);
            put_back(disk, two, second);
        }
        assert!(verify(&env.disk, &backup_dir(), &mut |_| {}).unwrap().damages.is_empty());
    });
}

#[test]
fn a_target_that_holds_anything_is_left_alone() {
    let world = World::new(8);
    let env = world.env();
    world.run(async {
        let (_, node) = backed_up(&env).await;
        node.close().await;
        let before = tree(env.disk.as_ref(), Path::new(DATA));
        let refused = restore_to(&env, &At::End).await.unwrap_err();
        assert!(matches!(refused, Error::NotEmpty { .. }), "{refused}");
        assert_eq!(tree(env.disk.as_ref(), Path::new(DATA)), before);
        let unfinished = Path::new("/other.restoring");
        let refused =
            restore(&env, &backup_dir(), unfinished, (&At::End, Whose::Fresh), "test", &mut |_, _| {}).await;
        assert!(matches!(refused, Err(Error::Reserved { .. })));
        env.disk.create_dir_all(Path::new("/mine.restoring/photos")).unwrap();
        let refused = restore(
            &env,
            &backup_dir(),
            Path::new("/mine"),
            (&At::End, Whose::Fresh),
            "test",
            &mut |_, _| {},
        )
        .await;
        assert!(matches!(refused, Err(Error::NotEmpty { .. })), "what is not ours is not cleared away");
        assert!(env.disk.exists(Path::new("/mine.restoring/photos")).unwrap());
        lose(&env);
        env.disk.create_dir_all(Path::new(DATA)).unwrap();
        restore_to(&env, &At::End).await.unwrap();
    });
}

#[test]
fn without_a_finished_backup_there_is_nothing_to_restore() {
    let world = World::new(9);
    let env = world.env();
    world.run(async {
        let refused = restore_to(&env, &At::End).await.unwrap_err();
        assert!(matches!(refused, Error::Unfinished { .. }), "{refused}");
        drop(BackupDir::open(&env, &backup_dir(), &mut |_| {}).unwrap());
        let refused = restore_to(&env, &At::End).await.unwrap_err();
        assert!(matches!(refused, Error::Unfinished { .. }), "{refused}");
        let _running = BackupDir::open(&env, &backup_dir(), &mut |_| {}).unwrap();
        let refused = restore_to(&env, &At::End).await.unwrap_err();
        assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    });
}

/// The power fails at the `nth` hit of `point` during a restore to `at`; what there is then is all or nothing, and a
/// second run brings it about.
fn dies_at(point: &str, nth: u64, run: &Run, world: &World, at: &At) {
    let what = format!("{point}:{nth}");
    let (env, disk) = (world.env(), world.disk());
    world.arm_crash(point, nth);
    let _ = world.run(restore_to(&env, at));
    assert!(disk.is_off(), "{what} was not reached");
    disk.power_on();
    let env = world.env();
    world.run(async {
        let unfinished = PathBuf::from(format!("{DATA}.restoring"));
        if env.disk.exists(&unfinished).unwrap() {
            let opened = DataDir::open(&env, &unfinished, &Options::default());
            assert!(opened.is_err(), "{what}: a half restored directory was opened");
        }
        if !env.disk.exists(Path::new(DATA)).unwrap() {
            restore_to(&env, at).await.unwrap_or_else(|refused| panic!("{what}: {refused}"));
        }
        assert!(!env.disk.exists(&unfinished).unwrap(), "{what}: something was left beside it");
        let report = chronos_store::verify(&env.disk, Path::new(DATA)).unwrap();
        assert!(report.is_clean(), "{what}: {:?}", report.damages);
        let node = Node::open(&env, CACHE).unwrap_or_else(|error| panic!("{what}: {error}"));
        match at {
            At::End => run
                .oracles
                .iter()
                .enumerate()
                .for_each(|(at, oracle)| oracle.check_events(node.partition(at))),
            At::Token(token) => {
                (0..USED.len())
                    .for_each(|at| assert_eq!(node.partition(at).head(), token.get(id(at)), "{what}"));
            }
            At::Moment(_) => unreachable!("not tried here"),
        }
        node.close().await;
    });
}

/// How often a restore passes each crash point.
fn hits(world: &World, at: &At) -> BTreeMap<&'static str, u64> {
    let env = world.env();
    let before = env.crash.hits();
    world.run(restore_to(&env, at)).unwrap();
    let hits = env.crash.hits().into_iter();
    hits.map(|(name, n)| (name, n - before.get(name).copied().unwrap_or(0))).filter(|(_, n)| *n > 0).collect()
}

#[test]
fn a_restore_that_dies_anywhere_leaves_nothing_to_start_from_and_a_second_one_works() {
    let prepared = |seed| {
        let world = World::new(seed);
        let env = world.env();
        let run = world.run(async {
            let (run, node) = backed_up_with(&env, FEW_ENTRIES).await;
            node.close().await;
            run
        });
        lose(&env);
        (world, run)
    };
    let (world, run) = prepared(10);
    let heads: Vec<Position> = run.oracles.iter().map(|oracle| oracle.head()).collect();
    let half = At::Token((0..USED.len()).map(|at| (id(at), Position::new(heads[at].get() / 2))).collect());
    drop(world);
    let mut passed = BTreeMap::new();
    for at in [At::End, half] {
        let (world, _) = prepared(10);
        let mut hits = hits(&world, &at);
        // A restore to a moment takes the same steps and a few more.
        hits.retain(|point, _| !passed.contains_key(point));
        for (point, n) in &hits {
            for nth in [1, *n].into_iter().collect::<BTreeSet<_>>() {
                let (world, run) = prepared(nth + 11);
                dies_at(point, nth, &run, &world, &at);
            }
        }
        passed.extend(hits);
    }
    // One that finds an earlier one's leftovers dies too.
    let (world, run) = prepared(10);
    world.arm_crash("store.restore.logged", 1);
    let _ = world.run(restore_to(&world.env(), &At::End));
    world.disk().power_on();
    dies_at("store.restore.cleared", 1, &run, &world, &At::End);
    passed.insert("store.restore.cleared", 1);
    for point in RESTORE_CRASH_POINTS {
        assert!(passed.contains_key(point), "{point} is never passed");
    }
}
