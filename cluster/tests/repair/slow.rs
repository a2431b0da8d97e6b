//! A leader with a slow disk, one with a broken disk, and one that cannot read its own log.

use std::time::Duration;

use chronos_env::sim::{FaultPlan, Repeat, World};

use crate::node::{Node, append, append_one, converge, n, three, until, used};

#[test]
fn a_leader_whose_disk_is_slow_hands_over() {
    let world = World::new(31);
    world.run(async {
        let nodes = three(&world, 5).await;
        let id = used()[0];
        assert_eq!(nodes[0].groups.leader(id), Some(n(1)));
        nodes[0].host.disk().slow_syncs(Duration::from_millis(900));
        append(&nodes, 5..9).await;
        assert_eq!(nodes[0].groups.leader(id), Some(n(1)), "not slow enough");
        nodes[0].host.disk().slow_syncs(Duration::from_millis(1100));
        let clock = &nodes[0].env.clock;
        // Commits do not wait for this disk: it takes a while until it has been slow several times.
        for number in 9..21 {
            for id in used() {
                append_one(&nodes, id, number).await;
            }
            clock.sleep(Duration::from_millis(500)).await;
        }
        until(clock, "another one leads", || {
            used().iter().all(|id| nodes[1].groups.leader(*id).is_some_and(|leader| leader != n(1)))
        })
        .await;
        append(&nodes, 21..23).await;
        nodes[0].host.disk().slow_syncs(Duration::ZERO);
        converge(&nodes, 23).await;
    });
}

#[test]
fn a_leader_whose_disk_fails_ends_and_the_others_elect() {
    let world = World::new(32);
    world.run(async {
        let [first, second, third] = three(&world, 5).await;
        first.host.disk().fail_sync("/data/wal/lane", 1, Repeat::Forever);
        let _ = first.try_append(used()[1], 900).await;
        let clock = first.env.clock.clone();
        let fault = clock.timeout(Duration::from_secs(30), first.groups.faulted()).await.unwrap();
        assert!(fault.contains("syncing"), "{fault}");
        // What a server does with such a node.
        first.kill();
        let nodes = [second, third];
        for id in used() {
            append_one(&nodes, id, 6).await;
        }
    });
}

/// A leader of openraft that could not read its log went on sending, and spoilt the logs of its followers (#1795).
#[test]
fn t_32_a_leader_that_cannot_read_its_log_ends_and_spoils_nobody_elses() {
    let world = World::new(33);
    world.run(async {
        let [first, second, third] = three(&world, 5).await;
        let clock = first.env.clock.clone();
        third.kill();
        let pair = [first, second];
        append(&pair, 5..12).await;
        let [first, second] = pair;
        // A leader that has just started has nothing in memory of what the third one lacks.
        first.stop().await;
        let first = Node::start(&world, 1, 2).await;
        for id in used() {
            until(&clock, "somebody leads", || first.groups.leader(id).is_some()).await;
            if first.groups.leader(id) != Some(n(1)) {
                second.groups.transfer(id, n(1)).await.unwrap();
            }
            until(&clock, "the first one leads", || first.groups.leader(id) == Some(n(1))).await;
        }
        first.host.disk().fail_read("/data/wal", 1, Repeat::Forever);
        let third = Node::start(&world, 3, 2).await;
        let fault = clock.timeout(Duration::from_secs(30), first.groups.faulted()).await.unwrap();
        assert!(fault.contains("the log cannot be read"), "{fault}");
        let disk = first.host.disk();
        first.kill();
        disk.faults(FaultPlan::default());
        let mut nodes = vec![second, third];
        append(&nodes, 12..14).await;
        nodes.push(Node::start(&world, 1, 3).await);
        converge(&nodes, 14).await;
    });
}
