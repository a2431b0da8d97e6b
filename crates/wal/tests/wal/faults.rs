//! The disk says no: a sync that fails once, a write that fails, no space left.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use chronos_env::sim::{FaultPlan, Repeat, World};
use chronos_wal::{Fault, LogId, OpenError, Verdict, Wal};

use crate::harness::*;

/// Appends one by one until one is refused; returns how many were acknowledged, and the fault.
async fn append_until_refused(wal: &Wal, len: usize) -> (u64, Fault) {
    let log = wal.log(LogId::new(0));
    for count in 0..2000 {
        let index = log.state().last.map_or(1, |last| last.index + 1);
        if let Err(fault) = append(&log, vec![entry(index, 1, payload(log.id(), index, 1, len))]).await {
            return (count, fault);
        }
    }
    panic!("nothing was refused");
}

async fn is_stopped_for_good(wal: &Wal, reason: &str) {
    let Fault::Poisoned(first) = wal.faulted().await else { panic!("not poisoned") };
    assert!(first.contains(reason), "{first}");
    let syncs = wal.stats().syncs;
    for log in logs(wal, 4) {
        assert_eq!(
            vote(&log, "v").await,
            Err(Fault::Poisoned(first.clone())),
            "acknowledged after a failure"
        );
    }
    assert_eq!(wal.stats().syncs, syncs, "synced again after a failure");
    assert_eq!(wal.fault(), Some(Fault::Poisoned(first)));
}

/// Retrying a failed sync would say yes while the data is gone; nothing may be acknowledged after it, ever.
#[test]
fn t_04_no_acknowledgement_after_a_sync_failed_once() {
    for nth in 1..=50 {
        let world = world(nth);
        let acknowledged = world.run(async {
            let (wal, _) = open(&world.env(), 1);
            world.disk().fail_sync(".seg", nth, Repeat::Once);
            let (count, fault) = append_until_refused(&wal, 300).await;
            assert!(matches!(fault, Fault::Poisoned(_)));
            is_stopped_for_good(&wal, "syncing /data/wal/lane-00/").await;
            wal.close().await;
            count
        });
        assert_eq!(acknowledged + 1, nth, "one group commit per append, one sync per group commit");
        world.disk().power_off();
        world.disk().power_on();
        world.run(async {
            let (wal, recovery) = open(&world.env(), 1);
            assert_eq!(recovery.damages, []);
            let log = wal.log(LogId::new(0));
            let held = log.state().last.map_or(0, |last| last.index);
            assert!(
                (acknowledged..=acknowledged + 1).contains(&held),
                "{held} held, {acknowledged} acknowledged"
            );
            append_after(&wal, held).await;
        });
    }
}

/// Appends one entry behind `held`, and finds it after a power cut.
async fn append_after(wal: &Wal, held: u64) {
    let log = wal.log(LogId::new(0));
    append(&log, vec![entry(held + 1, 2, "after the restart")]).await.unwrap();
    assert_eq!(log.read_one(held + 1).unwrap().payload, "after the restart");
}

#[test]
fn every_other_failure_stops_the_lane_as_well() {
    let cases: [(&str, bool, &str); 5] = [
        (".seg", false, "writing /data/wal/lane-00/"),
        ("flushed", false, "writing the flushed mark failed"),
        ("flushed", true, "syncing the flushed mark failed"),
        ("spare", true, "making a segment"),
        ("spare", false, "making a segment"),
    ];
    for (path, is_sync, reason) in cases {
        let world = world(7);
        world.run(async {
            let (wal, _) = open(&world.env(), 1);
            fill(&wal.log(LogId::new(0)), 3, 1000).await;
            world.env().clock.sleep(Duration::from_millis(100)).await;
            match is_sync {
                true => world.disk().fail_sync(path, 1, Repeat::Once),
                false => world.disk().fail_write(path, 1, Repeat::Once),
            }
            let fill = async {
                while wal.fault().is_none() {
                    let log = wal.log(LogId::new(0));
                    let index = log.state().last.map_or(1, |last| last.index + 1);
                    let _ = append(&log, vec![entry(index, 1, vec![0; 9000])]).await;
                    world.env().clock.sleep(Duration::from_millis(25)).await;
                }
            };
            world.env().clock.timeout(Duration::from_secs(60), fill).await.expect("the failure is met");
            is_stopped_for_good(&wal, reason).await;
            wal.close().await;
        });
        world.run(async {
            let (wal, recovery) = open(&world.env(), 1);
            assert_eq!(recovery.damages, [], "{path}");
            fill(&wal.log(LogId::new(0)), 3, 1000).await;
            wal.close().await;
        });
    }
}

