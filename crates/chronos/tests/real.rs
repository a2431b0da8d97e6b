//! Two minutes of everything that this machine can do to real processes of this binary: nothing acknowledged is lost, twice
//! or elsewhere, and the cluster is whole afterwards. What the machine cannot do is named on the standard error, past the
//! capture of the test runner.

use std::io::Write;

use chronos_chaos::plan::Plan;
use chronos_chaos::real::{self, Settings};

/// Kills, cuts of links and power, a slow disk, packets twice, pauses, a full disk, rot, a clock that is wrong. Packets that are
/// damaged past TCP's checksum are not among them: between nodes they are noticed, and clients here speak in the clear.
const SEED: u64 = 4;
const SECONDS: u64 = 120;

#[test]
fn a_cluster_of_processes_keeps_its_promises_under_two_minutes_of_mixed_faults() {
    let out = tempfile::tempdir().unwrap();
    let plan = Plan::named("mixed", SEED, 3, SECONDS).unwrap();
    let settings = Settings::new(env!("CARGO_BIN_EXE_chronos"), out.path());
    let report = real::run(&plan, &settings).unwrap();
    let skipped = report.outcome.skipped.iter().map(|skipped| format!("{}: {}", skipped.kind, skipped.why));
    for not_run in report.unable.iter().cloned().chain(skipped) {
        let _ = writeln!(std::io::stderr(), "DID NOT RUN: {not_run}");
    }
    if !report.is_clean() {
        let kept = out.keep();
        panic!("history, logs and verdict are in {}:\n{report}", kept.display());
    }
    println!("{report}");
    assert!(report.tally.acknowledged > 0, "nothing was written, so nothing was shown");
    assert!(report.faults.contains_key("kill"), "every machine can kill: {:?}", report.faults);
}
