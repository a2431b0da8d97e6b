//! What is on its way to one node, and who waits for it.
//!
//! Invariants: a request is *waiting* (enqueued, certainly not sent), or *sent*, or gone; it becomes sent when a link
//! pulls it, and never goes back; everybody who waits is told when the link breaks. Requests and bytes are bounded by
//! permits that are had before enqueueing: a request's slot is free again when it is gone, its bytes when it is sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use chronos_proto::peer::v1;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::error::{CallError, Cause, Refusal};
use super::{Limits, Message};
use crate::NodeId;

/// Bytes are counted in units of so many, so that any bound fits a semaphore.
const UNIT: usize = 1 << 10;

pub(super) struct Outbox {
    to: NodeId,
    limits: Limits,
    slots: Arc<Semaphore>,
    units: Arc<Semaphore>,
    state: Mutex<State>,
}

struct State {
    condition: Condition,
    /// Counts links; a link that is not the latest may not pull.
    link: u64,
    next_id: u64,
    next_stream: u64,
    waiting: VecDeque<Waiting>,
    /// Whoever waits for an answer, waiting or sent.
    pending: BTreeMap<u64, Pending>,
    /// Sent, and not wanted any more.
    cancelled: Vec<u64>,
    /// Streams that have lost nothing so far.
    streams: BTreeSet<u64>,
    puller: Option<Waker>,
}

/// What may be done with new requests.
enum Condition {
    /// No link yet: let them wait for the attempt that is being made.
    Hopeful,
    Up,
    /// The last attempt failed: refuse them.
    Down(Cause),
}

struct Waiting {
    id: u64,
    stream: Option<u64>,
    message: Message,
    patience: Duration,
    _units: OwnedSemaphorePermit,
}

struct Pending {
    answer: oneshot::Sender<Result<Bytes, CallError>>,
    /// Not sent before that; `None` while it waits.
    sent: Option<Duration>,
    _slot: OwnedSemaphorePermit,
}

/// Room for one request.
pub(super) struct Room {
    slot: OwnedSemaphorePermit,
    units: OwnedSemaphorePermit,
}

/// An enqueued request. Dropping it says that nobody waits for the answer any more.
pub(super) struct Ticket {
    outbox: Arc<Outbox>,
    id: u64,
    pub(super) answer: oneshot::Receiver<Result<Bytes, CallError>>,
}

impl Ticket {
    /// Stops waiting: says whether it had been sent.
    pub(super) fn give_up(self, cause: Cause) -> CallError {
        let was_sent = self.outbox.cancel(self.id);
        self.outbox.failure(was_sent, cause)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.outbox.cancel(self.id);
    }
}

impl Outbox {
    pub(super) fn new(to: NodeId, limits: Limits) -> Outbox {
        let units = limits.waiting_bytes_max.div_ceil(UNIT);
        let state = State {
            condition: Condition::Hopeful,
            link: 0,
            next_id: 1,
            next_stream: 0,
            waiting: VecDeque::new(),
            pending: BTreeMap::new(),
            cancelled: Vec::new(),
            streams: BTreeSet::new(),
            puller: None,
        };
        Outbox {
            to,
            slots: Arc::new(Semaphore::new(limits.requests_max)),
            units: Arc::new(Semaphore::new(units)),
            limits,
            state: Mutex::new(state),
        }
    }

    pub(super) fn to(&self) -> NodeId {
        self.to
    }

