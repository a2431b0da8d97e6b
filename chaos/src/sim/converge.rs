//! Waiting until a cluster that nobody attacks any more is whole.

use std::time::Duration;

use chronos_client::PartitionId;
use chronos_client::cluster::{Health, NodeState, Status};

use super::cluster::Cluster;

const STEP: Duration = Duration::from_secs(1);

/// Waits until every node is up and every replica serves all that is committed.
///
/// # Errors
/// What stands in the way when `patience` is over.
pub(super) async fn converge(cluster: &Cluster, patience: Duration) -> Result<Duration, String> {
    let began = cluster.clock().monotonic();
    loop {
        let lacks = lacks(cluster).await;
        let took = cluster.clock().monotonic() - began;
        match lacks {
            None => return Ok(took),
            Some(what) if took > patience => {
                return Err(format!("not whole after {} s: {what}", took.as_secs()));
            }
            Some(_) => cluster.clock().sleep(STEP).await,
        }
    }
}

/// What is not yet as it should be, in the eyes of every node.
async fn lacks(cluster: &Cluster) -> Option<String> {
    for node in cluster.nodes() {
        match cluster.operator(node).status().await {
            Err(error) => {
                return Some(format!(
                    "n{node} does not answer: {error}; {:?}",
                    cluster.story(node).ends.last()
                ));
            }
            Ok(status) => {
                if let Some(what) = lacking(&status) {
                    return Some(format!("n{node} says: {what}"));
                }
            }
        }
    }
    None
}

fn lacking(status: &Status) -> Option<String> {
    let members = status.nodes.iter().filter(|node| node.state != NodeState::Removed);
    if let Some(down) = members.clone().find(|node| !node.is_up) {
        return Some(format!("{} is down", down.node));
    }
    let wanted = usize::from(status.replication).min(members.count());
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
