use chronos_domain::{Position, Timestamp};
use chronos_env::sim::{FaultPlan, World};
use chronos_proof::Hash;

use super::*;
use crate::meta::{FileMeta, IndexTail, PartMeta};

const DIR: &str = "/data/node/parts/p07";
const CLUSTER: u128 = 0xfeed;

fn partition() -> PartitionId {
    PartitionId::new(7).unwrap()
}

fn open_with(env: &Env, log: LogStart) -> Result<(PartsDir, Option<Manifest>, Notes), Fault> {
    PartsDir::open(env, PathBuf::from(DIR), CLUSTER, partition(), log)
}

fn open(env: &Env) -> (PartsDir, Option<Manifest>, Notes) {
    open_with(env, LogStart::Purged).unwrap()
}

fn put(env: &Env, name: &str, bytes: &[u8]) {
    let path = Path::new(DIR).join(name);
    if env.disk.exists(&path).unwrap() {
        env.disk.remove(&path).unwrap();
    }
    let file = env.disk.open(&path, OpenMode::CreateNew).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    env.disk.sync_dir(Path::new(DIR)).unwrap();
}

/// The manifest after `before` whose last part ends at `last` and was written by the next cut; `merged` puts that
/// part in the place of all earlier ones.
fn next(before: &Manifest, last: u64, merged: bool) -> Manifest {
    let mut manifest = before.clone();
    manifest.sequence += 1;
    manifest.cut += 1;
    let (first, chain_before) = match merged {
        true => (Position::new(1), chronos_proof::chain_start(partition())),
        false => (manifest.compacted.next(), manifest.chain),
    };
    if merged {
        manifest.parts.clear();
    }
    (manifest.compacted.get()..last).for_each(|leaf| manifest.frontier.push(Hash([leaf as u8; 32])));
    manifest.compacted = Position::new(last);
    manifest.chain = Hash([last as u8; 32]);
    let file = |bytes| FileMeta { bytes, sha256: Hash([1; 32]) };
    manifest.parts.push(PartMeta {
        first,
        last: manifest.compacted,
        cut: manifest.cut,
        level: 0,
        raw_bytes: 1,
        erased: 0,
        parquet: file(last),
        index: file(last + 1),
        recorded: (Timestamp::ZERO, Timestamp::ZERO),
        chain_before,
        chain_after: manifest.chain,
        index_tail: IndexTail { offset: 0, xxh64: 0 },
    });
    manifest
}

fn put_parts(env: &Env, manifest: &Manifest) {
    for (name, len) in inspect::file_names(manifest) {
        put(env, &name, &vec![7; len as usize]);
    }
}

/// A directory that holds the second of two manifests, with one part each.
fn settled(env: &Env) -> (PartsDir, Manifest) {
    let (dir, none, _) = open_with(env, LogStart::Whole).unwrap();
    assert_eq!(none, None);
    let first = next(&Manifest::start(CLUSTER, partition()), 3, false);
    put_parts(env, &first);
    dir.swap(&first).unwrap();
    let second = next(&first, 5, false);
    put_parts(env, &second);
    dir.swap(&second).unwrap();
    (dir, second)
}

fn names(env: &Env) -> Vec<String> {
    let mut names: Vec<String> =
        env.disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect();
    names.retain(|name| name != MANIFEST && name != TWIN);
    names
}

#[test]
fn what_was_swapped_in_is_what_the_next_start_finds() {
    let env = World::new(1).env();
    let (_, manifest) = settled(&env);
    let (_, found, notes) = open(&env);
    assert_eq!((found, notes), (Some(manifest), Notes::default()));
}

/// A panic while etcd exchanged its files left revisions that did not fit together (#14685).
#[test]
fn t_30_a_crash_at_any_step_of_a_swap_leaves_one_manifest_and_all_its_files_and_nothing_else() {
    let steps = [
        SWAP_BEFORE,
        SWAP_WRITTEN,
        SWAP_RENAMED,
        SWAP_DURABLE,
        TWIN_WRITTEN,
        TWIN_RENAMED,
        SWAP_DONE,
        REMOVE_BEFORE,
        REMOVE_ONE,
        REMOVE_DONE,
    ];
    for step in steps {
        for seed in 0..20 {
            let world = World::new(seed);
            let (dir, before) = settled(&world.env());
            let after = next(&before, 9, true);
            put_parts(&world.env(), &after);
            world.arm_crash(step, 1);
            let _ = dir.swap(&after).and_then(|()| dir.remove_unnamed(&after));
            assert!(world.disk().is_off(), "{step} was not passed");
            world.disk().power_on();
            let (_, found, _) = open(&world.env());
            let found = found.unwrap();
            assert!(found == before || found == after, "{step}: neither of the two manifests, seed {seed}");
            let late = ![SWAP_BEFORE, SWAP_WRITTEN, SWAP_RENAMED].contains(&step);
            assert!(!late || found == after, "{step}: the swap was taken back, seed {seed}");
            let named: Vec<String> = inspect::file_names(&found).into_keys().collect();
            assert_eq!(names(&world.env()), named, "{step}, seed {seed}");
        }
    }
}

