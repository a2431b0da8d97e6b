//! What operators do at a bad moment. That nobody can do it now is no news.

use std::time::Duration;

use chronos_client::PartitionId;
use chronos_client::cluster::NodeId;
use chronos_env::Entropy;
use futures::future::join_all;

use super::cluster::{Cluster, Seat, sitting, status_of_any};

/// Between two steps of what goes on and on.
const STEP: Duration = Duration::from_millis(700);
/// What a transfer of leadership needs for its first steps, and not for its last.
const HAND_OVER: Duration = Duration::from_millis(40);
/// What can be led by one node is by then.
const GATHERED_WITHIN: Duration = Duration::from_secs(8);
const PARTITIONS: u64 = 32;
/// How often somebody is asked to take a drain back: a node that stays drained holds nothing for ever.
const ATTEMPTS: u32 = 20;

/// Has leaders change again and again: of all partitions, or of few of them all the more often.
pub(crate) async fn churn<C: Cluster>(cluster: &C, lasts: Duration, dice: &Entropy) {
    let count = u64::from(cluster.seats());
    let partitions = 1 << dice.below(6);
    let end = cluster.now() + lasts;
    while cluster.now() < end {
        let operator = cluster.operator(1 + dice.below(count) as Seat);
        let partition = partition(dice.below(partitions));
        let _ = operator.transfer(partition, NodeId::new(1 + dice.below(count))).await;
        cluster.wait(STEP).await;
    }
}

/// Has a node lead all partitions, as far as it can.
pub(crate) async fn gather<C: Cluster>(cluster: &C, seat: Seat) {
    let Some(node) = node_at(cluster, seat).await else { return };
    let transfer = |number| {
        let operator = cluster.operator(seat);
        async move { operator.transfer(partition(number), node).await }
    };
    // Whoever does not let go of it in time keeps it.
    let _ = cluster.env().clock.timeout(GATHERED_WITHIN, join_all((0..PARTITIONS).map(transfer))).await;
}

/// Has a node begin to hand over all that it leads; returns while that is under way.
pub(crate) async fn hand_over<C: Cluster>(cluster: &C, seat: Seat) {
    let (Some(status), Some(node)) = (status_of_any(cluster).await, node_at(cluster, seat).await) else {
        return;
    };
    for led in status.partitions.iter().filter(|partition| partition.leader == Some(node)) {
        let Some(to) = led.voters.iter().find(|voter| **voter != node) else { continue };
        let (operator, partition, to) = (cluster.operator(seat), led.id, *to);
        // Nobody waits for it: the node stands still before it could answer.
        drop(cluster.env().tasks.spawn("transfer", async move {
            let _ = operator.transfer(partition, to).await;
        }));
    }
    cluster.wait(HAND_OVER).await;
}

/// Compacts one partition, or all.
pub(crate) async fn compact<C: Cluster>(cluster: &C, dice: &Entropy) {
    let operator = cluster.operator(1 + dice.below(u64::from(cluster.seats())) as Seat);
    let these = if dice.below(2) == 0 { vec![partition(dice.below(PARTITIONS))] } else { Vec::new() };
    let _ = operator.compact(&these, true).await;
}

/// Has everything on these nodes' disks read again.
pub(crate) async fn scrub<C: Cluster>(cluster: &C, seats: &[Seat]) {
    for seat in seats {
        let _ = cluster.operator(*seat).scrub(&chronos_client::Replicas::default()).await;
    }
}

/// Has these nodes give away what they hold, and take it back.
pub(crate) async fn drain<C: Cluster>(cluster: &C, seats: &[Seat], lasts: Duration) {
    let mut nodes: Vec<(Seat, NodeId)> = Vec::new();
    for seat in seats {
        nodes.push((*seat, node_at(cluster, *seat).await.unwrap_or_else(|| NodeId::new(u64::from(*seat)))));
    }
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

/// Who sits there, as far as anybody can be asked.
async fn node_at<C: Cluster>(cluster: &C, seat: Seat) -> Option<NodeId> {
    let status = status_of_any(cluster).await?;
    sitting(cluster, &status, seat).first().copied()
}

fn partition(number: u64) -> PartitionId {
    PartitionId::new(number as u8).expect("there are 32 partitions")
}
