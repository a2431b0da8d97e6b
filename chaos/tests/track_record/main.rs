//! What went wrong in other stores, each as a test that this one passes: the rows T-01 to T-40 of the verification plan, whose
//! source marks `[S-n]` are given with each.
//!
//! A row is tested where it shows best: over a whole simulated cluster with the SDK in this directory, or over one component
//! where that is; [`ROWS`] says where, and what of a row is not tested yet. Whatever is tested here also states what
//! must have come about, so that a run in which nothing happened is no pass.

mod disks;
mod durability;
mod elections;
mod reads;
mod retries;
mod script;
mod story;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One row.
struct Row {
    number: u32,
    /// The file and the name of each of its tests.
    tests: &'static [(&'static str, &'static str)],
    /// What of it is not tested, or not like this, and where it is or will be.
    rest: &'static str,
}

const fn row(number: u32, tests: &'static [(&'static str, &'static str)], rest: &'static str) -> Row {
    Row { number, tests, rest }
}

const DURABILITY: &str = "chaos/tests/track_record/durability.rs";
const ELECTIONS: &str = "chaos/tests/track_record/elections.rs";
const RETRIES: &str = "chaos/tests/track_record/retries.rs";
const READS: &str = "chaos/tests/track_record/reads.rs";
const DISKS: &str = "chaos/tests/track_record/disks.rs";

