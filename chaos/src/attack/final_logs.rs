//! What is stored in the end, read from every replica.

use std::time::Duration;

use chronos_client::cluster::{NodeId, Status};
use chronos_client::{Consistency, Event, PartitionId, Read, ReadError};
use chronos_history as history;
use chronos_history::fact::{Fact, LogChunk};
use chronos_history::line::Process;
use futures::StreamExt;

use super::Ending;
use super::cluster::{Cluster, Seat, seat_of};
use super::converge::converge;
use super::observer::agree;
use crate::workload::{Recorder, fence, logged};

/// Events in one line of the history.
const CHUNK: usize = 500;
/// No request lives longer than that in a node or on its way.
pub(super) const REQUEST_LIFE_MAX: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(600);
/// How often a replica is asked again before it counts as one that cannot be read.
const ATTEMPTS: u32 = 20;

/// Writes one event to every partition after which nothing can come any more that was sent before; then starts all nodes
/// again, if they are to be read cold, and reads every replica of every partition from where the history begins. Returns which replicas these are, and
/// the sum of the terms that the groups have come to.
///
/// # Errors
/// When the cluster does not get to where it can be read.
pub(super) async fn fence_and_read<C: Cluster>(
    cluster: &C,
    recorder: &Recorder,
    ending: Ending,
) -> Result<(Vec<(history::Partition, Vec<history::Node>)>, u64), String> {
    cluster.wait(REQUEST_LIFE_MAX).await;
    let (_, client) = cluster.client("judge", &cluster.all());
    fence(recorder, &client).await?;
    match ending {
        Ending::Cold => start_cold(cluster, recorder).await?,
        Ending::Warm => whole(cluster, recorder).await.map_err(|why| format!("after the fence: {why}"))?,
    }
    let status = cluster.operator(1).status().await.map_err(|error| error.to_string())?;
    let mut replicas = Vec::new();
    for (partition, holders) in holders(cluster, &status)? {
        for holder in &holders {
            read(cluster, recorder, partition, *holder).await?;
        }
        let nodes = holders.iter().map(|(node, _)| history::Node(node.get() as u32)).collect();
        replicas.push((history::Partition(partition.get().into()), nodes));
    }
    let terms = status.partitions.iter().map(|partition| partition.term).sum();
    Ok((replicas, terms))
}

/// Stops all nodes in order and starts them again; returns when the cluster is whole and its replicas agree.
///
/// # Errors
/// What is not as it was.
pub(super) async fn start_cold<C: Cluster>(cluster: &C, recorder: &Recorder) -> Result<(), String> {
    for seat in cluster.all() {
        cluster.stop(seat).await;
    }
    for seat in cluster.all() {
        cluster.start(seat);
    }
    whole(cluster, recorder).await.map_err(|why| format!("after a cold start: {why}"))
}

async fn whole<C: Cluster>(cluster: &C, recorder: &Recorder) -> Result<(), String> {
    converge(cluster, PATIENCE).await?;
    agree(cluster, recorder, PATIENCE).await
}

/// Who has a replica.
type Holder = (NodeId, Seat);

/// Who has a replica of each partition.
pub(super) fn holders<C: Cluster>(
    cluster: &C,
    status: &Status,
) -> Result<Vec<(PartitionId, Vec<Holder>)>, String> {
    let sits = |partition: PartitionId, node: NodeId| {
        let seat = seat_of(cluster, status, node);
        let seat =
            seat.ok_or_else(|| format!("nobody knows where {node} sits, which has partition {partition}"));
        seat.map(|seat| (node, seat))
    };
    let partitions = status.partitions.iter().filter(|partition| partition.id != PartitionId::SYSTEM);
    let of = |partition: &chronos_client::cluster::Partition| {
        let holders = partition.voters.iter().map(|node| sits(partition.id, *node));
        Ok((partition.id, holders.collect::<Result<_, String>>()?))
    };
    partitions.map(of).collect()
}

/// Reads one replica from where the history begins, by asking only its node, for what it has itself.
async fn read<C: Cluster>(
    cluster: &C,
    recorder: &Recorder,
    partition: PartitionId,
    (holder, seat): Holder,
) -> Result<(), String> {
    let first = recorder.origin().head(partition) + 1;
    let mut attempts = 0;
    let events = loop {
        attempts += 1;
        match replica(cluster, partition, seat, first).await {
            Ok(events) => break events,
            Err(error) if attempts == ATTEMPTS => {
                return Err(format!("partition {partition} on {holder} cannot be read: {error}"));
            }
            Err(_) => cluster.wait(Duration::from_secs(1)).await,
        }
    };
    record(recorder, partition, holder, &events);
    Ok(())
}

/// Writes down what a replica has.
pub(super) fn record(recorder: &Recorder, partition: PartitionId, holder: NodeId, events: &[Event]) {
    let process = Process::Node(history::Node(holder.get() as u32));
    let part = history::Partition(partition.get().into());
    let chunk = |first: u64, events: &[Event]| {
        let events = events.iter().map(|event| logged(recorder.origin(), event)).collect();
        Fact::Log(LogChunk { part, fork: history::Fork(0), first: history::Position(first), events })
    };
    if events.is_empty() {
        recorder.fact(process.clone(), chunk(1, &[]));
    }
    for (number, events) in events.chunks(CHUNK).enumerate() {
        recorder.fact(process.clone(), chunk(1 + (number * CHUNK) as u64, events));
    }
}

/// What a node has of a partition, by asking only it.
pub(super) async fn replica<C: Cluster>(
    cluster: &C,
    partition: PartitionId,
    seat: Seat,
    first: u64,
) -> Result<Vec<Event>, ReadError> {
    let client = cluster.client_of(seat);
    let mut events =
        client.read(Read::partition(partition).from(first).consistency(Consistency::Local)).await?;
    let mut all = Vec::new();
    while let Some(event) = events.next().await {
        all.push(event?);
    }
    Ok(all)
}
