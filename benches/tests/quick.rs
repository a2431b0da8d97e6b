//! Every work, small: it runs, its result is right, and every number is there.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

const BIN: &str = env!("CARGO_BIN_EXE_chronos-benches");

fn run(arguments: &[&str]) -> Vec<String> {
    let output = Command::new(BIN).args(arguments).output().expect("the benchmark starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?} failed: {err}");
    out.lines().map(str::to_owned).collect()
}

/// The lines of one work. It fails by itself when what was acknowledged is not what is stored.
fn quick(work: &str) -> Vec<Value> {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().to_str().expect("a path of text");
    let lines = run(&["--quick", "--only", work, "--dir", dir]);
    assert!(!lines.is_empty(), "{work} printed nothing");
    let lines: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    lines.iter().for_each(check);
    assert_eq!(std::fs::read_dir(dir).expect("it is there").count(), 0, "{work} left something behind");
    lines
}

fn check(line: &Value) {
    let number = |name: &str| line[name].as_f64().unwrap_or_else(|| panic!("{name} is no number in {line}"));
    for name in ["median", "min", "max", "p50_us", "p99_us", "events", "runs", "nodes"] {
        assert!(number(name) > 0.0, "{name} is not above zero in {line}");
    }
    assert!(number("min") <= number("median") && number("median") <= number("max"), "{line}");
    assert!(number("p50_us") <= number("p99_us"), "{line}");
    for name in ["clients", "events_per_request", "payload_bytes"] {
        assert!(line[name].as_u64().is_some_and(|n| n > 0), "{name} is missing in {line}");
    }
    assert!(["quorum-fsync", "none"].contains(&line["durability"].as_str().unwrap_or_default()), "{line}");
    let conditions = &line["conditions"];
    for name in ["cpu", "kernel", "filesystem", "rustc", "profile", "commit", "server_process"] {
        assert!(
            conditions[name].as_str().is_some_and(|text| !text.is_empty()),
            "{name} is missing in {line}"
        );
    }
    for name in ["cores", "lanes", "segment_bytes", "workers"] {
        assert!(conditions[name].as_u64().is_some_and(|n| n > 0), "{name} is missing in {line}");
    }
}

/// Whether the work that compares itself with etcd has somebody to do so.
fn etcd_is_here() -> bool {
    Command::new("etcd").arg("--version").output().is_ok()
}

macro_rules! works {
    ($($test:ident: $work:literal, $lines:expr;)*) => {
        $(#[test]
        fn $test() {
            assert_eq!(quick($work).len(), $lines);
        })*

        #[test]
        fn every_work_has_a_test() {
            let tested: BTreeSet<String> = [$($work.to_owned()),*].into();
            assert_eq!(run(&["--list"]).into_iter().collect::<BTreeSet<_>>(), tested);
        }
    };
}

works! {
    the_floor_runs: "floor.write_fdatasync_4k", 1;
    the_codec_runs: "block", 9;
    apply_runs: "store.apply", 3;
    point_reads_run: "store.point_read", 4;
    the_entity_read_runs: "store.entity_read", 4;
    the_log_alone_runs: "wal.append", 3;
    recovery_runs: "recovery", 2;
    every_layer_of_an_append_runs: "append_over_floor", 4;
    appends_run: "append", 8;
    ingest_runs: "ingest", 3;
    reads_over_the_wire_run: "remote", 2;
    compaction_runs: "parts.compaction", 1;
    reads_of_parts_run: "parts.point_read", 4;
    proofs_run: "parts.proof", 3;
    states_of_the_past_run: "state.as_of", 1;
    sql_runs: "sql", 2;
    the_big_one_runs: "big", 5;
    a_cluster_runs: "cluster.append", if etcd_is_here() { 8 } else { 4 };
}

#[test]
fn an_unknown_work_is_refused_by_name() {
    let output = Command::new(BIN).args(["--only", "nothing.of.the.kind"]).output().expect("it starts");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing.of.the.kind"));
}
