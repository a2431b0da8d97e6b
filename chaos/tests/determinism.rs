//! The same plan gives the same run, to the last thing that happens: in one process and in another.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io;

use chronos_chaos::Profile;
use chronos_chaos::plan::Plan;
use chronos_chaos::sim;
use chronos_chaos::trial::{Ask, Place, Runner};

/// Virtual minutes of each run.
const MINUTES: u64 = 1;

fn here(plan: &Plan) -> String {
    format!("{:016x}", sim::run(plan, Box::new(io::sink()), None).trace_hash)
}

fn elsewhere(plan: &Plan) -> String {
    let dir = tempfile::tempdir().unwrap();
    let runner = Runner::new(env!("CARGO_BIN_EXE_chronos-chaos"));
    let record = runner.run(plan, &Place::new(dir.path(), "run"), &Ask::default()).unwrap();
    record.measured.unwrap_or_else(|| panic!("{:?}", record.failure)).trace_hash
}

fn is_the_same_everywhere(seed: u64) {
    let plan = Profile::Swarm.plan(seed, MINUTES);
    let first = here(&plan);
    assert_eq!(here(&plan), first, "seed {seed}: a second run in this process");
    assert_eq!(elsewhere(&plan), first, "seed {seed}: another process");
}

#[test]
fn one_seed_is_one_run_in_every_process() {
    is_the_same_everywhere(1);
}

#[test]
fn another_seed_is_one_run_in_every_process() {
    is_the_same_everywhere(2);
}

#[test]
fn a_third_seed_is_one_run_in_every_process() {
    is_the_same_everywhere(3);
}
