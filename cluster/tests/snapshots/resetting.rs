//! A replica is discarded, and begins from nothing.

use chronos_cluster::Leftovers;
use chronos_domain::LogIndex;
use chronos_env::sim::World;
use chronos_store::Unfinished;

use crate::node::{Node, append, converge, founder, id, looked_at, make_members, n, part_bytes, until};

async fn three(world: &World, events: u64) -> [Node; 3] {
    let first = founder(world, events, 64 << 20).await;
    let second = Node::start(world, 2, 1, 64 << 20).await;
    let third = Node::start(world, 3, 1, 64 << 20).await;
    make_members(&first, &[1, 2, 3]).await;
    append(&first, events..events + 5).await;
    converge(&[&first, &second, &third], events + 5).await;
    [first, second, third]
}

#[test]
fn a_replica_that_was_discarded_comes_back_by_parts_those_it_has_left_over_included() {
    for (leftovers, seed) in [(Leftovers::Remove, 1), (Leftovers::Reuse, 2)] {
        let world = World::new(seed);
        world.run(async {
            let [first, second, third] = three(&world, 100).await;
            let before = third.peers.stats().bulk_bytes_received;
            third.groups.reset(id(), leftovers).await.unwrap();
            append(&first, 105..110).await;
            converge(&[&first, &second, &third], 110).await;
            let fetched = third.peers.stats().bulk_bytes_received - before;
            match leftovers {
                Leftovers::Remove => assert!(fetched >= part_bytes(&first), "{fetched} bytes were fetched"),
                Leftovers::Reuse => assert_eq!(fetched, 0, "what was there was fetched again"),
            }
            third.stop().await;
            let third = Node::start(&world, 3, 2, 64 << 20).await;
            converge(&[&first, &second, &third], 110).await;
        });
    }
}

#[test]
fn a_founder_that_was_discarded_does_not_begin_the_history_again() {
    let world = World::new(3);
    world.run(async {
        let [first, second, third] = three(&world, 100).await;
        let clock = first.env.clock.clone();
        first.groups.transfer(id(), n(2)).await.unwrap();
        until(&clock, "another one leads", || second.groups.leader(id()) == Some(n(2))).await;
        world.net().isolate("n1");
        first.groups.reset(id(), Leftovers::Remove).await.unwrap();
        first.stop().await;
        let first = Node::start(&world, 1, 2, 64 << 20).await;
        clock.sleep(std::time::Duration::from_secs(8)).await;
        assert_eq!(first.partition().applied_index(), LogIndex::ZERO, "it began by itself");
        assert!(first.try_append(id(), 500).await.is_err());
        world.net().heal_all();
        append(&second, 105..110).await;
        converge(&[&first, &second, &third], 110).await;
    });
}

#[test]
fn a_crash_while_a_replica_is_discarded_leaves_it_whole_or_finishes_at_the_next_start() {
    let points = [
        ("parts.reset.noted", 1),
        ("parts.reset.noted", 2),
        ("wal.unit.before_write", 1),
        ("wal.unit.after_sync", 1),
        ("parts.reset.one", 2),
        ("parts.reset.done", 1),
    ];
    for (nth, (point, hit)) in points.into_iter().enumerate() {
        let world = World::new(20 + nth as u64);
        world.run(async {
            let [first, second, third] = three(&world, 60).await;

            third.host.arm_crash(point, hit);
            let clock = first.env.clock.clone();
            let striking = until(&clock, point, || third.host.disk().is_off());
            let resetting = async {
                let _ = third.groups.reset(id(), Leftovers::Remove).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                () = striking => {}
                () = resetting => {}
            }
            third.lose_power();
            let report = looked_at(&world, 3);
            assert_eq!(report.damages, [], "{point}");
            let is_noted = !point.starts_with("parts.reset.noted") && point != "parts.reset.done";
            if is_noted {
                let what: Vec<_> =
                    report.pending.iter().map(|pending| (pending.partition, &pending.what)).collect();
                assert_eq!(what, [(id(), &Unfinished::Reset)], "{point}");
            }
            let third = Node::start(&world, 3, 2, 64 << 20).await;
            let head = third.partition().head().get();
            assert!(head == 0 || head >= 60, "{point}: half of it is there, up to {head}");
            append(&first, 65..75).await;
            converge(&[&first, &second, &third], 75).await;
        });
    }
}
