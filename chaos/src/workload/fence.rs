//! One event for every partition: the last of all, or one that shows that the partition is served.

use chronos_client::{Client, PartitionId};
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

/// Appends one event to every partition, to see that each takes it.
///
/// # Errors
/// When a partition takes none.
pub(crate) async fn touch_all(recorder: &Recorder, client: &Client) -> Result<(), String> {
    append_to_all(recorder, client, TOUCHES + recorder.tally().operations * 64).await
}

async fn append_to_all(recorder: &Recorder, client: &Client, apart: u64) -> Result<(), String> {
    let mut me = recorder.client();
    for partition in PartitionId::all() {
        let lives_there = |entity: &u64| recorder.origin().partition_of(*entity) == partition;
        let entity = (FENCES..).find(lives_there).expect("names spread over the partitions");
        let id = history::EventId(apart + u64::from(partition.get()));
        let (append, block) = request(recorder.origin(), &[(id, entity, 0)], None, None);
        let append = Append { fence: apart == FENCES, ..append };
        let scope = Scope { part: Some(history::Partition(partition.get().into())), ..Scope::default() };
        for attempt in 1.. {
            let ticket = recorder.invoke(&mut me, scope, Call::Append(append.clone()));
            let result = client.append_block(&block).await;
            recorder.end_append(&mut me, ticket, of_append(recorder.origin(), &result), &block);
            match result {
                Ok(_) => break,
                Err(error) if attempt == ATTEMPTS => {
                    return Err(format!("partition {partition} takes no event: {error}"));
                }
                Err(_) => {}
            }
        }
    }
    Ok(())
}
