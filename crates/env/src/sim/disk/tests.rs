//! Contract and faults of the simulated disk, one by one. Random scripts against a model: the child module.

mod model;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::content::{BLOCK_BYTES, SECTOR_BYTES};
use super::*;

const DIR: &str = "/d";

/// A disk with the durable, empty directory `/d`.
fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn at(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

fn create(disk: &SimDisk, name: &str) -> Arc<dyn File> {
    disk.open(&at(name), OpenMode::CreateNew).unwrap()
}

/// A file whose content and name are durable.
fn settled(disk: &SimDisk, name: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = create(disk, name);
    file.write_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    file
}

fn power_cycle(disk: &SimDisk) {
    disk.power_off();
    disk.power_on();
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap().into_iter().map(|entry| entry.name).collect()
}

/// How often `happened` over many seeds; both extremes would mean that nothing is left to chance.
fn sometimes(what: &str, happened: impl Fn(u64) -> bool) {
    let times = (0..200).filter(|seed| happened(*seed)).count();
    assert!((1..200).contains(&times), "{what} happened {times} times in 200 seeds");
}

#[test]
fn the_simulated_disk_keeps_the_contract() {
    let disk = SimDisk::new(1);
    crate::disk_contract::run(&|| Arc::new(disk.clone()), Path::new("/root"));
}

#[test]
fn what_was_synced_survives_every_power_cut() {
    for seed in 0..100 {
        let disk = disk(seed);
        settled(&disk, "kept", &[5; 10_000]);
        power_cycle(&disk);
        assert!(disk.read_file(&at("kept")).unwrap() == [5; 10_000], "seed {seed}");
    }
}

#[test]
fn what_was_not_synced_is_sometimes_lost_and_sometimes_kept() {
    sometimes("an un-synced overwrite survived", |seed| {
        let disk = disk(seed);
        settled(&disk, "file", b"old").write_at(b"new", 0).unwrap();
        power_cycle(&disk);
        disk.read_file(&at("file")).unwrap() == b"new"
    });
    sometimes("an un-synced name survived", |seed| {
        let disk = disk(seed);
        create(&disk, "file");
        power_cycle(&disk);
        names(&disk) == ["file"]
    });
    sometimes("an un-synced removal was undone", |seed| {
        let disk = disk(seed);
        settled(&disk, "file", b"abc");
        disk.remove(&at("file")).unwrap();
        power_cycle(&disk);
        disk.read_file(&at("file")).is_ok_and(|bytes| bytes == b"abc")
    });
    sometimes("a creation that was removed again came back without its content", |seed| {
        let disk = disk(seed);
        create(&disk, "file").write_at(b"abc", 0).unwrap();
        disk.remove(&at("file")).unwrap();
        power_cycle(&disk);
        disk.read_file(&at("file")).is_ok_and(|bytes| bytes.is_empty())
    });
}

#[test]
fn a_later_write_may_survive_without_an_earlier_one() {
    sometimes("the second block survived alone", |seed| {
        let disk = disk(seed);
        let file = settled(&disk, "file", &[0; 2 * BLOCK_BYTES]);
        file.write_at(&[1; BLOCK_BYTES], 0).unwrap();
        file.write_at(&[2; BLOCK_BYTES], BLOCK_BYTES as u64).unwrap();
        power_cycle(&disk);
        let content = disk.read_file(&at("file")).unwrap();
        content[..BLOCK_BYTES].iter().all(|b| *b == 0) && content[BLOCK_BYTES..].iter().all(|b| *b == 2)
    });
}

#[test]
fn a_block_may_be_torn_between_sectors_and_nowhere_else() {
    sometimes("a block was torn", |seed| {
        let disk = disk(seed);
        settled(&disk, "file", &[1; BLOCK_BYTES]).write_at(&[2; BLOCK_BYTES], 0).unwrap();
        power_cycle(&disk);
        let content = disk.read_file(&at("file")).unwrap();
        for sector in content.chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "seed {seed}: torn inside a sector");
        }
        content.contains(&1) && content.contains(&2)
    });
}

