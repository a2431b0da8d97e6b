//! What the command line does with what it is given.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::process::{Command, Output};

fn chaos(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chronos-chaos")).args(arguments).output().unwrap()
}

/// What it says when it refuses to begin.
fn refused(arguments: &[&str]) -> String {
    let output = chaos(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert_eq!(output.stdout, b"", "{arguments:?}");
    said
}

#[track_caller]
fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}

#[test]
fn seeds_that_are_none_are_refused_with_an_example() {
    says(&refused(&["sim", "--seeds", "5..1"]), &["5..1", "greater"]);
    says(&refused(&["sim", "--seeds", "many"]), &["many", "1..61"]);
    says(&refused(&["sim", "--seeds", "-3..1"]), &["-3..1", "1..61"]);
}

#[test]
fn a_profile_that_does_not_exist_is_refused_with_those_that_do() {
    says(&refused(&["sim", "--profile", "fortnight", "--seeds", "1..2"]), &["fortnight", "swarm"]);
}

#[test]
fn no_time_at_all_is_refused() {
    says(&refused(&["sim", "--seeds", "1..2", "--minutes", "0"]), &["--minutes 1"]);
    says(&refused(&["sim", "--profile", "week", "--seeds", "1..2", "--minutes", "90"]), &["multiple of 60"]);
    says(&refused(&["sim", "--seeds", "1..2", "--jobs", "0"]), &["--jobs", "1.."]);
}

#[test]
fn a_trace_of_several_seeds_is_refused() {
    says(&refused(&["sim", "--seeds", "1..3", "--trace", "x"]), &["--trace", "one seed"]);
}

#[test]
fn results_that_cannot_be_written_are_refused_before_anything_is_run() {
    says(
        &refused(&["sim", "--seeds", "1..2", "--results", "/nowhere/r.json"]),
        &["/nowhere/r.json", "--results"],
    );
}

#[test]
fn what_is_neither_a_seed_nor_a_plan_is_refused() {
    says(&refused(&["replay", "/nowhere/plan.json"]), &["/nowhere/plan.json", "neither a seed"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("broken.json");
    let file = file.to_str().unwrap();
    fs::write(file, "{\n  \"seed\": 1,\n  \"nodes\": \"three\"\n}").unwrap();
    says(&refused(&["replay", file]), &[file, "no plan that can be run"]);
}

#[test]
fn what_is_no_history_is_refused() {
    says(&refused(&["check", "/nowhere/history.jsonl"]), &["/nowhere/history.jsonl"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.jsonl");
    let file = file.to_str().unwrap();
    fs::write(file, "hello\n").unwrap();
    says(&refused(&["check", file]), &[file, "line 1"]);
}

/// A history that was written by hand.
fn golden(name: &str) -> String {
    format!("{}/history/golden/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_clean_history_is_clean_and_one_that_is_not_fails() {
    let clean = golden("clean/everything.jsonl");
    let output = chaos(&["check", &clean]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    says(&said, &["clean", "S26", "todc-utils: ", "adya: "]);

    let bad = fs::read_dir(golden("bad")).unwrap().next().unwrap().unwrap().path();
    let output = chaos(&["check", &clean, bad.to_str().unwrap()]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    says(&said, &["everything.jsonl: clean", "NOT CLEAN"]);
}
