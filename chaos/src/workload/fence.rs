//! One event for every partition: the last of all, or one that shows that the partition is served.

use chronos_client::{Client, EventId, PartitionId};
use chronos_history as history;
use chronos_history::Append;
use chronos_history::call::Call;
use chronos_history::line::Scope;

use super::client::request;
use super::recorder::{Recorder, of_append};

/// Numbers of entities and events that no client uses begin here: those of fences, and those of other touches.
const FENCES: u64 = 1 << 40;
const TOUCHES: u64 = 1 << 41;
const ATTEMPTS: u32 = 30;

/// Appends one event to every partition, after everything else: what the final logs do not have will never be.
///
/// # Errors
/// When a partition takes none.
pub(crate) async fn fence(recorder: &Recorder, client: &Client) -> Result<(), String> {
    append_to_all(recorder, client, FENCES).await
}

/// The same to one partition, asked only so often; returns the last event that it has from now on.
///
/// # Errors
/// When it takes none.
pub(crate) async fn fence_one(
    recorder: &Recorder,
    client: &Client,
    partition: PartitionId,
    attempts: u32,
) -> Result<EventId, String> {
    append_to(recorder, client, partition, (FENCES, attempts)).await?;
    Ok(recorder.origin().event_id(last_of(FENCES, partition)))
}

/// Appends one event to every partition, to see that each takes it.
///
/// # Errors
/// When a partition takes none.
pub(crate) async fn touch_all(recorder: &Recorder, client: &Client) -> Result<(), String> {
    append_to_all(recorder, client, TOUCHES + recorder.tally().operations * 64).await
}

async fn append_to_all(recorder: &Recorder, client: &Client, apart: u64) -> Result<(), String> {
    for partition in PartitionId::all() {
        append_to(recorder, client, partition, (apart, ATTEMPTS)).await?;
    }
    Ok(())
}

async fn append_to(
    recorder: &Recorder,
    client: &Client,
    partition: PartitionId,
    (apart, attempts): (u64, u32),
) -> Result<(), String> {
    let mut me = recorder.client();
    let lives_there = |entity: &u64| recorder.origin().partition_of(*entity) == partition;
    let entity = (FENCES..).find(lives_there).expect("names spread over the partitions");
    let (append, block) = request(recorder.origin(), &[(last_of(apart, partition), entity, 0)], None, None);
    let append = Append { fence: apart == FENCES, ..append };
    let scope = Scope { part: Some(history::Partition(partition.get().into())), ..Scope::default() };
    let mut attempt = 1;
    loop {
        let ticket = recorder.invoke(&mut me, scope, Call::Append(append.clone()));
        let result = client.append_block(&block).await;
        recorder.end_append(&mut me, ticket, of_append(recorder.origin(), &result), &block);
        match result {
            Ok(_) => return Ok(()),
            Err(error) if attempt == attempts => {
                return Err(format!("partition {partition} takes no event: {error}"));
            }
            Err(_) => attempt += 1,
        }
    }
}

fn last_of(apart: u64, partition: PartitionId) -> history::EventId {
    history::EventId(apart + u64::from(partition.get()))
}
