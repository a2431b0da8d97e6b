//! Everything from the beginning, once more.

use chronos_client::{Client, Consistency, PartitionId, Read};
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
    let mut me = recorder.client();
    for partition in PartitionId::all() {
        let part = Some(history::Partition(partition.get().into()));
        for attempt in 1.. {
            let call = Call::Read(call::Read { from: Position(1), mode: Mode::Strong });
            let ticket = recorder.invoke(&mut me, Scope { part, ..Scope::default() }, call);
            let origin = recorder.origin();
            let first = origin.meant(partition, Position(1)).get();
            let read = Read::partition(partition).from(first).consistency(Consistency::Linearizable);
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
                        mode: Mode::Strong.name(),
                        term: None,
                        bad: 0,
                    };
                    recorder.end(&mut me, ticket, Outcome::Ok(Answer::Read(answer)));
                    break;
                }
                Err(error) => {
                    recorder.end(&mut me, ticket, of_read_error(&error));
                    if attempt == ATTEMPTS {
                        return Err(format!("partition {partition} cannot be read: {error}"));
                    }
                }
            }
        }
    }
    Ok(())
}
