//! What is stored in the end, read from every replica after a cold start.

use std::time::Duration;

use chronos_client::{Consistency, Event, NodeId, PartitionId, Read, ReadError};
use chronos_history as history;
use chronos_history::fact::{Fact, LogChunk};
use chronos_history::line::Process;
use futures::StreamExt;

use super::cluster::Cluster;
use super::converge::converge;
use crate::workload::{Recorder, fence, logged};

/// Events in one line of the history.
const CHUNK: usize = 500;
/// No request lives longer than that in a node or on its way.
const REQUEST_LIFE_MAX: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(600);
/// How often a replica is asked again before it counts as one that cannot be read.
const ATTEMPTS: u32 = 20;

/// Writes one event to every partition after which nothing can come any more that was sent before; then starts all nodes
/// again, and reads every replica of every partition from its beginning to its end.
///
/// # Errors
/// When the cluster does not get to where it can be read.
pub(super) async fn fence_and_read(
    cluster: &Cluster,
    recorder: &Recorder,
) -> Result<Vec<(history::Partition, Vec<history::Node>)>, String> {
    cluster.clock().sleep(REQUEST_LIFE_MAX).await;
    let (_, client) = cluster.client("judge", cluster.nodes());
    fence(recorder, &client).await?;
    for node in cluster.nodes() {
        cluster.stop(node).await;
    }
    for node in cluster.nodes() {
        cluster.start(node);
    }
    converge(cluster, PATIENCE).await?;
    let placement = client.placement().await.map_err(|error| error.to_string())?;
    let mut replicas = Vec::new();
    for placed in &placement.partitions {
        let holders: Vec<NodeId> = placed.replicas.clone();
        for holder in &holders {
            read(cluster, recorder, placed.partition, *holder).await?;
        }
        let holders = holders.iter().map(|node| history::Node(node.get() as u32)).collect();
        replicas.push((history::Partition(placed.partition.get().into()), holders));
    }
    Ok(replicas)
}

/// Reads one replica, by asking only its node, for what it has itself.
async fn read(
    cluster: &Cluster,
    recorder: &Recorder,
    partition: PartitionId,
    holder: NodeId,
) -> Result<(), String> {
    let mut attempts = 0;
    let events = loop {
        attempts += 1;
        match replica(cluster, partition, holder).await {
            Ok(events) => break events,
            Err(error) if attempts == ATTEMPTS => {
                return Err(format!("partition {partition} on {holder} cannot be read: {error}"));
            }
            Err(_) => cluster.clock().sleep(Duration::from_secs(1)).await,
        }
    };
    let process = Process::Node(history::Node(holder.get() as u32));
    let part = history::Partition(partition.get().into());
    let fork = history::Fork(0);
    let mut first = 1;
    for chunk in events.chunks(CHUNK) {
        let chunk = LogChunk {
            part,
            fork,
            first: history::Position(first),
            events: chunk.iter().map(logged).collect(),
        };
        first += chunk.events.len() as u64;
        recorder.fact(process.clone(), Fact::Log(chunk));
    }
    if events.is_empty() {
        let chunk = LogChunk { part, fork, first: history::Position(1), events: Vec::new() };
        recorder.fact(process, Fact::Log(chunk));
    }
    Ok(())
}

async fn replica(cluster: &Cluster, partition: PartitionId, holder: NodeId) -> Result<Vec<Event>, ReadError> {
    let client = cluster.client_of("judge", holder.get() as u32);
    let mut events = client.read(Read::partition(partition).consistency(Consistency::Local)).await?;
    let mut all = Vec::new();
    while let Some(event) = events.next().await {
        all.push(event?);
    }
    Ok(all)
}