/// All of them.
const ROWS: [Row; 40] = [
    row(
        1,
        &[(DURABILITY, "t_01_what_was_acknowledged_outlasts_a_loss_of_power_on_all_nodes_at_once")],
        "the same over three real ext4 file systems belongs to the plans for real processes",
    ),
    row(
        2,
        &[
            (DURABILITY, "t_02_a_single_node_has_what_it_acknowledged_wherever_in_its_log_the_power_goes"),
            (
                "tests/tests/sim/crash.rs",
                "t_02_nothing_promised_is_lost_when_the_power_goes_at_any_named_point",
            ),
        ],
        "",
    ),
    row(3, &[], "not tested yet: comes beside the tests of elections in `cluster/src/raft/tests`"),
    row(
        4,
        &[
            (DURABILITY, "t_04_a_node_whose_disk_fails_to_sync_ends_and_the_others_go_on"),
            ("crates/wal/tests/wal/faults.rs", "t_04_no_acknowledgement_after_a_sync_failed_once"),
        ],
        "the same with a preloaded fsync belongs to the plans for real processes",
    ),
    row(
        5,
        &[
            (ELECTIONS, "t_05_the_openraft_in_use_is_none_of_those_that_commit_without_a_majority"),
            (
                "cluster/src/raft/tests/quorums.rs",
                "t_05_with_five_voters_nothing_is_committed_that_no_majority_has",
            ),
        ],
        "openraft 0.9.24 itself has another interface and cannot be put in the place of this one",
    ),
    row(6, &[(DURABILITY, "t_06_replicas_that_die_while_they_apply_are_equal_in_the_end")], ""),
    row(
        7,
        &[(RETRIES, "t_07_what_the_sdk_sends_again_is_written_once")],
        "100,000 retries are those of a campaign",
    ),
    row(
        8,
        &[
            (RETRIES, "t_08_a_retry_has_the_same_answer_after_elections_restarts_and_a_day"),
            (
                "cluster/tests/snapshots/catching_up.rs",
                "t_08_a_leader_that_was_sent_parts_recognises_what_it_never_saw",
            ),
        ],
        "the day is one of wall clocks; retries of what is in parts alone are among the tests of T-22",
    ),
    row(9, &[(DURABILITY, "t_09_a_follower_that_had_not_heard_what_is_committed_keeps_it_and_leads")], ""),
    row(10, &[(READS, "t_10_a_leader_that_wakes_up_does_not_answer_with_what_was_true_before")], ""),
    row(11, &[(READS, "t_11_reads_are_right_while_leadership_is_handed_over_and_clocks_are_wrong")], ""),
    row(12, &[(RETRIES, "t_12_an_acknowledgement_says_where_its_events_lie")], ""),
    row(
        13,
        &[(RETRIES, "t_13_a_healthy_cluster_takes_everything_at_once")],
        "a million appends are those of a campaign",
    ),
    row(
        14,
        &[(ELECTIONS, "t_14_a_leader_that_is_heard_by_nobody_and_has_a_slow_disk_takes_nothing_back")],
        "",
    ),
    row(
        15,
        &[
            ("cluster/tests/repair/minority.rs", "t_15_no_vote_is_cast_before_everything_is_back"),
            (
                "crates/store/tests/damage.rs",
                "t_15_a_flipped_bit_in_any_byte_of_an_entry_is_found_by_start_and_by_verify",
            ),
        ],
        "",
    ),
    row(
        16,
        &[(DISKS, "t_16_damage_on_one_of_three_nodes_costs_nothing")],
        "two of five need five replicas, which the simulated cluster does not have yet",
    ),
    row(
        17,
        &[("crates/parts/src/dir/tests.rs", "t_17_without_a_manifest_nothing_is_deleted")],
        "of the other files that describe what there is, votes and membership are not damaged one by one yet",
    ),
    row(18, &[(ELECTIONS, "t_18_a_majority_that_has_never_met_before_does_not_forget")], ""),
    row(19, &[(ELECTIONS, "t_19_members_change_while_one_is_cut_off_and_another_dies")], ""),
    row(
        20,
        &[
            (
                "cluster/tests/snapshots/catching_up.rs",
                "t_20_a_follower_behind_the_log_catches_up_by_parts_while_appends_go_on",
            ),
            ("cluster/tests/snapshots/crashes.rs", "t_20_a_crash_at_any_point_recovers_to_before_or_after"),
        ],
        "stale reads after a pause are those of T-10",
    ),
    row(
        21,
        &[("crates/store/src/names.rs", "t_21_a_name_is_not_taken_for_another_one_with_the_same_hash")],
        "parts have no hashes of entities, only their names in order",
    ),
    row(
        22,
        &[
            (
                "tests/tests/sim/compact.rs",
                "t_22_nothing_promised_is_lost_when_the_power_goes_at_any_step_of_a_compaction",
            ),
            ("crates/parts/src/dir/tests.rs", "t_22_a_crash_while_the_directory_is_opened_is_survived_too"),
        ],
        "",
    ),
    row(23, &[], "there are no subscriptions yet: comes with them"),
    row(
        24,
        &[(
            "cluster/tests/snapshots/catching_up.rs",
            "t_24_a_learner_that_was_cut_off_while_the_log_was_purged_catches_up",
        )],
        "",
    ),
    row(25, &[], "there are no subscriptions yet: comes with them"),
    row(
        26,
        &[(READS, "t_26_an_event_is_in_every_read_that_must_have_it")],
        "histories say nothing yet of reads of everything, of SQL and of search",
    ),
    row(27, &[], "there are no subscriptions yet: comes with them"),
    row(
        28,
        &[(
            "cluster/tests/placement/life.rs",
            "t_28_a_node_that_was_removed_stays_removed_when_all_others_have_started_again",
        )],
        "there is one release only: an upgrade comes with the next one",
    ),
    row(29, &[(DISKS, "t_29_a_node_whose_disk_was_full_starts_and_works_once_there_is_room")], ""),
    row(
        30,
        &[
            (
                "crates/parts/src/dir/tests.rs",
                "t_30_a_crash_at_any_step_of_a_swap_leaves_one_manifest_and_all_its_files_and_nothing_else",
            ),
            (
                "cluster/tests/compaction/crash.rs",
                "t_30_nothing_is_lost_and_no_file_leaked_when_the_power_goes_at_any_named_step",
            ),
        ],
        "",
    ),
    row(
        31,
        &[("cluster/tests/repair/minority.rs", "t_31_who_has_forgotten_everything_is_not_taken_for_new")],
        "that a wiped machine is admitted under another number is tested where machines join",
    ),
    row(
        32,
        &[(
            "cluster/tests/repair/slow.rs",
            "t_32_a_leader_that_cannot_read_its_log_ends_and_spoils_nobody_elses",
        )],
        "",
    ),
    row(33, &[(RETRIES, "t_33_what_was_rolled_back_and_sent_again_is_there_once")], ""),
    row(
        34,
        &[(
            "tests/tests/sim/past.rs",
            "t_34_every_question_about_the_past_has_the_answer_of_a_plain_list_now_and_after_more_events",
        )],
        "memory that the system swaps out is outside of any model of a disk: a node's machine should have no swap",
    ),
    row(35, &[], "there are no tokens of users yet: comes with them"),
    row(
        36,
        &[("crates/server/tests/server/crowds.rs", "t_36_who_only_stays_keeps_nobody_out")],
        "frames without an end are those of the HTTP/2 library in use; real connections only",
    ),
    row(
        37,
        &[
            ("crates/parts/src/tests/damage.rs", "t_37_every_flipped_bit_is_found_and_never_served"),
            ("crates/parts/src/index/tests/damage.rs", "t_37_made_up_bytes_never_make_a_reader_panic"),
        ],
        "bytes that nobody thought of are those of the fuzz targets",
    ),
    row(38, &[(ELECTIONS, "t_38_one_that_hears_nobody_does_not_keep_the_others_from_their_work")], ""),
    row(
        39,
        &[(DURABILITY, "t_39_what_stands_still_while_it_is_written_is_not_lost")],
        "SIGSTOP belongs to the plans for real processes",
    ),
    row(
        40,
        &[
            (RETRIES, "t_40_what_nobody_knows_is_called_unknown_and_happens_once_or_never"),
            ("crates/client/tests/sdk/appends.rs", "t_40_silence_until_the_deadline_is_unknown"),
        ],
        "",
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is around this crate").to_owned()
}

/// The files with Rust code below a directory.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("it is a directory") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The names of the tests `t_NN_…` in a file.
fn named_tests(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| {
        let name = line.trim_start().trim_start_matches("async ").strip_prefix("fn ")?.split_once('(')?.0;
        let number = name.strip_prefix("t_")?.get(..3)?;
        let is_row = number.ends_with('_') && number.starts_with(|first: char| first.is_ascii_digit());
        is_row.then(|| name.to_owned())
    })
}

#[test]
fn every_row_has_its_tests_and_every_such_test_its_row() {
    let numbers: Vec<u32> = ROWS.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
    let mut listed = BTreeSet::new();
    for row in &ROWS {
        assert!(!row.tests.is_empty() || !row.rest.is_empty(), "nothing is said of T-{:02}", row.number);
        for (file, test) in row.tests {
            assert!(
                test.starts_with(&format!("t_{:02}_", row.number)),
                "{test} is not of T-{:02}",
                row.number
            );
            assert!(listed.insert((root().join(file), (*test).to_owned())), "{test} is listed twice");
        }
    }
    let mut files = Vec::new();
    for dir in ["chaos", "cluster", "crates", "tests"] {
        sources(&root().join(dir), &mut files);
    }
    let mut found = BTreeSet::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("sources are text");
        found.extend(named_tests(&text).map(|test| (path.clone(), test)));
    }
    assert_eq!(
        listed.difference(&found).collect::<Vec<_>>(),
        Vec::<&(PathBuf, String)>::new(),
        "no such tests"
    );
    assert_eq!(found.difference(&listed).collect::<Vec<_>>(), Vec::<&(PathBuf, String)>::new(), "in no row");
}
