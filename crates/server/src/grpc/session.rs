//! Append sessions: packed blocks in, answers out, many in flight.
//!
//! The whole session is one stream that the connection polls: it takes a request, starts its append, and hands out
//! whichever answer is ready first. No task is spawned and no queue lies between the wire and the partition, so a
//! lone append crosses no more threads than it must.
//!
//! ```text
//!  connection ─► Session ─► Block::open ─► app ─► partition's proposer ─► log lane
//!      ▲            │                                     │
//!      └── answer ◄─┴──────── in flight, any order ◄──────┘
//! ```
//!
//! Invariants:
//!
//! * a request is answered exactly once, or its outcome is unknown because the stream broke;
//! * while `session_appends_max` appends or `session_bytes_max` bytes are in flight nothing more is read, so that
//!   the caller is held back by flow control;
//! * answers are handed out before more is read, so that a flood of requests cannot delay them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_app::{Class, Error, Reason};
use chronos_block::{Block, Malformed};
use chronos_proto::v1;
use chronos_proto::v1::append_stream_response::Outcome;
use futures::stream::{self, FuturesUnordered};
use futures::{Stream, StreamExt};
use tokio::sync::watch;
use tonic::{Status, Streaming};

use super::{append, failure};
use crate::edge::{Edge, Routing};

/// The answers of a session.
pub(super) type Answers = Pin<Box<dyn Stream<Item = Result<v1::AppendStreamResponse, Status>> + Send>>;

type Pending = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// An answer, and the bytes it frees.
struct Answer {
    bytes: usize,
    response: v1::AppendStreamResponse,
}

struct Session {
    edge: Arc<Edge>,
    /// Who may serve this session's caller.
    routing: Routing,
    requests: Streaming<v1::AppendStreamRequest>,
    in_flight: FuturesUnordered<Pending>,
    bytes: usize,
    stopping: watch::Receiver<bool>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Takes requests.
    Open,
    /// The caller has sent its last request.
    Ended,
    /// The server stops; the caller may have sent requests that were not read, which certainly did not happen.
    Stopping,
}

/// What came next.
enum Step {
    Answered(Answer),
    Asked(Option<Result<v1::AppendStreamRequest, Status>>),
    Stopping,
}

/// Serves a session.
pub(super) fn open(
    edge: Arc<Edge>,
    routing: Routing,
    requests: Streaming<v1::AppendStreamRequest>,
) -> Answers {
    edge.metrics.sessions.inc();
    let stopping = edge.stopping();
    let in_flight = FuturesUnordered::new();
    let session = Session { edge, routing, requests, in_flight, bytes: 0, stopping, state: State::Open };
    Box::pin(stream::unfold(session, |mut session| async move {
        let answer = session.next().await?;
        Some((answer, session))
    }))
}

impl Session {
    /// The next answer; `None` when the session is over.
    async fn next(&mut self) -> Option<Result<v1::AppendStreamResponse, Status>> {
        loop {
            if self.in_flight.is_empty() && self.state != State::Open {
                return self.end();
            }
            let (room, open) = (self.has_room(), self.state == State::Open);
            let step = tokio::select! {
                biased; // answers first; then requests, which start work; stopping only ever comes once
                Some(answer) = self.in_flight.next() => Step::Answered(answer),
                request = self.requests.next(), if room => Step::Asked(request),
                _ = self.stopping.wait_for(|stopping| *stopping), if open => Step::Stopping,
            };
            match step {
                Step::Answered(answer) => {
                    self.bytes -= answer.bytes;
                    return Some(Ok(answer.response));
                }
                Step::Asked(Some(Ok(request))) => self.start(request),
                Step::Asked(None) => self.state = State::Ended,
                // The caller is gone, or does not speak the protocol: nobody waits for what is in flight.
                Step::Asked(Some(Err(status))) => {
                    self.in_flight.clear();
                    self.state = State::Ended;
                    return Some(Err(status));
                }
                Step::Stopping => self.state = State::Stopping,
            }
        }
    }

    fn has_room(&self) -> bool {
        let limits = &self.edge.limits;
        self.state == State::Open
            && self.in_flight.len() < limits.session_appends_max
            && self.bytes < limits.session_bytes_max
    }

    fn start(&mut self, request: v1::AppendStreamRequest) {
        self.bytes += request.block.len();
        self.in_flight.push(Box::pin(answer(self.edge.clone(), self.routing, request)));
    }

    /// What is said when nothing is in flight any more.
    fn end(&mut self) -> Option<Result<v1::AppendStreamResponse, Status>> {
        let stopping = std::mem::replace(&mut self.state, State::Ended) == State::Stopping;
        let text = "the server is stopping; requests of this session without an answer certainly did not happen: \
                    send them again, here later or to another node";
        stopping.then(|| Err(failure::status(Error::new(Class::NotApplied, Reason::Unavailable, text))))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.edge.metrics.sessions.dec();
    }
}

async fn answer(edge: Arc<Edge>, routing: Routing, request: v1::AppendStreamRequest) -> Answer {
    let deadline = edge.deadline(request.deadline_ms.map(Duration::from_millis));
    let bytes = request.block.len();
    // A slice of the transport's buffer would keep all of it alive, up to twice the bytes, until the events are in
    // a part. One copy of the exact size is cheaper than that.
    let block = Bytes::copy_from_slice(&request.block);
    drop(request.block);
    let outcome = match Block::open(block) {
        Ok(block) => edge.append(edge.app_by(routing), block, deadline).await,
        Err(malformed) => Err(refuse(malformed)),
    };
    let outcome = match outcome {
        Ok(appended) => Outcome::Stored(append::response(appended)),
        Err(error) => Outcome::Failure(failure::failure(error).into()),
    };
    Answer {
        bytes,
        response: v1::AppendStreamResponse { request_id: request.request_id, outcome: Some(outcome) },
    }
}

fn refuse(malformed: Malformed) -> Error {
    match malformed {
        Malformed::Rejected(rejection) => rejection.into(),
        // Damaged on the way, it may arrive whole the next time; nothing was done with it.
        Malformed::Damaged { .. } => Error::new(Class::NotApplied, Reason::Invalid, malformed.to_string()),
        Malformed::Version { .. } => {
            Error::new(Class::Rejected, Reason::Unimplemented, malformed.to_string())
        }
    }
}
