//! Entries on their way to one follower.
//!
//! Where the way is short, a message leaves when the one before it is answered: what is appended meanwhile goes into the
//! next, and so does the news of what is committed. Where it is long, a message does not wait for more than [`PATIENCE`],
//! so that how much a group replicates does not depend on how long the way is. A message without entries, which only says
//! what is committed, is held back a little ([`HOLD`]): in a busy group the next entries say it, too, and half of all
//! messages need not be sent. Whoever waits for it, to read here what was acknowledged elsewhere, asks the leader, whose
//! heartbeat says it at once.
//!
//! Invariants:
//!
//! * *Messages leave in order*: each is enqueued on the link before the next one is asked for. They arrive in order as
//!   far as they arrive; a follower that misses one refuses the next, because it does not follow on what it has. Nothing
//!   but speed depends on that order ([`Overtook`]).
//! * *Answers come out in order*, as openraft wants them, and nothing comes out behind a failure: whoever asked starts
//!   again behind what was acknowledged last. What was sent meanwhile may still be appended, which is what it is for.
//! * *An answer vouches for no later moment than its own message.* To openraft an answer that reaches entry 7 answers
//!   every message up to entry 7 that it has handed out by then, also one without entries that left later; and the time
//!   at which that one left counts as a time at which this follower still followed, which is what linearizable reads and
//!   the check of the quorum rely on. So where such a message is on its way behind entry 7, the answer to entry 7 is kept
//!   until that one is answered, too; and one is held back only while nothing is unanswered.
//! * *Bounded*, in messages and bytes. A message larger than the bound travels alone.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{self, BoxFuture};
use futures::stream::{FuturesOrdered, Stream, StreamExt};
use openraft::errors::{RPCError, Unreachable};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendResult};

use super::types::{LogId, Payload, Types};

/// For so long a message without an answer keeps the next one from leaving: longer than a sync and a way within a site.
const PATIENCE: Duration = Duration::from_millis(2);
/// For so long a message without entries waits for entries that it could leave with.
const HOLD: Duration = Duration::from_millis(5);
/// Messages to one follower that are unanswered at once.
const MESSAGES_MAX: usize = 16;
/// Bytes of payload in them, unless one is larger.
const BYTES_MAX: usize = 2 << 20;

type Answer = Result<AppendEntriesResponse<Types>, Unreachable<Types>>;

/// A message arrived before the one that it follows on, which has been answered since: the follower has everything up to
/// it, and still found it missing when the message came. That is a message lost, and not a follower that has lost a part
/// of its log, which openraft would take it for, and which shows when the next attempt begins.
#[derive(Debug, thiserror::Error)]
#[error("a message overtook the one before it")]
struct Overtook;

impl From<Overtook> for RPCError<Types> {
    fn from(overtook: Overtook) -> RPCError<Types> {
        RPCError::from(Unreachable::new(&overtook))
    }
}

/// There were entries to be sent and they are not in the log any more: openraft asks for them again and again, unless its
/// stream ends; then it looks at what it has decided since, which is to send parts.
#[derive(Debug, thiserror::Error)]
#[error("the log was purged of what was to be sent")]
struct Purged;

/// What openraft is told of a message.
type Told = Result<StreamAppendResult<Types>, RPCError<Types>>;

/// A message that was sent.
struct Sent {
    bytes: usize,
    /// The entry that its own follow on.
    prev: Option<LogId>,
    /// Its last entry, or what it follows on.
    last: Option<LogId>,
    answer: Answer,
}

impl Sent {
    /// No message: the entries for one are gone.
    fn nothing() -> Sent {
        Sent { bytes: 0, prev: None, last: None, answer: Err(Unreachable::new(&Purged)) }
    }
}

/// A wait that has begun.
type Wait = BoxFuture<'static, ()>;

