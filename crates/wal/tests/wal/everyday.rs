//! A log in a world without faults.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::*;
use bytes::Bytes;
use chronos_env::Env;
use chronos_wal::{Config, Fault, LogId, Mark, ReadError, Verdict, Wal, verify};

#[test]
fn an_append_is_readable_at_once_and_flushed_when_it_is_answered() {
    let world = world(1);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let log = wal.log(LogId::new(2));
        let (done, told) = answer();
        log.append(vec![entry(1, 1, "one"), entry(2, 1, "two")], done);
        assert_eq!(log.read_one(2).unwrap().payload, "two");
        assert_eq!(log.state().flushed, 0);
        assert!(log.queued_bytes() > 0);
        told.await.unwrap().unwrap();
        assert_eq!(log.state().flushed, 2);
        assert_eq!(log.queued_bytes(), 0);
        let both = log.read(1, usize::MAX).unwrap();
        assert_eq!(both, [entry(1, 1, "one"), entry(2, 1, "two")]);
        assert_eq!(log.read(1, 3).unwrap().len(), 1, "max_bytes bounds a read");
        assert!(matches!(
            log.read_one(3),
            Err(ReadError::NotHere { index: 3, first: Some(1), last: Some(2) })
        ));
        assert!(matches!(wal.log(LogId::new(0)).read_one(1), Err(ReadError::NotHere { first: None, .. })));
        wal.close().await;
    });
}

#[test]
fn everything_is_there_after_a_restart() {
    let world = world(2);
    world.run(async {
        let (wal, recovery) = open(&world.env(), 1);
        assert!(recovery.damages.is_empty());
        let log = wal.log(LogId::new(1));
        fill(&log, 20, 100).await;
        vote(&log, "term 3").await.unwrap();
        truncate(&log, 15).await.unwrap();
        purge(&log, 4).await.unwrap();
        log.commit(15);
        append(&log, vec![entry(16, 3, "again")]).await.unwrap();
        wal.close().await;

        let (wal, recovery) = open(&world.env(), 1);
        assert_eq!(recovery.damages, []);
        assert!(recovery.logs.iter().all(|log| log.verdict == Verdict::Clean));
        let log = wal.log(LogId::new(1));
        let state = log.state();
        assert_eq!(state, recovery.logs[1].state);
        assert_eq!(state.purged, Some(Mark { index: 4, term: 1 }));
        assert_eq!(state.last, Some(Mark { index: 16, term: 3 }));
        assert_eq!((state.flushed, state.committed, state.vote), (16, 15, Some(Bytes::from("term 3"))));
        assert_eq!(log.read_one(16).unwrap().payload, "again");
        assert_eq!(log.read_one(5).unwrap().payload, payload(log.id(), 5, 1, 100));
        assert!(log.read_one(4).is_err());
        wal.close().await;
    });
}

#[test]
fn a_commit_that_waited_for_company_is_recorded_on_closing() {
    let world = world(3);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        fill(&wal.log(LogId::new(0)), 3, 10).await;
        wal.log(LogId::new(0)).commit(2);
        wal.close().await;
        let (wal, _) = open(&world.env(), 1);
        assert_eq!(wal.log(LogId::new(0)).state().committed, 2);
        wal.close().await;
    });
}

#[test]
fn completions_fire_in_the_order_of_the_calls() {
    let world = world(4);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let answers = Answers::default();
        for round in 0..50 {
            let log = wal.log(LogId::new(round % 4));
            let index = u64::from(round / 4) + 1;
            log.append(vec![entry(index, 1, vec![7; 2000])], answers.completion(usize::from(round) * 2));
            log.save_vote(Bytes::from(vec![round]), answers.completion(usize::from(round) * 2 + 1));
        }
        vote(&wal.log(LogId::new(0)), "last").await.unwrap();
        let order: Vec<_> = answers.taken().iter().map(|(number, _)| *number).collect();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
        wal.close().await;
    });
}

#[test]
fn what_queues_during_a_sync_shares_the_next_one() {
    let world = world(5);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let answers = Answers::default();
        for index in 1..=100 {
            wal.log(LogId::new(0)).append(vec![entry(index, 1, "x")], answers.completion(0));
        }
        vote(&wal.log(LogId::new(1)), "v").await.unwrap();
        let stats = wal.stats();
        assert_eq!((stats.units, stats.syncs, stats.frames), (1, 1, 101));
        wal.close().await;
    });
}

