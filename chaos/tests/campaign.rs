//! Campaigns over real processes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::Path;

use chronos_chaos::campaign::{self, Campaign, Error, Origin, Results};
use chronos_chaos::trial::{Ask, Runner, Way};
use chronos_chaos::{Profile, Seeds};

fn campaign(dir: &Path, seeds: &str) -> Campaign {
    Campaign {
        commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        profile: Profile::Swarm,
        minutes: 1,
        seeds: seeds.parse::<Seeds>().unwrap(),
        kept: Vec::new(),
        jobs: 2,
        dir: dir.join("runs"),
        leave_all: false,
        results: Some(dir.join("results.json")),
        ask: Ask::default(),
    }
}

/// Runs it, and says which seeds were run now.
fn run(campaign: &Campaign, program: &str) -> Result<(Vec<u64>, Results), Error> {
    let mut told = Vec::new();
    let results = campaign::run(campaign, &Runner::new(program), &mut |run| match run.origin {
        Origin::Seed(seed) => told.push(seed),
        Origin::Kept(_) => panic!("nothing is kept here"),
    })?;
    told.sort_unstable();
    Ok((told, results))
}

#[test]
fn a_campaign_goes_on_where_it_was_and_adds_up() {
    let program = env!("CARGO_BIN_EXE_chronos-chaos");
    let dir = tempfile::tempdir().unwrap();
    let (told, first) = run(&campaign(dir.path(), "1..3"), program).unwrap();
    assert_eq!(told, [1, 2]);
    assert_eq!(Results::read(&dir.path().join("results.json")).unwrap(), first);
    assert_eq!((first.totals.runs, first.totals.failed), (2, 0), "{:?}", first.failures);
    assert!(first.totals.operations > 0 && first.totals.acked > 0 && first.totals.episodes > 0);
    assert!(first.seeds.values().all(Option::is_some));
    assert_eq!(fs::read_dir(dir.path().join("runs")).unwrap().count(), 0, "clean runs leave nothing");

    let (told, second) = run(&campaign(dir.path(), "1..4"), program).unwrap();
    assert_eq!(told, [3], "what was run is not run again");
    assert_eq!(second.seeds.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(second.totals.runs, 3);
    assert!(second.totals.operations > first.totals.operations);
    assert_eq!(second.seeds[&1], first.seeds[&1]);
}

#[test]
fn a_run_that_dies_has_failed_and_the_campaign_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (told, results) = run(&campaign(dir.path(), "7..10"), "false").unwrap();
    assert_eq!(told, [7, 8, 9]);
    assert!(!results.is_clean());
    assert_eq!((results.totals.runs, results.totals.failed, results.totals.unjudged), (3, 3, 3));
    assert!(results.failures.iter().all(|failed| failed.failure.way == Way::Died));
    assert!(
        results
            .failures
            .iter()
            .any(|failed| failed.replay == "cargo chaos replay 8 --profile swarm --minutes 1")
    );
    assert!(dir.path().join("runs/8.plan.json").exists(), "what failed leaves its plan");

    let (told, again) = run(&campaign(dir.path(), "7..10"), "false").unwrap();
    assert_eq!(told, [0; 0]);
    assert!(!again.is_clean(), "a failure stays one");
}

#[test]
fn results_of_something_else_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let ours = campaign(dir.path(), "1..2");
    run(&ours, "false").unwrap();
    let file = dir.path().join("results.json");
    let before = fs::read(&file).unwrap();
    let others =
        [Campaign { commit: "another".to_owned(), ..ours.clone() }, Campaign { minutes: 2, ..ours.clone() }];
    for other in others {
        let refused = run(&other, "false").unwrap_err().to_string();
        assert!(refused.contains("--results"), "{refused}");
        assert_eq!(fs::read(&file).unwrap(), before);
    }
    fs::write(&file, "{}").unwrap();
    assert!(run(&ours, "false").unwrap_err().to_string().contains("holds no results"));
}

#[test]
fn results_of_a_tree_with_changes_cannot_be_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let changed = Campaign { commit: "0123-dirty".to_owned(), ..campaign(dir.path(), "1..2") };
    run(&changed, "false").unwrap();
    let refused = run(&changed, "false").unwrap_err().to_string();
    assert!(refused.contains("0123-dirty"), "{refused}");
}

#[test]
fn a_program_that_is_not_there_is_no_failed_seed() {
    let dir = tempfile::tempdir().unwrap();
    let refused = run(&campaign(dir.path(), "1..3"), "/nowhere/chaos").unwrap_err().to_string();
    assert!(refused.contains("/nowhere/chaos"), "{refused}");
    assert_eq!(Results::read(&dir.path().join("results.json")).unwrap().totals.runs, 0);
}
