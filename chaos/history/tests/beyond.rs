//! Histories of runs beyond the atlas: what nobody serves any more is no failure, and whatever was said still has to be so.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use chronos_history::Invariant::{S1, S2, S3, S7, S8, S9, S10, S11, S12, S15, S19, S22, S24};
use chronos_history::answer::*;
use chronos_history::call::*;
use chronos_history::fact::*;
use chronos_history::line::Process;
use chronos_history::*;

#[allow(unreachable_pub, reason = "shared with examples")]
mod script;

use script::*;

fn judged(text: &str) -> Report {
    check_lines(&read_from(Path::new("script"), text.as_bytes()).unwrap())
}

/// A partition with six acknowledged events of two entities, and what else happened, which nobody serves in the end.
fn unserved(and: impl FnOnce(&mut Script)) -> Report {
    let mut s = Script::beyond_the_atlas();
    s.scope.session = Some(Session(1));
    s.fill([1, 2, 3]);
    s.append(0, batch(&[4, 5], 2));
    s.append(0, expecting(&[6], 1, Expect::Rev(Version(3))));
    s.scope.session = None;
    and(&mut s);
    judged(&s.end_unserved())
}

/// That it breaks one promise, on one line.
#[track_caller]
fn breaks(promise: Invariant, report: &Report) {
    assert_eq!(report.violated(), [promise], "{report}");
    assert_eq!(report.verdicts[&promise].violated, 1, "{report}");
    assert!(report.undecided.is_empty(), "{report}");
}

/// A read of the first events that says it saw all.
fn short(s: &mut Script, to: u64, mode: Mode, name: ModeName) {
    s.read(1, mode, |s| Range { wm: Position(to), ..s.range(to, name) });
}

/// A read of what some replica has.
fn weak(s: &mut Script, answer: impl FnOnce(&Script) -> Range) {
    s.read(1, Mode::Weak, answer);
}

#[test]
fn a_partition_that_is_refused_for_ever_is_clean_and_what_it_had_said_was_judged() {
    let report = unserved(|s| {
        s.scope.session = Some(Session(1));
        s.strong(1);
        s.read(2, Mode::AsOf(Then::Pos(Position(2))), |s| s.range(2, ModeName::AsOf));
        s.scope.session = None;
        short(s, 3, Mode::Weak, ModeName::Weak);
        let ticket =
            s.call(1, Call::Entity(ReadEntity { stream: EntityId(1), from: Version(1), mode: Mode::Strong }));
        let answer = s.entity(1, 4, ModeName::Strong);
        s.ok(1, ticket, Answer::Entity(answer));
        let state = s.state();
        s.node(2, Fact::Node(state));
        for _ in 0..3 {
            let ticket = s.call(1, Call::Read(Read { from: Position(1), mode: Mode::Strong }));
            s.fail(1, ticket, refusal(Reason::Corrupt));
            let ticket = s.call(2, Call::Append(batch(&[7], 1)));
            s.unknown(2, ticket);
            let ticket = s.call(2, Call::Get(Get { id: EventId(2), mode: Mode::Strong }));
            s.fail(2, ticket, refusal(Reason::Other("unavailable".into())));
        }
    });
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.without_log, 5 + 4, "{report}");
    for promise in [S2, S3, S7, S8, S9, S10, S11, S12, S19, S22] {
        assert!(report.verdicts[&promise].checked > 0, "{promise} was not put to the test: {report}");
    }
}

#[test]
fn within_the_atlas_a_partition_that_nobody_serves_stays_undecided() {
    let mut s = Script::new();
    s.fill([1]);
    let report = judged(&s.end_unserved());
    let said: String = report.undecided.iter().map(ToString::to_string).collect();
    assert!(said.contains("no answer in a run within the atlas"), "{said}");
    assert!(said.contains("no final log of the partition"), "{said}");
    let mut s = Script::beyond_the_atlas();
    s.fill([1]);
    s.scope.part = Some(Partition(9));
    s.log_mut();
    s.strong(1);
    let said: String = judged(&s.end_unserved()).undecided.iter().map(ToString::to_string).collect();
    assert!(said.contains("no final log of the partition"), "nobody said that it is not served: {said}");
}

