//! All that a cluster ever stored, compared with what it said in the round in which it was written.

use std::collections::BTreeMap;

use chronos_client::cluster::NodeId;
use chronos_client::{Consistency, PartitionId, Read};
use chronos_history::{Hash, RangeHash};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use super::cluster::{Cluster, Seat};
use super::final_logs::holders;
use crate::workload::{Origin, word};

/// What the final logs of one round said, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Where the round began.
    pub origin: Origin,
    /// Of each partition, the last position of the round, and the hash of all its events in the round.
    pub ends: BTreeMap<u8, (u64, Hash)>,
}

/// Reads every replica of every partition from position 1, and compares what it finds with the windows of all rounds there
/// were, in their order. Returns how many events it read. Needs no memory but the windows, however much is stored.
///
/// # Errors
/// What is no longer as it was, or cannot be read.
pub(crate) async fn recheck<C: Cluster>(cluster: &C, windows: &[Window]) -> Result<u64, String> {
    let status = cluster.operator(1).status().await.map_err(|error| error.to_string())?;
    let mut events = 0;
    for (partition, holders) in holders(cluster, &status)? {
        for (node, seat) in holders {
            let read = compare(cluster, windows, partition, seat).await;
            events += read.map_err(|why| format!("partition {partition} on {}: {why}", told(node)))?;
        }
    }
    Ok(events)
}

fn told(node: NodeId) -> String {
    format!("{node}, read again from its beginning")
}

async fn compare<C: Cluster>(
    cluster: &C,
    windows: &[Window],
    partition: PartitionId,
    seat: Seat,
) -> Result<u64, String> {
    let client = cluster.client_of(seat);
    let read = Read::partition(partition).consistency(Consistency::Local);
    let mut events = client.read(read).await.map_err(|error| error.to_string())?;
    let mut position = 0;
    for window in windows {
        let (end, expected) = window.ends.get(&partition.get()).copied().unwrap_or_default();
        let mut found = RangeHash::EMPTY;
        while position < end {
            let event = match events.next().await {
                None => return Err(format!("ends at position {position}, and had {end} events")),
                Some(event) => event.map_err(|error| format!("after position {position}: {error}"))?,
            };
            if event.position.get() != position + 1 {
                return Err(format!("position {} follows {position}", event.position));
            }
            position += 1;
            found.push(word(&window.origin, &event));
        }
        if found.get() != expected {
            let first = window.origin.head(partition) + 1;
            return Err(format!(
                "positions {first} to {end} (round {}) are not what they were",
                window.origin.round
            ));
        }
    }
    Ok(position)
}