/// A restart of Fauna in the middle of a compaction deleted files that were in use.
#[test]
fn t_22_a_crash_while_the_directory_is_opened_is_survived_too() {
    for step in [TWIN_WRITTEN, TWIN_RENAMED, SWAP_DONE, REMOVE_BEFORE, REMOVE_ONE, REMOVE_DONE] {
        for seed in 0..10 {
            let world = World::new(seed);
            let (_, manifest) = settled(&world.env());
            world.disk().flip_bit(&Path::new(DIR).join(TWIN), 20, 3).unwrap();
            put(&world.env(), "000000000006-000000000007-000003.parquet.tmp", b"half");
            world.arm_crash(step, 1);
            let _ = open_with(&world.env(), LogStart::Purged);
            assert!(world.disk().is_off(), "{step} was not passed");
            world.disk().power_on();
            assert_eq!(open(&world.env()).1, Some(manifest), "{step}, seed {seed}");
        }
    }
}

#[test]
fn a_renamed_manifest_is_durable_before_what_it_does_not_name_goes() {
    // A process is killed after the rename and before the directory is synced; the next one starts, cleans up, and
    // then the power goes. Whichever manifest the medium has, its files must be there.
    for seed in 0..40 {
        let world = World::new(seed);
        let (_, before) = settled(&world.env());
        let after = next(&before, 9, true);
        put_parts(&world.env(), &after);
        let temporary = Path::new(DIR).join("MANIFEST.tmp");
        let file = world.env().disk.open(&temporary, OpenMode::CreateNew).unwrap();
        file.write_at(&after.encode(), 0).unwrap();
        file.sync_data().unwrap();
        world.env().disk.rename(&temporary, &Path::new(DIR).join(MANIFEST)).unwrap();
        assert_eq!(open(&world.env()).1, Some(after.clone()));
        world.disk().power_off();
        world.disk().power_on();
        assert_eq!(open(&world.env()).1, Some(after), "seed {seed}");
    }
}

#[test]
fn either_copy_of_the_manifest_is_enough() {
    for lost in [MANIFEST, TWIN] {
        for how in ["removed", "flipped", "cut", "unreadable"] {
            let world = World::new(1);
            let (_, manifest) = settled(&world.env());
            let path = Path::new(DIR).join(lost);
            match how {
                "removed" => world.disk().damage_remove(&path).unwrap(),
                "flipped" => world.disk().flip_bit(&path, 100, 3).unwrap(),
                "cut" => world.disk().damage_truncate(&path, 50).unwrap(),
                _ => world.disk().fail_read(&format!("/{lost}"), 1, chronos_env::sim::Repeat::Once),
            }
            let (_, found, notes) = open(&world.env());
            assert_eq!(found.as_ref(), Some(&manifest), "{lost} {how}");
            assert!(notes.repaired, "{lost} {how}");
            assert_eq!(notes.quarantined.len(), usize::from(how != "removed"), "{lost} {how}");
            assert_eq!(open(&world.env()).2, Notes::default(), "{lost} {how}: the repair did not last");
        }
    }
}

/// NATS met a stream whose metadata was damaged, called it an orphan, and deleted its directory.
#[test]
fn t_17_without_a_manifest_nothing_is_deleted() {
    let damage = |world: &World| {
        for name in [MANIFEST, TWIN] {
            world.disk().flip_bit(&Path::new(DIR).join(name), 100, 3).unwrap();
        }
    };
    // The log was purged: the directory is refused as it is.
    let world = World::new(1);
    settled(&world.env());
    damage(&world);
    let before = world.disk().snapshot();
    let refused = open_with(&world.env(), LogStart::Purged).unwrap_err();
    assert!(matches!(refused, Fault::Corrupt { .. }), "{refused}");
    assert_eq!(world.disk().snapshot(), before);
    // The log has everything: all of it is set aside, and there is room for a new start.
    let (dir, none, notes) = open_with(&world.env(), LogStart::Whole).unwrap();
    assert_eq!(none, None);
    assert_eq!(notes.quarantined.len(), 2 + 4);
    for (kept, _) in &notes.quarantined {
        let name = kept.file_name().unwrap();
        assert_eq!(world.disk().snapshot()[kept], before[&Path::new(DIR).join(name)], "{name:?}");
    }
    let first = next(&Manifest::start(CLUSTER, partition()), 3, false);
    put_parts(&world.env(), &first);
    dir.swap(&first).unwrap();
    // A second accident of the same kind does not overwrite what was set aside before.
    damage(&world);
    let (_, _, again) = open_with(&world.env(), LogStart::Whole).unwrap();
    assert!(
        again.quarantined.iter().all(|(path, _)| notes.quarantined.iter().all(|(other, _)| other != path))
    );
}