#[test]
fn a_log_rolls_over_many_segments_and_reads_across_them() {
    let world = world(6);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let (a, b) = (wal.log(LogId::new(0)), wal.log(LogId::new(3)));
        for _ in 0..40 {
            fill(&a, 1, 6000).await;
            fill(&b, 2, 900).await;
        }
        assert!(wal.stats().segments >= 4, "{} segments", wal.stats().segments);
        let (before_a, before_b) = (entries_of(&a), entries_of(&b));
        assert_eq!((before_a.len(), before_b.len()), (40, 80));
        wal.close().await;
        let (wal, recovery) = open(&world.env(), 1);
        assert_eq!(recovery.damages, []);
        assert_eq!(entries_of(&wal.log(LogId::new(0))), before_a);
        assert_eq!(entries_of(&wal.log(LogId::new(3))), before_b);
        wal.close().await;
    });
}

#[test]
fn an_append_larger_than_a_segment_goes_in_as_one() {
    let world = world(7);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let log = wal.log(LogId::new(0));
        let entries: Vec<_> =
            (1..=40).map(|index| entry(index, 1, payload(log.id(), index, 1, 5000))).collect();
        append(&log, entries.clone()).await.unwrap();
        assert_eq!(log.state().flushed, 40);
        let longest = config(1).payload_bytes_max();
        append(&log, vec![entry(41, 1, vec![1; longest])]).await.unwrap();
        wal.close().await;
        let (wal, _) = open(&world.env(), 1);
        let held = entries_of(&wal.log(LogId::new(0)));
        assert_eq!(held.len(), 41);
        assert!(entries.iter().all(|entry| held[&entry.index].1 == entry.payload));
        wal.close().await;
    });
}

#[test]
#[should_panic(expected = "append starts at 3 but the log continues at Some(2)")]
fn a_gap_in_a_log_is_refused_loudly() {
    let world = world(8);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let log = wal.log(LogId::new(0));
        append(&log, vec![entry(1, 1, "one")]).await.unwrap();
        let _ = append(&log, vec![entry(3, 1, "three")]).await;
    });
}

#[test]
fn purged_segments_are_used_again_and_idle_logs_do_not_hold_them() {
    let world = world(9);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let (busy, idle) = (wal.log(LogId::new(0)), wal.log(LogId::new(1)));
        vote(&idle, "cast once, long ago").await.unwrap();
        vote(&wal.log(LogId::new(2)), "and nothing else").await.unwrap();
        fill(&idle, 1, 10).await;
        for _ in 0..20 {
            fill(&busy, 12, 4000).await;
            let last = busy.state().last.unwrap().index;
            purge(&busy, last - 1).await.unwrap();
        }
        assert!(wal.stats().segments > 15, "an entry holds its segment and all behind it");
        purge(&idle, 1).await.unwrap();
        fill(&busy, 12, 4000).await;
        purge(&busy, busy.state().last.unwrap().index).await.unwrap();
        world.env().clock.sleep(Duration::from_secs(1)).await;
        assert!(wal.stats().segments <= 3, "{} segments are left", wal.stats().segments);
        let files = world.disk().files().len();
        assert!(files <= 8, "{files} files are left: {:?}", world.disk().files());
        wal.close().await;
        let (wal, recovery) = open(&world.env(), 1);
        assert_eq!(recovery.damages, []);
        assert_eq!(wal.log(LogId::new(1)).state().vote, Some(Bytes::from("cast once, long ago")));
        assert_eq!(wal.log(LogId::new(1)).state().purged, Some(Mark { index: 1, term: 1 }));
        assert_eq!(wal.log(LogId::new(2)).state().vote, Some(Bytes::from("and nothing else")));
        wal.close().await;
    });
}

