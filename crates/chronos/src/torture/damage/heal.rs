//! Waiting until a node is whole, and having it look.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chronos_client::cluster::{Health, NodeId, Status};
use chronos_client::{ClusterAdmin, PartitionId, Replicas};

use super::Ward;
use crate::failure::{Failure, Outcome};
use crate::operator::failed;

/// How long a node may take to be whole again.
const HEALED_MAX: Duration = Duration::from_secs(300);
/// Every node has heard of every other one within this.
const REPORTED_WITHIN: Duration = Duration::from_secs(3);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What it took to make a node whole.
#[derive(Default)]
pub(super) struct Healing {
    /// From its being ready to its serving everything.
    pub(super) by_itself: Duration,
    /// Partitions that were seen not to be served.
    pub(super) seen: usize,
    /// What was said to be done when it was asked to look at everything it has.
    pub(super) by_order: Vec<String>,
}

/// Which number the cluster has for the node at `at`: the latest, where a directory was replaced.
pub(super) async fn number(ward: &Ward, at: usize) -> Outcome<NodeId> {
    let (status, address) = (ward.admin.status().await.map_err(failed)?, ward.stage.fleet.address(at));
    let found = status.nodes.iter().filter(|node| node.addresses.client == address).map(|node| node.node);
    found.max().ok_or_else(|| Failure::failed(format!("the cluster knows no node at {address}")))
}

/// Waits until the node serves all it holds and everything is led; then has it read every byte, and mend what that shows.
/// It is the others who are asked: what the node itself knows of the cluster may be damaged.
pub(super) async fn heal(others: &ClusterAdmin, node: NodeId) -> Outcome<Healing> {
    let start = Instant::now();
    // What the others know of it may still be from before it was killed.
    tokio::time::sleep(REPORTED_WITHIN).await;
    let mut healing = Healing { seen: served(others, node, start).await?, ..Healing::default() };
    healing.by_itself = start.elapsed();
    healing.by_order = ordered(others, node, start).await?;
    served(others, node, start).await?;
    Ok(healing)
}

/// Gives how many partitions it did not serve meanwhile.
async fn served(admin: &ClusterAdmin, node: NodeId, start: Instant) -> Outcome<usize> {
    let mut seen = BTreeMap::new();
    loop {
        let unwell = match admin.status().await {
            Ok(status) => unwell(&status, node),
            // Nobody knows, or nobody answers.
            Err(error) => BTreeMap::from([(PartitionId::SYSTEM, error.to_string())]),
        };
        if unwell.is_empty() {
            return Ok(seen.len());
        }
        if start.elapsed() > HEALED_MAX {
            let first = unwell.iter().next().map(|(id, why)| format!("partition {id}: {why}"));
            return Err(Failure::failed(format!(
                "{node} was not whole after {} s: {} partitions are not served; {}",
                HEALED_MAX.as_secs(),
                unwell.len(),
                first.unwrap_or_default()
            )));
        }
        seen.extend(unwell);
        tokio::time::sleep(LOOK).await;
    }
}

/// What a node does not serve, or nobody leads, and why.
fn unwell(status: &Status, node: NodeId) -> BTreeMap<PartitionId, String> {
    let mut unwell = BTreeMap::new();
    for partition in &status.partitions {
        let why = match partition.replica(node).map(|replica| &replica.health) {
            None => Some("it says nothing of it".to_owned()),
            Some(Health::Serving) if partition.leader.is_some() => None,
            Some(Health::Serving) => Some("it has no leader".to_owned()),
            Some(other) => Some(format!("{}: {}", other.as_str(), other.why().unwrap_or_default())),
        };
        if let Some(why) = why {
            unwell.insert(partition.id, why);
        }
    }
    unwell
}

/// Asks until every partition was looked at; gives the steps of those of which something was done.
async fn ordered(admin: &ClusterAdmin, node: NodeId, start: Instant) -> Outcome<Vec<String>> {
    let mut done = Vec::new();
    let mut partitions = Vec::new();
    loop {
        let which = Replicas { partitions, nodes: vec![node] };
        let mut answers = admin.repair(&which).await.map_err(failed)?;
        let mut late: Vec<(PartitionId, String)> = Vec::new();
        while let Some(one) = answers.next().await.map_err(failed)? {
            match one.did {
                Ok(steps) if steps.is_empty() => {}
                Ok(steps) => done.push(format!("partition {}: {}", one.partition, steps.join("; "))),
                Err(why) => late.push((one.partition, why.to_string())),
            }
        }
        let Some((id, why)) = late.first() else { return Ok(done) };
        if start.elapsed() > HEALED_MAX {
            return Err(Failure::failed(format!("{node} could not make partition {id} whole: {why}")));
        }
        partitions = late.iter().map(|(id, _)| *id).collect();
        tokio::time::sleep(LOOK).await;
    }
}

/// Has everything compacted, everywhere.
pub(super) async fn compact(admin: &ClusterAdmin) -> Outcome {
    let mut left: Vec<PartitionId> = Vec::new();
    let start = Instant::now();
    loop {
        let answers = admin.compact(&left, true).await.map_err(failed)?;
        let refused: Vec<_> = answers
            .into_iter()
            .filter_map(|one| one.outcome.position.err().map(|why| (one.outcome.partition, why)))
            .collect();
        let Some((id, why)) = refused.first() else { return Ok(()) };
        if start.elapsed() > HEALED_MAX {
            return Err(Failure::failed(format!("partition {id} is not compacted: {why}")));
        }
        left = refused.iter().map(|(id, _)| *id).collect();
        tokio::time::sleep(LOOK).await;
    }
}

/// What every node finds on its disks by reading all of them while it serves.
pub(super) async fn findings(admin: &ClusterAdmin) -> Outcome<Vec<String>> {
    let mut answers = admin.verify(&Replicas::default()).await.map_err(failed)?;
    let mut found = Vec::new();
    while let Some(one) = answers.next().await.map_err(failed)? {
        let (node, id) = (one.node, one.outcome.partition);
        match one.outcome.outcome {
            Ok(seen) => {
                found.extend(seen.findings.iter().map(|what| format!("{node}, partition {id}: {what}")));
            }
            Err(why) => found.push(format!("{node}, partition {id}: {why}")),
        }
    }
    Ok(found)
}
