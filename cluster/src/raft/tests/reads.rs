//! Reads of replicas: what a linearizable one sees, and that a past which was read once does not change, whoever leads
//! and whatever the clocks do.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chronos_domain::{Position, Timestamp};
use chronos_env::sim::World;
use futures::future::join_all;

use super::nodes::Node;
use super::scenarios::{Cluster, SOON};
use crate::freshness::{READ_INDEX, ReadError};
use crate::node::NodeId;

const SECOND: Duration = Duration::from_secs(1);
const HOUR_MICROS: i64 = 3_600_000_000;

/// Reads at a node again and again, until told to stop: what was acknowledged when a read began must be there when it is
/// let through. Gives how many were.
async fn watch(node: &Node, acknowledged: &Cell<u64>, stop: &Cell<bool>) -> u64 {
    let mut answered = 0;
    while !stop.get() {
        let before = acknowledged.get();
        if node.linearize(SECOND).await.is_ok() {
            let head = node.partition().head().get();
            assert!(head >= before, "{} read {head} events where {before} were acknowledged", node.id);
            answered += 1;
        }
        node.env.clock.sleep(Duration::from_millis(20)).await;
    }
    answered
}

/// Appends at whoever leads among some nodes, while every node is read all the time. Gives how many reads each let
/// through.
async fn append_while_read(
    before: &mut u64,
    cluster: &Cluster,
    from: u64,
    count: u64,
    among: &[NodeId],
) -> Vec<u64> {
    let (acknowledged, stop) = (Cell::new(*before), Cell::new(false));
    let reads = join_all(cluster.nodes.iter().map(|node| watch(node, &acknowledged, &stop)));
    let appends = async {
        for n in from..from + count {
            while let Err(error) = cluster.nodes[cluster.leader(among).await].append(n).await {
                tracing::debug!(%error, "tried again");
                cluster.sleep(Duration::from_millis(100)).await;
            }
            acknowledged.set(acknowledged.get() + 1);
        }
        cluster.sleep(2 * SECOND).await;
        stop.set(true);
    };
    let reads = futures::join!(reads, appends).0;
    *before = acknowledged.get();
    reads
}

#[test]
fn every_replica_reads_what_was_acknowledged_before_and_a_burst_shares_its_rounds() {
    let world = World::new(21);
    world.run(async {
        let mut cluster = Cluster::of_three(&world).await;
        let all = cluster.ids();
        for _ in 0..5 {
            cluster.append(1).await;
            for node in &cluster.nodes {
                node.linearize(SECOND).await.unwrap();
                assert_eq!(node.partition().head().get(), cluster.acknowledged.len() as u64);
            }
        }
        let follower = (cluster.leader(&all).await + 1) % 3;
        cluster.net.take_sent(READ_INDEX);
        let burst = join_all((0..200).map(|_| cluster.nodes[follower].linearize(SECOND))).await;
        assert!(burst.iter().all(Result::is_ok));
        assert!(cluster.net.take_sent(READ_INDEX) <= 2, "each of many readers asked for itself");
        cluster.stop().await;
    });
}

#[test]
fn a_leader_that_is_cut_off_never_answers_with_what_was_true_before() {
    let world = World::new(22);
    world.run(async {
        let mut cluster = Cluster::of_three(&world).await;
        cluster.append(5).await;
        let all = cluster.ids();
        let old = cluster.leader(&all).await;
        let rest: Vec<_> = all.iter().copied().filter(|id| *id != cluster.nodes[old].id).collect();
        cluster.isolate(cluster.nodes[old].id);
        world.set_wall_offset_micros(-HOUR_MICROS);
        let mut acknowledged = cluster.acknowledged.len() as u64;
        let answered = append_while_read(&mut acknowledged, &cluster, 1_000, 10, &rest).await;
        assert_eq!(answered[old], 0, "it was asked all the time, and could not know");
        assert!(answered.iter().sum::<u64>() > 10, "nobody answered: {answered:?}");
        let refused = cluster.nodes[old].linearize(SECOND).await;
        assert!(matches!(refused, Err(ReadError::NoLeader | ReadError::Unconfirmed { .. })), "{refused:?}");
        cluster.net.heal();
        world.set_wall_offset_micros(HOUR_MICROS);
        for node in &cluster.nodes {
            node.linearize(SOON).await.unwrap();
            assert_eq!(node.partition().head().get(), cluster.acknowledged.len() as u64 + 10);
        }
        cluster.stop().await;
    });
}

