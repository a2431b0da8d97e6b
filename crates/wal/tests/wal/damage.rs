//! Bits rot, files shrink and vanish. Whatever the harm: verifying names the file, a log that is called whole holds
//! exactly what was acknowledged, one that is not answers nothing but the damage, and the others work on.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use chronos_env::sim::{SimDisk, World};
use chronos_env::{Disk, OpenMode};
use chronos_wal::{Fault, LogId, OpenError, ReadError, Verdict, VerifyReport, Wal, verify};
use proptest::prelude::*;

use crate::harness::*;

const LOGS: u8 = 4;
const PAGE_BYTES: u64 = 4096;

#[derive(Clone, Copy, Debug)]
enum Ending {
    /// Closed in good order.
    Closed,
    /// The process died; everything written is there.
    Killed,
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    Flip {
        file: u16,
        at: u32,
        bit: u8,
    },
    Truncate {
        file: u16,
        len: u32,
    },
    Remove {
        file: u16,
    },
    /// A page of 4 KiB reads as zeros.
    Blank {
        file: u16,
        at: u32,
    },
    Swap {
        one: u16,
        other: u16,
    },
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        6 => (any::<u16>(), any::<u32>(), 0..8u8).prop_map(|(file, at, bit)| Harm::Flip { file, at, bit }),
        2 => (any::<u16>(), any::<u32>()).prop_map(|(file, len)| Harm::Truncate { file, len }),
        1 => any::<u16>().prop_map(|file| Harm::Remove { file }),
        2 => (any::<u16>(), any::<u32>()).prop_map(|(file, at)| Harm::Blank { file, at }),
        1 => (any::<u16>(), any::<u16>()).prop_map(|(one, other)| Harm::Swap { one, other }),
    ]
}

/// Files that may be needed, each with the end of what it holds.
fn used_files(disk: &SimDisk) -> Vec<(PathBuf, u64)> {
    let files =
        disk.snapshot().into_iter().filter(|(path, _)| path.extension().is_none_or(|end| end != "tmp"));
    let used = files.map(|(path, bytes)| {
        let is_segment = path.extension().is_some();
        let used = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
        let end = if is_segment { used.next_multiple_of(8) } else { bytes.len() };
        (path, end as u64)
    });
    used.collect()
}

fn choose<T>(from: &[T], index: u32) -> &T {
    &from[index as usize % from.len()]
}

/// Overwrites with zeros what `path` has of the page at `at`.
fn blank(disk: &SimDisk, path: &Path, at: u64) {
    let file = disk.open(path, OpenMode::ReadWrite).unwrap();
    let len = file.len().unwrap().saturating_sub(at).min(PAGE_BYTES);
    file.write_at(&vec![0; len as usize], at).unwrap();
    file.sync_data().unwrap();
}

/// Does the harm; returns the files harmed.
fn inflict(disk: &SimDisk, harm: Harm) -> Vec<PathBuf> {
    let files = used_files(disk);
    match harm {
        Harm::Flip { file, at, bit } => {
            let (path, end) = choose(&files, file.into());
            if *end > 0 {
                disk.flip_bit(path, u64::from(at) % end, bit).unwrap();
            }
            vec![path.clone()]
        }
        Harm::Truncate { file, len } => {
            let (path, _) = choose(&files, file.into());
            let bytes = disk.snapshot()[path].len() as u64;
            disk.damage_truncate(path, u64::from(len) % bytes.max(1)).unwrap();
            vec![path.clone()]
        }
        Harm::Remove { file } => {
            let (path, _) = choose(&files, file.into());
            disk.damage_remove(path).unwrap();
            vec![path.clone()]
        }
        Harm::Blank { file, at } => {
            let (path, end) = choose(&files, file.into());
            if *end > 0 {
                blank(disk, path, u64::from(at) % end / PAGE_BYTES * PAGE_BYTES);
            }
            vec![path.clone()]
        }
        Harm::Swap { one, other } => {
            let segments: Vec<_> = files.iter().filter(|(path, _)| path.extension().is_some()).collect();
            if segments.is_empty() {
                return Vec::new();
            }
            let (one, other) = (&choose(&segments, one.into()).0, &choose(&segments, other.into()).0);
            disk.swap(one, other).unwrap();
            if one == other { Vec::new() } else { vec![one.clone(), other.clone()] }
        }
    }
}

