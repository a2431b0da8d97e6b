//! A follower, or a learner with nothing, gets parts and then entries.

use std::time::Duration;

use chronos_env::sim::World;

use crate::node::{Node, append, converge, founder, id, make_members, n, part_bytes, until};

#[test]
fn a_learner_with_nothing_gets_parts_and_then_entries_and_becomes_a_voter() {
    let world = World::new(1);
    world.run(async {
        let first = founder(&world, 130, 64 << 20).await;
        assert!(first.first_in_log() > 50, "entries alone would do");
        let second = Node::start(&world, 2, 1, 64 << 20).await;
        make_members(&first, &[1, 2]).await;
        let fetched = second.peers.stats().bulk_bytes_received;
        assert_eq!(fetched, part_bytes(&second), "parts were not fetched, or more than once");
        append(&first, 130..150).await;
        converge(&[&first, &second], 150).await;
        assert_eq!(second.manifest().parts, first.manifest().parts);
        let third = Node::start(&world, 3, 1, 64 << 20).await;
        make_members(&first, &[1, 2, 3]).await;
        append(&first, 150..160).await;
        converge(&[&first, &second, &third], 160).await;
        let before = second.partition().marks();
        second.stop().await;
        // What a restart reads is what was taken over.
        let second = Node::start(&world, 2, 2, 64 << 20).await;
        converge(&[&first, &second, &third], 160).await;
        assert!(second.partition().marks().compacted >= before.compacted);
        for node in [first, second, third] {
            node.stop().await;
        }
    });
}

/// Three voters, the third of which misses the events from 30 to 150.
async fn one_behind(world: &World, bytes_per_second: u64) -> [Node; 2] {
    let first = founder(world, 20, bytes_per_second).await;
    let second = Node::start(world, 2, 1, bytes_per_second).await;
    let third = Node::start(world, 3, 1, bytes_per_second).await;
    make_members(&first, &[1, 2, 3]).await;
    append(&first, 20..30).await;
    converge(&[&first, &second, &third], 30).await;
    third.kill();
    // So that the log is no longer kept for what the others were offered.
    first.env.clock.sleep(Duration::from_secs(31)).await;
    append(&first, 30..150).await;
    // So that it is offered what there is by now.
    first.env.clock.sleep(Duration::from_secs(5)).await;
    [first, second]
}

/// Redis-Raft lost everything in a fail-over, and crashed over snapshots (Jepsen, 1b3fbf6).
#[test]
fn t_20_a_follower_behind_the_log_catches_up_by_parts_while_appends_go_on() {
    let world = World::new(2);
    world.run(async {
        let [first, second] = one_behind(&world, 50_000).await;
        let third = Node::start(&world, 3, 2, 50_000).await;
        assert!(third.partition().applied_index().get() < first.first_in_log());
        let reader = third.partition();
        let old = reader.shelf();
        let mut applied = reader.watch();
        let appending = async {
            for number in 150..250 {
                first.append(number).await;
                first.env.clock.sleep(Duration::from_millis(50)).await;
            }
        };
        let waking = async {
            let mut seen = vec![applied.borrow_and_update().get()];
            while *seen.last().unwrap() < 200 {
                applied.changed().await.unwrap();
                seen.push(applied.borrow_and_update().get());
            }
            seen
        };
        let (seen, ()) = tokio::join!(waking, appending);
        assert!(seen.is_sorted(), "the applied mark fell: {seen:?}");
        assert!(seen.windows(2).any(|pair| pair[1] - pair[0] > 80), "it came entry by entry: {seen:?}");
        converge(&[&first, &second, &third], 250).await;
        // Whoever held the old parts reads on.
        assert!(old.parts.iter().all(|part| part.leaves(part.meta().first..=part.meta().last).is_ok()));
        let marks = third.partition().marks();
        assert!(marks.purged <= marks.compacted && marks.compacted <= marks.applied, "{marks:?}");
        assert!(third.peers.stats().bulk_bytes_received > 10_000);
        let leader = first.groups.leader(id());
        assert_eq!(leader, Some(n(1)), "the transfer cost the leader its place");
    });
}

#[test]
fn a_follower_that_is_a_little_behind_gets_entries() {
    let world = World::new(3);
    world.run(async {
        let first = founder(&world, 60, 64 << 20).await;
        let second = Node::start(&world, 2, 1, 64 << 20).await;
        make_members(&first, &[1, 2]).await;
        let third = Node::start(&world, 3, 1, 64 << 20).await;
        make_members(&first, &[1, 2, 3]).await;
        converge(&[&first, &second, &third], 60).await;
        third.kill();
        for number in 60..66 {
            first.append(number).await;
        }
        let third = Node::start(&world, 3, 2, 64 << 20).await;
        converge(&[&first, &second, &third], 66).await;
        assert_eq!(third.peers.stats().bulk_bytes_received, 0);
    });
}

