//! A log that is reset after damage: whatever harm was done to it, it works again, for good, and nothing of its old life returns.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use chronos_env::sim::{SimDisk, World};
use chronos_wal::{Config, Fault, Log, LogId, Mark, Verdict, Wal};
use proptest::prelude::*;

use crate::harness::*;

const LOGS: u8 = 4;

async fn reset(log: &Log) -> Result<(), Fault> {
    let (done, told) = answer();
    log.reset(done);
    told.await.expect("every operation is answered")
}

async fn written(world: &World, lanes: u8, entries: u64) {
    let (wal, _) = open(&world.env(), lanes);
    for log in logs(&wal, LOGS) {
        vote(&log, "term 1").await.unwrap();
        fill(&log, entries, 700).await;
    }
    wal.close().await;
}

fn segments(disk: &SimDisk) -> Vec<PathBuf> {
    disk.snapshot().into_keys().filter(|path| path.extension().is_some_and(|end| end == "seg")).collect()
}

fn verdicts(world: &World, lanes: u8) -> (Wal, Vec<Verdict>) {
    let known = Config { exists: true, ..config(lanes) };
    let (wal, recovery) = Wal::open(&world.env(), known).unwrap();
    (wal, recovery.logs.into_iter().map(|log| log.verdict).collect())
}

/// What a log holds after it was reset and filled again.
async fn live_again(log: &Log, purged: Option<Mark>) -> Model {
    reset(log).await.unwrap();
    vote(log, "term 9").await.unwrap();
    assert_eq!(log.damage(), None);
    let mut model = Model { vote: Some(Bytes::from_static(b"term 9")), ..Model::default() };
    model.check(log);
    if let Some(mark) = purged {
        let act = Act::PurgeTo(mark);
        let (done, told) = answer();
        submit(log, &act, done);
        told.await.unwrap().unwrap();
        model.apply(&act);
    }
    for _ in 0..5 {
        let index = model.next();
        let act = Act::Append(vec![entry(index, 9, payload(log.id(), index, 9, 300))]);
        let (done, told) = answer();
        submit(log, &act, done);
        told.await.unwrap().unwrap();
        model.apply(&act);
    }
    model.check(log);
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Random flips, losses and cuts; every log that is closed by them is reset.
    #[test]
    fn a_log_that_was_reset_is_whole_at_every_later_start(
        lanes in 1..=3u8, seed in 0..4u64, purged in prop::option::of(1..200u64),
        harms in prop::collection::vec((any::<u16>(), any::<u32>(), 0..4u8), 1..6)
    ) {
        let world = world(seed);
        world.run(written(&world, lanes, 60));
        let disk = world.disk();
        for (file, at, how) in harms {
            let files: Vec<_> = disk.snapshot().into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
            let (path, bytes) = &files[usize::from(file) % files.len()];
            let at = u64::from(at) % bytes.len() as u64;
            match how {
                0 => disk.damage_remove(path).unwrap(),
                1 => disk.damage_truncate(path, at).unwrap(),
                _ => disk.flip_bit(path, at, 3).unwrap(),
            }
        }
        let purged = purged.map(|index| Mark { index, term: 4 });
        let closed = world.run(async {
            let (wal, verdicts) = verdicts(&world, lanes);
            let mut models = Vec::new();
            for (log, verdict) in logs(&wal, LOGS).iter().zip(&verdicts) {
                if is_corrupt(verdict) {
                    assert!(log.damage().is_some());
                    models.push((log.id(), live_again(log, purged).await));
                }
            }
            wal.close().await;
            models
        });
        for _ in 0..3 {
            world.run(async {
                let (wal, verdicts) = verdicts(&world, lanes);
                assert!(!verdicts.iter().any(is_corrupt), "{verdicts:?}");
                for (id, model) in &closed {
                    model.check(&wal.log(*id));
                }
                for log in logs(&wal, LOGS) {
                    vote(&log, log.state().vote.unwrap()).await.unwrap();
                }
                wal.close().await;
            });
        }
    }
}

#[test]
fn a_sound_log_is_reset_and_its_segments_are_let_go_of() {
    let world = world(3);
    world.run(async {
        written(&world, 1, 300).await;
        let before = segments(&world.disk()).len();
        let (wal, _) = open(&world.env(), 1);
        let model = live_again(&wal.log(LogId::new(2)), None).await;
        for log in logs(&wal, LOGS).iter().filter(|log| log.id() != LogId::new(2)) {
            purge(log, log.state().last.unwrap().index).await.unwrap();
        }
        wal.close().await;
        assert!(segments(&world.disk()).len() < before, "segments stay for frames that nobody needs");
        let (wal, recovery) = open(&world.env(), 1);
        assert_eq!(recovery.damages, []);
        model.check(&wal.log(LogId::new(2)));
        wal.close().await;
    });
}

/// The lane is written on from its first start after the doubt: the doubt must outlast that.
#[test]
fn the_logs_of_a_lane_in_doubt_stay_closed_until_each_is_reset() {
    let world = world(5);
    world.run(written(&world, 2, 40));
    let disk = world.disk();
    for path in disk.snapshot().into_keys().filter(|path| path.starts_with(Path::new(ROOT).join("lane-01"))) {
        disk.damage_remove(&path).unwrap();
    }
    let hurt = |verdicts: &[Verdict]| -> Vec<usize> {
        (0..verdicts.len()).filter(|log| is_corrupt(&verdicts[*log])).collect()
    };
    for left in [vec![1, 3], vec![1, 3], vec![3]] {
        world.run(async {
            let (wal, verdicts) = verdicts(&world, 2);
            assert_eq!(hurt(&verdicts), left);
            if left.len() == 2 && world.env().disk.exists(Path::new("/data/second")).unwrap() {
                live_again(&wal.log(LogId::new(1)), None).await;
            }
            world.env().disk.create_dir_all(Path::new("/data/second")).unwrap();
            wal.close().await;
        });
    }
}