/// Sends what `requests` gives with `send`, which enqueues a message when it is called, and gives the answers.
pub(super) struct Pipeline<S, F, W> {
    /// Until it has ended, or a message has failed.
    requests: Option<S>,
    send: F,
    wait: W,
    unanswered: FuturesOrdered<BoxFuture<'static, Sent>>,
    /// The last entry of each of these, or what it follows on.
    lasts: VecDeque<Option<LogId>>,
    bytes: usize,
    /// The last entry that was sent, and up to where everything was said to be committed; `None` before the first message.
    sent: Option<(Option<LogId>, Option<LogId>)>,
    /// What the follower has, by its last answer; `None` before the first.
    reached: Option<Option<LogId>>,
    /// While it lasts nothing leaves behind what is unanswered.
    patience: Option<Wait>,
    /// A message without entries, and how long it still waits for some.
    held: Option<(AppendEntriesRequest<Types>, Wait)>,
}

impl<S, F, W> Pipeline<S, F, W>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Unpin,
    F: FnMut(&AppendEntriesRequest<Types>) -> BoxFuture<'static, Answer>,
    W: FnMut(Duration) -> Wait,
{
    pub(super) fn new(requests: S, send: F, wait: W) -> Pipeline<S, F, W> {
        Pipeline {
            requests: Some(requests),
            send,
            wait,
            unanswered: FuturesOrdered::new(),
            lasts: VecDeque::new(),
            bytes: 0,
            sent: None,
            reached: None,
            patience: None,
            held: None,
        }
    }

    /// Sends what there is, as far as it may leave.
    fn send_on(&mut self, cx: &mut Context<'_>) {
        while self.may_follow(cx) {
            let Some(requests) = &mut self.requests else { break };
            match requests.poll_next_unpin(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => self.requests = None,
                Poll::Ready(Some(request)) => self.hold_or_send(request),
            }
        }
        let is_over = |(_, wait): &mut (_, Wait)| wait.poll_unpin(cx).is_ready();
        if self.requests.is_none() || self.held.as_mut().is_some_and(is_over) {
            let held = self.held.take();
            held.into_iter().for_each(|(request, _)| self.send(&request));
        }
    }

    /// Whether another message may leave.
    fn may_follow(&mut self, cx: &mut Context<'_>) -> bool {
        if self.unanswered.is_empty() {
            return true;
        }
        if self.patience.as_mut().is_some_and(|patience| patience.poll_unpin(cx).is_ready()) {
            self.patience = None;
        }
        let has_room = self.unanswered.len() < MESSAGES_MAX && self.bytes < BYTES_MAX;
        has_room && self.patience.is_none()
    }

    fn hold_or_send(&mut self, request: AppendEntriesRequest<Types>) {
        let held = self.held.as_ref().map(|(held, _)| (held.prev_log_id, held.leader_commit));
        let is_no_news = request.entries.is_empty()
            && held.or(self.sent) == Some((request.prev_log_id, request.leader_commit));
        if is_no_news {
            self.requests = None;
            self.unanswered.push_back(future::ready(Sent::nothing()).boxed());
            self.lasts.push_back(None);
            return;
        }
        let is_news_only =
            request.entries.is_empty() && self.sent.is_some_and(|(last, _)| last == request.prev_log_id);
        if !(is_news_only && self.unanswered.is_empty()) {
            // What leaves now says all that was held.
            self.held = None;
            return self.send(&request);
        }
        let wait = self.held.take().map_or_else(|| (self.wait)(HOLD), |(_, wait)| wait);
        self.held = Some((request, wait));
    }

    fn send(&mut self, request: &AppendEntriesRequest<Types>) {
        let bytes = bytes_of(request);
        let prev = request.prev_log_id;
        let last = request.entries.last().map(|entry| entry.log_id).or(prev);
        let answer = (self.send)(request);
        let sent = async move { Sent { bytes, prev, last, answer: answer.await } };
        self.unanswered.push_back(sent.boxed());
        self.lasts.push_back(last);
        self.bytes += bytes;
        self.sent = Some((last, request.leader_commit));
        self.patience = Some((self.wait)(PATIENCE));
    }

    /// What openraft is told, if now; the end of everything if it is no success.
    fn take(&mut self, Sent { bytes, prev, last, answer }: Sent) -> Option<Told> {
        self.bytes -= bytes;
        self.lasts.pop_front();
        let told = match answer {
            Ok(answer) if answer.is_conflict() && self.reached == Some(prev) => Err(Overtook.into()),
            Ok(answer) => Ok(answer.into_stream_result(prev, last)),
            Err(unreachable) => Err(unreachable.into()),
        };
        if matches!(&told, Ok(Ok(reached)) if *reached == last) {
            self.reached = Some(last);
            // What follows says no more than this, and is to be answered first.
            return (self.lasts.front() != Some(&last)).then_some(told);
        }
        self.requests = None;
        self.held = None;
        self.unanswered.clear();
        self.lasts.clear();
        self.bytes = 0;
        Some(told)
    }
}

