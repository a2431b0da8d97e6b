//! One append stream: requests out, answers in, matched by number.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chronos_proto::v1::append_stream_response::Outcome;
use chronos_proto::{Class, Failure, v1};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{Progress, not_sent};
use crate::connections::Rpc;
use crate::outcome::protocol;
use crate::pace::Deadline;
use crate::routing::{Missed, background};

/// Requests between an append and the connection. A short queue: flow control holds callers back behind it.
const OUTBOUND_REQUESTS: usize = 16;

type Answer = Result<v1::AppendResponse, Missed>;

pub(super) struct Wire {
    outbound: mpsc::Sender<v1::AppendStreamRequest>,
    unanswered: Arc<Mutex<Unanswered>>,
}

/// Who waits for which answer. Whoever is entered gets exactly one: the server's, or the stream's end.
#[derive(Default)]
struct Unanswered {
    last_id: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Answer>>,
    ended: bool,
}

impl Wire {
    /// Opens a stream. No request is sent before the server has accepted the stream, so that a failure here is never
    /// `Unknown`.
    pub(super) async fn open(
        mut rpc: Rpc,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<Arc<Self>, Missed> {
        let (outbound, requests) = mpsc::channel(OUTBOUND_REQUESTS);
        let answers = rpc.append_stream(ReceiverStream::new(requests)).await;
        let answers = answers.map_err(|status| refused(&status))?.into_inner();
        let unanswered = Arc::new(Mutex::new(Unanswered::default()));
        background(read(answers, unanswered.clone(), ended));
        Ok(Arc::new(Self { outbound, unanswered }))
    }

    pub(super) fn is_open(&self) -> bool {
        !self.unanswered.lock().ended
    }

    pub(super) async fn send(&self, block: Bytes, deadline: Deadline, progress: &mut Progress) -> Answer {
        let Some((waiting, answer)) = self.enter() else {
            return Err(Missed::lost(not_sent("the append stream ended before the request was sent")));
        };
        let left = deadline.left().as_millis();
        let request = v1::AppendStreamRequest {
            request_id: waiting.request_id,
            block,
            deadline_ms: Some(u64::try_from(left).unwrap_or(u64::MAX)),
        };
        if self.outbound.send(request).await.is_err() {
            return Err(Missed::lost(not_sent("the append stream ended before the request was sent")));
        }
        *progress = Progress::Sent;
        answer
            .await
            .unwrap_or_else(|_| Err(Missed::lost(lost("the runtime that read the answers has stopped"))))
    }

    /// Enters a request; `None` when the stream has ended.
    fn enter(&self) -> Option<(Waiting, oneshot::Receiver<Answer>)> {
        let mut unanswered = self.unanswered.lock();
        if unanswered.ended {
            return None;
        }
        let (sender, answer) = oneshot::channel();
        unanswered.last_id += 1;
        let request_id = unanswered.last_id;
        unanswered.waiting.insert(request_id, sender);
        Some((Waiting { request_id, unanswered: self.unanswered.clone() }, answer))
    }
}

/// A place among the unanswered, given up when its owner no longer waits.
struct Waiting {
    request_id: u64,
    unanswered: Arc<Mutex<Unanswered>>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.unanswered.lock().waiting.remove(&self.request_id);
    }
}

/// Hands out answers until the stream ends, and then its end to all who still wait.
async fn read(
    mut answers: Streaming<v1::AppendStreamResponse>,
    unanswered: Arc<Mutex<Unanswered>>,
    over: impl FnOnce() + Send,
) {
    let end = loop {
        match answers.message().await {
            Ok(Some(answer)) => {
                let waiting = unanswered.lock().waiting.remove(&answer.request_id);
                if let Some(waiting) = waiting {
                    // Who no longer waits has dropped its end; the answer is of no use to anybody.
                    let _gone = waiting.send(outcome(answer.outcome));
                }
            }
            Ok(None) => break lost("the server ended the append stream without an answer to this request"),
            Err(status) => break end(&status),
        }
    };
    // First, so that whoever is told below finds another way.
    over();
    let waiting = {
        let mut unanswered = unanswered.lock();
        unanswered.ended = true;
        std::mem::take(&mut unanswered.waiting)
    };
    for (_, waiting) in waiting {
        let _gone = waiting.send(Err(Missed::lost(end.clone())));
    }
}

fn outcome(outcome: Option<Outcome>) -> Answer {
    match outcome {
        Some(Outcome::Stored(stored)) => Ok(stored),
        Some(Outcome::Failure(failure)) => {
            Err(Missed::said(Failure::try_from(failure).unwrap_or_else(|invalid| protocol(&invalid))))
        }
        None => Err(Missed::said(lost("the server's answer has no outcome that this release knows"))),
    }
}

/// What the refusal of a stream means for a request that was not sent over it.
fn refused(status: &Status) -> Missed {
    let Missed { failure, line_down } = Missed::of(status);
    let class = if failure.class == Class::Rejected { Class::Rejected } else { Class::NotApplied };
    Missed { failure: Failure { class, ..failure }, line_down }
}

/// What the end of a stream means for a request that was sent over it. Only `NotApplied` can be believed, and
/// `Failure::from_status` gives that for no status but the server's own: the other classes speak of one request, and
/// nobody can tell of which.
fn end(status: &Status) -> Failure {
    let failure = Failure::from_status(status);
    let class = if failure.class == Class::NotApplied { Class::NotApplied } else { Class::Unknown };
    Failure { class, ..failure }
}

fn lost(message: &str) -> Failure {
    Failure::new(Class::Unknown, "UNAVAILABLE", message)
}