/// Who has forgotten both his log and his parts must not be taken for new: he would vote as if he had promised nothing.
#[test]
fn with_an_empty_log_a_directory_is_new_only_if_nothing_shows_that_parts_were_here() {
    let everything_but = |kept: &str| {
        let world = World::new(1);
        settled(&world.env());
        for (path, _) in world.disk().snapshot() {
            let name = path.file_name().unwrap().to_str().unwrap();
            match name.ends_with(kept) && !kept.is_empty() {
                true => world.disk().flip_bit(&path, 0, 3).unwrap(),
                false => world.disk().damage_remove(&path).unwrap(),
            }
        }
        world
    };
    for kept in [MANIFEST, TWIN, PARQUET, INDEX] {
        let world = everything_but(kept);
        let before = world.disk().snapshot();
        for start in ["first", "second"] {
            let refused = open_with(&world.env(), LogStart::Empty).unwrap_err();
            assert!(matches!(refused, Fault::Corrupt { .. }), "{kept}, {start} start: {refused}");
        }
        assert_eq!(world.disk().snapshot(), before, "{kept}: something was touched");
    }
    assert_eq!(open_with(&everything_but("").env(), LogStart::Empty).unwrap().1, None);
}

#[test]
fn an_empty_directory_is_new_only_while_the_log_is_whole() {
    let env = World::new(1).env();
    let refused = open_with(&env, LogStart::Purged).unwrap_err();
    assert!(refused.to_string().contains("MANIFEST"), "{refused}");
    assert!(!env.disk.exists(Path::new(DIR)).unwrap(), "a refusal made something");
    assert_eq!(open_with(&env, LogStart::Whole).unwrap().1, None);
}

#[test]
fn a_manifest_of_somebody_else_is_refused_and_left_alone() {
    let world = World::new(1);
    settled(&world.env());
    put(&world.env(), "left.tmp", b"over");
    let before = world.disk().snapshot();
    let strangers = [(CLUSTER + 1, partition()), (CLUSTER, PartitionId::new(8).unwrap())];
    for (cluster, partition) in strangers {
        let refused = PartsDir::open(&world.env(), PathBuf::from(DIR), cluster, partition, LogStart::Whole);
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("belongs to"), "{refused}");
        assert_eq!(world.disk().snapshot(), before);
    }
}

#[test]
fn a_part_that_is_missing_or_has_another_length_is_named() {
    for name in ["000000000001-000000000003-000001.parquet", "000000000004-000000000005-000002.index"] {
        for cut in [None, Some(1)] {
            let world = World::new(1);
            settled(&world.env());
            let path = Path::new(DIR).join(name);
            match cut {
                None => world.disk().damage_remove(&path).unwrap(),
                Some(len) => world.disk().damage_truncate(&path, len).unwrap(),
            }
            let refused = open_with(&world.env(), LogStart::Whole).unwrap_err();
            assert!(matches!(&refused, Fault::Corrupt { file, .. } if *file == path), "{refused}");
        }
    }
}

#[test]
fn leftovers_go_and_what_is_not_ours_stays() {
    let env = World::new(1).env();
    let (_, manifest) = settled(&env);
    let leftovers = ["000000000006-000000000009-000003.index", "x.parquet.tmp"];
    let foreign = ["README.txt", "lost+found"];
    leftovers.iter().chain(&foreign).for_each(|name| put(&env, name, b"x"));
    let (_, found, notes) = open(&env);
    assert_eq!(found.as_ref(), Some(&manifest));
    assert_eq!(notes.removed, leftovers);
    let names = names(&env);
    assert!(foreign.iter().all(|name| names.iter().any(|found| found == name)), "{names:?}");
    assert_eq!(names.len(), 4 + foreign.len());
}

#[test]
fn a_swap_that_fails_can_be_repeated() {
    let world = World::new(1);
    let (dir, before) = settled(&world.env());
    let after = next(&before, 9, true);
    put_parts(&world.env(), &after);
    for nth in 1..=4 {
        world.disk().fail_sync(DIR, nth, chronos_env::sim::Repeat::Once);
        dir.swap(&after).unwrap_err();
        world.disk().faults(FaultPlan::default());
        // Whichever of the two manifests holds now: the files of both must stay.
        let removed = dir.remove_unnamed(&before).unwrap();
        assert_eq!(removed.is_empty(), nth > 1, "{removed:?}");
        put_parts(&world.env(), &after);
    }
    dir.swap(&after).unwrap();
    assert!(!dir.remove_unnamed(&after).unwrap().is_empty());
    assert_eq!(open(&world.env()).1, Some(after));
}