/// A log of everything: entries of many sizes, votes, truncations, purges, in several segments.
async fn write_history(wal: &Wal, dice: &chronos_env::Entropy) -> Vec<Model> {
    let mut models = vec![Model::default(); usize::from(LOGS)];
    for nth in 0..150u64 {
        let log = dice.below(u64::from(LOGS)) as u8;
        let model = &mut models[usize::from(log)];
        let last = model.entries.last_key_value().map(|(index, _)| *index);
        let act = match (dice.below(20), last) {
            (0, _) => Act::Vote(Bytes::from(format!("vote {nth}"))),
            (1, Some(last)) => {
                Act::Truncate(last.saturating_sub(2).max(model.purged.map_or(0, |mark| mark.index)))
            }
            (2, Some(last)) => Act::Purge(last.saturating_sub(10)),
            _ => {
                let index = model.next();
                let len = dice.below(4000) as usize;
                Act::Append(vec![entry(index, nth, payload(LogId::new(log), index, nth, len))])
            }
        };
        let (done, told) = answer();
        submit(&wal.log(LogId::new(log)), &act, done);
        model.apply(&act);
        if dice.below(2) == 0 {
            told.await.unwrap().unwrap();
        }
    }
    for log in logs(wal, LOGS) {
        append(&log, Vec::new()).await.unwrap();
    }
    models
}

fn scene(seed: u64, lanes: u8, ending: Ending) -> (World, Vec<Model>) {
    let world = world(seed);
    let models = world.run(async {
        let (wal, _) = open(&world.env(), lanes);
        let models = write_history(&wal, &world.env().entropy.child("work")).await;
        match ending {
            Ending::Closed => wal.close().await,
            Ending::Killed => std::mem::forget(wal),
        }
        models
    });
    (world, models)
}

fn verified(world: &World) -> VerifyReport {
    verify(world.env().disk.as_ref(), Path::new(ROOT), &mut |_, _, _| {}).unwrap()
}

/// Opens and holds every log against its verdict and its model, before and after more work. Returns the verdicts.
async fn check_life(world: &World, lanes: u8, models: &mut [Model]) -> Vec<Verdict> {
    let (wal, recovery) = open(&world.env(), lanes);
    for (log, model) in logs(&wal, LOGS).iter().zip(models) {
        let recovered = &recovery.logs[log.id().get() as usize];
        if is_corrupt(&recovered.verdict) {
            assert!(matches!(log.read(1, 10), Err(ReadError::Corrupt(_))), "a corrupt log was read");
            assert!(matches!(vote(log, "no").await, Err(Fault::Poisoned(_))), "a corrupt log took a vote");
            let next = entry(9999, 1, "no");
            assert!(
                matches!(append(log, vec![next]).await, Err(Fault::Poisoned(_))),
                "a corrupt log was written"
            );
            continue;
        }
        model.check(log);
        for _ in 0..3 {
            let index = model.next();
            let act = Act::Append(vec![entry(index, 7, payload(log.id(), index, 7, 2000))]);
            let (done, told) = answer();
            submit(log, &act, done);
            told.await.unwrap().unwrap();
            model.apply(&act);
        }
        model.check(log);
    }
    assert_eq!(wal.fault(), None, "damage to a log is not a fault of the node");
    wal.close().await;
    recovery.logs.into_iter().map(|log| log.verdict).collect()
}