impl<S, F, W> Stream for Pipeline<S, F, W>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Unpin,
    F: FnMut(&AppendEntriesRequest<Types>) -> BoxFuture<'static, Answer> + Unpin,
    W: FnMut(Duration) -> Wait + Unpin,
{
    type Item = Told;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Told>> {
        let this = &mut *self;
        loop {
            this.send_on(cx);
            match this.unanswered.poll_next_unpin(cx) {
                Poll::Ready(Some(sent)) => {
                    if let Some(told) = this.take(sent) {
                        return Poll::Ready(Some(told));
                    }
                }
                Poll::Ready(None) if this.requests.is_none() => return Poll::Ready(None),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

fn bytes_of(request: &AppendEntriesRequest<Types>) -> usize {
    let bytes = request.entries.iter().map(|entry| match &entry.payload {
        Payload::Normal(batch) => batch.payload.len(),
        Payload::Blank | Payload::Membership(_) => 0,
    });
    bytes.sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use chronos_wal::Mark;
    use futures::stream;
    use openraft::raft::StreamAppendError;
    use parking_lot::Mutex;
    use tokio::sync::oneshot;

    use super::*;
    use crate::node::NodeId;
    use crate::raft::types::{Batch, Entry, Vote, log_id_of, ours};

    /// Message number `at`: one entry behind the one before.
    fn request(at: u64, bytes: usize) -> AppendEntriesRequest<Types> {
        let id = |at| log_id_of(Mark { index: at, term: 1 });
        let payload = Payload::Normal(Batch { payload: Bytes::from(vec![1; bytes]), commands: None });
        AppendEntriesRequest {
            vote: Vote::new_committed(1, NodeId::FIRST),
            prev_log_id: id(at),
            leader_commit: None,
            entries: vec![Entry { log_id: id(ours(at)).unwrap(), payload }],
        }
    }

    /// Message number `at` without an entry.
    fn news(at: u64) -> AppendEntriesRequest<Types> {
        AppendEntriesRequest { entries: Vec::new(), ..request(at, 0) }
    }

    /// The same, which says that more is committed.
    fn newer(at: u64, committed: u64) -> AppendEntriesRequest<Types> {
        AppendEntriesRequest { leader_commit: log_id_of(Mark { index: committed, term: 1 }), ..news(at) }
    }

    /// The other side: what was sent, and how to answer it; and the clock: what is waited for.
    #[derive(Clone, Default)]
    struct Other(Arc<Mutex<Vec<Option<oneshot::Sender<Answer>>>>>, Arc<Mutex<Vec<Begun>>>);

    /// A wait of this length, and what ends it.
    type Begun = (Duration, oneshot::Sender<()>);

    impl Other {
        fn send(&self) -> BoxFuture<'static, Answer> {
            let (answer, answered) = oneshot::channel();
            self.0.lock().push(Some(answer));
            Box::pin(async { answered.await.unwrap() })
        }

        fn wait(&self, wait: Duration) -> Wait {
            let (over, waiting) = oneshot::channel();
            self.1.lock().push((wait, over));
            waiting.map(drop).boxed()
        }

        /// All waits of this length that have begun are over.
        fn pass(&self, wait: Duration) {
            self.1.lock().retain(|(of, _)| *of != wait);
        }

        fn sent(&self) -> usize {
            self.0.lock().len()
        }

        fn answer(&self, number: usize, answer: Answer) {
            let _ = self.0.lock()[number].take().unwrap().send(answer);
        }
    }

    fn to(
        other: &Other,
        requests: impl Stream<Item = AppendEntriesRequest<Types>> + Unpin,
    ) -> impl Stream<Item = Told> + Unpin {
        let (other, clock) = (other.clone(), other.clone());
        let send = move |_: &AppendEntriesRequest<Types>| other.send();
        Pipeline::new(requests, send, move |wait| clock.wait(wait))
    }

    /// What is told now.
    fn next(told: &mut (dyn Stream<Item = Told> + Unpin)) -> Option<Option<Told>> {
        told.next().now_or_never()
    }

    /// Polls until nothing more leaves, though nothing is answered.
    fn all_leave(other: &Other, told: &mut (dyn Stream<Item = Told> + Unpin)) {
        let mut before = usize::MAX;
        while before != other.sent() {
            before = other.sent();
            other.pass(PATIENCE);
            assert!(next(told).is_none());
        }
    }

    fn index(told: Option<Told>) -> u64 {
        told.unwrap().unwrap().unwrap().unwrap().index
    }

    #[test]
    fn a_message_leaves_when_the_one_before_is_answered_or_after_a_while_and_answers_come_out_in_order() {
        let other = Other::default();
        let mut told = to(&other, stream::iter((1..5).map(|at| request(at, 10))));
        assert!(next(&mut told).is_none());
        assert_eq!(other.sent(), 1, "a message left at once behind another");
        other.answer(0, Ok(AppendEntriesResponse::Success));
        assert_eq!(index(next(&mut told).unwrap()), 1);
        assert!(next(&mut told).is_none());
        assert_eq!(other.sent(), 2);
        all_leave(&other, &mut told);
        assert_eq!(other.sent(), 4, "a message waited for an answer for too long");
        other.answer(2, Ok(AppendEntriesResponse::Success));
        assert!(next(&mut told).is_none(), "an answer came out before an earlier one");
        other.answer(1, Ok(AppendEntriesResponse::Success));
        assert_eq!((index(next(&mut told).unwrap()), index(next(&mut told).unwrap())), (2, 3));
        other.answer(3, Ok(AppendEntriesResponse::Success));
        assert_eq!(index(next(&mut told).unwrap()), 4);
        assert!(next(&mut told).unwrap().is_none(), "it ends when everything is answered");
    }

    #[test]
    fn news_waits_for_entries_and_leaves_with_them_or_alone_after_a_while() {
        let other = Other::default();
        let (requests, mut told) = {
            let (requests, given) = futures::channel::mpsc::unbounded();
            (requests, to(&other, given))
        };
        let give = |request| requests.unbounded_send(request).unwrap();
        give(request(1, 10));
        assert!(next(&mut told).is_none());
        other.answer(0, Ok(AppendEntriesResponse::Success));
        assert_eq!(index(next(&mut told).unwrap()), 1);
        give(newer(ours(1), 1));
        give(newer(ours(1), 2));
        assert!(next(&mut told).is_none());
        assert_eq!(other.sent(), 1, "news left alone at once");
        give(request(2, 10));
        assert!(next(&mut told).is_none());
        assert_eq!(other.sent(), 2, "entries waited with the news");
        other.answer(1, Ok(AppendEntriesResponse::Success));
        assert_eq!(index(next(&mut told).unwrap()), 2);
        other.pass(HOLD);
        assert!(next(&mut told).is_none());
        assert_eq!(other.sent(), 2, "news was sent that had left with entries");
        give(newer(ours(2), 3));
        assert!(next(&mut told).is_none());
        other.pass(HOLD);
        assert!(next(&mut told).is_none());
        assert_eq!(other.sent(), 3, "news was never told");
        other.answer(2, Ok(AppendEntriesResponse::Success));
        assert_eq!(index(next(&mut told).unwrap()), 2);
        give(newer(ours(2), 4));
        drop(requests);
        assert!(next(&mut told).is_none());
        assert_eq!(other.sent(), 4, "the last news was kept");
    }

    #[test]
    fn a_stream_whose_entries_are_gone_ends() {
        for is_answered in [true, false] {
            let other = Other::default();
            let mut told = to(&other, stream::repeat(news(7)));
            assert!(next(&mut told).is_none());
            assert_eq!(other.sent(), 1);
            if is_answered {
                other.answer(0, Ok(AppendEntriesResponse::Success));
                assert_eq!(index(next(&mut told).unwrap()), 6);
            } else {
                other.pass(PATIENCE);
                assert!(next(&mut told).is_none());
                other.answer(0, Ok(AppendEntriesResponse::Success));
                assert_eq!(index(next(&mut told).unwrap()), 6);
            }
            assert!(matches!(next(&mut told), Some(Some(Err(RPCError::Unreachable(_))))));
            assert!(next(&mut told).unwrap().is_none());
            assert_eq!(other.sent(), 1);
        }
    }

    #[test]
    fn the_first_message_is_never_held_back() {
        let other = Other::default();
        let mut told = to(&other, stream::iter([news(7)]).chain(stream::pending()));
        assert!(next(&mut told).is_none());
        assert_eq!(other.sent(), 1);
    }

    /// Otherwise the moment at which the news left would count as answered with what left before.
    #[test]
    fn an_answer_is_kept_while_news_is_on_its_way_behind_it() {
        let other = Other::default();
        let mut told = to(&other, stream::iter([request(1, 10), newer(ours(1), 2)]).chain(stream::pending()));
        all_leave(&other, &mut told);
        assert_eq!(other.sent(), 2);
        other.answer(0, Ok(AppendEntriesResponse::Success));
        assert!(next(&mut told).is_none(), "an answer vouches for a message that left later");
        other.answer(1, Ok(AppendEntriesResponse::Success));
        assert_eq!(index(next(&mut told).unwrap()), 1);
        assert!(next(&mut told).is_none());
    }

    #[test]
    fn nothing_is_sent_and_nothing_comes_out_behind_a_failure() {
        let failures = [
            Ok(AppendEntriesResponse::Conflict),
            Ok(AppendEntriesResponse::HigherVote(Vote::new(9, NodeId::new(2)))),
            Ok(AppendEntriesResponse::PartialSuccess(log_id_of(Mark { index: 1, term: 1 }))),
            Err(Unreachable::new(&std::io::Error::other("away"))),
        ];
        for failure in failures {
            let other = Other::default();
            let requests = stream::iter([request(1, 10), request(2, 10)]).chain(stream::pending());
            let mut told = to(&other, requests);
            all_leave(&other, &mut told);
            other.answer(1, Ok(AppendEntriesResponse::Success));
            let is_conflict = matches!(failure, Ok(AppendEntriesResponse::Conflict));
            other.answer(0, failure);
            let first = told.next().now_or_never().unwrap().unwrap();
            let conflict = matches!(first, Ok(Err(StreamAppendError::Conflict(at))) if at.index == 0);
            assert_eq!(conflict, is_conflict, "{first:?}");
            assert!(told.next().now_or_never().unwrap().is_none(), "something came out behind {first:?}");
        }
    }

    #[test]
    fn a_message_that_overtakes_another_is_no_follower_that_forgets() {
        let other = Other::default();
        let mut told = to(&other, stream::iter([request(1, 10), request(2, 10)]));
        all_leave(&other, &mut told);
        other.answer(1, Ok(AppendEntriesResponse::Conflict));
        other.answer(0, Ok(AppendEntriesResponse::Success));
        assert_eq!(index(told.next().now_or_never().unwrap()), 1);
        let second = told.next().now_or_never().unwrap().unwrap();
        assert!(matches!(second, Err(RPCError::Unreachable(_))), "{second:?}");
        assert!(told.next().now_or_never().unwrap().is_none());
    }

    #[test]
    fn what_is_unanswered_is_bounded_in_messages_and_in_bytes() {
        let cases = [(10, MESSAGES_MAX), (BYTES_MAX / 4, 4), (BYTES_MAX + 1, 1)];
        for (bytes, most) in cases {
            let other = Other::default();
            let mut told = to(&other, stream::iter((1..50).map(|at| request(at, bytes))));
            all_leave(&other, &mut told);
            assert_eq!(other.sent(), most, "messages of {bytes} bytes");
            other.answer(0, Ok(AppendEntriesResponse::Success));
            assert_eq!(index(told.next().now_or_never().unwrap()), 1);
            all_leave(&other, &mut told);
            assert_eq!(other.sent(), most + 1, "an answer made no room");
        }
    }
}