    /// Requests that wait, and that were sent and are unanswered.
    pub(super) fn load(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.waiting.len(), state.pending.len() - state.waiting.len())
    }

    // ---------------------------------------------------------------------------------------- enqueueing

    /// Room, if there is some.
    pub(super) fn room_now(&self, bytes: usize) -> Result<Option<Room>, CallError> {
        let units = self.units_of(bytes)?;
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { return Ok(None) };
        let units = Arc::clone(&self.units).try_acquire_many_owned(units);
        Ok(units.ok().map(|units| Room { slot, units }))
    }

    /// Waits for room. Cancel-safe; first come, first served.
    pub(super) async fn room(&self, bytes: usize) -> Result<Room, CallError> {
        let units = self.units_of(bytes)?;
        let slot =
            Arc::clone(&self.slots).acquire_owned().await.expect("an outbox's semaphores are never closed");
        let units = Arc::clone(&self.units)
            .acquire_many_owned(units)
            .await
            .expect("an outbox's semaphores are never closed");
        Ok(Room { slot, units })
    }

    /// What a message counts for, if it may be sent at all.
    fn units_of(&self, bytes: usize) -> Result<u32, CallError> {
        let max = self.limits.message_bytes_max;
        if bytes > max {
            return Err(self.failure(false, Cause::TooLarge { bytes, max }));
        }
        if let Condition::Down(cause) = &self.state.lock().condition {
            return Err(self.failure(false, cause.clone()));
        }
        Ok(u32::try_from(bytes.div_ceil(UNIT)).expect("a message is smaller than 4 TiB"))
    }

    /// Enqueues a request, behind all that were enqueued before.
    pub(super) fn enqueue(
        self: &Arc<Self>,
        room: Room,
        message: Message,
        patience: Duration,
        stream: Option<u64>,
    ) -> Result<Ticket, CallError> {
        let mut state = self.state.lock();
        if let Condition::Down(cause) = &state.condition {
            return Err(self.failure(false, cause.clone()));
        }
        if stream.is_some_and(|stream| !state.streams.contains(&stream)) {
            return Err(self.failure(false, Cause::StreamOver));
        }
        let id = state.next_id;
        state.next_id += 1;
        let (sender, answer) = oneshot::channel();
        state.pending.insert(id, Pending { answer: sender, sent: None, _slot: room.slot });
        state.waiting.push_back(Waiting { id, stream, message, patience, _units: room.units });
        state.wake_puller();
        Ok(Ticket { outbox: Arc::clone(self), id, answer })
    }

    /// A new stream; it is over when one of its requests fails or the link breaks.
    pub(super) fn open_stream(&self) -> u64 {
        let mut state = self.state.lock();
        let stream = state.next_stream;
        state.next_stream += 1;
        state.streams.insert(stream);
        stream
    }

    /// Ends a stream: none of its requests that waits will be sent.
    pub(super) fn end_stream(&self, stream: u64) {
        let mut state = self.state.lock();
        if !state.streams.remove(&stream) {
            return;
        }
        let (over, others) = std::mem::take(&mut state.waiting)
            .into_iter()
            .partition(|waiting| waiting.stream == Some(stream));
        state.waiting = others;
        let over: VecDeque<Waiting> = over;
        for waiting in over {
            if let Some(pending) = state.pending.remove(&waiting.id) {
                let _ = pending.answer.send(Err(self.failure(false, Cause::StreamOver)));
            }
        }
    }

    /// Nobody waits for it any more. Whether it had been sent; meaningless if it is gone already.
    fn cancel(&self, id: u64) -> bool {
        let mut state = self.state.lock();
        let Some(pending) = state.pending.remove(&id) else { return true };
        if pending.sent.is_some() {
            state.cancelled.push(id);
            state.wake_puller();
        } else if let Ok(at) = state.waiting.binary_search_by_key(&id, |waiting| waiting.id) {
            state.waiting.remove(at);
        }
        pending.sent.is_some()
    }

    pub(super) fn failure(&self, was_sent: bool, cause: Cause) -> CallError {
        let to = self.to;
        if was_sent { CallError::Unknown { to, cause } } else { CallError::Unreachable { to, cause } }
    }

    // ---------------------------------------------------------------------------------------- the link's side

    /// A link that will pull what waits, once it is [`Outbox::up`]. Gives its number.
    pub(super) fn begin_link(&self) -> u64 {
        let mut state = self.state.lock();
        state.link += 1;
        state.link
    }

    /// The link is welcome: what waits goes out.
    pub(super) fn up(&self) {
        let mut state = self.state.lock();
        state.condition = Condition::Up;
        state.wake_puller();
    }

    /// The link broke, or never was. Whoever waits is told, what was not sent never will be; new requests are refused
    /// with the same cause unless there is `hope` that the next attempt succeeds.
    pub(super) fn down(&self, cause: &Cause, hope: Hope) {
        let pending = {
            let mut state = self.state.lock();
            state.condition = match hope {
                Hope::Yes => Condition::Hopeful,
                Hope::No => Condition::Down(cause.clone()),
            };
            state.link += 1;
            state.waiting.clear();
            state.cancelled.clear();
            state.streams.clear();
            state.wake_puller();
            std::mem::take(&mut state.pending)
        };
        for Pending { answer, sent, .. } in pending.into_values() {
            chronos_env::sometimes!("peer.link_lost_with_requests", sent.is_some());
            let _ = answer.send(Err(self.failure(sent.is_some(), cause.clone())));
        }
    }

    /// Ready when there is something for link number `link` to pull, or another link has taken its place.
    pub(super) fn poll_due(&self, link: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.link != link || state.is_due() {
            return Poll::Ready(());
        }
        state.puller = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What goes out next on link number `link`, after `now`: everything that waits, up to a frame. `None` when another link
    /// has taken its place.
    pub(super) fn poll_pull(
        &self,
        link: u64,
        now: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<Option<v1::Requests>> {
        let mut state = self.state.lock();
        if state.link != link {
            return Poll::Ready(None);
        }
        if !state.is_due() {
            state.puller = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Some(state.pull(self.limits.frame_bytes, now)))
    }

    /// The answer to a request. When that went out at the earliest; `None` when nobody waits for it any more, or it was never
    /// sent.
    pub(super) fn answered(&self, id: u64, outcome: Result<Bytes, Refusal>) -> Option<Duration> {
        let pending = self.state.lock().pending.remove(&id)?;
        let outcome = outcome.map_err(|refusal| CallError::Refused { from: self.to, refusal });
        pending.answer.send(outcome).ok().and(pending.sent)
    }
}

/// Whether requests may wait for the next attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hope {
    Yes,
    No,
}

