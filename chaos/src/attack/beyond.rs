//! The end of a run beyond the atlas: nothing has to be served any more, and what is has to be right.
//!
//! Everybody is asked for everything all the same. A partition that takes the last event, and whose replica has it after a
//! cold start, has a final log, and is judged like any other; one that does not is named with the reason, and judged by what
//! was ever said of it. What replicas have that did not get as far is recorded as the weak read that it is.

use std::time::Duration;

use chronos_client::cluster::{NodeId, Status};
use chronos_client::{EventId, PartitionId};
use chronos_history as history;
use chronos_history::fact::End;
use futures::future::join_all;

use super::Outcome;
use super::cluster::{Cluster, Seat, status_of_any};
use super::converge::converge;
use super::final_logs::{REQUEST_LIFE_MAX, holders, record, replica};
use super::observer::contradict;
use crate::workload::{Recorder, fence_one, reread_from, reread_one};

/// How long nodes are waited for that may never come.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often somebody is asked who may never answer.
const ATTEMPTS: u32 = 2;

/// Looks at what is left.
///
/// # Errors
/// Which replicas contradict each other.
pub(super) async fn end<C: Cluster>(
    cluster: &C,
    recorder: &Recorder,
    outcome: &mut Outcome,
) -> Result<End, String> {
    // Whoever does not come back, or not whole, has refused.
    let whole = converge(cluster, PATIENCE).await;
    outcome.whole_after = whole.ok();
    contradict(cluster).await?;
    cluster.wait(REQUEST_LIFE_MAX).await;
    let (_, client) = cluster.client("judge", &cluster.all());
    let fence = async |partition| (partition, fence_one(recorder, &client, partition, ATTEMPTS).await);
    let fences = join_all(PartitionId::all().map(fence)).await;
    start_cold(cluster).await;
    contradict(cluster).await?;
    // An answer is in the history, and so is a refusal.
    let read = async |partition| drop(reread_one(recorder, &client, partition, ATTEMPTS).await);
    join_all(PartitionId::all().map(read)).await;
    let status = status_of_any(cluster).await;
    outcome.elections = status.iter().flat_map(|status| &status.partitions).map(|of| of.term).sum();
    let mut end = End::default();
    for (partition, fence) in fences {
        let part = history::Partition(partition.get().into());
        match last_look(cluster, recorder, status.as_ref(), partition, fence).await {
            Ok(nodes) => end.replicas.push((part, nodes)),
            Err(why) => {
                outcome.unserved.push(format!("partition {partition}: {why}"));
                end.unserved.push((part, why));
            }
        }
    }
    Ok(end)
}

/// Stops all nodes in order and starts them again, and gives them time.
async fn start_cold<C: Cluster>(cluster: &C) {
    for seat in cluster.all() {
        cluster.stop(seat).await;
    }
    for seat in cluster.all() {
        cluster.start(seat);
    }
    // How far they come shows by what they answer.
    let _ = converge(cluster, PATIENCE).await;
}

/// Reads all replicas of a partition; returns those that have all of it up to the last event.
///
/// # Errors
/// Why there is none.
async fn last_look<C: Cluster>(
    cluster: &C,
    recorder: &Recorder,
    status: Option<&Status>,
    partition: PartitionId,
    fence: Result<EventId, String>,
) -> Result<Vec<history::Node>, String> {
    let status = status.ok_or("no node says who has it")?;
    let all = holders(cluster, status)?.into_iter().find(|(of, _)| *of == partition);
    let (_, holders) = all.ok_or("nobody has it")?;
    let (mut nodes, mut refusals) = (Vec::new(), Vec::new());
    for holder in holders {
        match look(cluster, recorder, partition, holder, fence.as_ref().ok()).await {
            Ok(()) => nodes.push(history::Node(holder.0.get() as u32)),
            Err(why) => refusals.push(format!("{}: {why}", holder.0)),
        }
    }
    fence?;
    if nodes.is_empty() { Err(refusals.join("; ")) } else { Ok(nodes) }
}

/// Reads a replica. If the last event is there, what it has is a final log.
async fn look<C: Cluster>(
    cluster: &C,
    recorder: &Recorder,
    partition: PartitionId,
    (holder, seat): (NodeId, Seat),
    fence: Option<&EventId>,
) -> Result<(), String> {
    let (node, client) = (history::Node(holder.get() as u32), cluster.client_of(seat));
    let refused = |error: chronos_client::ReadError| error.to_string();
    let last = reread_from(recorder, &client, partition, node).await.map_err(refused)?;
    if fence.is_none() || last.map(|event| event.event_id).as_ref() != fence {
        return Err("it does not have the last event".to_owned());
    }
    let events = replica(cluster, partition, seat, recorder.origin().head(partition) + 1).await;
    record(recorder, partition, holder, &events.map_err(refused)?);
    Ok(())
}
