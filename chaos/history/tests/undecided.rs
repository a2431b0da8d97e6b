//! What cannot be decided is said, and is no pass.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use chronos_history::answer::*;
use chronos_history::call::*;
use chronos_history::fact::*;
use chronos_history::line::Process;
use chronos_history::{
    Append, Decision, EventId, Fork, Hash, Micro, Partition, Position, Report, Version, check_lines,
    read_from,
};

#[allow(unreachable_pub, reason = "shared with examples")]
mod script;

use script::*;

/// The clean history, changed.
fn changed(change: impl Fn(&mut Vec<String>)) -> Report {
    let text: &str = include_str!("../golden/clean/everything.jsonl");
    let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
    change(&mut lines);
    let lines = read_from(Path::new("changed"), lines.concat().as_bytes()).unwrap();
    check_lines(&lines)
}

fn undecided(report: &Report) -> String {
    assert!(report.violated().is_empty(), "{report}");
    report.undecided.iter().map(|undecided| format!("{undecided}\n")).collect()
}

#[test]
fn a_history_that_was_cut_short_is_undecided() {
    let report = changed(|lines| {
        lines.pop();
    });
    assert!(undecided(&report).contains("the history has no end"));
}

#[test]
fn a_history_without_a_fence_is_undecided() {
    let report =
        changed(|lines| lines.iter_mut().for_each(|line| *line = line.replace(r#","fence":true"#, "")));
    assert!(undecided(&report).contains("no fence was sent after the last append"));
}

#[test]
fn a_missing_replica_is_undecided() {
    let report = changed(|lines| {
        let line = lines.iter_mut().rfind(|line| line.contains(r#""f":"end""#)).unwrap();
        *line = line.replace(r#""n3""#, r#""n3","n4""#);
    });
    assert_eq!(undecided(&report).lines().count(), 1);
    assert!(undecided(&report).contains("the final log of partition 0 on n4 is missing"));
}

#[test]
fn an_ack_that_does_not_tell_versions_is_undecided() {
    let report = changed(|lines| {
        let ack = lines.iter_mut().find(|line| line.contains(r#""revs":[1,2],"#)).unwrap();
        *ack = ack.replace(r#""revs":[1,2],"#, "");
    });
    assert!(undecided(&report).contains("does not tell the version of event 1"));
}

#[test]
fn an_outcome_of_nothing_is_undecided() {
    let report = changed(|lines| {
        let ack = lines.iter_mut().find(|line| line.contains(r#""type":"ok""#)).unwrap();
        *ack = ack.replace(r#""op":1,"#, r#""op":777,"#);
    });
    assert!(undecided(&report).contains("an outcome of an operation that is not under way"));
}

#[test]
fn a_process_that_goes_on_after_an_unknown_outcome_is_undecided() {
    let report = changed(|lines| {
        let unknown = lines.iter().position(|line| line.contains(r#""error":"deadline""#)).unwrap();
        let process =
            lines[unknown].split(r#""process":"#).nth(1).unwrap().split(',').next().unwrap().to_string();
        let next = lines[unknown..].iter_mut().find(|line| line.contains(r#""type":"invoke""#)).unwrap();
        let (before, after) = next.split_once(r#""process":"#).unwrap();
        *next = format!(r#"{before}"process":{process},{}"#, after.split_once(',').unwrap().1);
    });
    assert!(undecided(&report).contains("goes on after an outcome that nobody knows"));
}

/// What a script leaves undecided.
fn of_script(script: impl FnOnce(Script) -> String) -> String {
    let text = script(Script::new());
    undecided(&check_lines(&read_from(Path::new("script"), text.as_bytes()).unwrap()))
}

#[test]
fn an_append_under_way_when_the_fence_is_sent_is_undecided() {
    let answered = of_script(|mut s| {
        let ticket = s.call(0, Call::Append(batch(&[1], 1)));
        let answer = s.apply(&batch(&[1], 1));
        let fence = Append { fence: true, ..batch(&[9], 9) };
        let fenced = s.call(1, Call::Append(fence.clone()));
        s.ok(0, ticket, Answer::Append(answer));
        let answer = s.apply(&fence);
        s.ok(1, fenced, Answer::Append(answer));
        s.close()
    });
    assert!(
        answered.contains("the fence of the partition was sent before this operation had ended"),
        "{answered}"
    );
    let refused = of_script(|mut s| {
        let ticket = s.call(0, Call::Append(batch(&[1], 1)));
        let fence = Append { fence: true, ..batch(&[9], 9) };
        let fenced = s.call(1, Call::Append(fence.clone()));
        s.fail(0, ticket, refusal(Reason::Other("quota".into())));
        let answer = s.apply(&fence);
        s.ok(1, fenced, Answer::Append(answer));
        s.close()
    });
    assert!(
        refused.contains("the fence of the partition was sent before this operation had ended"),
        "{refused}"
    );
}

#[test]
fn an_event_after_the_fence_is_undecided() {
    let late = of_script(|mut s| {
        let ticket = s.call(0, Call::Append(batch(&[1], 1)));
        s.unknown(0, ticket);
        s.fence();
        s.apply(&batch(&[1], 1));
        s.close()
    });
    assert!(late.contains("the fence is not acknowledged as the last event"), "{late}");
}

#[test]
fn what_no_final_log_tells_is_undecided() {
    let elsewhere = of_script(|mut s| {
        s.fill([1]);
        s.scope.part = Some(Partition(7));
        let ticket = s.call(0, Call::Read(Read { from: Position(1), mode: Mode::Strong }));
        let range = Range {
            from: Position(1),
            last: Position(0),
            tail: Position(0),
            count: 0,
            hash: Hash(0),
            wm: Position(0),
            mode: ModeName::Strong,
            term: None,
            bad: 0,
        };
        s.ok(0, ticket, Answer::Read(range));
        let ticket = s.call(0, Call::Txn(vec![Micro::Read(Partition(7), None)]));
        s.ok(0, ticket, Answer::Txn(vec![Micro::Read(Partition(7), Some(vec![]))]));
        s.scope.part = Some(P);
        let state = NodeState { part: Partition(7), ..s.state() };
        s.node(1, Fact::Node(NodeState { wm: Position(0), ..state }));
        s.end()
    });
    assert_eq!(elsewhere.lines().count(), 3, "{elsewhere}");
    let unread = of_script(|mut s| {
        s.fill([1]);
        let ticket = s.call(2, Call::Fork(ForkCall::Create));
        s.ok(2, ticket, Answer::Fork(Forked { fork: Fork(1), points: vec![(P, Position(1))] }));
        s.end()
    });
    assert!(unread.contains("the final log of partition 0 of fork 1 or its parent is missing"), "{unread}");
}

#[test]
fn a_question_that_makes_no_sense_is_undecided() {
    let nonsense = of_script(|mut s| {
        s.fill([1]);
        s.read(0, Mode::AsOf(Then::Rev(Version(1))), |s| s.range(1, ModeName::AsOf));
        let ticket = s.call(1, Call::Get(Get { id: EventId(1), mode: Mode::AsOf(Then::Pos(Position(1))) }));
        s.ok(1, ticket, Answer::Get(None));
        s.end()
    });
    assert!(nonsense.contains("a partition has no version to read as of"), "{nonsense}");
    assert!(nonsense.contains("a get as of a moment"), "{nonsense}");
}

#[test]
fn a_snapshot_that_nobody_took_is_undecided() {
    let unknown = of_script(|mut s| {
        s.fill([1]);
        let (did, at, hash) = (SnapshotStep::Installed, Position(1), Hash(1));
        let snapshot = Snapshot { part: P, did, at, chain: hash, dedup: hash, streams: hash };
        s.node(2, Fact::Snapshot(snapshot));
        s.end()
    });
    assert!(unknown.contains("that nobody took"), "{unknown}");
}

#[test]
fn a_decision_asked_for_twice_is_undecided() {
    let twice = of_script(|mut s| {
        s.fill([1]);
        let ask = || Call::Admin(Admin { decision: Decision(1), action: "grant".into() });
        let ticket = s.call(0, ask());
        s.ok(0, ticket, Answer::Admin);
        let ticket = s.call(0, ask());
        s.unknown(0, ticket);
        s.harness(Fact::Audit(AuditRecord {
            seq: 1,
            decision: Some(Decision(1)),
            prev: Hash(0),
            hash: Hash(1),
        }));
        s.end()
    });
    assert!(twice.contains("decision 1 was asked for twice"), "{twice}");
}

#[test]
fn facts_of_nobody_are_undecided() {
    let nobody = of_script(|mut s| {
        s.fill([1]);
        let state = s.state();
        s.fact(Process::Named("somebody".into()), Fact::Node(state));
        let chunk = LogChunk { part: P, first: Position(1), ..LogChunk::default() };
        s.fact(Process::Named("somebody".into()), Fact::Log(chunk));
        s.end()
    });
    assert!(nobody.contains("a line about a node names no node as its process"), "{nobody}");
    assert!(nobody.contains("a final log names no node"), "{nobody}");
}

#[test]
fn lines_that_do_not_fit_together_are_undecided() {
    let header = r#""type":"info","process":"header","f":"header","value":{"v":1,"run":"","seed":0,"git":"","mode":"sim","partitions":0,"nodes":[]}"#;
    let end = r#""type":"info","process":"harness","f":"end","value":{"replicas":[]}"#;
    let asked = r#""type":"invoke","process":0,"f":"admin","op":1,"value":{"decision":1,"action":"x"}"#;
    let other = r#""type":"ok","process":0,"f":"get","op":1,"value":{"event":null}"#;
    let newer = header.replace(r#""v":1"#, r#""v":2"#);
    let cases: [(&[&str], &str); 5] = [
        (&[&newer, end], "a history of version 1 begins with its header"),
        (&[asked, end], "the history does not begin with its header"),
        (&[header, end, asked], "the history goes on after its end"),
        (&[header, asked, asked, end], "the operation number has been used before"),
        (&[header, asked, other, end], "an outcome of another kind than the call"),
    ];
    for (bodies, expected) in cases {
        let numbered =
            bodies.iter().enumerate().map(|(index, body)| format!("{{\"index\":{index},{body}}}\n"));
        let text: String = numbered.collect();
        let said = undecided(&check_lines(&read_from(Path::new("by hand"), text.as_bytes()).unwrap()));
        assert!(said.contains(expected), "{text}: {said}");
    }
}