/// Resets the logs that are hurt; gives those that let themselves be reset, which are as if they were new, but for
/// their votes.
async fn begin_anew(world: &World, lanes: u8, hurt: &[usize], models: &mut [Model]) -> Vec<usize> {
    let (wal, _) = open(&world.env(), lanes);
    let mut begun_anew = Vec::new();
    for at in hurt {
        let log = wal.log(LogId::new(*at as u8));
        // What is asked for behind a reset that is still on its way stands behind it on disk, too.
        let (done, told) = answer();
        log.reset(done);
        let appended = append(&log, vec![entry(40, 2, "anew")]).await;
        match told.await.unwrap() {
            Ok(()) => appended.unwrap(),
            // Nobody knows what this log's lane has lost, so nothing is written there.
            Err(Fault::Poisoned(_)) => continue,
            Err(fault) => panic!("log {at} cannot be reset: {fault}"),
        }
        let model = &mut models[*at];
        *model = Model { vote: log.state().vote, ..Model::default() };
        model.entries.insert(40, (2, Bytes::from_static(b"anew")));
        model.check(&log);
        begun_anew.push(*at);
    }
    wal.close().await;
    begun_anew
}

fn hurt(verdicts: &[Verdict]) -> Vec<usize> {
    (0..verdicts.len()).filter(|log| is_corrupt(&verdicts[*log])).collect()
}