/// A leader is stopped, or heard by nobody, or hears nobody, while its successor takes appends; and comes back.
#[test]
fn a_leader_that_was_stopped_or_half_cut_off_never_answers_with_what_was_true_before() {
    for way in 0..3 {
        let world = World::new(23 + way);
        world.run(async {
            let mut cluster = Cluster::of_three(&world).await;
            cluster.append(5).await;
            let all = cluster.ids();
            let old = cluster.nodes[cluster.leader(&all).await].id;
            let rest: Vec<_> = all.iter().copied().filter(|id| *id != old).collect();
            for other in &rest {
                match way {
                    0 => cluster.net.hold(old),
                    1 => cluster.net.cut(old, *other),
                    _ => cluster.net.cut(*other, old),
                }
            }
            let mut acknowledged = cluster.acknowledged.len() as u64;
            // The others go on without it while the cut lasts, be it that they hear it well.
            append_while_read(&mut acknowledged, &cluster, 1_000, 10, &rest).await;
            let appending = append_while_read(&mut acknowledged, &cluster, 2_000, 10, &rest);
            let healing = async {
                cluster.sleep(SECOND / 2).await;
                cluster.net.heal();
            };
            futures::join!(appending, healing);
            for node in &cluster.nodes {
                node.linearize(SOON).await.unwrap();
                assert_eq!(node.partition().head().get(), 30);
            }
            cluster.stop().await;
        });
    }
}

/// What a node has on the disk.
fn image_of(world: &World, node: NodeId) -> BTreeMap<PathBuf, Vec<u8>> {
    let of_node = |path: &Path| path.starts_with(format!("/{node}"));
    world.disk().snapshot().into_iter().filter(|(path, _)| of_node(path)).collect()
}

/// A disk was set back on which a majority had rested, so that two lead on without what only the third still has. That one
/// can ask them how far they are, and has heard nothing yet of which it could notice that it has diverged.
#[test]
fn a_replica_that_has_diverged_and_does_not_know_it_is_never_read() {
    let world = World::new(27);
    world.run(async {
        let mut cluster = Cluster::of_three(&world).await;
        cluster.converge().await;
        let all = cluster.ids();
        assert_eq!(cluster.leader(&all).await, 0);
        let [first, second, third] = [0, 1, 2].map(|at| all[at]);
        let image = image_of(&world, second);
        cluster.end(third).await;
        cluster.append_at(20, &[first, second]).await;
        cluster.end(second).await;
        for path in image_of(&world, second).into_keys() {
            world.disk().damage_remove(&path).unwrap();
        }
        image.iter().for_each(|(path, bytes)| world.env().disk.write_atomic(path, bytes).unwrap());
        cluster.net.set_apart(first);
        // It does not take itself for the leader any more.
        cluster.end(first).await;
        for node in [first, second, third] {
            cluster.begin(node).await;
        }
        cluster.append_at(2, &[second, third]).await;

        let leader = cluster.leader(&[second, third]).await;
        let theirs = cluster.nodes[leader].partition().applied_mark();
        let apart = cluster.node(first);
        let ours = apart.partition().applied_mark();
        assert!(ours.index > theirs.index && ours.term < theirs.term, "{ours:?} {theirs:?}");
        let refused = Err(ReadError::Apart { index: ours.index, leaders: theirs.term });
        assert_eq!(apart.linearize(SOON).await, refused);
        assert_eq!(apart.pass(apart.now(), SOON).await, refused);
        for node in [second, third] {
            cluster.node(node).linearize(SOON).await.unwrap();
        }
        assert_eq!(apart.partition().applied_mark(), ours, "it was told");
        cluster.stop().await;
    });
}

