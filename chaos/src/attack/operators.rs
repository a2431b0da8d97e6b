//! What operators do at a bad moment. That nobody can do it now is no news.

use std::time::Duration;

use chronos_client::PartitionId;
use chronos_client::cluster::NodeId;
use chronos_env::Entropy;

use super::cluster::{Cluster, Seat, sitting, status_of_any};

/// Between two steps of what goes on and on.
const STEP: Duration = Duration::from_millis(700);
/// How often somebody is asked to take a drain back: a node that stays drained holds nothing for ever.
const ATTEMPTS: u32 = 20;

/// Has leaders change again and again.
pub(crate) async fn churn<C: Cluster>(cluster: &C, lasts: Duration, dice: &Entropy) {
    let count = u64::from(cluster.seats());
    let end = cluster.now() + lasts;
    while cluster.now() < end {
        let operator = cluster.operator(1 + dice.below(count) as Seat);
        let _ = operator.transfer(some_partition(dice), NodeId::new(1 + dice.below(count))).await;
        cluster.wait(STEP).await;
    }
}

/// Compacts a partition.
pub(crate) async fn compact<C: Cluster>(cluster: &C, dice: &Entropy) {
    let _ = cluster.operator(1).compact(&[some_partition(dice)], true).await;
}

/// Has everything on these nodes' disks read again.
pub(crate) async fn scrub<C: Cluster>(cluster: &C, seats: &[Seat]) {
    for seat in seats {
        let _ = cluster.operator(*seat).scrub(&chronos_client::Replicas::default()).await;
    }
}

/// Has these nodes give away what they hold, and take it back.
pub(crate) async fn drain<C: Cluster>(cluster: &C, seats: &[Seat], lasts: Duration) {
    let status = status_of_any(cluster).await;
    let newest = |seat: &Seat| {
        let here = status.as_ref().and_then(|status| sitting(cluster, status, *seat).first().copied());
        (*seat, here.unwrap_or_else(|| NodeId::new(u64::from(*seat))))
    };
    let nodes: Vec<(Seat, NodeId)> = seats.iter().map(newest).collect();
    for (seat, node) in &nodes {
        let _ = cluster.operator(*seat).drain(*node).await;
    }
    cluster.wait(lasts).await;
    for (seat, node) in &nodes {
        for _ in 0..ATTEMPTS {
            if cluster.operator(*seat).undrain(*node).await.is_ok() {
                break;
            }
            cluster.wait(STEP).await;
        }
    }
}

fn some_partition(dice: &Entropy) -> PartitionId {
    PartitionId::new(dice.below(32) as u8).expect("there are 32 partitions")
}
