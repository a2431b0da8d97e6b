//! Requests of one group to one node, pipelined, with answers in the order of the requests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_env::Clock;
use tokio::sync::mpsc;

use super::Message;
use super::error::{CallError, Cause};
use super::outbox::{Outbox, Ticket};

/// Puts requests on a stream.
pub struct Sender {
    shared: Arc<Shared>,
    group: u8,
    kind: u8,
    sent: mpsc::UnboundedSender<Sent>,
}

/// Takes the answers. When it is dropped, nobody waits for them any more and nothing that waits is sent.
pub struct Receiver {
    shared: Arc<Shared>,
    sent: mpsc::UnboundedReceiver<Sent>,
    front: Option<Sent>,
}

struct Shared {
    outbox: Arc<Outbox>,
    stream: u64,
    clock: Clock,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.outbox.end_stream(self.stream);
    }
}

struct Sent {
    ticket: Ticket,
    /// When nobody waits any more, on the monotonic clock.
    until: Duration,
    deadline: Duration,
}

pub(super) fn open(outbox: Arc<Outbox>, clock: Clock, group: u8, kind: u8) -> (Sender, Receiver) {
    let stream = outbox.open_stream();
    let shared = Arc::new(Shared { outbox, stream, clock });
    // Every request on it holds one of the outbox's slots: that bounds it.
    let (sender, receiver) = mpsc::unbounded_channel();
    let sender = Sender { shared: Arc::clone(&shared), group, kind, sent: sender };
    (sender, Receiver { shared, sent: receiver, front: None })
}

impl Sender {
    /// Enqueues a request behind all earlier ones, waiting for room; its answer is awaited for at most `deadline` from now
    /// and comes out of the [`Receiver`]. Cancel-safe: a request is enqueued or not.
    ///
    /// # Errors
    /// [`CallError::Unreachable`]: this request is not enqueued. With [`Cause::StreamOver`], or any other cause but
    /// [`Cause::TooLarge`] and [`Cause::Full`], no later one will be.
    pub async fn send(&mut self, body: Bytes, deadline: Duration) -> Result<(), CallError> {
        let Shared { outbox, stream, clock } = &*self.shared;
        let began = clock.monotonic();
        let room = match clock.timeout(deadline, outbox.room(body.len())).await {
            Ok(room) => room?,
            Err(_) => return Err(outbox.failure(false, Cause::Full(deadline))),
        };
        let until = began + deadline;
        let message = Message { group: self.group, kind: self.kind, body };
        let left = until.saturating_sub(clock.monotonic());
        let ticket = outbox.enqueue(room, message, left, Some(*stream))?;
        let over = || outbox.failure(false, Cause::StreamOver);
        self.sent.send(Sent { ticket, until, deadline }).map_err(|_| over())
    }
}

impl Receiver {
    /// The next answer, in the order of the requests; `None` when the [`Sender`] is gone and everything is answered, or
    /// after a failure. Cancel-safe.
    ///
    /// # Errors
    /// [`CallError::Refused`] answers one request, and the stream goes on. With [`CallError::Unreachable`] and
    /// [`CallError::Unknown`] the stream is over: no later request that waits will be sent, those that were sent may have
    /// been handled.
    pub async fn next(&mut self) -> Option<Result<Bytes, CallError>> {
        if self.front.is_none() {
            self.front = self.sent.recv().await;
        }
        let front = self.front.as_mut()?;
        let left = front.until.saturating_sub(self.shared.clock.monotonic());
        let answer = self.shared.clock.timeout(left, &mut front.ticket.answer).await;
        let front = self.front.take().expect("it was just there");
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            // The outbox always answers; this would be the safe side.
            Ok(Err(_)) => Err(self.shared.outbox.failure(true, Cause::Stopping)),
            Err(_) => {
                self.shared.outbox.end_stream(self.shared.stream);
                Err(self.late(front))
            }
        };
        if let Err(CallError::Unreachable { .. } | CallError::Unknown { .. }) = &answer {
            self.end();
        }
        Some(answer)
    }

    /// Gives up a request whose deadline has passed.
    fn late(&self, mut front: Sent) -> CallError {
        match front.ticket.answer.try_recv() {
            // It was still waiting when the stream ended: nothing had been sent.
            Ok(Err(CallError::Unreachable { to, cause: Cause::StreamOver })) => {
                CallError::Unreachable { to, cause: Cause::Deadline(front.deadline) }
            }
            Ok(Err(error)) => error,
            _ => front.ticket.give_up(Cause::Deadline(front.deadline)),
        }
    }

    fn end(&mut self) {
        self.shared.outbox.end_stream(self.shared.stream);
        self.sent.close();
        while self.sent.try_recv().is_ok() {}
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.end();
    }
}