/// What may be hurt by this harm at most: one flipped bit costs one log, metadata costs none.
fn check_extent(harm: Harm, harmed: &[PathBuf], hurt: &[usize]) {
    let is_segment = |path: &PathBuf| path.extension().is_some();
    if matches!(harm, Harm::Flip { .. }) {
        assert!(hurt.len() <= 1, "one bit hurt logs {hurt:?}");
    }
    if !harmed.iter().any(is_segment) {
        assert!(hurt.is_empty(), "harm to metadata hurt logs {hurt:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 220, ..ProptestConfig::default() })]

    #[test]
    fn no_single_harm_goes_unnoticed_or_costs_what_it_need_not(
        seed in 0..6u64, lanes in 1..=3u8, killed: bool, harm in harm()
    ) {
        let (world, mut models) = scene(seed, lanes, if killed { Ending::Killed } else { Ending::Closed });
        prop_assert_eq!(verified(&world).damages, []);
        let harmed = inflict(&world.disk(), harm);
        let before = world.disk().snapshot();
        let report = verified(&world);
        prop_assert!(before == world.disk().snapshot(), "verifying wrote something");
        for path in &harmed {
            let named = report.damages.iter().any(|damage| &damage.file == path);
            prop_assert!(named, "{} is not among {:#?}", path.display(), report.damages);
        }
        let foreseen: Vec<_> = report.logs.iter().map(|log| log.verdict.clone()).collect();
        let verdicts = world.run(check_life(&world, lanes, &mut models));
        prop_assert_eq!(&verdicts, &foreseen, "verifying and opening disagree");
        check_extent(harm, &harmed, &hurt(&verdicts));
        let again = world.run(check_life(&world, lanes, &mut models));
        prop_assert_eq!(hurt(&again), hurt(&verdicts), "a restart changed which logs are corrupt");
        let last = world.run(check_life(&world, lanes, &mut models));
        prop_assert_eq!(hurt(&last), hurt(&verdicts), "a second restart did");
        let begun_anew = world.run(begin_anew(&world, lanes, &hurt(&verdicts), &mut models));
        let verdicts = world.run(check_life(&world, lanes, &mut models));
        prop_assert!(
            begun_anew.iter().all(|log| !is_corrupt(&verdicts[*log])),
            "logs {:?} were reset and are corrupt: {:?}", begun_anew, hurt(&verdicts)
        );
        prop_assert_eq!(hurt(&verdicts).len() + begun_anew.len(), hurt(&last).len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Beyond what can be told apart exactly: still no panic, nothing that was never written, no work on a log that
    /// is called corrupt.
    #[test]
    fn many_harms_at_once_never_make_wrong_bytes_look_right(
        seed in 0..6u64, lanes in 1..=3u8, harms in proptest::collection::vec(harm(), 2..8)
    ) {
        let (world, models) = scene(seed, lanes, Ending::Killed);
        for harm in harms {
            if !used_files(&world.disk()).is_empty() {
                inflict(&world.disk(), harm);
            }
        }
        verified(&world);
        world.run(async {
            let Ok((wal, recovery)) = Wal::open(&world.env(), config(lanes)) else { return };
            for (log, model) in logs(&wal, LOGS).iter().zip(&models) {
                if is_corrupt(&recovery.logs[usize::from(log.id().get())].verdict) {
                    assert!(vote(log, "no").await.is_err());
                    continue;
                }
                for (index, (term, payload)) in entries_of(log) {
                    let written = crate::harness::payload(log.id(), index, term, payload.len());
                    assert_eq!(payload, written, "entry {index} of {}, which held {:?}", log.id(), model.last());
                }
            }
            wal.close().await;
        });
    }
}

#[test]
fn a_lane_that_vanished_takes_its_logs_along_and_no_others() {
    let (world, mut models) = scene(1, 2, Ending::Closed);
    world.disk().damage_remove(Path::new("/data/wal/lane-01")).unwrap();
    let report = verified(&world);
    assert!(report.damages.iter().any(|damage| damage.file == Path::new("/data/wal/lane-01")));
    let refused = world.run(async { Wal::open(&world.env(), config(4)).err() });
    let refused = refused.expect("logs cannot move while a lane is in doubt").to_string();
    assert!(refused.contains("cannot change from 2 to 4"), "{refused}");
    let verdicts = world.run(check_life(&world, 2, &mut models));
    assert_eq!(hurt(&verdicts), [1, 3]);
}

#[test]
fn a_log_that_moved_to_another_lane_is_missed_when_its_old_lane_vanishes() {
    let (world, mut models) = scene(2, 1, Ending::Closed);
    let verdicts = world.run(check_life_idle(&world, 2));
    assert_eq!(hurt(&verdicts), []);
    world.disk().damage_remove(Path::new("/data/wal/lane-00")).unwrap();
    let verdicts = world.run(check_life(&world, 2, &mut models));
    assert_eq!(hurt(&verdicts), [0, 1, 2, 3]);
}

async fn check_life_idle(world: &World, lanes: u8) -> Vec<Verdict> {
    let (wal, recovery) = open(&world.env(), lanes);
    wal.close().await;
    recovery.logs.into_iter().map(|log| log.verdict).collect()
}

#[test]
fn a_mark_of_a_later_release_is_refused_by_name_and_nothing_is_written() {
    for slots in [&[0u64][..], &[4096], &[0, 4096]] {
        let (world, _) = scene(0, 1, Ending::Closed);
        let (disk, path) = (world.env().disk, Path::new("/data/wal/lane-00/flushed"));
        let file = disk.open(path, OpenMode::ReadWrite).unwrap();
        for at in slots {
            let mut slot = vec![0; 512];
            file.read_exact_at(&mut slot, *at).unwrap();
            slot[4] = 2;
            let sum = crc32fast::hash(&slot[..508]);
            slot[508..].copy_from_slice(&sum.to_le_bytes());
            file.write_at(&slot, *at).unwrap();
        }
        file.sync_data().unwrap();
        let before = world.disk().snapshot();
        let refused = world.run(async { Wal::open(&world.env(), config(1)).err() });
        let Some(OpenError::NewerFormat { file, found: 2, supported: 1 }) = refused else {
            panic!("slots {slots:?}: {refused:?}")
        };
        assert_eq!(file, path);
        let refused = verify(disk.as_ref(), Path::new(ROOT), &mut |_, _, _| {}).unwrap_err().to_string();
        assert!(refused.contains("flushed has format 2"), "{refused}");
        assert!(before == world.disk().snapshot(), "a lane of a later release was touched");
    }
}

/// Names like those of segments, that no lane would give: they neither count nor move the numbers on.
#[test]
fn a_stray_file_beyond_all_segment_numbers_is_left_alone() {
    for name in ["18446744073709551615.seg", "10000000000.seg", "0000000000.seg", "8.seg"] {
        let (world, mut models) = scene(0, 1, Ending::Closed);
        let env = world.env();
        let stranger = Path::new("/data/wal/lane-00").join(name);
        env.disk.write_atomic(&stranger, b"do not touch").unwrap();
        for _ in 0..3 {
            assert_eq!(hurt(&world.run(check_life(&world, 1, &mut models))), [], "{name}");
            world.run(add_segments(&world, &mut models));
        }
        assert_eq!(verified(&world).damages, [], "{name}");
        assert_eq!(env.disk.read_file(&stranger).unwrap(), b"do not touch");
    }
}

/// Enough work for new segments.
async fn add_segments(world: &World, models: &mut [Model]) {
    let (wal, _) = open(&world.env(), 1);
    let before = wal.stats().segments;
    while wal.stats().segments < before + 2 {
        let index = models[0].next();
        let log = wal.log(LogId::new(0));
        let act = Act::Append(vec![entry(index, 7, payload(log.id(), index, 7, 9000))]);
        let (done, told) = answer();
        submit(&log, &act, done);
        told.await.unwrap().unwrap();
        models[0].apply(&act);
    }
    wal.close().await;
}

#[test]
fn a_lane_whose_segment_numbers_are_used_up_is_refused_by_name() {
    let (world, mut models) = scene(0, 1, Ending::Closed);
    let disk = world.env().disk;
    let last = Path::new("/data/wal/lane-00/9999999999.seg");
    disk.write_atomic(last, b"here by mistake").unwrap();
    assert!(verified(&world).damages.iter().any(|damage| damage.file == last));
    let refused = world.run(async { Wal::open(&world.env(), config(1)).err() });
    let refused = refused.expect("no name is left for another segment").to_string();
    assert!(refused.contains("lane 0") && refused.contains("9999999999.seg"), "{refused}");
    disk.remove(last).unwrap();
    assert_eq!(hurt(&world.run(check_life(&world, 1, &mut models))), []);
}

fn segments(world: &World) -> Vec<(PathBuf, Vec<u8>)> {
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|end| end == "seg");
    world.disk().snapshot().into_iter().filter(|(path, _)| is_segment(path)).collect()
}

/// Something unreadable at the very end, and nobody left to tell whether it was acknowledged.
#[test]
fn an_unreadable_end_is_not_called_torn_when_the_mark_is_gone() {
    let world = world(3);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        for log in logs(&wal, LOGS) {
            fill(&log, 3, 500).await;
        }
        std::mem::forget(wal);
    });
    let mut newest = None;
    verify(world.env().disk.as_ref(), Path::new(ROOT), &mut |_, _, place| newest = Some(place.clone()))
        .unwrap();
    let newest = newest.unwrap();
    let header = newest.offset + 40;
    world.disk().flip_bit(&newest.file, header, 3).unwrap();
    let verdicts =
        |world: &World| verified(world).logs.into_iter().map(|log| log.verdict).collect::<Vec<_>>();
    assert_eq!(hurt(&verdicts(&world)), [3], "the mark tells whose frame it was");
    world.disk().damage_remove(Path::new("/data/wal/lane-00/flushed")).unwrap();
    assert_eq!(hurt(&verdicts(&world)), [0, 1, 2, 3], "without it nobody can");
    let before = segments(&world);
    for _ in 0..3 {
        let opened = world.run(check_life_idle(&world, 1));
        assert_eq!(hurt(&opened), [0, 1, 2, 3], "the doubt was forgotten");
        assert!(before == segments(&world), "segments of a lane in doubt were touched");
    }
}

/// What is left of the newest segment ends cleanly, and nobody can tell whether there was more.
#[test]
fn an_end_that_is_cut_off_is_not_called_whole_when_the_mark_is_gone() {
    type Cut = fn(&SimDisk, &Path, u64);
    let newest_frame = |world: &World| {
        let mut newest = None;
        verify(world.env().disk.as_ref(), Path::new(ROOT), &mut |_, _, place| newest = Some(place.clone()))
            .unwrap();
        newest.unwrap()
    };
    let harms: [(&str, Cut); 4] = [
        ("inside its header", |disk, file, _| disk.damage_truncate(file, 100).unwrap()),
        ("behind its header", |disk, file, _| disk.damage_truncate(file, PAGE_BYTES).unwrap()),
        ("before its last frame", |disk, file, last| disk.damage_truncate(file, last).unwrap()),
        ("before its last frame, and its header is spoiled", |disk, file, last| {
            disk.damage_truncate(file, last).unwrap();
            disk.flip_bit(file, 20, 1).unwrap();
        }),
    ];
    for (harm, inflict) in harms {
        let world = world(8);
        world.run(async {
            let (wal, _) = open(&world.env(), 1);
            for log in logs(&wal, LOGS) {
                fill(&log, 3, 500).await;
            }
            std::mem::forget(wal);
        });
        let newest = newest_frame(&world);
        inflict(&world.disk(), &newest.file, newest.offset);
        for page in [0, 1] {
            blank(&world.disk(), Path::new("/data/wal/lane-00/flushed"), page * PAGE_BYTES);
        }
        let verdicts: Vec<_> = verified(&world).logs.into_iter().map(|log| log.verdict).collect();
        assert_eq!(hurt(&verdicts), [0, 1, 2, 3], "cut {harm}");
        for _ in 0..2 {
            let opened = world.run(check_life_idle(&world, 1));
            assert_eq!(hurt(&opened), [0, 1, 2, 3], "cut {harm}: the doubt was forgotten");
        }
    }
}

/// What is left is whole, and older: the file that is written when a lane goes on in another segment tells of that one.
#[test]
fn a_newest_segment_that_is_gone_is_missed_when_the_mark_is_gone_with_it() {
    let world = world(9);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        for log in logs(&wal, LOGS) {
            fill(&log, 60, 500).await;
        }
        wal.close().await;
    });
    let (newest, _) = segments(&world).pop().unwrap();
    assert!(!newest.ends_with("0000000001.seg"), "one segment is not enough for this");
    world.disk().damage_remove(&newest).unwrap();
    world.disk().damage_remove(Path::new("/data/wal/lane-00/flushed")).unwrap();
    let found = verified(&world).damages;
    assert!(found.iter().any(|damage| damage.file == newest), "{found:?}");
    for _ in 0..3 {
        let opened = world.run(check_life_idle(&world, 1));
        assert_eq!(hurt(&opened), [0, 1, 2, 3], "what the segment held is not missed");
    }
}

