//! Entries on their way to one follower, several messages at a time.
//!
//! A message leaves when there are entries for it, not when the one before is answered: how much a group replicates does
//! then not depend on how long the way is. Invariants:
//!
//! * *Messages leave in order*: each is enqueued on the link before the next one is asked for. They arrive in order as
//!   far as they arrive; a follower that misses one refuses the next, because it does not follow on what it has. Nothing
//!   but speed depends on that order ([`Overtook`]).
//! * *Answers come out in order*, as openraft wants them, and nothing comes out behind a failure: whoever asked starts
//!   again behind what was acknowledged last. What was sent meanwhile may still be appended, which is what it is for.
//! * *Bounded*, in messages and bytes. A message larger than the bound travels alone.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, Stream, StreamExt};
use openraft::errors::{RPCError, Unreachable};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendResult};

use super::types::{LogId, Payload, Types};

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

/// Sends what `requests` gives with `send`, which enqueues a message when it is called, and gives the answers.
pub(super) struct Pipeline<S, F> {
    /// Until it has ended, or a message has failed.
    requests: Option<S>,
    send: F,
    unanswered: FuturesOrdered<BoxFuture<'static, Sent>>,
    bytes: usize,
    /// What the follower has, by its last answer; `None` before the first.
    reached: Option<Option<LogId>>,
}

impl<S, F> Pipeline<S, F>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Unpin,
    F: FnMut(&AppendEntriesRequest<Types>) -> BoxFuture<'static, Answer>,
{
    pub(super) fn new(requests: S, send: F) -> Pipeline<S, F> {
        let unanswered = FuturesOrdered::new();
        Pipeline { requests: Some(requests), send, unanswered, bytes: 0, reached: None }
    }

    /// Sends what there is, as far as there is room.
    fn send_on(&mut self, cx: &mut Context<'_>) {
        while self.unanswered.is_empty() || self.unanswered.len() < MESSAGES_MAX && self.bytes < BYTES_MAX {
            let Some(requests) = &mut self.requests else { return };
            match requests.poll_next_unpin(cx) {
                Poll::Pending => return,
                Poll::Ready(None) => self.requests = None,
                Poll::Ready(Some(request)) => {
                    let bytes = bytes_of(&request);
                    let prev = request.prev_log_id;
                    let last = request.entries.last().map(|entry| entry.log_id).or(prev);
                    let answer = (self.send)(&request);
                    self.bytes += bytes;
                    let sent = async move { Sent { bytes, prev, last, answer: answer.await } };
                    self.unanswered.push_back(Box::pin(sent));
                }
            }
        }
    }

    /// What openraft is told; the end of everything if it is no success.
    fn take(&mut self, Sent { bytes, prev, last, answer }: Sent) -> Told {
        self.bytes -= bytes;
        let told = match answer {
            Ok(answer) if answer.is_conflict() && self.reached == Some(prev) => Err(Overtook.into()),
            Ok(answer) => Ok(answer.into_stream_result(prev, last)),
            Err(unreachable) => Err(unreachable.into()),
        };
        match &told {
            Ok(Ok(reached)) if *reached == last => self.reached = Some(last),
            _ => {
                self.requests = None;
                self.unanswered.clear();
                self.bytes = 0;
            }
        }
        told
    }
}

impl<S, F> Stream for Pipeline<S, F>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Unpin,
    F: FnMut(&AppendEntriesRequest<Types>) -> BoxFuture<'static, Answer> + Unpin,
{
    type Item = Told;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Told>> {
        let this = &mut *self;
        this.send_on(cx);
        match this.unanswered.poll_next_unpin(cx) {
            Poll::Ready(Some(sent)) => Poll::Ready(Some(this.take(sent))),
            Poll::Ready(None) if this.requests.is_none() => Poll::Ready(None),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
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
    use futures::{FutureExt, stream};
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

    /// The other side: what was sent, and how to answer it.
    #[derive(Clone, Default)]
    struct Other(Arc<Mutex<Vec<Option<oneshot::Sender<Answer>>>>>);

    impl Other {
        fn send(&self) -> BoxFuture<'static, Answer> {
            let (answer, answered) = oneshot::channel();
            self.0.lock().push(Some(answer));
            Box::pin(async { answered.await.unwrap() })
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
        let other = other.clone();
        Pipeline::new(requests, move |_: &AppendEntriesRequest<Types>| other.send())
    }

    fn index(told: Option<Told>) -> u64 {
        told.unwrap().unwrap().unwrap().unwrap().index
    }

    #[test]
    fn messages_leave_before_the_first_is_answered_and_answers_come_out_in_order() {
        let other = Other::default();
        let mut told = to(&other, stream::iter((1..4).map(|at| request(at, 10))));
        assert!(told.next().now_or_never().is_none());
        assert_eq!(other.sent(), 3, "a message waited for an answer");
        other.answer(1, Ok(AppendEntriesResponse::Success));
        assert!(told.next().now_or_never().is_none(), "an answer came out before an earlier one");
        other.answer(0, Ok(AppendEntriesResponse::Success));
        let next = |told: &mut (dyn Stream<Item = Told> + Unpin)| told.next().now_or_never();
        assert_eq!((index(next(&mut told).unwrap()), index(next(&mut told).unwrap())), (1, 2));
        other.answer(2, Ok(AppendEntriesResponse::Success));
        assert_eq!(index(next(&mut told).unwrap()), 3);
        assert!(next(&mut told).unwrap().is_none(), "it ends when everything is answered");
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
            assert!(told.next().now_or_never().is_none());
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
        assert!(told.next().now_or_never().is_none());
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
            assert!(told.next().now_or_never().is_none());
            assert_eq!(other.sent(), most, "messages of {bytes} bytes");
            other.answer(0, Ok(AppendEntriesResponse::Success));
            assert_eq!(index(told.next().now_or_never().unwrap()), 1);
            assert!(told.next().now_or_never().is_none());
            assert_eq!(other.sent(), most + 1, "an answer made no room");
        }
    }
}