#[test]
fn a_log_that_is_purged_up_to_its_end_takes_three_files_however_long_it_was() {
    let world = world(12);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let (busy, quiet) = (wal.log(LogId::new(0)), wal.log(LogId::new(3)));
        fill(&quiet, 1, 10).await;
        fill(&busy, 200, 4000).await;
        let gauge = wal.gauge();
        assert!(gauge.segments() > 12, "the logs fill {} segments", gauge.segments());
        assert_eq!(gauge.holders(), [LogId::new(0), LogId::new(3)]);
        purge(&busy, 200).await.unwrap();
        assert_eq!(gauge.holders(), [LogId::new(3)], "one entry of a quiet log holds all of them");
        purge(&quiet, 1).await.unwrap();
        world.env().clock.sleep(Duration::from_secs(1)).await;
        assert_eq!((gauge.segments(), gauge.holders()), (1, vec![]));
        let segments = || world.disk().files().iter().filter(|(_, len)| *len == 64 << 10).count();
        assert!(segments() <= 3, "{:?}", world.disk().files());
        wal.close().await;
        let (wal, _) = open(&world.env(), 1);
        assert_eq!(wal.gauge().segments(), 1);
        fill(&wal.log(LogId::new(0)), 1, 10).await;
        assert!(segments() <= 3, "{:?}", world.disk().files());
        wal.close().await;
    });
}

#[test]
fn a_log_can_be_moved_ahead_of_its_end() {
    let world = world(10);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let log = wal.log(LogId::new(0));
        fill(&log, 5, 10).await;
        let (done, told) = answer();
        log.purge_to(Mark { index: 100, term: 7 }, done);
        let (late, also) = answer();
        log.append(vec![entry(101, 7, "after the snapshot")], late);
        assert!(log.read_one(5).is_err());
        told.await.unwrap().unwrap();
        also.await.unwrap().unwrap();
        wal.close().await;
        let (wal, _) = open(&world.env(), 1);
        let state = wal.log(LogId::new(0)).state();
        assert_eq!(state.purged, Some(Mark { index: 100, term: 7 }));
        assert_eq!(state.last, Some(Mark { index: 101, term: 7 }));
        wal.close().await;
    });
}

#[test]
fn after_closing_every_call_is_told_so() {
    let world = world(11);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let log = wal.log(LogId::new(0));
        wal.close().await;
        assert_eq!(append(&log, vec![entry(1, 1, "late")]).await, Err(Fault::Closed));
        assert_eq!(vote(&log, "late").await, Err(Fault::Closed));
    });
}

#[test]
fn the_number_of_lanes_may_change_at_every_opening() {
    let world = world(12);
    world.run(async {
        let mut models = vec![Model::default(); 4];
        for lanes in [1, 4, 2, 1, 3] {
            let (wal, recovery) = open(&world.env(), lanes);
            assert_eq!(recovery.damages, [], "with {lanes} lanes");
            for (log, model) in logs(&wal, 4).iter().zip(&mut models) {
                model.check(log);
                for round in 0..6 {
                    let index = model.next();
                    let act = Act::Append(vec![entry(index, 1, payload(log.id(), index, 1, 3000))]);
                    let act = if round == 4 { Act::Vote(Bytes::from(format!("{lanes}"))) } else { act };
                    let (done, told) = answer();
                    submit(log, &act, done);
                    told.await.unwrap().unwrap();
                    model.apply(&act);
                }
            }
            wal.close().await;
        }
        let (wal, _) = open(&world.env(), 4);
        logs(&wal, 4).iter().zip(&models).for_each(|(log, model)| model.check(log));
        for log in logs(&wal, 4) {
            purge(&log, log.state().last.unwrap().index).await.unwrap();
        }
        wal.close().await;
        let (wal, recovery) = open(&world.env(), 1);
        assert_eq!(recovery.damages, [], "lanes whose segments are all gone are fine");
        wal.close().await;
    });
}

#[test]
fn a_directory_made_for_others_is_refused_untouched() {
    let world = world(13);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        fill(&wal.log(LogId::new(0)), 3, 10).await;
        wal.close().await;
        let before = world.disk().snapshot();
        let other_cluster = Config { cluster: 7, ..config(1) };
        let error = Wal::open(&world.env(), other_cluster).err().unwrap().to_string();
        assert!(error.contains("of cluster 00c0ffee"), "{error}");
        let other_logs = Config { logs: 5, ..config(1) };
        let error = Wal::open(&world.env(), other_logs).err().unwrap().to_string();
        assert!(error.contains("made for 4 logs, not 5"), "{error}");
        assert!(before == world.disk().snapshot(), "a refused directory was changed");
    });
}

#[test]
fn impossible_settings_are_refused() {
    let world = world(14);
    world.run(async {
        let relative = Config { dir: PathBuf::from("wal"), ..config(1) };
        let odd = Config { segment_bytes: (64 << 10) + 1, ..config(1) };
        let small = Config { segment_bytes: 4096, ..config(1) };
        for wrong in [relative, odd, small, config(0), config(5), Config { logs: 57, ..config(1) }] {
            let shown = format!("{wrong:?}");
            assert!(Wal::open(&world.env(), wrong).is_err(), "{shown} was accepted");
        }
    });
}

