//! The link to one node: made, used, lost, made again.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use chronos_env::Entropy;
use chronos_proto::peer::v1::{self, link_request, link_response};
use futures::stream::{self, Stream, StreamExt};
use parking_lot::Mutex;
use tonic::Streaming;

use super::dial::{Dialer, First, lost};
use super::doorman::Pass;
use super::error::{Cause, Refusal};
use super::http2::Http2;
use super::outbox::{Hope, Outbox};
use super::stats::{Counters, count};

pub(super) struct Link {
    pub(super) dialer: Arc<Dialer>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) address: String,
    pub(super) state: Arc<Mutex<Option<Result<(), String>>>>,
    pub(super) dice: Entropy,
}

/// A link on which requests go through.
struct Up {
    answers: Streaming<v1::LinkResponse>,
    _connection: Http2,
    pass: Pass,
}

impl Link {
    /// Keeps the link until the task is aborted.
    pub(super) async fn run(self) {
        let limits = self.dialer.limits.clone();
        let mut pause = limits.backoff_min;
        let mut has_just_broken = false;
        loop {
            match self.make().await {
                Ok(up) => {
                    pause = limits.backoff_min;
                    self.came_up();
                    let cause = self.take_answers(up).await;
                    self.broke(&cause);
                    has_just_broken = true;
                    self.rest(pause).await;
                }
                Err(cause) => {
                    if let (true, Cause::NobodyThere(_)) = (std::mem::take(&mut has_just_broken), &cause) {
                        self.dialer.died(self.outbox.to());
                    }
                    if let Cause::Turned(_) = &cause {
                        // Nothing will be different in a moment.
                        pause = limits.backoff_max;
                    }
                    self.failed(cause);
                    self.rest(pause).await;
                    pause = (pause * 2).min(limits.backoff_max);
                }
            }
        }
    }

    /// Waits for half of `pause` to all of it, so that nodes that lost each other together do not come back together.
    async fn rest(&self, pause: Duration) {
        let half = pause / 2;
        let spread = u64::try_from(half.as_micros()).expect("a pause is shorter than 584,000 years");
        self.dialer.env.clock.sleep(half + Duration::from_micros(self.dice.below(spread + 1))).await;
    }

    async fn make(&self) -> Result<Up, Cause> {
        let within = self.dialer.limits.connect_timeout;
        let made = self.dialer.env.clock.timeout(within, self.connect()).await;
        made.unwrap_or_else(|_| {
            Err(Cause::NoConnection(format!("{} did not answer within {within:?}", self.address).into()))
        })
    }

    async fn connect(&self) -> Result<Up, Cause> {
        let to = self.outbox.to();
        let mut connection = self.dialer.open(to, &self.address).await?;
        let asked = self.dialer.env.clock.monotonic();
        let response = connection.client.link(self.requests()).await.map_err(|status| lost(&status))?;
        let mut answers = response.into_inner();
        let first = answers.message().await.map_err(|status| lost(&status))?;
        let first = match first.and_then(|first| first.message) {
            Some(link_response::Message::Welcome(welcome)) => First::Welcome(welcome),
            Some(link_response::Message::Turned(turned)) => First::Turned(turned),
            _ => First::Other,
        };
        let pass = self.dialer.judge(first, to, asked)?;
        Ok(Up { answers, _connection: connection, pass })
    }

    /// What we send: the greeting, then whatever waits whenever the connection can take more. Before a frame is made,
    /// every other task that can run has its turn: what they have for this node, each group of them, leaves in one frame.
    /// When none can, that takes no time.
    fn requests(&self) -> impl Stream<Item = v1::LinkRequest> + Send + 'static {
        let hello = link_request::Message::Hello(self.dialer.hello(self.outbox.to()).to_wire());
        let (outbox, number) = (Arc::clone(&self.outbox), self.outbox.begin_link());
        let (counters, clock) = (Arc::clone(&self.dialer.counters), self.dialer.env.clock.clone());
        let frames = stream::unfold((outbox, clock), move |(outbox, clock)| async move {
            poll_fn(|cx| outbox.poll_due(number, cx)).await;
            tokio::task::yield_now().await;
            let requests = poll_fn(|cx| outbox.poll_pull(number, clock.monotonic(), cx)).await?;
            Some((requests, (outbox, clock)))
        });
        let waiting = frames.map(move |requests| {
            count_frame(&counters, &requests);
            link_request::Message::Requests(requests)
        });
        let messages = stream::iter([hello]).chain(waiting);
        messages.map(|message| v1::LinkRequest { message: Some(message) })
    }

    /// Hands out answers until the link breaks; says why it did.
    async fn take_answers(&self, mut up: Up) -> Cause {
        loop {
            let message = match up.answers.message().await {
                Ok(Some(message)) => message.message,
                Ok(None) => return Cause::ConnectionLost("the other node ended it".into()),
                Err(status) => return lost(&status),
            };
            let Some(link_response::Message::Answers(answers)) = message else {
                return Cause::Malformed("it sent something that is no answer".into());
            };
            let mut asked = None;
            for answer in answers.answers {
                let outcome = match answer.outcome {
                    Some(v1::answer::Outcome::Body(body)) => Ok(body),
                    Some(v1::answer::Outcome::Refusal(refusal)) => {
                        Err(Refusal::new(refusal.code, refusal.text))
                    }
                    None => return Cause::Malformed("it sent an answer without an outcome".into()),
                };
                match self.outbox.answered(answer.id, outcome) {
                    Some(sent) => asked = asked.max(Some(sent)),
                    None => {
                        chronos_env::sometimes!("peer.answered_too_late");
                        count(&self.dialer.counters.answers_late, 1);
                    }
                }
            }
            if let Some(asked) = asked {
                up.pass.answered(asked);
            }
        }
    }

    fn came_up(&self) {
        count(&self.dialer.counters.links_up, 1);
        tracing::info!(to = %self.outbox.to(), address = self.address, "connected to another node");
        *self.state.lock() = Some(Ok(()));
        self.outbox.up();
    }

    fn broke(&self, cause: &Cause) {
        count(&self.dialer.counters.links_lost, 1);
        tracing::warn!(to = %self.outbox.to(), address = self.address, %cause, "lost the connection to another node");
        *self.state.lock() = Some(Err(cause.to_string()));
        self.outbox.down(cause, Hope::Yes);
    }

    fn failed(&self, cause: Cause) {
        count(&self.dialer.counters.links_failed, 1);
        let text = cause.to_string();
        let before = self.state.lock().replace(Err(text.clone()));
        // A node that is away for a day is worth one line, not a hundred thousand.
        if before != Some(Err(text)) {
            tracing::warn!(to = %self.outbox.to(), address = self.address, %cause, "cannot connect to another node");
        }
        self.outbox.down(&cause, Hope::No);
    }
}

fn count_frame(counters: &Counters, frame: &v1::Requests) {
    count(&counters.frames_sent, 1);
    count(&counters.requests_sent, frame.requests.len() as u64);
    let bytes = frame.requests.iter().map(|request| request.body.len() as u64).sum();
    count(&counters.request_bytes_sent, bytes);
}