#[test]
fn the_log_waits_for_a_follower_that_fetches_parts() {
    let world = World::new(4);
    world.run(async {
        let first = founder(&world, 130, 8_000).await;
        let second = Node::start(&world, 2, 1, 8_000).await;
        let clock = first.env.clock.clone();
        let adding = first.groups.add_learner(id(), n(2));
        let appending = async {
            until(&clock, "parts are on their way", || second.peers.stats().bulk_bytes_received > 0).await;
            let offered = first.manifest().applied.get();
            for number in 130..230 {
                first.append(number).await;
            }
            until(&clock, "parts go beyond what was offered", || {
                first.manifest().applied.get() >= offered + 60
            })
            .await;
            assert!(first.first_in_log() <= offered, "the log let go of what the follower will need");
            offered
        };
        let (added, offered) = tokio::join!(adding, appending);
        added.unwrap();
        converge(&[&first, &second], 230).await;
        // One manifest was enough: what came behind it came as entries.
        assert!(second.peers.stats().bulk_bytes_received <= part_bytes(&first));
        clock.sleep(Duration::from_secs(31)).await;
        append(&first, 230..260).await;
        assert!(first.first_in_log() > offered, "the log is kept for nobody");
    });
}

#[test]
fn a_part_that_is_damaged_where_it_comes_from_is_had_from_another_node() {
    let world = World::new(5);
    world.run(async {
        let first = founder(&world, 100, 64 << 20).await;
        let second = Node::start(&world, 2, 1, 64 << 20).await;
        make_members(&first, &[1, 2]).await;
        converge(&[&first, &second], 100).await;
        let part = first.manifest().parts[0].clone();
        let file = std::path::PathBuf::from("/data/parts/p03").join(part.parquet_name());
        first.host.disk().flip_bit(&file, part.parquet.bytes / 2, 3).unwrap();
        let third = Node::start(&world, 3, 1, 64 << 20).await;
        make_members(&first, &[1, 2, 3]).await;
        converge(&[&first, &second, &third], 100).await;
        let fetched = third.peers.stats().bulk_bytes_received;
        assert_eq!(
            fetched,
            part_bytes(&third) + part.parquet.bytes,
            "the damaged file was not fetched twice"
        );
        let shelf = third.partition().shelf();
        assert!(shelf.parts.iter().all(|part| part.verify(&mut |_| ()).is_ok()));
    });
}

#[test]
fn a_part_that_nobody_has_whole_is_not_put_to_use() {
    let world = World::new(6);
    world.run(async {
        let first = founder(&world, 100, 64 << 20).await;
        let part = first.manifest().parts[0].clone();
        let file = std::path::PathBuf::from("/data/parts/p03").join(part.parquet_name());
        first.host.disk().flip_bit(&file, part.parquet.bytes / 2, 3).unwrap();
        let second = Node::start(&world, 2, 1, 64 << 20).await;
        let clock = first.env.clock.clone();
        let added = clock.timeout(Duration::from_secs(8), first.groups.add_learner(id(), n(2))).await;
        assert!(added.is_err(), "a learner caught up with a damaged part: {added:?}");
        assert_eq!(second.partition().head().get(), 0);
        // The leader goes on, and the follower is not harmed.
        first.append(100).await;
        first.host.disk().flip_bit(&file, part.parquet.bytes / 2, 3).unwrap();
        converge(&[&first, &second], 101).await;
    });
}

/// A learner of openraft that was added while it was cut off never caught up, because the log was purged up to its end
/// meanwhile (#1828).
#[test]
fn t_24_a_learner_that_was_cut_off_while_the_log_was_purged_catches_up() {
    let world = World::new(8);
    world.run(async {
        let first = founder(&world, 60, 64 << 20).await;
        let second = Node::start(&world, 2, 1, 64 << 20).await;
        let clock = first.env.clock.clone();
        world.net().partition("n1", "n2");
        let adding = clock.timeout(Duration::from_secs(5), first.groups.add_learner(id(), n(2))).await;
        assert!(!matches!(adding, Ok(Ok(_))), "it was not cut off");
        append(&first, 60..160).await;
        // Whatever was kept for the learner is let go of: it is away for too long.
        clock.sleep(Duration::from_secs(31)).await;
        append(&first, 160..200).await;
        let is_purged = || first.first_in_log() + 8 >= first.manifest().applied.get();
        until(&clock, "the log is purged to its end", is_purged).await;
        assert_eq!(second.partition().head().get(), 0);
        world.net().heal_all();
        make_members(&first, &[1, 2]).await;
        converge(&[&first, &second], 200).await;
        assert!(second.peers.stats().bulk_bytes_received > 0, "entries alone would do");
    });
}

/// The idempotency of KurrentDB is a cache that is emptied: a leader that never saw the request must know it all the same.
#[test]
fn t_08_a_leader_that_was_sent_parts_recognises_what_it_never_saw() {
    let world = World::new(9);
    world.run(async {
        let [first, second] = one_behind(&world, 64 << 20).await;
        let third = Node::start(&world, 3, 2, 64 << 20).await;
        converge(&[&first, &second, &third], 150).await;
        assert!(third.peers.stats().bulk_bytes_received > 0, "it was sent entries");
        first.groups.transfer(id(), n(3)).await.unwrap();
        let leads = || third.groups.leader(id()) == Some(n(3));
        until(&first.env.clock, "the third one leads", leads).await;
        for number in 0..150 {
            third.append(number).await;
        }
        // Nobody has an event more, and each has each of them.
        converge(&[&first, &second, &third], 150).await;
    });
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        let world = World::new(seed);
        world.run(async {
            let first = founder(&world, 60, 64 << 20).await;
            let second = Node::start(&world, 2, 1, 64 << 20).await;
            make_members(&first, &[1, 2]).await;
            converge(&[&first, &second], 60).await;
        });
        world.trace().hash()
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}
