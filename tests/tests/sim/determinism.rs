//! The same seed gives the same run, in one process and in two.

use std::process::Command;

use chronos_env::sim::World;

use crate::life::{Shared, aftermath, under_load};

/// Set in the second process: run the seed, print the hash, and be done.
const CHILD: &str = "CHRONOS_SIM_HASH_OF_SEED";

fn trace_hash(seed: u64) -> u64 {
    let world = World::new(seed);
    let ledger = Shared::default();
    world.arm_crash("wal.unit.after_write", 30);
    let _ = world.run(under_load(&world, &ledger, 30));
    if world.disk().is_off() {
        world.disk().power_on();
    }
    aftermath(&world, &ledger);
    world.trace().hash()
}

#[test]
fn two_runs_of_one_seed_leave_the_same_trace_in_one_process() {
    let first = trace_hash(7);
    assert_eq!(first, trace_hash(7));
    assert_ne!(first, trace_hash(8), "the trace depends on the seed");
}

#[test]
fn two_runs_of_one_seed_leave_the_same_trace_in_two_processes() {
    if let Ok(seed) = std::env::var(CHILD) {
        println!("hash={:016x}", trace_hash(seed.parse().expect("a number")));
        return;
    }
    let this = "determinism::two_runs_of_one_seed_leave_the_same_trace_in_two_processes";
    let test = std::env::current_exe().expect("a test binary has a path");
    let output = Command::new(test).args(["--exact", this, "--nocapture"]).env(CHILD, "7").output();
    let output = String::from_utf8(output.expect("it runs again").stdout).expect("text");
    let wanted = format!("hash={:016x}", trace_hash(7));
    assert!(output.contains(&wanted), "wanted {wanted}, the second process said: {output}");
}
