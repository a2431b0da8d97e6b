//! Disks that rot, and disks that are full.

use chronos_chaos::plan::{Deed, Fault, Victim};

use crate::script::Script;

/// Flipped bits in the files of a minority cost NATS what it had acknowledged [S-22].
#[test]
fn t_16_damage_on_one_of_three_nodes_costs_nothing() {
    let rot = |bits| Fault::Rot { victim: Victim::Node(2), bits };
    let down = || Fault::Kill { victim: Victim::Node(2) };
    let story = Script::new(116)
        .seconds(44)
        .clients(6, 12.0)
        .at(8, 4, down())
        .at(10, 1, rot(30))
        .at(24, 4, down())
        .at(26, 1, rot(30))
        .at(36, 1, Fault::Scrub { victim: Victim::Node(2) })
        .play();
    // Either the node repairs itself, or nothing of it can be trusted and an operator has it begin anew.
    let care = &story.report.outcome.care;
    assert!(story.logged("repair: ") > 0 || !care.is_empty(), "no damage was found:\n{}", story.end_of_log());
}

/// KurrentDB did not start any more after its disk had been full (#3452) [S-25].
#[test]
fn t_29_a_node_whose_disk_was_full_starts_and_works_once_there_is_room() {
    let story = Script::new(129)
        .doing(&[(Deed::AppendLarge, 3), (Deed::AppendMany, 2), (Deed::ReadPartition, 1)])
        .clients(6, 12.0)
        .seconds(36)
        .at(8, 20, Fault::Full { victim: Victim::Node(2) })
        .at(16, 3, Fault::Kill { victim: Victim::Node(2) })
        .play();
    let passed = |point| story.report.points.passed.get(point).copied().unwrap_or(0);
    let [begun, made] = ["wal.segment.after_create", "wal.segment.after_dir_sync"].map(passed);
    assert!(begun > made, "there was room for all {made} files of the log");
}
