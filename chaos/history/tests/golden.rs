//! The golden histories: each bad one breaks exactly what its name says, on the line its name says.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chronos_history::{Invariant, Report, check};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(folder);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What a report finds, as the files are named: invariant and line of each violation.
fn found(report: &Report) -> Vec<(String, u64)> {
    let of = |(invariant, verdict): (&Invariant, &chronos_history::Verdict)| {
        let name = invariant.to_string();
        verdict.violations.iter().map(|violation| (name.clone(), violation.index)).collect::<Vec<_>>()
    };
    report.verdicts.iter().flat_map(of).collect()
}

#[test]
fn each_bad_history_breaks_what_its_name_says_where_its_name_says_and_nothing_else() {
    let mut wrong = String::new();
    for path in files("bad") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (what, line) = name.rsplit_once('@').unwrap();
        let invariant = what.split_once('-').unwrap().0;
        let report = check(&[&path]).unwrap();
        let found = found(&report);
        let is_first = found.first() == Some(&(invariant.to_string(), line.parse().unwrap()));
        if !is_first || report.violated().len() != 1 || !report.undecided.is_empty() {
            wrong += &format!("{name}:\n{report}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_invariant_has_a_history_that_breaks_it() {
    let names = files("bad").into_iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_string());
    let broken: BTreeSet<String> = names.map(|name| name.split_once('-').unwrap().0.to_string()).collect();
    let all: BTreeSet<String> = Invariant::ALL.iter().map(Invariant::to_string).collect();
    assert_eq!(broken, all);
}

#[test]
fn the_clean_history_puts_every_invariant_to_the_test_and_passes() {
    for path in files("clean") {
        let report = check(&[&path]).unwrap();
        assert!(report.is_clean(), "{}: {report}", path.display());
        let untested = report.verdicts.iter().filter(|(_, verdict)| verdict.checked == 0);
        assert_eq!(untested.count(), 0, "{}: {report}", path.display());
    }
}

#[test]
fn a_report_is_readable_by_machines() {
    let path = files("bad").into_iter().find(|path| path.to_str().unwrap().contains("stale-read@")).unwrap();
    let json = serde_json::to_value(check(&[path]).unwrap()).unwrap();
    assert_eq!(json["verdicts"]["S8"]["violated"], 1);
    assert_eq!(json["verdicts"]["S8"]["violations"][0]["op"], 4);
    assert_eq!(json["verdicts"]["S25"]["checked"], 0);
}