#[test]
fn verifying_sees_every_entry_and_changes_nothing() {
    let world = world(15);
    world.run(async {
        let empty = verify(world.env().disk.as_ref(), Path::new(ROOT), &mut |_, _, _| {}).unwrap();
        assert_eq!((empty.frames, empty.cluster), (0, None));
        let (wal, _) = open(&world.env(), 2);
        for log in logs(&wal, 4) {
            fill(&log, 30, 1500).await;
        }
        purge(&wal.log(LogId::new(3)), 10).await.unwrap();
        wal.close().await;
        let before = world.disk().snapshot();
        let mut seen = Vec::new();
        let report = verify(world.env().disk.as_ref(), Path::new(ROOT), &mut |log, entry, place| {
            assert_eq!(entry.payload, payload(log, entry.index, 1, 1500));
            assert!(place.offset >= 4096 && place.file.starts_with(ROOT));
            seen.push((log.get(), entry.index));
        });
        let report = report.unwrap();
        let first = |log| if log == 3 { 11 } else { 1 };
        let expected = (0..4).flat_map(|log| (first(log)..=30).map(move |at| (log, at)));
        assert_eq!(seen, expected.collect::<Vec<_>>());
        assert_eq!((report.damages.len(), report.torn_tails.len(), report.frames), (0, 0, 121));
        assert_eq!(report.logs[3].entries, 20);
        assert_eq!(report.cluster, Some(CLUSTER));
        assert!(before == world.disk().snapshot(), "verifying wrote something");
    });
}

#[test]
fn it_works_on_a_real_disk_with_real_threads() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let env = Env::real();
        let config = Config {
            logs: 4,
            lanes: 2,
            segment_bytes: 1 << 20,
            ..Config::new(dir.path().join("wal"), CLUSTER)
        };
        let (wal, _) = Wal::open(&env, config.clone()).unwrap();
        let mut told = Vec::new();
        for index in 1..=300 {
            for log in logs(&wal, 4) {
                let (done, answer) = answer();
                log.append(vec![entry(index, 1, payload(log.id(), index, 1, 2000))], done);
                told.push(answer);
            }
        }
        for answer in told {
            answer.await.unwrap().unwrap();
        }
        assert_eq!(wal.stats().frames, 1200);
        wal.close().await;
        let report = verify(env.disk.as_ref(), &config.dir, &mut |log, entry, _| {
            assert_eq!(entry.payload, payload(log, entry.index, 1, 2000));
        });
        let report = report.unwrap();
        assert_eq!(report.damages, []);
        assert_eq!(report.logs.iter().map(|log| log.entries).sum::<u64>(), 1200);
        let (wal, _) = Wal::open(&env, config).unwrap();
        fill(&wal.log(LogId::new(1)), 3, 100).await;
        assert_eq!(wal.log(LogId::new(1)).state().flushed, 303);
        wal.close().await;
    });
}

#[test]
fn a_log_that_was_reset_has_its_vote_and_nothing_else_and_begins_anywhere() {
    let world = world(31);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let log = wal.log(LogId::new(1));
        fill(&log, 200, 1500).await;
        vote(&log, "term 3").await.unwrap();
        purge(&log, 30).await.unwrap();
        log.commit(120);
        let files = wal.stats().segments;
        reset(&log).await.unwrap();
        let state = log.state();
        assert_eq!((state.purged, state.last, state.flushed, state.committed), (None, None, 0, 0));
        assert_eq!(state.vote, Some(Bytes::from("term 3")));
        assert!(matches!(log.read_one(100), Err(ReadError::NotHere { first: None, .. })));
        assert!(wal.stats().segments < files, "segments that nobody needs are kept");
        append(&log, vec![entry(7, 4, "anew")]).await.unwrap();
        log.commit(7);
        wal.close().await;
        let (wal, recovery) = open(&world.env(), 1);
        assert_eq!(recovery.damages, []);
        let state = wal.log(LogId::new(1)).state();
        assert_eq!((state.purged, state.last), (None, Some(Mark { index: 7, term: 4 })));
        assert_eq!((state.committed, state.vote), (7, Some(Bytes::from("term 3"))));
        wal.close().await;
    });
}
