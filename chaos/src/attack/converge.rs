//! Waiting until a cluster that nobody attacks any more is whole.

use std::time::Duration;

use chronos_client::PartitionId;
use chronos_client::cluster::{Health, NodeState, Status};

use super::cluster::{Cluster, Seat};

const STEP: Duration = Duration::from_secs(1);

/// Waits until every node is up and every replica serves all that is committed; returns how long it took.
///
/// # Errors
/// What stands in the way when `patience` is over.
pub(super) async fn converge<C: Cluster>(cluster: &C, patience: Duration) -> Result<Duration, String> {
    let began = cluster.now();
    loop {
        let lacks = lacks(cluster).await;
        let took = cluster.now() - began;
        match lacks {
            None => return Ok(took),
            Some(what) if took > patience => {
                return Err(format!("not whole after {} s: {what}", took.as_secs()));
            }
            Some(_) => cluster.wait(STEP).await,
        }
    }
}

/// What is not yet as it should be, in the eyes of every node.
async fn lacks<C: Cluster>(cluster: &C) -> Option<String> {
    for seat in cluster.all() {
        match cluster.operator(seat).status().await {
            Err(error) => return Some(format!("{}: {error}", silent(cluster, seat))),
            Ok(status) => {
                if let Some(what) = lacking(&status, cluster.seats() as usize) {
                    return Some(format!("seat {seat} says: {what}"));
                }
            }
        }
    }
    None
}

fn silent<C: Cluster>(cluster: &C, seat: Seat) -> String {
    match cluster.story(seat).ends.last() {
        None => format!("seat {seat} does not answer"),
        Some(end) => format!("seat {seat} does not answer (its last process ended: {end})"),
    }
}

fn lacking(status: &Status, seats: usize) -> Option<String> {
    let members: Vec<_> = status.nodes.iter().filter(|node| node.state != NodeState::Removed).collect();
    if let Some(down) = members.iter().find(|node| !node.is_up) {
        return Some(format!("{} is down", down.node));
    }
    if members.len() != seats {
        return Some(format!("{} of {seats} nodes are members", members.len()));
    }
    let wanted = usize::from(status.replication).min(seats);
    status.partitions.iter().find_map(|partition| {
        let id = partition.id;
        if partition.leader.is_none() {
            return Some(format!("partition {id} has no leader"));
        }
        if id != PartitionId::SYSTEM && (partition.voters.len() != wanted || !partition.learners.is_empty()) {
            return Some(format!("partition {id} is on {:?}", partition.voters));
        }
        partition.voters.iter().find_map(|voter| {
            let Some(replica) = partition.replica(*voter) else {
                return Some(format!("{voter} has nothing of {id}"));
            };
            if replica.health != Health::Serving {
                return Some(format!("partition {id} on {voter} is {:?}", replica.health));
            }
            let lag = partition.lag(replica);
            (lag > 0).then(|| format!("partition {id} on {voter} is {lag} behind"))
        })
    })
}
