//! The ledger through crashes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use chronos_stress::ledger::{Book, Entry, Error, FILE, Ledger, Round, Why};
use chronos_stress::settings::{Profile, Settings};
use chronos_stress::verdict::Verdict;

const SETTINGS: Settings = Settings { profile: Profile::Hour, nodes: 3, seed: 7 };

fn made() -> Entry {
    Entry::Made { v: 1, settings: SETTINGS, at: "then".into() }
}

fn start() -> Entry {
    Entry::Start { at: "then".into(), commit: "abc".into(), machine: "this".into() }
}

fn begin(round: u16) -> Entry {
    Entry::Begin { round, at: "then".into(), boot: "b".into() }
}

fn round(round: u16, seconds: f64) -> Entry {
    let ends = BTreeMap::from([(3, (u64::from(round) * 10, chronos_history::Hash(0xabc)))]);
    Entry::Round(Box::new(Round { round, seconds, ends, ..Round::default() }))
}

fn stop(why: Why) -> Entry {
    Entry::Stop { at: "then".into(), why }
}

fn write(dir: &Path, entries: &[Entry]) {
    let mut book = Book::make(dir, &made()).unwrap();
    entries.iter().for_each(|entry| book.write(entry).unwrap());
}

fn read(entries: &[Entry]) -> Ledger {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), entries);
    Ledger::read(dir.path()).unwrap()
}

#[test]
fn what_was_written_is_read() {
    let entries = [start(), begin(0), round(0, 300.0), begin(1), round(1, 300.0), stop(Why::Complete)];
    let ledger = read(&entries);
    assert_eq!(ledger.settings, SETTINGS);
    assert_eq!(ledger.entries[1..], entries);
    assert_eq!((ledger.next_round(), ledger.cut_off()), (2, None));
}

#[test]
fn a_last_line_that_a_crash_tore_is_cut_off_wherever_it_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[start(), begin(0)]);
    let file = dir.path().join(FILE);
    let whole = fs::read(&file).unwrap();
    let torn = {
        let mut book = Book::open(dir.path()).unwrap().0;
        book.write(&round(0, 300.0)).unwrap();
        fs::read(&file).unwrap()
    };
    for length in whole.len()..torn.len() {
        fs::write(&file, &torn[..length]).unwrap();
        let (mut book, ledger) = Book::open(dir.path()).unwrap();
        assert_eq!(ledger.cut_off(), Some(0), "{length} bytes");
        assert_eq!(fs::read(&file).unwrap(), whole, "{length} bytes");
        book.write(&round(0, 17.0)).unwrap();
        let after = Ledger::read(dir.path()).unwrap();
        assert_eq!(after.rounds().map(|round| round.seconds).collect::<Vec<_>>(), [17.0]);
    }
}

#[test]
fn a_round_that_was_cut_off_is_known_and_its_number_is_not_given_again() {
    let ledger = read(&[start(), begin(0), round(0, 300.0), begin(1)]);
    assert_eq!((ledger.cut_off(), ledger.next_round()), (Some(1), 2));
}

#[test]
fn the_three_sums_are_three_numbers() {
    let long = read(&[
        start(),
        begin(0),
        round(0, 300.0),
        begin(1),
        round(1, 300.0),
        stop(Why::Interrupted),
        start(),
        begin(2),
        round(2, 100.0),
        stop(Why::Complete),
    ]);
    let short = read(&[start(), begin(0), round(0, 50.0), stop(Why::Complete)]);
    let sums = Ledger::sums(&[long, short]);
    assert_eq!(sums.longest_uninterrupted, 600.0);
    assert_eq!(sums.sum, 750.0);
    assert_eq!(sums.sum_on_one_data_directory, 700.0);
}

#[test]
fn a_round_counts_only_if_it_is_clean_and_was_not_cut_off() {
    let broken = Round {
        seconds: 300.0,
        verdict: Verdict { lost: 1, violated: vec!["S1".into()], ..Verdict::default() },
        ..Round::default()
    };
    let cut = Round { round: 1, seconds: 300.0, was_cut: true, ..Round::default() };
    let entries = [start(), Entry::Round(Box::new(broken)), Entry::Round(Box::new(cut))];
    let ledger = read(&entries);
    assert_eq!(Ledger::sums(std::slice::from_ref(&ledger)).sum, 0.0);
    assert!(ledger.failure().unwrap().starts_with("round 0: NOT CLEAN: S1"), "{:?}", ledger.failure());
}

#[test]
fn a_soak_that_is_complete_can_go_its_length_once_more() {
    let ledger =
        read(&[start(), begin(0), round(0, 300.0), stop(Why::Complete), start(), begin(1), round(1, 200.0)]);
    assert_eq!(ledger.seconds_of_this_length(), 200.0);
}

#[test]
fn a_directory_without_a_soak_is_refused_and_so_is_a_second_soak_in_one() {
    let dir = tempfile::tempdir().unwrap();
    let none = Book::open(dir.path()).unwrap_err();
    assert!(matches!(none, Error::NoSoak(_)), "{none}");
    assert!(
        none.to_string()
            .ends_with("is not the directory of a soak: it has no ledger.jsonl; begin one with --out")
    );
    write(dir.path(), &[]);
    let second = Book::make(dir.path(), &made()).unwrap_err();
    assert!(second.to_string().contains("holds a soak already; go on with it by --resume"), "{second}");
}

#[test]
fn nobody_goes_on_with_a_soak_that_runs() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[]);
    let open = Book::open(dir.path()).unwrap();
    let second = Book::open(dir.path()).unwrap_err();
    assert!(second.to_string().contains("runs already, in another process"), "{second}");
    drop(open);
    Book::open(dir.path()).unwrap();
}

#[test]
fn a_line_that_was_changed_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[start(), begin(0)]);
    let file = dir.path().join(FILE);
    let text = fs::read_to_string(&file).unwrap().replace("\"start\"", "\"stare\"");
    fs::write(&file, text).unwrap();
    let error = Ledger::read(dir.path()).unwrap_err().to_string();
    assert!(error.contains("line 2 is no line of a ledger"), "{error}");
    fs::write(
        &file,
        "{\"made\":{\"v\":2,\"settings\":{\"profile\":\"hour\",\"nodes\":3,\"seed\":1},\"at\":\"\"}}\n",
    )
    .unwrap();
    let error = Ledger::read(dir.path()).unwrap_err().to_string();
    assert!(error.contains("version 2; this program knows version 1"), "{error}");
}
