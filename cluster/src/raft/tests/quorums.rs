//! What is committed is on the disks of a majority.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Duration;

use chronos_env::sim::World;
use futures::future::join_all;

use super::scenarios::Cluster;

const VOTERS: u64 = 5;
/// Events that are under way at once.
const AT_ONCE: u64 = 6;

/// Looks again and again, until told to stop: whoever has applied an entry has it from a majority. Gives how often the
/// nodes were at three different places at least, of which a leader has to find the middle one.
async fn watch(cluster: &Cluster, stop: &Cell<bool>) -> u64 {
    let mut spread = 0;
    while !stop.get() {
        let mut flushed: Vec<u64> = cluster.nodes.iter().map(|node| node.flushed()).collect();
        flushed.sort_unstable();
        let by_majority = flushed[flushed.len() / 2];
        for node in &cluster.nodes {
            let applied = node.partition().applied_index().get();
            assert!(applied <= by_majority, "{} applied {applied} where disks have {flushed:?}", node.id);
        }
        spread += u64::from(flushed.iter().collect::<BTreeSet<_>>().len() >= 3);
        cluster.sleep(Duration::from_micros(500)).await;
    }
    spread
}

/// A leader of openraft lost the order of its followers' progress, and took for committed what no majority had (#1802): two
/// of three are a majority in any order, so that it shows with five only.
#[test]
fn t_05_with_five_voters_nothing_is_committed_that_no_majority_has() {
    let mut spread = 0;
    for seed in 60..64 {
        let world = World::new(seed);
        world.run(async {
            let cluster = Cluster::of(&world, VOTERS).await;
            cluster.converge().await;
            let (all, chance) = (cluster.ids(), world.env().entropy.child("chance"));
            for round in 0..12 {
                let lead = cluster.nodes[cluster.leader(&all).await].id;
                let slow = all[chance.below(VOTERS) as usize];
                if slow != lead {
                    cluster.net.hold(slow);
                }
                let stop = Cell::new(false);
                let appending = async {
                    let leader = cluster.node(lead);
                    for part in 0..4 {
                        let first = 1_000 + (round * 4 + part) * AT_ONCE;
                        // That one is not taken in time is no news here.
                        drop(join_all((first..first + AT_ONCE).map(|n| leader.append(n))).await);
                        cluster.sleep(Duration::from_millis(chance.below(8))).await;
                    }
                    cluster.net.heal();
                    cluster.sleep(Duration::from_millis(chance.below(60))).await;
                    stop.set(true);
                };
                spread += futures::join!(watch(&cluster, &stop), appending).0;
            }
            cluster.stop().await;
        });
    }
    assert!(spread > 500, "the nodes were at the same place nearly always: {spread}");
}