/// The disk goes on taking and syncing what is written to a file that nobody will find again.
#[test]
fn a_file_that_is_removed_while_it_is_written_stops_the_lane_for_good() {
    for name in ["0000000001.seg", "flushed"] {
        let world = world(9);
        world.run(async {
            let (wal, _) = open(&world.env(), 1);
            fill(&wal.log(LogId::new(0)), 3, 1000).await;
            world.env().clock.sleep(Duration::from_secs(1)).await;
            assert_eq!(wal.fault(), None);
            let dir = PathBuf::from(ROOT).join("lane-00");
            let file = world.disk().files().into_iter().map(|(path, _)| path);
            let file = file.into_iter().find(|path| path.starts_with(&dir) && path.ends_with(name)).unwrap();
            world.disk().damage_remove(&file).unwrap();
            fill(&wal.log(LogId::new(0)), 1, 1000).await;
            world.env().clock.sleep(Duration::from_secs(1)).await;
            assert!(wal.fault().is_some(), "{name} is not missed");
            is_stopped_for_good(&wal, &format!("{} was removed or replaced", file.display())).await;
            wal.close().await;
        });
    }
}

#[test]
fn a_failed_lane_does_not_stop_the_others() {
    let world = world(8);
    world.run(async {
        let (wal, _) = open(&world.env(), 2);
        world.disk().fail_sync("lane-01", 4, Repeat::Forever);
        let (healthy, failing) = (wal.log(LogId::new(0)), wal.log(LogId::new(1)));
        while wal.fault().is_none() {
            let index = failing.state().last.map_or(1, |last| last.index + 1);
            let _ = append(&failing, vec![entry(index, 1, "x")]).await;
        }
        fill(&healthy, 5, 100).await;
        assert_eq!(healthy.state().flushed, 5);
        assert!(vote(&failing, "v").await.is_err());
        wal.close().await;
    });
}

/// Leaves room for the segments that are there, and no more.
fn no_more_space(world: &World) {
    let held: u64 = world.disk().files().iter().map(|(_, bytes)| bytes.next_multiple_of(4096)).sum();
    world.disk().capacity(held);
}

async fn has_room(log: &chronos_wal::Log, bytes: usize) -> Result<(), Fault> {
    let (tell, told) = tokio::sync::oneshot::channel();
    log.ask_for_room(bytes, Box::new(move |room| drop(tell.send(room))));
    told.await.unwrap()
}

#[test]
fn whoever_asks_for_room_is_told_whether_an_append_would_be_taken_and_nothing_is_written() {
    let world = world(19);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let log = wal.log(LogId::new(0));
        fill(&log, 5, 1000).await;
        assert_eq!(has_room(&log, 1000).await, Ok(()));
        no_more_space(&world);
        let (_, fault) = append_until_refused(&wal, 1000).await;
        assert_eq!(fault, Fault::NoSpace);
        let (state, written) = (log.state(), wal.stats().bytes);
        assert_eq!(has_room(&log, 1000).await, Err(Fault::NoSpace));
        world.disk().capacity(1 << 30);
        world.env().clock.sleep(Duration::from_secs(2)).await;
        assert_eq!(has_room(&log, 1000).await, Ok(()));
        assert_eq!((log.state(), wal.stats().bytes), (state, written), "asking wrote something");
        fill(&log, 5, 1000).await;
        wal.close().await;
        assert_eq!(has_room(&log, 1).await, Err(Fault::Closed));
    });
}

#[test]
fn a_full_disk_refuses_appends_keeps_reading_and_resumes_by_itself() {
    let world = world(9);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let log = wal.log(LogId::new(0));
        fill(&log, 5, 1000).await;
        no_more_space(&world);
        let (more, fault) = append_until_refused(&wal, 1000).await;
        assert_eq!(fault, Fault::NoSpace);
        let held = 5 + more;
        assert_eq!(log.state().last.unwrap().index, held, "the refused entry is out of the log");
        assert_eq!(entries_of(&log).len() as u64, held, "reads go on");
        assert_eq!(append(&log, vec![entry(held + 1, 1, vec![0; 1000])]).await, Err(Fault::NoSpace));
        assert_eq!(wal.fault(), None, "a full disk is no fault of the node");

        vote(&log, "votes have room").await.unwrap();
        truncate(&log, held - 2).await.unwrap();
        purge(&log, 3).await.unwrap();

        world.disk().capacity(1 << 30);
        world.env().clock.sleep(Duration::from_secs(2)).await;
        fill(&log, 100, 1000).await;
        wal.close().await;
        let (wal, recovery) = open(&world.env(), 1);
        assert_eq!(recovery.damages, []);
        let state = wal.log(LogId::new(0)).state();
        assert_eq!(state.last.unwrap().index, held - 2 + 100);
        assert_eq!(state.vote, Some(Bytes::from("votes have room")));
        wal.close().await;
    });
}

