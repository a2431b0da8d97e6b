//! The same append again: by the SDK, by a client, much later, elsewhere.

use std::collections::BTreeMap;

use chronos_chaos::plan::{Deed, Direction, Fault, Victim};

use crate::script::{LIVES, Script, hot_partition, leader};
use crate::story::Story;

const HOUR_MS: i64 = 3_600_000;

/// Appends, and now and then a read.
const ONLY_NEW: [(Deed, u32); 3] = [(Deed::Append, 6), (Deed::AppendMany, 2), (Deed::ReadPartition, 1)];
/// Every third append is one of before.
const AGAIN: [(Deed, u32); 4] =
    [(Deed::Append, 3), (Deed::AppendMany, 1), (Deed::AppendAgain, 2), (Deed::ReadPartition, 1)];

/// Redpanda wrote twice what was sent again after its leader had been killed (#3039); an "unknown error" made its client
/// take another identity (#5355) [S-21].
#[test]
fn t_07_what_the_sdk_sends_again_is_written_once() {
    // The way between nodes is long, so that a leader dies while much of what it was sent is with the others already.
    let script = Script::new(107)
        .clients(12, 20.0)
        .doing(&ONLY_NEW)
        .seconds(40)
        .at(1, 38, Fault::Delay { victim: Victim::All, min_ms: 10, max_ms: 40 })
        .at(27, 4, Fault::Pause { victim: leader() })
        .at(33, 4, Fault::Isolate { victim: leader(), direction: Direction::Out });
    let kills = [3, 9, 15, 21];
    let story = kills
        .into_iter()
        .fold(script, |script, at| script.at(at, 3, Fault::Kill { victim: leader() }))
        .play();
    for kind in ["kill", "pause", "isolate-out"] {
        story.assert_succeeded(kind);
    }
    // Nobody but the SDK sends anything twice here. An id that it had made up would be that of no event that was sent.
    assert!(story.recognised() > 0, "nothing was sent twice");
}

/// The idempotency of KurrentDB is a cache that is emptied [S-25], that of NATS a span of time [S-22].
#[test]
fn t_08_a_retry_has_the_same_answer_after_elections_restarts_and_a_day() {
    let story = Script::new(108)
        .doing(&AGAIN)
        .clients(4, 10.0)
        .seconds(40)
        .at(4, 5, Fault::Kill { victim: leader() })
        .at(14, 3, Fault::PowerCut { victim: Victim::All })
        .at(24, 16, Fault::ClockStep { victim: Victim::All, by_ms: 25 * HOUR_MS })
        .play();
    story.assert_succeeded("kill");
    for kind in ["kill", "power-cut-all", "clock-step"] {
        let at = story.spells(kind)[0].from;
        assert!(answered_again_after(&story, at) > 0, "nothing of before the {kind} was sent again after it");
    }
    let stamps = story.final_logs().into_values().flatten().map(|event| event.at);
    let (first, last) = stamps.fold((i64::MAX, 0), |(first, last), at| (at.min(first), at.max(last)));
    assert!(last - first > 24 * HOUR_MS * 1000, "no day has passed");
}

/// How many events were acknowledged before `at` and, with the same answer, again afterwards.
fn answered_again_after(story: &Story, at: u64) -> usize {
    let mut first = BTreeMap::new();
    let mut again = 0;
    for of in story.acknowledged() {
        let ids: Vec<_> = of.append.events.iter().map(|event| event.id).collect();
        let place = (of.partition, of.answer.first, of.answer.revs.clone());
        let (before, returned) = first.entry(ids).or_insert_with(|| (place.clone(), of.returned));
        assert_eq!(*before, place, "another answer to the same request");
        again += usize::from(*returned < at && of.sent > at);
    }
    again
}

/// The offsets that Redpanda acknowledged were not those of its log [S-21].
#[test]
fn t_12_an_acknowledgement_says_where_its_events_lie() {
    let story = Script::new(112)
        .doing(&AGAIN)
        .at(6, 5, Fault::Kill { victim: leader() })
        .at(18, 5, Fault::Isolate { victim: leader(), direction: Direction::Both })
        .play();
    story.assert_succeeded("kill");
    story.assert_succeeded("isolate");
    let (logs, acknowledged) = (story.final_logs(), story.acknowledged());
    assert!(acknowledged.len() > 200);
    for of in acknowledged {
        let copies: Vec<_> = logs.iter().filter(|((_, partition), _)| *partition == of.partition).collect();
        assert_eq!(copies.len(), 3);
        for (at, event) in of.append.events.iter().enumerate() {
            for ((node, _), log) in &copies {
                let stored = log[of.answer.first.0 as usize - 1 + at];
                assert_eq!((stored.id, stored.version), (event.id, of.answer.revs[at]), "{node}");
            }
        }
    }
}

/// Bufstream lost writes and gave offsets of zero while nothing was wrong at all [S-23].
#[test]
fn t_13_a_healthy_cluster_takes_everything_at_once() {
    let story = Script::new(113).doing(&ONLY_NEW).clients(8, 40.0).seconds(20).play();
    let tally = story.report.tally;
    assert!(tally.acknowledged > 5000, "{tally:?}");
    assert_eq!((tally.refused, tally.undone, tally.unknown), (0, 0, 0));
    assert_eq!(story.recognised(), 0, "something was sent twice");
    assert_eq!((story.report.lives, story.report.ends.len()), (LIVES, 0));
}

/// A retryable write of MongoDB ran twice after a rollback (SERVER-55305) [S-36].
#[test]
fn t_33_what_was_rolled_back_and_sent_again_is_there_once() {
    let story = Script::new(133)
        .doing(&AGAIN)
        .clients(8, 10.0)
        .seconds(40)
        .at(4, 6, Fault::Isolate { victim: leader(), direction: Direction::Both })
        .at(14, 6, Fault::Isolate { victim: leader(), direction: Direction::Both })
        .crash(24, 4, 1, "store.apply.before")
        .crash(30, 4, 2, "store.apply.after")
        .play();
    story.assert_succeeded("isolate");
    for apart in story.spells("isolate") {
        assert!(
            story.under_way(apart.from + 1_000_000_000) > 0,
            "the leader had nothing that it could not replicate"
        );
    }
    assert!(story.recognised() > 10);
    assert_eq!(story.report.lives, LIVES + 2, "both crashes were met");
}

/// The first run of an increment in a layer of FoundationDB shows it done twice: `commit_unknown_result` [S-4].
#[test]
fn t_40_what_nobody_knows_is_called_unknown_and_happens_once_or_never() {
    let victim = leader();
    let story = Script::new(140)
        .doing(&[(Deed::AppendAtVersion, 4), (Deed::AppendAgain, 1), (Deed::ReadEntity, 1)])
        .seconds(40)
        .at(6, 18, Fault::Isolate { victim, direction: Direction::Both })
        .at(6, 18, Fault::OnlyWayIn { victim })
        .play();
    assert_eq!(story.spells("isolate")[0].nodes, story.spells("only-way-in")[0].nodes);
    assert!(story.report.tally.unknown > 0, "{:?}", story.report.tally);
    let apart = &story.spells("isolate")[0];
    assert_eq!(story.taken_within(apart, hot_partition()), 0, "who was cut off acknowledged something");
}