/// A stump of a mark is what an interrupted first opening leaves, too: only who knows that there was a log can tell.
#[test]
fn a_log_that_is_known_to_exist_is_not_made_again_out_of_nothing() {
    let (world, _) = scene(5, 2, Ending::Closed);
    for (path, _) in world.disk().snapshot() {
        match path.file_name().and_then(|name| name.to_str()) {
            Some("flushed") => world.disk().damage_truncate(&path, 200).unwrap(),
            _ => world.disk().damage_remove(&path).unwrap(),
        }
    }
    for _ in 0..2 {
        let opened = world.run(async {
            let known = chronos_wal::Config { exists: true, ..config(2) };
            let (wal, recovery) = Wal::open(&world.env(), known).unwrap();
            wal.close().await;
            recovery.logs.into_iter().map(|log| log.verdict).collect::<Vec<_>>()
        });
        assert_eq!(hurt(&opened), [0, 1, 2, 3]);
    }
}

/// Once of each slot: zeros where the newest mark was must not make an acknowledged entry look like a torn tail.
#[test]
fn an_unreadable_end_is_not_called_torn_when_a_slot_of_the_mark_is_zeros() {
    for (fills, page) in [(3, 0), (3, 1), (4, 0), (4, 1)] {
        let world = world(6);
        world.run(async {
            let (wal, _) = open(&world.env(), 1);
            fill(&wal.log(LogId::new(0)), fills, 500).await;
            std::mem::forget(wal);
        });
        let mut newest = None;
        let disk = world.env().disk;
        verify(disk.as_ref(), Path::new(ROOT), &mut |_, _, place| newest = Some(place.clone())).unwrap();
        let (newest, mark) = (newest.unwrap(), Path::new("/data/wal/lane-00/flushed"));
        blank(&world.disk(), mark, page * PAGE_BYTES);
        let damages = verified(&world).damages;
        assert!(damages.iter().any(|damage| damage.file == mark), "page {page}: {damages:?}");
        for (offset, why) in [(40, "header"), (200, "payload")] {
            let at = newest.offset + offset;
            world.disk().flip_bit(&newest.file, at, 3).unwrap();
            let report = verified(&world);
            assert!(is_corrupt(&report.logs[0].verdict), "{why}, page {page}: {:?}", report.logs[0].verdict);
            assert_eq!(report.torn_tails, [], "{why}, page {page}");
            world.disk().flip_bit(&newest.file, at, 3).unwrap();
        }
    }
}