#[test]
fn purging_on_a_full_disk_makes_room_for_appends() {
    let world = world(10);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let log = wal.log(LogId::new(0));
        fill(&log, 200, 1000).await;
        no_more_space(&world);
        let (_, fault) = append_until_refused(&wal, 1000).await;
        assert_eq!(fault, Fault::NoSpace);
        purge(&log, log.state().last.unwrap().index - 1).await.unwrap();
        world.env().clock.sleep(Duration::from_secs(2)).await;
        fill(&log, 100, 1000).await;
        wal.close().await;
    });
}

#[test]
fn the_disk_is_not_asked_again_for_every_append_while_it_is_full() {
    let world = world(11);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let log = wal.log(LogId::new(0));
        fill(&log, 1, 100).await;
        no_more_space(&world);
        append_until_refused(&wal, 1000).await;
        let made = || world.env().crash.hits().get("wal.segment.after_create").copied().unwrap_or(0);
        let next = log.state().last.unwrap().index + 1;
        let before = made();
        for _ in 0..50 {
            assert_eq!(append(&log, vec![entry(next, 1, vec![0; 1000])]).await, Err(Fault::NoSpace));
        }
        assert!(made() <= before + 1, "{} attempts for 50 appends", made() - before);
        wal.close().await;
    });
}

/// A lane takes all that waits at once.
#[test]
fn several_appends_refused_at_once_leave_the_log_where_it_was() {
    let world = world(13);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let log = wal.log(LogId::new(0));
        fill(&log, 5, 1000).await;
        no_more_space(&world);
        append_until_refused(&wal, 1000).await;
        let last = log.state().last.unwrap();
        let answers = Answers::default();
        for nth in 1..=3 {
            log.append(vec![entry(last.index + nth, 1, vec![1; 1000])], answers.completion(nth as usize));
        }
        append(&log, Vec::new()).await.unwrap();
        assert!(answers.taken().iter().all(|(_, answer)| *answer == Err(Fault::NoSpace)));
        assert_eq!(log.state().last, Some(last));
        let late = append(&log, vec![entry(last.index + 4, 1, "sent before the refusal was heard of")]).await;
        assert_eq!(late, Err(Fault::NoSpace));
        assert_eq!(log.state().last, Some(last));
        world.disk().capacity(1 << 30);
        world.env().clock.sleep(Duration::from_secs(2)).await;
        append(&log, vec![entry(last.index + 1, 2, vec![2; 1000])]).await.unwrap();
        assert_eq!(log.read_one(last.index + 1).unwrap().term, 2);
        wal.close().await;
    });
}

/// What was sent before the caller could hear of the refusal is refused as well, and nothing is left half done.
#[test]
fn everything_that_builds_on_a_refused_append_is_refused() {
    let world = world(12);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let (log, other) = (wal.log(LogId::new(0)), wal.log(LogId::new(1)));
        fill(&other, 2, 100).await;
        no_more_space(&world);
        append_until_refused(&wal, 1000).await;
        let base = log.state().last.unwrap().index;
        let answers = Answers::default();
        let big = |index| entry(index, 2, vec![1; 12_000]);
        let small = |index| entry(index, 2, "small");
        log.append(vec![big(base + 1), big(base + 2)], answers.completion(0));
        log.append(vec![small(base + 3)], answers.completion(1));
        other.append(vec![entry(3, 1, "another log")], answers.completion(2));
        log.save_vote(Bytes::from("kept"), answers.completion(3));
        log.truncate(base + 1, answers.completion(4));
        log.append(vec![small(base + 2)], answers.completion(5));
        log.truncate(base - 1, answers.completion(6));
        assert_eq!(log.state().last.unwrap().index, base - 1);
        append(&log, Vec::new()).await.unwrap();
        let refused = Err(Fault::NoSpace);
        let expected = [refused.clone(), refused.clone(), refused.clone(), Ok(()), Ok(()), refused, Ok(())];
        assert_eq!(answers.taken().into_iter().map(|(_, answer)| answer).collect::<Vec<_>>(), expected);
        assert_eq!(log.state().last.unwrap().index, base - 1);

        world.disk().capacity(1 << 30);
        world.env().clock.sleep(Duration::from_secs(2)).await;
        append(&log, vec![small(base), small(base + 1)]).await.unwrap();
        append(&other, vec![entry(3, 1, "again")]).await.unwrap();
        wal.close().await;
        let (wal, recovery) = open(&world.env(), 1);
        assert_eq!(recovery.damages, []);
        assert_eq!(wal.log(LogId::new(0)).state().last.unwrap().index, base + 1);
        assert_eq!(wal.log(LogId::new(0)).state().vote, Some(Bytes::from("kept")));
        assert_eq!(wal.log(LogId::new(1)).read_one(3).unwrap().payload, "again");
        wal.close().await;
    });
}