/// What each replica says of the past up to `t`.
fn bounds(cluster: &Cluster, t: Timestamp) -> BTreeSet<Position> {
    cluster.nodes.iter().map(|node| node.partition().bound_at(t).unwrap()).collect()
}

async fn all_pass(cluster: &Cluster, t: Timestamp) {
    for node in &cluster.nodes {
        node.pass(t, SOON).await.unwrap();
    }
}

#[test]
fn a_past_that_was_read_stays_when_a_leader_with_a_slow_clock_takes_over() {
    let world = World::new(31);
    world.run(async {
        let mut cluster = Cluster::of_three(&world).await;
        cluster.append(5).await;
        cluster.sleep(SECOND).await;
        let t = cluster.nodes[0].now();
        cluster.sleep(SECOND).await;
        let all = cluster.ids();
        let old = cluster.leader(&all).await;
        cluster.nodes[(old + 1) % 3].pass(t, SOON).await.unwrap();
        all_pass(&cluster, t).await;
        let read = bounds(&cluster, t);
        assert_eq!(read.len(), 1, "{read:?}");
        world.set_wall_offset_micros(-HOUR_MICROS);
        let rest: Vec<_> = all.iter().copied().filter(|id| *id != cluster.nodes[old].id).collect();
        cluster.isolate(cluster.nodes[old].id);
        cluster.sleep(SOON).await;
        cluster.append_at(5, &rest).await;
        cluster.net.heal();
        cluster.converge().await;
        assert_eq!(bounds(&cluster, t), read, "the past that was read has changed");
        // And when all of them start again with such clocks.
        for at in 0..3 {
            cluster.restart(at).await;
        }
        cluster.append(5).await;
        cluster.converge().await;
        assert_eq!(bounds(&cluster, t), read, "the past that was read has changed");
        cluster.stop().await;
    });
}

#[test]
fn those_who_read_the_same_past_share_one_entry_and_an_old_past_costs_none() {
    let world = World::new(32);
    world.run(async {
        let mut cluster = Cluster::of_three(&world).await;
        cluster.append(5).await;
        let before = cluster.nodes[0].partition().recorded_at();
        let t = cluster.nodes[0].now();
        cluster.sleep(SECOND).await;
        let index = || cluster.nodes.iter().map(|node| node.partition().applied_index().get()).max().unwrap();
        let began = index();
        let old = Timestamp::new(before.get() - 1);
        all_pass(&cluster, old).await;
        assert_eq!(index(), began, "a past that stands was written down again");
        let askers = cluster.nodes.iter().flat_map(|node| (0..50).map(|_| node.pass(t, SOON)));
        assert!(join_all(askers).await.iter().all(Result::is_ok));
        assert!(index() - began <= 2, "150 readers of one moment had {} entries written", index() - began);
        cluster.stop().await;
    });
}

#[test]
fn a_time_that_the_leaders_clock_has_not_seen_is_waited_for_or_refused() {
    let world = World::new(33);
    world.run(async {
        let mut cluster = Cluster::of_three(&world).await;
        cluster.append(1).await;
        let soon = Timestamp::new(cluster.nodes[0].now().get() + 500_000);
        all_pass(&cluster, soon).await;
        assert!(cluster.nodes[0].now() > soon, "it answered about the future");
        let far = Timestamp::new(cluster.nodes[0].now().get() + HOUR_MICROS);
        for node in &cluster.nodes {
            let refused = node.pass(far, SOON).await;
            assert!(matches!(refused, Err(ReadError::Future(_))), "{refused:?}");
        }
        cluster.stop().await;
    });
}
