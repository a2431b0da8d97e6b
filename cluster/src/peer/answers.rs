//! One link as the node sees it that is asked: requests in, handlers begun in order, answers out.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use chronos_env::{Clock, Elapsed};
use chronos_proto::peer::v1::{self, answer::Outcome, link_request, link_response};
use futures::FutureExt;
use futures::future::{AbortHandle, Aborted, BoxFuture, abortable};
use futures::stream::{self, FuturesUnordered, Stream, StreamExt};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tonic::{Status, Streaming};

use super::doorman::Pass;
use super::error::Refusal;
use super::stats::{Counters, count};
use super::{Handler, Limits, Message};

/// Answers that wait to be sent.
pub(super) struct Answers {
    state: Mutex<State>,
    frame_bytes: usize,
    /// Some were taken.
    taken: Notify,
    /// Nobody takes any more.
    gone: Notify,
}

struct State {
    welcome: Option<v1::Welcome>,
    ready: VecDeque<v1::Answer>,
    /// Of their bodies.
    ready_bytes: usize,
    puller: Option<Waker>,
    is_over: bool,
}

/// The other node's end of [`Answers`].
pub(super) struct Outgoing(Arc<Answers>);

impl Answers {
    pub(super) fn new(welcome: v1::Welcome, frame_bytes: usize) -> (Arc<Answers>, Outgoing) {
        let state = State {
            welcome: Some(welcome),
            ready: VecDeque::new(),
            ready_bytes: 0,
            puller: None,
            is_over: false,
        };
        let answers = Arc::new(Answers {
            state: Mutex::new(state),
            frame_bytes,
            taken: Notify::new(),
            gone: Notify::new(),
        });
        (Arc::clone(&answers), Outgoing(answers))
    }

    fn push(&self, answer: v1::Answer) {
        let mut state = self.state.lock();
        state.ready_bytes += body_bytes(&answer);
        state.ready.push_back(answer);
        state.wake_puller();
    }

    /// Ready when there is something to say, or nothing more ever.
    fn poll_due(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.welcome.is_some() || state.is_over || !state.ready.is_empty() {
            return Poll::Ready(());
        }
        state.puller = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What is said next, when something is due; `None` at the end.
    fn pull(&self) -> Option<link_response::Message> {
        let mut state = self.state.lock();
        if let Some(welcome) = state.welcome.take() {
            return Some(link_response::Message::Welcome(welcome));
        }
        if state.is_over {
            return None;
        }
        self.taken.notify_one();
        Some(link_response::Message::Answers(state.frame(self.frame_bytes)))
    }

    /// How many, and their bytes.
    fn waiting(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.ready.len(), state.ready_bytes)
    }

    fn end(&self) {
        let mut state = self.state.lock();
        state.is_over = true;
        state.wake_puller();
    }
}

impl State {
    fn wake_puller(&mut self) {
        if let Some(puller) = self.puller.take() {
            puller.wake();
        }
    }

    fn frame(&mut self, frame_bytes: usize) -> v1::Answers {
        let (mut answers, mut bytes) = (Vec::new(), 0);
        while bytes < frame_bytes {
            let Some(answer) = self.ready.pop_front() else { break };
            bytes += body_bytes(&answer);
            answers.push(answer);
        }
        self.ready_bytes -= bytes;
        v1::Answers { answers }
    }
}

fn body_bytes(answer: &v1::Answer) -> usize {
    if let Some(Outcome::Body(body)) = &answer.outcome { body.len() } else { 0 }
}

impl Outgoing {
    /// What is said to the other node, until the link is over. Before a frame is made, every other task that can run has
    /// its turn: what all groups have to answer leaves in one frame. When none can, that takes no time.
    pub(super) fn stream(self) -> impl Stream<Item = Result<v1::LinkResponse, Status>> + Send + 'static {
        stream::unfold(self, |outgoing| async move {
            poll_fn(|cx| outgoing.0.poll_due(cx)).await;
            tokio::task::yield_now().await;
            let message = outgoing.0.pull()?;
            Some((Ok(v1::LinkResponse { message: Some(message) }), outgoing))
        })
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.0.gone.notify_one();
    }
}

/// What a handler came to: its answer or panic, unless it was too late, unless it was cancelled.
type End = Result<Result<std::thread::Result<Result<Bytes, Refusal>>, Elapsed>, Aborted>;

/// The task that serves one link.
pub(super) struct Answering {
    pub(super) clock: Clock,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) counters: Arc<Counters>,
    pub(super) limits: Limits,
    pub(super) pass: Pass,
    pub(super) incoming: Streaming<v1::LinkRequest>,
    pub(super) answers: Arc<Answers>,
}

