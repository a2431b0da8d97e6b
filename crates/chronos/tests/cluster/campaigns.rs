//! Campaigns against clusters of their own, as an operator starts them.

use std::process::Command;

/// What a campaign found.
fn torture(more: &[&str]) -> serde_json::Value {
    let asked = Command::new(env!("CARGO_BIN_EXE_chronos"))
        .args(["torture", "--rounds", "1", "--rate", "300", "--json"])
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&asked.stderr);
    assert!(asked.status.success(), "{said}{}", String::from_utf8_lossy(&asked.stdout));
    serde_json::from_slice(&asked.stdout).unwrap()
}

#[test]
fn all_nodes_are_restarted_one_after_the_other_and_no_caller_sees_an_error() {
    let found = torture(&["--fault", "rolling", "--nodes", "3"]);
    assert_eq!(found["definite_errors"], 0, "{found}");
    assert_eq!((&found["lost"], &found["duplicates"], &found["gaps"]), (&0.into(), &0.into(), &0.into()));
    assert!(found["acknowledged"].as_u64().unwrap() > 0, "{found}");
    assert_eq!((&found["digests_compared"], &found["digests_different"]), (&96.into(), &0.into()));
}

#[test]
fn of_five_nodes_three_hold_each_partition_and_a_campaign_against_them_ends() {
    let found = torture(&["--fault", "kill", "--nodes", "5"]);
    assert_eq!((&found["digests_compared"], &found["digests_different"]), (&96.into(), &0.into()));
    assert_eq!(found["lost"], 0, "{found}");
}
