//! What the command line refuses, and how it says so.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;
use std::process::{Command, Output};

use chronos_stress::ledger::{Book, Entry, Round, Why};
use chronos_stress::settings::{Profile, Settings};
use chronos_stress::verdict::Verdict;

fn stress(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chronos-stress")).args(arguments).output().unwrap()
}

/// What it says when it refuses.
fn refused(arguments: &[&str]) -> String {
    let output = stress(arguments);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn soak(dir: &Path, entries: &[Entry]) {
    let settings = Settings { profile: Profile::Smoke, nodes: 3, seed: 7 };
    let mut book = Book::make(dir, &Entry::Made { v: 1, settings, at: "then".into() }).unwrap();
    entries.iter().for_each(|entry| book.write(entry).unwrap());
}

#[test]
fn whoever_does_not_say_how_long_is_asked() {
    let said = refused(&[]);
    assert!(said.contains("say how long: --profile smoke, hour, day or week (or --resume DIR)"), "{said}");
}

#[test]
fn four_nodes_are_refused() {
    let said = refused(&["--profile", "smoke", "--nodes", "4"]);
    assert!(said.contains("4 is neither 3 nor 5"), "{said}");
}

#[test]
fn what_is_not_the_directory_of_a_soak_does_not_go_on() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [["--resume", dir.path().to_str().unwrap()], ["report", dir.path().to_str().unwrap()]] {
        let said = refused(&arguments);
        assert!(said.contains("is not the directory of a soak"), "{said}");
    }
}

#[test]
fn a_soak_does_not_go_on_with_other_settings() {
    let dir = tempfile::tempdir().unwrap();
    soak(dir.path(), &[]);
    let path = dir.path().to_str().unwrap();
    let said = refused(&["--resume", path, "--nodes", "5"]);
    assert!(said.contains("does not go on: it was made with --nodes 3, not 5"), "{said}");
    let said = refused(&["--resume", path, "--profile", "week"]);
    assert!(said.contains("it was made with --profile smoke, not week"), "{said}");
}

#[test]
fn a_new_soak_does_not_begin_in_the_directory_of_another() {
    let dir = tempfile::tempdir().unwrap();
    soak(dir.path(), &[]);
    let said = refused(&["--profile", "smoke", "--out", dir.path().to_str().unwrap()]);
    assert!(said.contains("holds a soak already; go on with it by --resume"), "{said}");
}

#[test]
fn a_soak_that_has_failed_does_not_go_on_and_its_report_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let verdict = Verdict { lost: 2, violated: vec!["S1".into()], ..Verdict::default() };
    let round = Round { seconds: 60.0, verdict, ..Round::default() };
    soak(dir.path(), &[Entry::Round(Box::new(round)), Entry::Stop { at: "now".into(), why: Why::Failed }]);
    let path = dir.path().to_str().unwrap();
    // Whatever binary it would be: it is not started.
    let said = refused(&["--resume", path, "--binary", env!("CARGO_BIN_EXE_chronos-stress")]);
    assert!(said.contains("has failed and does not go on (round 0: NOT CLEAN: S1"), "{said}");
    let output = stress(&["report", path]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("2 lost"), "{said}");
    let html = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(html.contains("Not clean: round 0: NOT CLEAN: S1"), "{html}");
}