#[test]
fn a_length_may_survive_without_the_bytes() {
    sometimes("a longer file read as zeros", |seed| {
        let disk = disk(seed);
        settled(&disk, "file", b"").write_at(&[7; 100], 0).unwrap();
        power_cycle(&disk);
        disk.read_file(&at("file")).unwrap() == [0; 100]
    });
}

#[test]
fn a_shrinking_truncate_happens_wholly_or_not_at_all() {
    for (seed, dirty) in (0..200).flat_map(|seed| [(seed, false), (seed, true)]) {
        let disk = disk(seed);
        let file = settled(&disk, "file", &[1; 6000]);
        if dirty {
            file.write_at(&[2; 6000], 0).unwrap();
        }
        file.truncate(100).unwrap();
        file.truncate(6000).unwrap();
        power_cycle(&disk);
        let content = disk.read_file(&at("file")).unwrap();
        let kept = content.iter().take_while(|byte| **byte != 0).count();
        let happened = kept == 100 && content[kept..].iter().all(|byte| *byte == 0);
        assert!(happened || kept == 6000, "seed {seed}, dirty {dirty}: {kept} of {} bytes", content.len());
    }
    sometimes("a truncate was undone", |seed| {
        let disk = disk(seed);
        settled(&disk, "file", &[1; 6000]).truncate(100).unwrap();
        power_cycle(&disk);
        disk.read_file(&at("file")).unwrap() == [1; 6000]
    });
    sometimes("a truncate survived together with what it left of an un-synced write", |seed| {
        let disk = disk(seed);
        let file = settled(&disk, "file", b"");
        file.write_at(&[1; 6000], 0).unwrap();
        file.truncate(3000).unwrap();
        power_cycle(&disk);
        disk.read_file(&at("file")).unwrap() == [1; 3000]
    });
}

#[test]
fn a_rename_is_never_half_done() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let disk = disk(seed);
        settled(&disk, "spare", b"abc");
        disk.rename(&at("spare"), &at("live")).unwrap();
        power_cycle(&disk);
        let left = names(&disk);
        assert_eq!(left.len(), 1, "seed {seed}: {left:?}");
        assert_eq!(disk.read_file(&at(&left[0])).unwrap(), b"abc", "seed {seed}");
        seen.extend(left);
    }
    assert_eq!(seen.len(), 2, "a rename always or never survived");
}

#[test]
fn a_new_file_under_the_old_name_of_a_renamed_one_never_costs_it() {
    for seed in 0..200 {
        let disk = disk(seed);
        settled(&disk, "segment", b"abc");
        disk.rename(&at("segment"), &at("spare")).unwrap();
        create(&disk, "segment");
        power_cycle(&disk);
        let found = disk.snapshot();
        assert!(
            found.values().any(|bytes| bytes == b"abc"),
            "seed {seed}: lost by a rename, left: {found:?}"
        );
    }
}