impl State {
    fn is_due(&self) -> bool {
        let has_work = !self.waiting.is_empty() || !self.cancelled.is_empty();
        has_work && matches!(self.condition, Condition::Up)
    }

    fn pull(&mut self, frame_bytes: usize, now: Duration) -> v1::Requests {
        let (mut requests, mut bytes) = (Vec::new(), 0);
        while bytes < frame_bytes {
            let Some(Waiting { id, message, patience, .. }) = self.waiting.pop_front() else { break };
            self.pending.get_mut(&id).expect("who waits is pending").sent = Some(now);
            bytes += message.body.len();
            requests.push(v1::Request {
                id,
                group: message.group.into(),
                kind: message.kind.into(),
                body: message.body,
                patience_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
            });
        }
        v1::Requests { requests, cancelled: std::mem::take(&mut self.cancelled) }
    }

    fn wake_puller(&mut self) {
        if let Some(puller) = self.puller.take() {
            puller.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::task::noop_waker_ref;

    const LONG: Duration = Duration::from_secs(9);
    const NOW: Duration = Duration::from_secs(77);

    fn outbox(limits: Limits) -> Arc<Outbox> {
        Arc::new(Outbox::new(NodeId::new(2), limits))
    }

    fn message(bytes: usize) -> Message {
        Message { group: 1, kind: 2, body: vec![7; bytes].into() }
    }

    fn send(outbox: &Arc<Outbox>, bytes: usize, stream: Option<u64>) -> Result<Ticket, CallError> {
        let room = outbox.room(bytes).now_or_never().expect("there is room")?;
        outbox.enqueue(room, message(bytes), LONG, stream)
    }

    fn pull(outbox: &Outbox, link: u64) -> Poll<Option<(Vec<u64>, Vec<u64>)>> {
        let pulled = outbox.poll_pull(link, NOW, &mut Context::from_waker(noop_waker_ref()));
        pulled.map(|frame| {
            frame.map(|frame| (frame.requests.iter().map(|request| request.id).collect(), frame.cancelled))
        })
    }

    fn pulled(ids: &[u64], cancelled: &[u64]) -> Poll<Option<(Vec<u64>, Vec<u64>)>> {
        Poll::Ready(Some((ids.to_vec(), cancelled.to_vec())))
    }

    fn outcome(mut ticket: Ticket) -> Result<Bytes, CallError> {
        ticket.answer.try_recv().expect("it is decided")
    }

    #[test]
    fn what_waits_goes_out_in_order_as_one_frame_once_the_link_is_up() {
        let outbox = outbox(Limits::default());
        let link = outbox.begin_link();
        let _tickets: Vec<_> = (0..3).map(|_| send(&outbox, 10, None).unwrap()).collect();
        assert_eq!(pull(&outbox, link), Poll::Pending);
        outbox.up();
        assert_eq!(pull(&outbox, link), pulled(&[1, 2, 3], &[]));
        assert_eq!(pull(&outbox, link), Poll::Pending, "a request went out twice");
        assert_eq!(outbox.load(), (0, 3));
    }

    #[test]
    fn a_frame_ends_after_so_many_bytes() {
        let outbox = outbox(Limits { frame_bytes: 1000, ..Limits::default() });
        let link = outbox.begin_link();
        outbox.up();
        let _tickets: Vec<_> = [400, 700, 5000, 1].map(|bytes| send(&outbox, bytes, None).unwrap()).into();
        assert_eq!(pull(&outbox, link), pulled(&[1, 2], &[]));
        assert_eq!(pull(&outbox, link), pulled(&[3], &[]));
        assert_eq!(pull(&outbox, link), pulled(&[4], &[]));
    }

    #[test]
    fn a_broken_link_tells_sent_from_unsent() {
        let outbox = outbox(Limits::default());
        let link = outbox.begin_link();
        outbox.up();
        let sent = send(&outbox, 10, None).unwrap();
        assert_eq!(pull(&outbox, link), pulled(&[1], &[]));
        let unsent = send(&outbox, 10, None).unwrap();
        let cause = Cause::ConnectionLost("cut".into());
        outbox.down(&cause, Hope::No);
        let to = NodeId::new(2);
        assert_eq!(outcome(sent), Err(CallError::Unknown { to, cause: cause.clone() }));
        assert_eq!(outcome(unsent), Err(CallError::Unreachable { to, cause: cause.clone() }));
        assert_eq!(send(&outbox, 10, None).err(), Some(CallError::Unreachable { to, cause }));
        assert_eq!(pull(&outbox, link), Poll::Ready(None), "an old link pulls");
        assert_eq!(outbox.load(), (0, 0));
    }

    #[test]
    fn who_does_not_wait_any_more_is_forgotten_or_cancelled() {
        let outbox = outbox(Limits::default());
        let link = outbox.begin_link();
        outbox.up();
        let [first, second] = [0; 2].map(|_| send(&outbox, 10, None).unwrap());
        let unsent = second.give_up(Cause::Deadline(LONG));
        assert!(matches!(unsent, CallError::Unreachable { .. }), "{unsent}");
        assert_eq!(pull(&outbox, link), pulled(&[1], &[]));
        let sent = first.give_up(Cause::Deadline(LONG));
        assert!(matches!(sent, CallError::Unknown { .. }), "{sent}");
        assert_eq!(pull(&outbox, link), pulled(&[], &[1]));
        assert_eq!(outbox.answered(1, Ok(Bytes::new())), None, "a late answer found somebody");
    }

    #[test]
    fn requests_and_bytes_are_bounded_until_answered_and_until_sent() {
        let limits = Limits { requests_max: 2, waiting_bytes_max: 4 * UNIT, ..Limits::default() };
        let outbox = outbox(limits);
        let link = outbox.begin_link();
        outbox.up();
        let _big = send(&outbox, 3 * UNIT, None).unwrap();
        assert!(outbox.room(2 * UNIT).now_or_never().is_none(), "more bytes wait than may");
        assert_eq!(pull(&outbox, link), pulled(&[1], &[]));
        let _second = send(&outbox, 2 * UNIT, None).unwrap();
        assert!(outbox.room(0).now_or_never().is_none(), "more requests are out than may be");
        assert_eq!(outbox.answered(1, Ok(Bytes::new())), Some(NOW));
        assert!(outbox.room(0).now_or_never().is_some());
    }

    #[test]
    fn a_message_that_fits_nowhere_is_refused_at_once() {
        let outbox = outbox(Limits { message_bytes_max: 100, ..Limits::default() });
        let refused = send(&outbox, 101, None).err().unwrap();
        assert_eq!(refused.to_string(), "n2 was not reached: a message of 101 bytes; at most 100 fit");
    }

    #[test]
    fn a_stream_that_is_over_sends_nothing_more() {
        let outbox = outbox(Limits::default());
        let link = outbox.begin_link();
        outbox.up();
        let (stream, other) = (outbox.open_stream(), outbox.open_stream());
        let ended = send(&outbox, 10, Some(stream)).unwrap();
        let _other = send(&outbox, 10, Some(other)).unwrap();
        outbox.end_stream(stream);
        assert_eq!(pull(&outbox, link), pulled(&[2], &[]));
        assert!(matches!(outcome(ended), Err(CallError::Unreachable { cause: Cause::StreamOver, .. })));
        let late = send(&outbox, 10, Some(stream)).err().unwrap();
        assert!(matches!(late, CallError::Unreachable { cause: Cause::StreamOver, .. }), "{late}");
        outbox.down(&Cause::Stopping, Hope::Yes);
        assert!(send(&outbox, 10, Some(other)).is_err(), "a stream survived its link");
        assert!(send(&outbox, 10, None).is_ok(), "there was hope");
    }
}