#[test]
fn an_append_sent_before_its_sender_heard_of_a_refusal_is_refused_and_a_retry_is_not() {
    let world = world(13);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let log = wal.log(LogId::new(0));
        fill(&log, 1, 100).await;
        no_more_space(&world);
        append_until_refused(&wal, 1000).await;
        let next = log.state().last.unwrap().index + 1;
        assert_eq!(append(&log, vec![entry(next + 1, 1, "sent too early")]).await, Err(Fault::NoSpace));
        world.disk().capacity(1 << 30);
        world.env().clock.sleep(Duration::from_secs(2)).await;
        append(&log, vec![entry(next, 1, "retried"), entry(next + 1, 1, "retried")]).await.unwrap();
        wal.close().await;
    });
}

#[test]
fn an_append_that_needs_several_segments_is_refused_as_a_whole() {
    let world = world(14);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        let log = wal.log(LogId::new(0));
        fill(&log, 1, 100).await;
        let held: u64 = world.disk().files().iter().map(|(_, bytes)| bytes).sum();
        world.disk().capacity(held + (70 << 10));
        let entries: Vec<_> = (2..40).map(|index| entry(index, 1, vec![9; 5000])).collect();
        assert_eq!(append(&log, entries.clone()).await, Err(Fault::NoSpace));
        assert_eq!(log.state().last.unwrap().index, 1);
        world.disk().capacity(1 << 30);
        world.env().clock.sleep(Duration::from_secs(2)).await;
        append(&log, entries).await.unwrap();
        assert_eq!(log.state().flushed, 39);
        wal.close().await;
    });
}

/// A sync that went wrong may leave the newest unit in the page cache, marked clean and not on disk. Opening must
/// not take it for durable without having written it again.
#[test]
fn what_only_the_page_cache_holds_is_written_again_before_it_counts() {
    for seed in 0..10 {
        let world = world(seed);
        world.run(async {
            let (wal, _) = open(&world.env(), 1);
            fill(&wal.log(LogId::new(0)), 3, 500).await;
            world.disk().faults(FaultPlan::default().lying_syncs().fail_write("flushed", 1, Repeat::Once));
            let log = wal.log(LogId::new(0));
            assert!(append(&log, vec![entry(4, 1, vec![4; 500])]).await.is_err(), "its mark was not written");
            wal.close().await;
        });
        world.disk().faults(FaultPlan::default());
        world.run(async {
            let (wal, _) = open(&world.env(), 1);
            assert_eq!(wal.log(LogId::new(0)).state().flushed, 4);
            std::mem::forget(wal);
        });
        world.disk().power_off();
        world.disk().power_on();
        world.run(async {
            let (wal, recovery) = open(&world.env(), 1);
            assert!(recovery.logs.iter().all(|log| log.verdict == Verdict::Clean));
            assert_eq!(
                wal.log(LogId::new(0)).state().flushed,
                4,
                "one opening called it flushed, the next did not"
            );
            wal.close().await;
        });
    }
}

#[test]
fn a_disk_that_fails_while_opening_is_an_error_that_says_where() {
    let world = world(16);
    world.run(async {
        let (wal, _) = open(&world.env(), 1);
        fill(&wal.log(LogId::new(0)), 3, 500).await;
        wal.close().await;
        world.disk().fail_sync("flushed", 1, Repeat::Once);
        let error = Wal::open(&world.env(), config(1)).err().expect("the mark cannot be synced");
        assert!(matches!(error, OpenError::Io(_)), "{error}");
        assert!(error.to_string().contains("/data/wal/lane-00/flushed"), "{error}");
        let (wal, recovery) = open(&world.env(), 1);
        assert_eq!(recovery.damages, []);
        wal.close().await;
    });
}