#[test]
fn syncing_either_directory_settles_a_rename_between_them() {
    for (seed, synced) in (0..100).flat_map(|seed| [(seed, "/d"), (seed, "/e")]) {
        let disk = disk(seed);
        disk.create_dir_all(Path::new("/e")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        create(&disk, "file");
        disk.rename(&at("file"), Path::new("/e/file")).unwrap();
        disk.sync_dir(Path::new(synced)).unwrap();
        power_cycle(&disk);
        let files: Vec<_> = disk.files().into_iter().map(|(path, _)| path).collect();
        assert_eq!(files, [PathBuf::from("/e/file")], "seed {seed}, synced {synced}");
    }
}

#[test]
fn replacing_a_file_atomically_leaves_old_or_new() {
    for (seed, cut_at) in (0..50).flat_map(|seed| (1..4).map(move |cut| (seed, cut))) {
        let disk = disk(seed);
        disk.write_atomic(&at("file"), b"old").unwrap();
        // Let the power go at a step in the middle: after the n-th write, sync or rename.
        let file = create(&disk, "file.tmp");
        file.write_at(b"new content", 0).unwrap();
        if cut_at > 1 {
            file.sync_data().unwrap();
        }
        if cut_at > 2 {
            disk.rename(&at("file.tmp"), &at("file")).unwrap();
        }
        power_cycle(&disk);
        let content = disk.read_file(&at("file")).unwrap();
        assert!(content == b"old" || content == b"new content", "seed {seed}, cut {cut_at}: {content:?}");
        disk.write_atomic(&at("file"), b"newest").unwrap();
        power_cycle(&disk);
        assert_eq!(disk.read_file(&at("file")).unwrap(), b"newest", "seed {seed}");
    }
}

#[test]
fn a_directory_whose_name_was_lost_takes_its_files_along() {
    sometimes("the directory was lost with a synced file in it", |seed| {
        let disk = disk(seed);
        disk.create_dir_all(&at("sub")).unwrap();
        let file = create(&disk, "sub/file");
        file.sync_data().unwrap();
        disk.sync_dir(&at("sub")).unwrap();
        power_cycle(&disk);
        disk.files().is_empty()
    });
}

#[test]
fn without_power_nothing_works_and_afterwards_old_handles_and_locks_stay_dead() {
    let disk = disk(1);
    let file = settled(&disk, "file", b"abc");
    let lock = disk.lock(&at("lock")).unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    disk.power_off();
    assert!(disk.is_off());
    assert!(PowerLost::caused(&file.read_at(&mut [0; 3], 0).unwrap_err()));
    assert!(PowerLost::caused(&file.sync_data().unwrap_err()));
    assert!(PowerLost::caused(&disk.exists(&at("file")).unwrap_err()));
    assert!(PowerLost::caused(&disk.open(&at("file"), OpenMode::Read).err().unwrap()));
    disk.power_on();
    assert!(PowerLost::caused(&file.write_at(b"ghost", 0).unwrap_err()), "a handle came back to life");
    let again = disk.lock(&at("lock")).expect("a dead process holds no lock");
    drop(lock);
    assert_eq!(
        disk.lock(&at("lock")).unwrap_err().kind(),
        ErrorKind::WouldBlock,
        "a dead lock freed a living one"
    );
    drop(again);
    assert_eq!(disk.read_file(&at("file")).unwrap(), b"abc");
}

#[test]
fn a_failed_sync_drops_what_was_dirty_and_the_next_one_lies_about_it() {
    let disk = disk(1);
    let file = settled(&disk, "file", b"old");
    disk.fail_sync("d/file", 1, Repeat::Once);
    file.write_at(b"new and longer", 0).unwrap();
    let error = file.sync_data().unwrap_err();
    assert_eq!(PathError::of(&error).unwrap().raw_os_error(), Some(Errno::IO.raw_os_error()), "{error}");
    assert_eq!(disk.read_file(&at("file")).unwrap(), b"old");
    file.sync_data().expect("the page was called clean");
    power_cycle(&disk);
    assert_eq!(disk.read_file(&at("file")).unwrap(), b"old");
}

#[test]
fn faults_follow_a_file_to_its_new_name() {
    let disk = disk(1);
    let file = settled(&disk, "spare", b"abc");
    disk.rename(&at("spare"), &at("live")).unwrap();
    disk.fail_sync("live", 2, Repeat::Forever);
    file.sync_data().unwrap();
    assert!(file.sync_data().is_err());
    assert!(file.sync_data().unwrap_err().to_string().contains("/d/live"));
    disk.faults(FaultPlan::default());
    file.sync_data().unwrap();
}

#[test]
fn a_failed_directory_sync_settles_nothing() {
    sometimes("a name survived a failed directory sync", |seed| {
        let disk = disk(seed);
        create(&disk, "file");
        disk.fail_sync("/d", 1, Repeat::Once);
        disk.sync_dir(Path::new(DIR)).unwrap_err();
        power_cycle(&disk);
        names(&disk) == ["file"]
    });
}

#[test]
fn a_lying_sync_settles_nothing() {
    sometimes("content survived a lying sync", |seed| {
        let disk = disk(seed);
        let file = settled(&disk, "file", b"old");
        disk.faults(FaultPlan::default().lying_syncs());
        file.write_at(b"new", 0).unwrap();
        file.sync_data().unwrap();
        power_cycle(&disk);
        disk.read_file(&at("file")).unwrap() == b"new"
    });
}

#[test]
fn a_full_disk_takes_overwrites_but_no_new_blocks() {
    let disk = disk(1);
    let file = settled(&disk, "file", &[1; BLOCK_BYTES]);
    disk.capacity(3 * BLOCK_BYTES as u64);
    assert_eq!(disk.free_bytes(Path::new(DIR)).unwrap(), 2 * BLOCK_BYTES as u64);
    file.write_at(&[2; BLOCK_BYTES], 0).unwrap();
    let error = file.write_at(&[3; 4 * BLOCK_BYTES], BLOCK_BYTES as u64).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    assert_eq!(file.len().unwrap(), 3 * BLOCK_BYTES as u64, "a full disk is filled to the brim");
    assert_eq!(disk.free_bytes(Path::new(DIR)).unwrap(), 0);
    file.write_at(&[4; 3 * BLOCK_BYTES], 0).expect("an overwrite needs no room");
    create(&disk, "other").write_at(b"x", 0).unwrap_err();
    disk.remove(&at("file")).unwrap();
    disk.open(&at("other"), OpenMode::ReadWrite).unwrap().write_at(b"x", 0).expect("removing made room");
}

#[test]
fn a_read_only_disk_serves_readers() {
    let disk = disk(1);
    let file = settled(&disk, "file", b"abc");
    disk.faults(FaultPlan::default().read_only());
    let refusals = [
        file.write_at(b"x", 0),
        file.truncate(0),
        disk.remove(&at("file")),
        disk.rename(&at("file"), &at("other")),
        disk.create_dir_all(&at("sub")),
        disk.open(&at("new"), OpenMode::CreateNew).map(drop),
    ];
    for refusal in refusals {
        assert_eq!(refusal.unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    }
    assert_eq!(disk.read_file(&at("file")).unwrap(), b"abc");
    disk.create_dir_all(Path::new(DIR)).expect("a directory that is there");
}

#[test]
fn reads_and_writes_fail_where_they_were_told_to() {
    let disk = disk(1);
    let file = settled(&disk, "file", b"abc");
    disk.fail_read("file", 2, Repeat::Once);
    disk.fail_write("file", 1, Repeat::Once);
    file.write_at(b"xyz", 0).unwrap_err();
    assert_eq!(disk.read_file(&at("file")).unwrap(), b"abc");
    assert!(disk.read_file(&at("file")).unwrap_err().to_string().starts_with("read /d/file: "));
    assert_eq!(disk.read_file(&at("file")).unwrap(), b"abc");
}

#[test]
fn a_misdirected_write_lands_elsewhere_and_says_it_worked() {
    let disk = disk(1);
    let file = settled(&disk, "file", b"0123456789");
    disk.misdirect_write("file", 2, 7);
    file.write_at(b"a", 0).unwrap();
    file.write_at(b"b", 1).unwrap();
    file.write_at(b"c", 2).unwrap();
    assert_eq!(disk.read_file(&at("file")).unwrap(), b"a1c3456b89");
}

#[test]
fn damage_lasts_over_syncs_and_power_cuts() {
    let disk = disk(1);
    let file = settled(&disk, "rotten", &[0; 5000]);
    settled(&disk, "one", b"first");
    settled(&disk, "two", b"second");
    settled(&disk, "gone", b"abc");
    disk.flip_bit(&at("rotten"), 4500, 3).unwrap();
    disk.damage_truncate(&at("rotten"), 4600).unwrap();
    disk.swap(&at("one"), &at("two")).unwrap();
    disk.damage_remove(&at("gone")).unwrap();
    disk.flip_bit(&at("rotten"), 4600, 0).expect_err("a byte beyond the end was damaged");
    let check = |when: &str| {
        let rotten = disk.read_file(&at("rotten")).unwrap();
        assert_eq!((rotten.len(), rotten[4500]), (4600, 8), "{when}");
        assert_eq!(disk.read_file(&at("one")).unwrap(), b"second", "{when}");
        assert_eq!(disk.read_file(&at("two")).unwrap(), b"first", "{when}");
        assert_eq!(names(&disk), ["one", "rotten", "two"], "{when}");
    };
    check("at once");
    file.sync_data().unwrap();
    power_cycle(&disk);
    check("after a sync and a power cut");
    disk.damage_remove(Path::new(DIR)).unwrap();
    assert!(disk.files().is_empty());
}

#[test]
fn truncation_damage_leaves_dirty_bytes_below_it_dirty() {
    let disk = disk(1);
    let file = settled(&disk, "file", &[1; 3 * BLOCK_BYTES]);
    file.write_at(&[2; 3 * BLOCK_BYTES], 0).unwrap();
    disk.damage_truncate(&at("file"), 5000).unwrap();
    assert!(disk.durable_snapshot()[&at("file")] == [1; 5000]);
    assert!(disk.snapshot()[&at("file")] == [2; 5000]);
    file.sync_data().unwrap();
    assert!(disk.durable_snapshot()[&at("file")] == [2; 5000]);
}

#[test]
fn a_fork_is_the_durable_image_and_a_world_apart() {
    let disk = disk(1);
    let file = settled(&disk, "file", &[1; 5000]);
    file.write_at(b"un-synced", 0).unwrap();
    create(&disk, "un-synced");
    let fork = disk.fork(2);
    assert_eq!(names(&fork), ["file"]);
    assert!(fork.read_file(&at("file")).unwrap() == [1; 5000]);
    fork.flip_bit(&at("file"), 0, 0).unwrap();
    fork.power_off();
    assert!(!disk.is_off());
    file.sync_data().unwrap();
    assert!(disk.durable_snapshot()[&at("file")].starts_with(b"un-synced"));
    assert_eq!(fork.snapshot()[&at("file")][..2], [0, 1]);
}

#[test]
fn a_disk_whose_process_only_died_has_all_that_was_written() {
    for seed in 0..50 {
        let disk = disk(seed);
        let file = create(&disk, "f");
        file.write_at(b"not synced", 0).unwrap();
        disk.power_off();
        disk.power_on_unharmed();
        assert_eq!(disk.snapshot()[&at("f")], b"not synced", "seed {seed}");
        assert!(file.len().is_err(), "a handle of the life before");
    }
}

#[test]
fn a_disk_that_is_set_back_holds_what_it_held() {
    let disk = disk(1);
    let file = settled(&disk, "f", b"old");
    let image = disk.image();
    file.write_at(b"new", 0).unwrap();
    file.sync_data().unwrap();
    settled(&disk, "g", b"more");
    for _ in 0..2 {
        disk.set_back(&image);
        assert_eq!(disk.snapshot(), [(at("f"), b"old".to_vec())].into());
        let file = disk.open(&at("f"), OpenMode::ReadWrite).unwrap();
        file.write_at(b"newer", 0).unwrap();
        file.sync_data().unwrap();
    }
    assert!(file.len().is_err(), "a handle from before");
}

#[test]
fn who_has_too_many_files_open_opens_none_more_and_uses_those() {
    let disk = disk(1);
    let file = settled(&disk, "f", b"old");
    disk.faults(FaultPlan::default().few_files());
    for mode in [OpenMode::Read, OpenMode::ReadWrite] {
        let error = disk.open(&at("f"), mode).err().unwrap();
        assert_eq!(
            PathError::of(&error).unwrap().raw_os_error(),
            Some(Errno::MFILE.raw_os_error()),
            "{error}"
        );
    }
    assert!(disk.open(&at("g"), OpenMode::CreateNew).is_err());
    file.write_at(b"new", 0).unwrap();
    file.sync_data().unwrap();
    disk.faults(FaultPlan::default());
    assert!(disk.open(&at("f"), OpenMode::Read).is_ok());
}

#[test]
fn a_throttled_disk_owes_the_time_that_its_bytes_take() {
    let disk = disk(1);
    let (one, other) = (create(&disk, "f"), create(&disk, "g"));
    disk.throttle(Some(1000));
    one.write_at(&[1; 1500], 0).unwrap();
    other.write_at(&[1; 500], 0).unwrap();
    one.sync_data().unwrap();
    assert_eq!(one.owes(), Duration::from_secs(2), "the device is that of both files");
    assert_eq!(one.owes(), Duration::ZERO);
    one.write_at(&[1; 1500], 0).unwrap();
    disk.throttle(None);
    assert_eq!(one.owes(), Duration::ZERO);
}