#[derive(Default)]
struct Running {
    work: FuturesUnordered<BoxFuture<'static, (u64, End)>>,
    handles: BTreeMap<u64, AbortHandle>,
}

impl Answering {
    pub(super) async fn run(mut self) {
        let mut running = Running::default();
        loop {
            let has_room = self.has_room(running.work.len());
            // The end first; then what is done, so that it makes room; then more work, if there is room.
            tokio::select! {
                biased;
                () = self.answers.gone.notified() => break,
                () = self.pass.superseded() => break,
                Some((id, end)) = running.work.next(), if !running.work.is_empty() => {
                    running.handles.remove(&id);
                    self.done(id, end);
                }
                message = self.incoming.message(), if has_room => {
                    let Ok(Some(v1::LinkRequest { message: Some(message) })) = message else { break };
                    let link_request::Message::Requests(requests) = message else { break };
                    self.take(requests, &mut running).await;
                }
                () = self.answers.taken.notified(), if !has_room => {}
            }
        }
        count(&self.counters.requests_abandoned, running.work.len() as u64);
        self.answers.end();
    }

    /// Whether to read on beside `running`: not while the caller is slow to take its answers. A caller that keeps to the
    /// same bound sends no more than it cancels when it has reached it; so what it sends must still be read then.
    fn has_room(&self, running: usize) -> bool {
        let (waiting, bytes) = self.answers.waiting();
        running + waiting <= self.limits.requests_max && bytes < self.limits.waiting_bytes_max
    }

    /// Ends what is cancelled, and begins the requests of a frame, in order.
    async fn take(&self, frame: v1::Requests, running: &mut Running) {
        for id in &frame.cancelled {
            if let Some(handle) = running.handles.remove(id) {
                handle.abort();
            }
        }
        for request in frame.requests {
            if !self.pass.is_good() {
                return;
            }
            let id = request.id;
            match self.begin(request) {
                Ok((mut work, handle)) => match futures::poll!(work.as_mut()) {
                    Poll::Ready((id, end)) => self.done(id, end),
                    Poll::Pending => {
                        running.handles.insert(id, handle);
                        running.work.push(work);
                    }
                },
                Err(refusal) => self.answer(id, Err(refusal)),
            }
        }
    }

    fn begin(&self, request: v1::Request) -> Result<(BoxFuture<'static, (u64, End)>, AbortHandle), Refusal> {
        let number = |what: &str, of: u32| {
            u8::try_from(of).map_err(|_| {
                Refusal::new(Refusal::MALFORMED, format!("{what} {of} does not exist; at most 255"))
            })
        };
        let message = Message {
            group: number("group", request.group)?,
            kind: number("kind", request.kind)?,
            body: request.body,
        };
        let (id, from, handler) = (request.id, self.pass.node, Arc::clone(&self.handler));
        let patience = Duration::from_millis(request.patience_ms);
        let clock = self.clock.clone();
        // A panic must not take the other groups' requests with it; the handler's own supervisor knows what to do.
        let handled = AssertUnwindSafe(async move { handler.handle(from, message).await }).catch_unwind();
        let (work, handle) = abortable(async move { clock.timeout(patience, handled).await });
        Ok((Box::pin(async move { (id, work.await) }), handle))
    }

    fn done(&self, id: u64, end: End) {
        let outcome = match end {
            Ok(Ok(Ok(outcome))) => outcome,
            Ok(Ok(Err(_panic))) => {
                count(&self.counters.handlers_panicked, 1);
                tracing::error!(from = %self.pass.node, "a request of another node made its handler panic");
                Err(Refusal::new(Refusal::PANICKED, "the handler panicked; see the log of that node"))
            }
            Ok(Err(_)) | Err(Aborted) => {
                count(&self.counters.requests_abandoned, 1);
                return;
            }
        };
        count(&self.counters.requests_handled, 1);
        self.answer(id, outcome);
    }

    fn answer(&self, id: u64, outcome: Result<Bytes, Refusal>) {
        let max = self.limits.message_bytes_max;
        let outcome = match outcome {
            Ok(body) if body.len() > max => {
                let text = format!("the answer has {} bytes; at most {max} fit", body.len());
                Err(Refusal::new(Refusal::TOO_LARGE, text))
            }
            other => other,
        };
        let outcome = match outcome {
            Ok(body) => Outcome::Body(body),
            Err(Refusal { code, text }) => Outcome::Refusal(v1::Refusal { code, text }),
        };
        self.answers.push(v1::Answer { id, outcome: Some(outcome) });
    }
}
