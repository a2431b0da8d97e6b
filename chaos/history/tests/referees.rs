//! Three judges, the same files.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use chronos_history::referee::{Opinion, linearizable, serializable};
use chronos_history::{Line, check_lines, read_from};

#[allow(unreachable_pub, reason = "shared with examples")]
mod model;

use model::{Lie, Plan, lying_history};

/// A history of this plan, unless it has no occasion for the lie.
fn lines(plan: Plan) -> Option<Vec<Line>> {
    let (text, lied) = lying_history(plan);
    (plan.lie.is_some() == lied.is_some())
        .then(|| read_from(Path::new("generated"), text.as_bytes()).unwrap())
}

fn plans(lie: Option<Lie>) -> impl Iterator<Item = Plan> {
    let plan = Plan { operations: 300, clients: 6, for_referees: true, lie, ..Plan::default() };
    (0..8).flat_map(move |seed| [1, 8].map(|partitions| Plan { seed, partitions, ..plan }))
}

fn all_say_no(lie: Lie, with_elle: bool) {
    let mut judged = 0;
    for plan in plans(Some(lie)) {
        let Some(lines) = lines(plan) else { continue };
        judged += 1;
        assert!(!check_lines(&lines).violated().is_empty(), "{plan:?}");
        let wgl = linearizable(&lines);
        assert!(matches!(wgl, Opinion::Invalid(_)), "{plan:?}: {wgl:?}");
        let elle = serializable(&lines);
        assert_eq!(matches!(elle, Opinion::Invalid(_)), with_elle, "{plan:?}: {elle:?}");
    }
    assert!(judged >= 10, "{lie:?} was told in {judged} of 16 histories only");
}

#[test]
fn all_three_pass_a_clean_history() {
    for plan in plans(None) {
        let lines = lines(plan).unwrap();
        let report = check_lines(&lines);
        assert!(report.is_clean(), "{plan:?}: {report}");
        let (wgl, elle) = (linearizable(&lines), serializable(&lines));
        assert!(wgl.is_valid() && elle.is_valid(), "{plan:?}: {wgl:?}, {elle:?}");
    }
}

#[test]
fn all_three_find_a_lost_ack() {
    all_say_no(Lie::LostAck, true);
}

#[test]
fn all_three_find_a_stale_read() {
    all_say_no(Lie::StaleRead, true);
}

/// No `txn` line tells positions, so that Elle's method has nothing to find.
#[test]
fn a_wrong_position_is_found_by_those_who_see_positions() {
    all_say_no(Lie::WrongPosition, false);
}

#[test]
fn the_search_is_cut_into_segments_and_finds_what_is_wrong_in_a_late_one() {
    // So many clients that the partition is never at rest.
    let plan = Plan { operations: 6_000, partitions: 1, clients: 40, for_referees: false, ..Plan::default() };
    let clean = lines(plan).unwrap();
    let Opinion::Valid(judged) = linearizable(&clean) else { panic!("{:?}", linearizable(&clean)) };
    assert!(judged > 3_000, "{judged} operations are not several segments");
    let stale = lines(Plan { lie: Some(Lie::StaleRead), ..plan }).unwrap();
    assert!(matches!(linearizable(&stale), Opinion::Invalid(_)));
}

#[test]
fn a_history_without_operations_is_no_pass() {
    let lines = lines(Plan { operations: 0, partitions: 0, clients: 1, ..Plan::default() }).unwrap();
    assert!(!linearizable(&lines).is_valid());
    assert!(!serializable(&lines).is_valid());
}

/// The client's library sends once more what nobody answered, and is told that it is there already.
#[test]
fn an_operation_may_be_its_own_duplicate() {
    let line = |index, kind: &str, process: &str, f: &str, rest: &str| {
        format!(r#"{{"index":{index},"type":"{kind}","process":{process},"f":"{f}",{rest}}}"#)
    };
    let hash = "ab86b5e5db495945";
    let header = r#""value":{"v":1,"run":"","seed":0,"git":"","mode":"sim","partitions":1,"nodes":[]}"#;
    let sent = format!(r#""op":1,"part":0,"value":{{"stream":6,"ids":[1],"hashes":["{hash}"],"types":[2]}}"#);
    let told = r#""op":1,"part":0,"value":{"first":1,"last":1,"revs":[1],"dedup":true}"#;
    let log = format!(r#""value":{{"part":0,"first":1,"events":[[1,6,1,"{hash}",1,0]]}}"#);
    let history = [
        line(0, "info", r#""header""#, "header", header),
        line(1, "invoke", "0", "append", &sent),
        line(2, "ok", "0", "append", told),
        line(3, "info", r#""n1""#, "log", &log),
    ];
    let lines = read_from(Path::new("one"), history.join("\n").as_bytes()).unwrap();
    assert_eq!(linearizable(&lines), Opinion::Valid(2), "the append, and that it was there already");
}

/// Why retries are joined before adya sees them: the day this fails, that is no longer needed.
#[test]
fn adya_calls_a_history_with_a_retry_valid_whatever_else_is_in_it() {
    let stale = [
        r#"{"type":"invoke","process":0,"f":"txn","value":[["append",0,1]]}"#,
        r#"{"type":"ok","process":0,"f":"txn","value":[["append",0,1]]}"#,
        r#"{"type":"invoke","process":1,"f":"txn","value":[["r",0,null]]}"#,
        r#"{"type":"ok","process":1,"f":"txn","value":[["r",0,[]]]}"#,
        r#"{"type":"invoke","process":2,"f":"txn","value":[["r",0,null]]}"#,
        r#"{"type":"ok","process":2,"f":"txn","value":[["r",0,[1]]]}"#,
    ];
    let judge = |lines: &[&str]| {
        let history = adya::History::from_json(&lines.join("\n")).unwrap();
        adya::check(&history, adya::Workload::ListAppend, &adya::Opts::default()).valid
    };
    assert_eq!(judge(&stale), adya::Valid::False);
    assert_eq!(judge(&[&stale[..], &stale[..2]].concat()), adya::Valid::True);
}

#[test]
fn an_event_in_different_transactions_is_unknown_to_elle() {
    let header = r#"{"index":0,"type":"info","process":"header","f":"header","value":{"v":1,"run":"","seed":0,"git":"","mode":"sim","partitions":1,"nodes":[]}}"#;
    let txn = |index, kind, op, value| {
        format!(r#"{{"index":{index},"type":"{kind}","process":{op},"f":"txn","op":{op},"value":[{value}]}}"#)
    };
    let (one, two) = (r#"["append",0,1]"#, r#"["append",0,1],["append",0,2]"#);
    let text = [
        header.to_string(),
        txn(1, "invoke", 1, one),
        txn(2, "ok", 1, one),
        txn(3, "invoke", 2, two),
        txn(4, "ok", 2, two),
    ];
    let lines = read_from(Path::new("by hand"), text.join("\n").as_bytes()).unwrap();
    assert!(matches!(serializable(&lines), Opinion::Unknown(_)));
}

#[test]
fn a_history_without_transactions_is_one_that_adya_did_not_look_at() {
    let text = include_bytes!("../golden/bad/S6-twice-in-the-log@9.jsonl");
    let lines = read_from(Path::new("golden"), text.as_slice()).unwrap();
    let opinion = serializable(&lines);
    assert_eq!(opinion, Opinion::Valid(0));
    assert!(!opinion.is_valid(), "that is no verdict");
}
