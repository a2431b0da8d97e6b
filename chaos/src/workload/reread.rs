//! Everything from the beginning, once more.

use chronos_client::{Client, Consistency, Event, PartitionId, Read, ReadError};
use chronos_history as history;
use chronos_history::Position;
use chronos_history::answer::{Answer, Outcome, Range};
use chronos_history::call::{self, Call, Mode};
use chronos_history::line::Scope;

use super::Recorder;
use super::recorder::of_read_error;
use super::seen::{Order, collect};

const ATTEMPTS: u32 = 30;

/// Reads every partition from the first event of the history to its last: its hash is that of the whole prefix.
///
/// # Errors
/// When a partition cannot be read.
pub(crate) async fn reread(recorder: &Recorder, client: &Client) -> Result<(), String> {
    for partition in PartitionId::all() {
        reread_one(recorder, client, partition, ATTEMPTS).await?;
    }
    Ok(())
}

/// The same of one partition, asked only so often.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn reread_one(
    recorder: &Recorder,
    client: &Client,
    partition: PartitionId,
    attempts: u32,
) -> Result<(), String> {
    for _ in 1..attempts {
        if read(recorder, client, partition, None).await.is_ok() {
            return Ok(());
        }
    }
    let last = read(recorder, client, partition, None).await;
    last.map(drop).map_err(|error| format!("partition {partition} cannot be read: {error}"))
}

/// Reads what one node has of a partition, from the first event of the history on, by asking only that node; returns the
/// last event.
///
/// # Errors
/// What the node says.
pub(crate) async fn reread_from(
    recorder: &Recorder,
    client: &Client,
    partition: PartitionId,
    node: history::Node,
) -> Result<Option<Event>, ReadError> {
    read(recorder, client, partition, Some(node)).await
}

/// A strong read, or a weak one of a node.
async fn read(
    recorder: &Recorder,
    client: &Client,
    partition: PartitionId,
    node: Option<history::Node>,
) -> Result<Option<Event>, ReadError> {
    let (mode, consistency) = match node {
        None => (Mode::Strong, Consistency::Linearizable),
        Some(_) => (Mode::Weak, Consistency::Local),
    };
    let (mut me, part) = (recorder.client(), Some(history::Partition(partition.get().into())));
    let call = Call::Read(call::Read { from: Position(1), mode });
    let ticket = recorder.invoke(&mut me, Scope { part, node, ..Scope::default() }, call);
    let origin = recorder.origin();
    let first = origin.meant(partition, Position(1)).get();
    let read = Read::partition(partition).from(first).consistency(consistency);
    match collect(client, origin, read, Order::Forward).await {
        Ok((seen, token)) => {
            let tail = origin.seen(partition, token.get(partition));
            let answer = Range {
                from: Position(1),
                last: tail,
                tail,
                count: seen.count,
                hash: seen.hash.get(),
                wm: tail,
                mode: mode.name(),
                term: None,
                bad: 0,
            };
            recorder.end(&mut me, ticket, Outcome::Ok(Answer::Read(answer)));
            Ok(seen.last)
        }
        Err(error) => {
            recorder.end(&mut me, ticket, of_read_error(&error));
            Err(error)
        }
    }
}
