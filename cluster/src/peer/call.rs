//! One request and its answer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_bugs::{Bug, is_seeded};
use chronos_env::Clock;

use super::Message;
use super::error::{CallError, Cause};
use super::outbox::Outbox;

/// Enqueues `message` at once if there is room, so that calls leave in the order in which they are made, and otherwise
/// when there is. Gives what awaits the answer.
pub(super) fn ask(
    outbox: Arc<Outbox>,
    clock: Clock,
    message: Message,
    deadline: Duration,
) -> impl Future<Output = Result<Bytes, CallError>> + Send + 'static {
    let deadline = if is_seeded(Bug::M19) { Duration::from_secs(86_400) } else { deadline };
    let until = clock.monotonic().saturating_add(deadline);
    let (begun, message) = match outbox.room_now(message.body.len()) {
        Ok(Some(room)) => (outbox.enqueue(room, message, deadline, None).map(Some), None),
        Ok(None) => (Ok(None), Some(message)),
        Err(error) => (Err(error), None),
    };
    async move {
        let mut ticket = begun?;
        let left = || until.saturating_sub(clock.monotonic());
        let answered = clock.timeout(left(), async {
            if let Some(message) = message {
                let room = outbox.room(message.body.len()).await?;
                ticket = Some(outbox.enqueue(room, message, left(), None)?);
            }
            let ticket = ticket.as_mut().expect("it was enqueued, now or before");
            // The outbox answers everybody before it goes; not knowing would be the safe side.
            (&mut ticket.answer).await.unwrap_or_else(|_| Err(outbox.failure(true, Cause::Stopping)))
        });
        match (answered.await, ticket) {
            (Ok(answer), _) => answer,
            (Err(_), Some(ticket)) => {
                chronos_env::sometimes!("peer.not_answered_in_time");
                Err(ticket.give_up(Cause::Deadline(deadline)))
            }
            (Err(_), None) => {
                chronos_env::sometimes!("peer.outbox_full");
                Err(outbox.failure(false, Cause::Full(deadline)))
            }
        }
    }
}
