//! The last event of every partition.

use chronos_client::{Client, PartitionId};
use chronos_history as history;
use chronos_history::Append;
use chronos_history::call::Call;
use chronos_history::line::Scope;

use super::client::request;
use super::content;
use super::recorder::{Recorder, of_append};

/// Numbers of entities and events that no client uses begin here.
const APART: u64 = 1 << 40;
const ATTEMPTS: u32 = 30;

/// Appends one event to every partition, after everything else: what the final logs do not have will never be.
///
/// # Errors
/// When a partition takes none.
pub(crate) async fn fence(recorder: &Recorder, client: &Client) -> Result<(), String> {
    let mut me = recorder.client();
    for partition in PartitionId::all() {
        let lives_there = |entity: &u64| content::partition_of(*entity) == partition;
        let entity = (APART..).find(lives_there).expect("names spread over the partitions");
        let id = history::EventId(APART + u64::from(partition.get()));
        let (append, block) = request(&[(id, entity, 0)], None, None);
        let append = Append { fence: true, ..append };
        let scope = Scope { part: Some(history::Partition(partition.get().into())), ..Scope::default() };
        for attempt in 1.. {
            let ticket = recorder.invoke(&mut me, scope, Call::Append(append.clone()));
            let result = client.append_block(&block).await;
            recorder.end(&mut me, ticket, of_append(&result));
            match result {
                Ok(_) => break,
                Err(error) if attempt == ATTEMPTS => {
                    return Err(format!("partition {partition} takes no fence: {error}"));
                }
                Err(_) => {}
            }
        }
    }
    Ok(())
}