#[test]
fn a_served_partition_is_judged_as_ever() {
    let mut s = Script::beyond_the_atlas();
    s.fill([1, 2, 3]);
    s.log_mut().pop();
    assert_eq!(judged(&s.end()).violated(), [S1], "an acknowledged event is gone");
    let mut s = Script::beyond_the_atlas();
    s.fill([1, 2, 3]);
    short(&mut s, 2, Mode::Strong, ModeName::Strong);
    breaks(S8, &judged(&s.end()));
    let mut s = Script::beyond_the_atlas();
    s.fill([1, 2, 3]);
    s.fence();
    let mut other = s.log().clone();
    other[1].hash = Hash(7);
    s.replicas.insert((Node(3), P), other);
    breaks(S15, &judged(&s.close()));
}

#[test]
fn a_strong_read_that_lacks_what_was_acknowledged_is_found() {
    breaks(S8, &unserved(|s| short(s, 5, Mode::Strong, ModeName::Strong)));
    breaks(
        S8,
        &unserved(|s| {
            let ticket = s.call(
                1,
                Call::Entity(ReadEntity { stream: EntityId(1), from: Version(1), mode: Mode::Strong }),
            );
            let answer = s.entity(1, 3, ModeName::Strong);
            s.ok(1, ticket, Answer::Entity(answer));
        }),
    );
    breaks(
        S8,
        &unserved(|s| {
            let ticket = s.call(1, Call::Get(Get { id: EventId(4), mode: Mode::Strong }));
            s.ok(1, ticket, Answer::Get(None));
        }),
    );
    breaks(S12, &unserved(|s| short(s, 5, Mode::AtLeast(Position(6)), ModeName::AtLeast)));
}

#[test]
fn other_bytes_than_were_acknowledged_are_found() {
    let wrong = |s: &Script, to: u64| {
        let mut events = s.log()[..to as usize].to_vec();
        events[1].hash = Hash(1);
        hash(&events)
    };
    for to in [2, 6] {
        breaks(S2, &unserved(|s| weak(s, |s| Range { hash: wrong(s, to), ..s.range(to, ModeName::Weak) })));
    }
    breaks(S3, &unserved(|s| weak(s, |s| Range { count: 4, ..s.range(5, ModeName::Weak) })));
    breaks(S22, &unserved(|s| weak(s, |s| Range { bad: 1, ..s.range(5, ModeName::Weak) })));
    breaks(
        S2,
        &unserved(|s| {
            let ticket = s.call(1, Call::Get(Get { id: EventId(4), mode: Mode::Strong }));
            let (at, stream, rev) = (Position(4), EntityId(2), Version(1));
            s.ok(1, ticket, Answer::Get(Some(Found { part: P, at, stream, rev, hash: Hash(4) })));
        }),
    );
}

#[test]
fn two_reads_of_what_nobody_acknowledged_have_to_be_the_same() {
    let unknown = |s: &mut Script, content: u64| {
        let ticket = s.call(1, Call::Append(batch(&[7], 3)));
        s.apply(&batch(&[7], 3));
        s.unknown(1, ticket);
        s.strong(2);
        s.log_mut().last_mut().unwrap().hash = Hash(content);
        s.append(0, batch(&[8], 3));
        s.strong(2);
    };
    assert!(unserved(|s| unknown(s, 7 * 1001)).is_clean());
    breaks(S2, &unserved(|s| unknown(s, 1)));
}

