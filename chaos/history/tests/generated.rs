//! Generated histories: clean ones pass; one with a single fault is caught.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use chronos_history::{Invariant, Line, check_lines, read_from};

#[allow(unreachable_pub, reason = "shared with examples")]
mod model;

#[allow(unreachable_pub, reason = "as a library would have it")]
mod faults;

use faults::Fault;
use model::{Dice, Lie, Plan, history, lying_history};

fn lines(seed: u64, partitions: u32) -> Vec<Line> {
    let plan = Plan { seed, operations: 400, partitions, clients: 6, ..Plan::default() };
    read_from(Path::new("generated"), history(plan).as_bytes()).unwrap()
}

#[test]
fn a_right_store_passes() {
    for seed in 0..60 {
        for partitions in [1, 8] {
            let report = check_lines(&lines(seed, partitions));
            assert!(report.is_clean(), "seed {seed}, {partitions} partitions: {report}");
        }
    }
}

/// Plants a fault into many histories. Each that could take it must be found out, by one of the invariants it breaks.
fn is_caught(fault: &Fault) {
    let mut planted = 0;
    for seed in 0..25 {
        let mut lines = lines(seed, 1 + seed as u32 % 8);
        let Some(at) = (fault.plant)(&mut lines, &mut Dice::new(seed)) else { continue };
        planted += 1;
        let report = check_lines(&lines);
        let name = fault.name;
        let caught = report.violated().iter().any(|violated| fault.breaks.contains(violated));
        assert!(caught, "{name}, seed {seed}, planted at line {at}: {report}");
    }
    assert!(planted >= 10, "{}: only {planted} of 25 histories could take it", fault.name);
}

#[test]
fn every_planted_fault_is_caught() {
    faults::ALL.iter().for_each(is_caught);
}

#[test]
fn a_lying_store_is_caught_on_one_partition_and_on_eight() {
    let lies =
        [(Lie::LostAck, Invariant::S1), (Lie::StaleRead, Invariant::S8), (Lie::WrongPosition, Invariant::S2)];
    for (lie, breaks) in lies {
        for partitions in [1, 8] {
            let plan = Plan { operations: 400, partitions, clients: 6, lie: Some(lie), ..Plan::default() };
            let mut told = 0;
            for seed in 0..20 {
                let (text, line) = lying_history(Plan { seed, ..plan });
                let Some(line) = line else { continue };
                told += 1;
                let report = check_lines(&read_from(Path::new("generated"), text.as_bytes()).unwrap());
                let first = report.verdicts[&breaks].violations.first().map(|violation| violation.index);
                assert_eq!(first, Some(line), "{lie:?}, seed {seed}, {partitions} partitions: {report}");
            }
            assert!(told >= 15, "{lie:?}: told in {told} of 20 histories only");
        }
    }
}