#[test]
fn a_slot_of_zeros_in_a_lane_never_written_is_noticed_and_filled_again() {
    for pages in [&[0][..], &[1], &[0, 1]] {
        let world = world(7);
        world.run(check_life_idle(&world, 2));
        assert_eq!(verified(&world).damages, []);
        for page in pages {
            blank(&world.disk(), Path::new("/data/wal/lane-01/flushed"), page * PAGE_BYTES);
        }
        let found = verified(&world).damages;
        assert!(pages.len() <= found.len(), "pages {pages:?} zeroed, found only {found:?}");
        let verdicts = world.run(check_life_idle(&world, 2));
        if pages.len() == 1 {
            assert_eq!(hurt(&verdicts), []);
            assert_eq!(verified(&world).damages, []);
        } else {
            assert_eq!(hurt(&verdicts), [1, 3], "nothing is left of the lane");
        }
    }
}

/// The same end without the harm: a mark file that is gone, and everything else whole.
#[test]
fn a_lost_mark_file_hurts_no_log_and_is_made_again() {
    let (world, mut models) = scene(4, 2, Ending::Closed);
    world.disk().damage_remove(Path::new("/data/wal/lane-01/flushed")).unwrap();
    assert_eq!(verified(&world).damages.len(), 1);
    let verdicts = world.run(check_life(&world, 2, &mut models));
    assert_eq!(hurt(&verdicts), []);
    assert_eq!(verified(&world).damages, []);
}