#[test]
fn acknowledgements_that_cannot_both_be_are_found() {
    let acked = |s: &mut Script, append: Append, change: fn(&mut Appended)| {
        let ticket = s.call(1, Call::Append(append.clone()));
        let mut answer = s.apply(&append);
        change(&mut answer);
        s.ok(1, ticket, Answer::Append(answer));
    };
    breaks(
        S2,
        &unserved(|s| {
            acked(s, batch(&[7], 3), |a| (a.first, a.last, a.dedup) = (Position(2), Position(2), true));
        }),
    );
    breaks(
        S7,
        &unserved(|s| {
            drop(s.call(2, Call::Append(batch(&[70], 3))));
            acked(s, batch(&[6], 1), |a| a.dedup = true);
        }),
    );
    breaks(
        S8,
        &unserved(|s| {
            let ticket = s.call(1, Call::Append(batch(&[7], 3)));
            let answer = s.apply(&batch(&[7], 3));
            s.unknown(1, ticket);
            s.strong(2);
            let ticket = s.call(1, Call::Append(batch(&[7], 3)));
            s.ok(1, ticket, Answer::Append(answer));
        }),
    );
    breaks(
        S8,
        &unserved(|s| {
            drop(s.call(2, Call::Append(batch(&[70], 3))));
            s.log_mut().pop();
            let ticket = s.call(1, Call::Append(batch(&[7], 3)));
            s.read(2, Mode::Weak, |s| s.range(5, ModeName::Weak));
            let answer =
                Appended { first: Position(8), last: Position(8), wm: None, ..s.apply(&batch(&[7], 3)) };
            s.ok(1, ticket, Answer::Append(answer));
            drop(s.call(2, Call::Append(batch(&[71], 3))));
            let answer = Appended {
                first: Position(7),
                last: Position(7),
                wm: None,
                revs: vec![Version(1)],
                ..s.apply(&batch(&[72], 4))
            };
            let ticket = s.call(1, Call::Append(batch(&[72], 4)));
            s.ok(1, ticket, Answer::Append(answer));
        }),
    );
    breaks(S10, &unserved(|s| acked(s, batch(&[7], 1), |a| a.revs = vec![Version(3)])));
    breaks(S9, &unserved(|s| acked(s, expecting(&[7], 1, Expect::Rev(Version(2))), |_| ())));
    breaks(
        S9,
        &unserved(|s| {
            let ticket = s.call(1, Call::Append(expecting(&[7], 1, Expect::Rev(Version(4)))));
            s.fail(1, ticket, Refusal { reason: Reason::WrongVersion, rev: Some(Version(2)) });
        }),
    );
}

#[test]
fn what_a_filter_finds_has_to_be_what_is_known_to_be_there() {
    let search = |count, of: fn(&Script) -> Hash| {
        unserved(move |s| {
            let filter = Filter { streams: vec![EntityId(2)], ..Filter::default() };
            let ticket = s.call(1, Call::Search(Search { via: "category".into(), filter }));
            let hash = of(s);
            s.ok(1, ticket, Answer::Search(Matches { at: Position(6), count, hash, wm: Position(6) }));
        })
    };
    assert!(search(2, |s| hash(&s.log()[3..5])).is_clean());
    breaks(S24, &search(1, |s| hash(&s.log()[3..4])));
    breaks(S24, &search(2, |s| hash(&s.log()[2..4])));
}

#[test]
fn a_replica_that_claims_more_than_was_sent_and_two_that_contradict_each_other_are_found() {
    breaks(
        S11,
        &unserved(|s| {
            let state =
                NodeState { wm: Position(9), applied: Position(9), committed: Position(9), ..s.state() };
            s.node(1, Fact::Node(state));
        }),
    );
    breaks(
        S15,
        &unserved(|s| {
            for node in [1, 2] {
                let state = NodeState { h_at: Some((Position(3), Hash(node))), ..s.state() };
                s.fact(Process::Node(Node(node as u32)), Fact::Node(state));
            }
        }),
    );
}
