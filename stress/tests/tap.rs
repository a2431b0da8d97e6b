//! What is seen in a history while it is written, and one history made of two.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use chronos_history::{Line, check_lines, read, read_from};
use chronos_stress::splice::{read_cut, splice};
use chronos_stress::tap::{Pulse, Tap};

fn clean() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../chaos/history/golden/clean/everything.jsonl")
}

#[test]
fn what_passes_through_is_what_was_written_and_is_seen() {
    let text = std::fs::read(clean()).unwrap();
    let (pulse, mut passed) = (Pulse::default(), Vec::new());
    let mut tap = Tap::new(&mut passed, pulse.clone());
    // However it is cut into writes.
    text.chunks(7).for_each(|few| tap.write_all(few).unwrap());
    assert_eq!(passed, text);
    let lines = read(&[clean()]).unwrap();
    let by_line = Pulse::default();
    lines.iter().for_each(|line| by_line.see(line));
    assert_eq!(pulse.sum(), by_line.sum());
    assert_eq!(pulse.sum().operations, check_lines(&lines).operations);
    assert!(pulse.sum().acked > 0);
}

/// A small history: two appends of which one is not answered, a fault in between, and final logs.
const ROUND: &str = r#"{"type":"info","index":0,"process":"header","time":0,"f":"header","value":{"v":1,"run":"r","seed":1,"git":"","mode":"real","partitions":32,"nodes":["n1"]}}
{"type":"invoke","index":1,"process":0,"time":1000000000,"f":"append","op":1,"part":5,"value":{"stream":1,"ids":[1,2],"hashes":["a","b"]}}
{"type":"info","index":2,"process":"nemesis","time":1001000000,"f":"kill-start","value":{"kind":"kill","nodes":["n1"]}}
{"type":"ok","index":3,"process":0,"time":1004000000,"f":"append","op":1,"part":5,"value":{"first":1,"last":2,"rev":2,"dedup":false}}
{"type":"invoke","index":4,"process":0,"time":2000000000,"f":"append","op":2,"part":5,"value":{"stream":1,"ids":[3],"hashes":["c"]}}
"#;

fn lines(text: &str) -> Vec<Line> {
    read_from(Path::new("text"), text.as_bytes()).unwrap()
}

#[test]
fn a_beat_has_what_happened_since_the_last_one_and_the_faults_that_go_on() {
    let pulse = Pulse::default();
    let mut tap = Tap::new(Vec::new(), pulse.clone());
    tap.write_all(ROUND.as_bytes()).unwrap();
    let beat = pulse.beat();
    assert_eq!((beat.ended, beat.acked, beat.not_done, beat.appends.count), (1, 2, 0, 1));
    assert_eq!((beat.appends.p50_ms, beat.appends.p99_ms), (4.0, 4.0));
    assert_eq!(beat.faults, ["kill"]);
    let unknown = r#"{"type":"info","index":5,"process":0,"time":3000000000,"f":"append","op":2,"part":5,"error":"deadline"}"#;
    let healed = r#"{"type":"info","index":6,"process":"nemesis","time":3100000000,"f":"kill-end","value":{"kind":"kill","nodes":["n1"]}}"#;
    writeln!(tap, "{unknown}\n{healed}").unwrap();
    let beat = pulse.beat();
    assert_eq!((beat.ended, beat.not_done, beat.appends.count), (1, 1, 0));
    assert_eq!(beat.faults, ["kill"], "it went on for some of the time");
    assert_eq!(pulse.beat().faults, [""; 0]);
    assert_eq!(pulse.sum().seconds, 2.0);
    assert_eq!(pulse.sum().episodes, BTreeMap::from([("kill".to_owned(), 1)]));
}

#[test]
fn a_round_ends_where_its_final_logs_do_and_begins_where_the_last_one_ended() {
    let log = |index: u64, node: u32| {
        format!(
            r#"{{"type":"info","index":{index},"process":"n{node}","time":9,"f":"log","value":{{"part":5,"fork":0,"first":1,"events":[[1,1,1,"a",7,0],[2,1,2,"b",7,0]]}}}}"#
        )
    };
    let pulse = Pulse::default();
    let mut tap = Tap::new(Vec::new(), pulse.clone());
    writeln!(tap, "{}\n{}", log(0, 1), log(1, 2)).unwrap();
    let alone = pulse.ends(&BTreeMap::new());
    let later = pulse.ends(&BTreeMap::from([(5, 100)]));
    assert_eq!(alone[&5].0, 2, "two replicas are one log");
    assert_eq!((later[&5].0, later[&5].1), (102, alone[&5].1));
}

#[test]
fn a_history_that_was_cut_off_and_what_was_added_later_are_one() {
    let whole = read(&[clean()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let cut = dir.path().join("cut.jsonl");
    // In the middle of its third line from the end.
    std::fs::write(&cut, format!("{ROUND}{{\"type\":\"ok\",\"ind")).unwrap();
    let first = read_cut(&cut).unwrap();
    assert_eq!(first, lines(ROUND));
    let both = splice(first, whole.clone());
    assert_eq!(both.len(), 5 + whole.len() - 1, "one header");
    assert!(both.iter().zip(0..).all(|(line, index)| line.index == index));
    assert!(both.windows(2).all(|two| two[0].time <= two[1].time));
    let report = check_lines(&both);
    let ops = 2 + check_lines(&whole).operations;
    assert_eq!(report.operations, ops, "no operation of one is taken for one of the other");
}

#[test]
fn a_round_that_is_concluded_is_judged_with_what_was_cut_off() {
    let added = r#"{"type":"info","index":0,"process":"header","time":0,"f":"header","value":{"v":1,"run":"r","seed":1,"git":"","mode":"real","partitions":32,"nodes":["n1"]}}
{"type":"invoke","index":1,"process":0,"time":1,"f":"append","op":1,"part":5,"value":{"stream":9,"ids":[9],"hashes":["f"],"fence":true}}
{"type":"ok","index":2,"process":0,"time":2,"f":"append","op":1,"part":5,"value":{"first":3,"last":3,"rev":1,"dedup":false}}
{"type":"info","index":3,"process":"n1","time":3,"f":"log","value":{"part":5,"fork":0,"first":1,"events":LOG}}
{"type":"info","index":4,"process":"harness","time":4,"f":"end","value":{"replicas":[[5,["n1"]]]}}
"#;
    let judged = |log: &str| check_lines(&splice(lines(ROUND), lines(&added.replace("LOG", log))));
    let good = judged(r#"[[1,1,1,"a",7,0],[2,1,2,"b",7,0],[9,9,1,"f",7,0]]"#);
    assert!(good.is_clean(), "{good}");
    let lost = judged(r#"[[1,1,1,"a",7,0],[3,1,2,"c",7,0],[9,9,1,"f",7,0]]"#);
    assert!(lost.violated().contains(&chronos_history::Invariant::S1), "{lost}");
}