#[test]
fn bytes_behind_the_slots_of_a_mark_are_reported_once_and_gone_after_the_next_start() {
    let (world, mut models) = scene(4, 2, Ending::Closed);
    for (file, byte) in [("flushed", 578), ("flushed", 5688), ("rolled", 4095), ("rolled", 8191)] {
        world.disk().flip_bit(&Path::new("/data/wal/lane-01").join(file), byte, 3).unwrap();
    }
    assert_eq!(verified(&world).damages.len(), 4);
    let verdicts = world.run(check_life(&world, 2, &mut models));
    assert_eq!(hurt(&verdicts), []);
    assert_eq!(verified(&world).damages, []);
}

#[test]
fn bytes_that_rot_while_the_node_runs_are_never_served() {
    let world = world(5);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let log = wal.log(LogId::new(0));
        fill(&log, 5, 1000).await;
        let place = std::cell::RefCell::new(None);
        verify(world.env().disk.as_ref(), Path::new(ROOT), &mut |_, entry, at| {
            if entry.index == 3 {
                *place.borrow_mut() = Some(at.clone());
            }
        })
        .unwrap();
        let place = place.into_inner().unwrap();
        world.disk().flip_bit(&place.file, place.offset + 500, 0).unwrap();
        let error = log.read(1, usize::MAX).unwrap_err();
        let ReadError::Corrupt(corrupt) = error else { panic!("served: {error}") };
        assert_eq!((corrupt.file, corrupt.offset, corrupt.index), (place.file, place.offset, Some(3)));
        assert_eq!(log.read_one(4).unwrap().payload, payload(log.id(), 4, 1, 1000));
        wal.close().await;
    });
}

#[test]
fn a_file_nobody_knows_is_left_alone() {
    let (world, mut models) = scene(0, 1, Ending::Closed);
    let env = world.env();
    let stranger = Path::new("/data/wal/lane-00/notes.txt");
    env.disk.write_atomic(stranger, b"do not touch").unwrap();
    assert_eq!(hurt(&world.run(check_life(&world, 1, &mut models))), []);
    assert_eq!(env.disk.read_file(stranger).unwrap(), b"do not touch");
}
