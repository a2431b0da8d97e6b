//! What a read may say.

use chronos_chaos::plan::{Deed, Direction, Fault, Victim};
use chronos_history::{Invariant, referee};

use crate::script::{Script, leader};

/// Half reads.
const READING: [(Deed, u32); 5] = [
    (Deed::Append, 4),
    (Deed::ReadPartition, 3),
    (Deed::ReadEntity, 2),
    (Deed::ReadOwn, 1),
    (Deed::ReadReplica, 1),
];

/// A new leader of etcd answered reads before it had committed anything in its term (#7331); after a pause a read index was
/// used again (#20418, found after two days of search) [S-1].
#[test]
fn t_10_a_leader_that_wakes_up_does_not_answer_with_what_was_true_before() {
    let pause = || Fault::Pause { victim: leader() };
    let story = Script::new(110)
        .doing(&READING)
        .clients(8, 10.0)
        .at_ms(4_000, 4_000, pause())
        .at_ms(12_000, 4_000, pause())
        .at_ms(20_000, 4_000, pause())
        .play();
    story.assert_succeeded("pause");
    for pause in story.spells("pause") {
        // What was asked of it then it finds when it wakes up, though nobody may wait for its answer any more.
        assert!(
            story.reads_under_way(pause.from + 2_000_000_000) > 0,
            "nobody asked the one who stood still"
        );
    }
    assert!(referee::linearizable(&story.lines).is_valid());
}

/// openraft went on answering reads by its lease while leadership was handed over (#1747) [S-6].
#[test]
fn t_11_reads_are_right_while_leadership_is_handed_over_and_clocks_are_wrong() {
    let story = Script::new(111)
        .doing(&READING)
        .clients(8, 10.0)
        .at(3, 26, Fault::Churn)
        .at(3, 26, Fault::Churn)
        .at(6, 5, Fault::Pause { victim: leader() })
        .at(10, 6, Fault::ClockStep { victim: leader(), by_ms: -60_000 })
        .at(14, 12, Fault::ClockDrift { victim: Victim::Node(2), ppm: 200_000 })
        .at(18, 5, Fault::Pause { victim: leader() })
        .play();
    story.assert_succeeded("pause");
    let churn = &story.spells("churn")[0];
    assert!(story.strong_reads(churn.from, churn.to) > 100);
    assert!(referee::linearizable(&story.lines).is_valid());
}

/// Events of KurrentDB were in their stream and not in `$all` (#4250) [S-25].
#[test]
fn t_26_an_event_is_in_every_read_that_must_have_it() {
    let mix = [
        (Deed::Append, 4),
        (Deed::AppendMany, 1),
        (Deed::ReadPartition, 2),
        (Deed::ReadReplica, 2),
        (Deed::ReadPast, 2),
        (Deed::ReadEntity, 2),
        (Deed::ReadEntityPast, 2),
        (Deed::Get, 2),
    ];
    let story = Script::new(126)
        .doing(&mix)
        .clients(6, 10.0)
        .at(4, 6, Fault::Kill { victim: leader() })
        .at(14, 6, Fault::Isolate { victim: Victim::Node(2), direction: Direction::Both })
        .play();
    story.assert_succeeded("kill");
    for promise in [Invariant::S8, Invariant::S10, Invariant::S19, Invariant::S22] {
        assert!(story.verdict.verdicts[&promise].checked > 50, "{promise}");
    }
}
