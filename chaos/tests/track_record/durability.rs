//! What was acknowledged is there: after power cuts, crashes at bad moments, failing syncs.

use chronos_chaos::plan::{Direction, Fault, Victim};
use chronos_history::Node;

use crate::script::{LIVES, Script, hot_partition, leader};

/// NATS acknowledged before it had synced: the loss of power took minutes of what was acknowledged [S-22].
#[test]
fn t_01_what_was_acknowledged_outlasts_a_loss_of_power_on_all_nodes_at_once() {
    let cut = || Fault::PowerCut { victim: Victim::All };
    let story = Script::new(101)
        .clients(6, 12.0)
        .unhurried()
        .at(6, 3, cut())
        .at(16, 3, cut())
        .at(26, 3, cut())
        .play();
    let cuts = story.spells("power-cut-all");
    assert_eq!(cuts.len(), 3);
    for cut in &cuts {
        assert_eq!(cut.nodes.len(), 3);
        assert!(story.under_way(cut.from) > 0, "nothing was under way when the power went");
    }
    assert_eq!(story.report.lives, LIVES + 3 * 3);
}

/// A single etcd node answered before it had committed, and lost a write when it crashed (#14370) [S-1].
#[test]
fn t_02_a_single_node_has_what_it_acknowledged_wherever_in_its_log_the_power_goes() {
    let points =
        ["wal.unit.before_write", "wal.unit.after_write", "wal.unit.after_sync", "wal.unit.after_mark"];
    let mut script = Script::new(102).nodes(1).seconds(36).clients(6, 12.0);
    for (second, point) in (2..).step_by(4).zip(points.iter().chain(&points)) {
        script = script.crash(second, 3, 1, point);
    }
    let story = script.play();
    assert_eq!(story.report.lives, 1 + 8 + 1, "each of the crashes was met");
    // What had reached the disk when the power went, and nobody had been told of yet.
    assert!(story.recognised() > 0, "nothing was under way when the power went");
}

/// Who tries a failed sync again is told that it worked, and the data is gone (fsyncgate, 2018) [S-29].
#[test]
fn t_04_a_node_whose_disk_fails_to_sync_ends_and_the_others_go_on() {
    let fails = |node| Fault::SyncFails { victim: Victim::Node(node) };
    // A sync that fails may be one of a part in the making, which is begun anew.
    let mut script = Script::new(104).seconds(60).clients(6, 12.0);
    for (second, node) in (5..).step_by(9).zip([1, 2, 3, 1, 2, 3]) {
        script = script.at(second, 7, fails(node));
    }
    let story = script.play();
    let of_the_log = story.report.ends.iter().filter(|why| why.contains("log writer stopped for good"));
    assert!(of_the_log.count() >= 3, "too few nodes ended: {:?}", story.report.ends);
    assert!(story.report.lives >= LIVES + 3, "who had ended was not started again");
}

/// etcd 3.5 saved how far it had applied apart from what it had applied: after a crash replicas differed, and nobody saw
/// it (#13766) [S-1].
#[test]
fn t_06_replicas_that_die_while_they_apply_are_equal_in_the_end() {
    let mut script = Script::new(106).clients(6, 12.0).seconds(38);
    let points = ["store.apply.before", "store.apply.after"];
    for (at, second) in (2..38).step_by(6).enumerate() {
        script = script.crash(second, 5, 1 + at as u32 / 2, points[at % 2]);
    }
    let story = script.play();
    assert_eq!(story.report.lives, LIVES + 6, "each of the crashes was met");
    let logs = story.final_logs();
    assert!(logs.values().filter(|log| log.len() > 10).count() >= 3 * 4, "there is too little to compare");
}

/// Kafka's followers cut their logs at the high watermark when they started: what was acknowledged was lost, or logs
/// diverged (KIP-101, KIP-279) [S-33].
#[test]
fn t_09_a_follower_that_had_not_heard_what_is_committed_keeps_it_and_leads() {
    // What is acknowledged in between is on the first two nodes only. Then the first is gone, and the second starts again.
    let story = Script::new(109)
        .clients(6, 12.0)
        .at(4, 10, Fault::Isolate { victim: Victim::Node(3), direction: Direction::Both })
        .at(13, 17, Fault::Kill { victim: Victim::Node(1) })
        .at(13, 1, Fault::PowerCut { victim: Victim::Node(2) })
        .play();
    let apart = &story.spells("isolate")[0];
    assert!(story.taken_within(apart, hot_partition()) > 10, "nothing was at stake");
    let gone = &story.spells("kill")[0];
    assert_eq!(gone.nodes, [Node(1)]);
    assert!(story.taken_within(gone, hot_partition()) > 10, "nobody else led");
}

/// NATS lost what it was about to write when its process stood still in the middle of a flush (#7594) [S-22].
#[test]
fn t_39_what_stands_still_while_it_is_written_is_not_lost() {
    let story = Script::new(139)
        .clients(6, 12.0)
        .seconds(34)
        .at(2, 30, Fault::SlowDisk { victim: Victim::All, sync_ms: 60 })
        .at(4, 20, Fault::Pause { victim: leader() })
        .at(24, 3, Fault::PowerCut { victim: Victim::All })
        .play();
    let pause = &story.spells("pause")[0];
    assert!(story.under_way(pause.from) > 0, "nothing was being written");
    story.assert_succeeded("pause");
    assert_eq!(story.spells("power-cut-all")[0].nodes.len(), 3);
}
