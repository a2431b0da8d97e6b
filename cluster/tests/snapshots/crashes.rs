//! A follower that fetches parts dies, again and again: it comes back, goes on where it was, and is whole in the end.

use std::time::Duration;

use chronos_env::sim::World;
use chronos_store::Unfinished;

use crate::node::{Node, append, converge, founder, id, looked_at, make_members, n, part_bytes, until};

/// Places inside a transfer and an install at which the power fails.
const POINTS: [(&str, u64); 12] = [
    ("store.backup.receiving", 5),
    ("store.backup.received", 2),
    ("store.backup.named", 2),
    ("parts.install.noted", 1),
    ("parts.install.noted", 2),
    ("parts.install.moved", 1),
    ("parts.install.moved", 3),
    ("parts.manifest.renamed", 1),
    ("parts.manifest.durable", 1),
    ("parts.manifest.twin_renamed", 1),
    ("parts.install.swapped", 1),
    ("parts.install.forgotten", 1),
];

/// Redis-Raft crashed over snapshots (Jepsen, 1b3fbf6).
#[test]
fn t_20_a_crash_at_any_point_recovers_to_before_or_after() {
    for (nth, (point, hit)) in POINTS.into_iter().enumerate() {
        let world = World::new(100 + nth as u64);
        world.run(async {
            let first = founder(&world, 60, 64 << 20).await;
            let clock = first.env.clock.clone();
            let second = Node::start(&world, 2, 1, 64 << 20).await;
            second.host.arm_crash(point, hit);
            let adding = first.groups.add_learner(id(), n(2));
            let striking = until(&clock, point, || second.host.disk().is_off());
            tokio::select! {
                biased;
                () = striking => {}
                _ = adding => panic!("{point} was never passed"),
            }
            second.lose_power();
            let report = looked_at(&world, 2);
            assert_eq!(report.damages, [], "{point}");
            for pending in &report.pending {
                assert_eq!(pending.partition, id(), "{point}");
                assert!(matches!(pending.what, Unfinished::Install { .. }), "{point}: {pending}");
                assert!(pending.to_string().contains("the next start finishes that"), "{pending}");
            }
            if ["parts.install.moved", "parts.install.swapped"].contains(&point) {
                assert_eq!(report.pending.len(), 1, "{point}: what is half done counts as whole");
            }
            let second = Node::start(&world, 2, 2, 64 << 20).await;
            let partition = second.partition();
            let (marks, applied) = (partition.marks(), partition.applied_index().get());
            let before = (marks.applied.get(), applied) == (0, 0);
            let after = applied >= first.manifest().applied.get() && marks.compacted.get() >= 60 / 20 * 20;
            assert!(before || after, "{point}: {marks:?} at entry {applied}");
            make_members(&first, &[1, 2]).await;
            append(&first, 60..70).await;
            converge(&[&first, &second], 70).await;
            second.stop().await;
            assert_eq!(looked_at(&world, 2).pending, [], "{point}: the note of it is still there");
            let second = Node::start(&world, 2, 3, 64 << 20).await;
            converge(&[&first, &second], 70).await;
        });
    }
}

#[test]
fn a_follower_that_is_killed_five_times_fetches_nothing_twice() {
    let world = World::new(200);
    world.run(async {
        let first = founder(&world, 160, 15_000).await;
        let (bytes, clock) = (part_bytes(&first), first.env.clock.clone());
        let mut second = Node::start(&world, 2, 1, 15_000).await;
        let adding = first.groups.add_learner(id(), n(2));
        let dying = async {
            let mut fetched = 0;
            for life in 2..=6 {
                let share = bytes * (life - 1) / 7;
                until(&clock, "some more has come", || {
                    fetched + second.peers.stats().bulk_bytes_received > share
                })
                .await;
                fetched += second.peers.stats().bulk_bytes_received;
                assert_eq!(second.partition().head().get(), 0, "it was there before it was killed");
                second.kill();
                second = Node::start(&world, 2, life, 15_000).await;
            }
            (fetched, second)
        };
        let (added, (fetched, second)) = tokio::join!(adding, dying);
        added.unwrap();
        converge(&[&first, &second], 160).await;
        let fetched = fetched + second.peers.stats().bulk_bytes_received;
        // A chunk may have come and not been written.
        assert!((bytes..bytes + 5 * (2 << 10)).contains(&fetched), "{fetched} bytes were fetched of {bytes}");
    });
}

#[test]
fn a_leader_that_dies_while_it_sends_is_followed_by_another_one_and_what_has_come_stays() {
    let world = World::new(300);
    world.run(async {
        let first = founder(&world, 150, 20_000).await;
        let second = Node::start(&world, 2, 1, 64 << 20).await;
        make_members(&first, &[1, 2]).await;
        // The two of them and the newcomer vote, so that one of the two can be missed.
        converge(&[&first, &second], 150).await;
        let bytes = part_bytes(&first);
        let third = Node::start(&world, 3, 1, 64 << 20).await;
        let clock = first.env.clock.clone();
        let adding = first.groups.add_learner(id(), n(3));
        let half = until(&clock, "half has come", || third.peers.stats().bulk_bytes_received > bytes / 2);
        tokio::select! {
            biased;
            () = half => {}
            _ = adding => panic!("it was too fast"),
        }
        first.groups.transfer(id(), n(2)).await.unwrap();
        until(&clock, "the other one leads", || second.groups.leader(id()) == Some(n(2))).await;
        clock.timeout(Duration::from_secs(60), second.groups.add_learner(id(), n(3))).await.unwrap().unwrap();
        converge(&[&first, &second, &third], 150).await;
        let fetched = third.peers.stats().bulk_bytes_received;
        assert!(fetched < bytes + bytes / 4, "{fetched} bytes were fetched of {bytes}");
    });
}
