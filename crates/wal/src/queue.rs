//! What waits to be written to one lane.
//!
//! Invariants: operations leave in the order they came; once a fault is set it stays, and everything that is still
//! waiting or comes later is answered with it; after [`Queue::end`] nothing waits any more.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::frame::framed_len;
use crate::log::{Completion, Entry};
use crate::{Fault, LogId, Mark};

/// Counts the entries ever given to one log, so that an entry can be told from a later one of the same index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(pub(crate) u64);

/// What an operation asks to be written.
pub(crate) enum Work {
    /// Entries with consecutive indexes. `ticket` is the first one's, the others follow. `ahead` is what the rest
    /// of the same append will take: an append too large for one unit is either begun with room for all or not.
    Append {
        entries: Vec<Entry>,
        ticket: Ticket,
        ahead: u64,
    },
    Vote(Bytes),
    Truncate {
        after: u64,
    },
    Purge {
        mark: Mark,
    },
    /// Everything but the vote is forgotten.
    Reset,
    /// Whether there is room for an append of this many bytes of frames.
    Room {
        bytes: usize,
    },
    /// Only to be answered, in its turn.
    Nothing,
}

impl Work {
    pub(crate) fn frames(&self) -> usize {
        match self {
            Work::Append { entries, .. } => entries.len(),
            Work::Vote(_) | Work::Truncate { .. } | Work::Purge { .. } | Work::Reset => 1,
            Work::Room { .. } | Work::Nothing => 0,
        }
    }

    /// Bytes of the frames, as an upper bound.
    pub(crate) fn framed_bytes(&self) -> usize {
        match self {
            Work::Append { entries, .. } => entries.iter().map(|entry| framed_len(entry.payload.len())).sum(),
            Work::Vote(vote) => framed_len(vote.len()),
            Work::Truncate { .. } => framed_len(0),
            Work::Purge { .. } | Work::Reset => crate::unit::CHECKPOINT_FRAME_MAX,
            Work::Room { .. } | Work::Nothing => 0,
        }
    }
}

/// An operation, and whom to tell.
pub(crate) struct Op {
    pub(crate) log: LogId,
    pub(crate) work: Work,
    /// What to say when its turn is over and nothing went wrong.
    pub(crate) answer: Result<(), Fault>,
    pub(crate) done: Option<Completion>,
}

impl Op {
    pub(crate) fn new(log: LogId, work: Work, done: Option<Completion>) -> Op {
        Op { log, work, answer: Ok(()), done }
    }

    /// An operation that is only told `fault`, but in its turn.
    pub(crate) fn answered(log: LogId, fault: Fault, done: Completion) -> Op {
        Op { log, work: Work::Nothing, answer: Err(fault), done: Some(done) }
    }

    /// Turns it into one that writes nothing and is told `fault`.
    pub(crate) fn refuse(&mut self, fault: Fault) {
        self.work = Work::Nothing;
        self.answer = Err(fault);
    }

    pub(crate) fn finish(self, fault: Option<&Fault>) {
        if let Some(done) = self.done {
            done(fault.map_or(self.answer, |fault| Err(fault.clone())));
        }
    }
}

/// The first fault of any lane, for whoever runs the node.
pub(crate) type FaultBoard = Arc<watch::Sender<Option<Fault>>>;

pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Notify,
    fault: OnceLock<Fault>,
    board: FaultBoard,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Op>,
    bytes: usize,
    closing: bool,
    ended: bool,
}

impl Queue {
    pub(crate) fn new(board: FaultBoard) -> Queue {
        Queue { state: Mutex::default(), wake: Notify::new(), fault: OnceLock::new(), board }
    }

    /// Queues operations, one behind the other without a stranger in between.
    pub(crate) fn push(&self, ops: impl IntoIterator<Item = Op>) {
        let mut state = self.state.lock();
        if state.ended || state.closing {
            drop(state);
            let fault = self.fault().unwrap_or(Fault::Closed);
            ops.into_iter().for_each(|op| op.finish(Some(&fault)));
            return;
        }
        for op in ops {
            state.bytes += op.work.framed_bytes();
            state.waiting.push_back(op);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// The next operations, up to `bytes_max` together but at least one if any waits.
    pub(crate) fn take(&self, bytes_max: usize) -> Vec<Op> {
        let mut state = self.state.lock();
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(op) = state.waiting.front() {
            let more = op.work.framed_bytes();
            if !taken.is_empty() && bytes + more > bytes_max {
                break;
            }
            bytes += more;
            taken.extend(state.waiting.pop_front());
        }
        state.bytes -= bytes;
        taken
    }

    /// Bytes of frames that wait and are not yet being written.
    pub(crate) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// Resolves when something may have changed since the last call. Cancel-safe: a wake-up is never lost.
    pub(crate) async fn changed(&self) {
        self.wake.notified().await;
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault.get().cloned()
    }

    /// Stops the lane for good; only the first reason is kept.
    pub(crate) fn poison(&self, reason: &str) {
        let fault = Fault::Poisoned(Arc::from(reason));
        if self.fault.set(fault.clone()).is_ok() {
            self.board.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(fault);
                is_first
            });
        }
        self.wake.notify_one();
    }

    /// Accepts nothing more; the lane finishes what waits.
    pub(crate) fn close(&self) {
        self.state.lock().closing = true;
        self.wake.notify_one();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.state.lock().closing
    }

    /// The lane is gone: answers whatever still waits, and from now on every newcomer at once.
    pub(crate) fn end(&self) {
        let waiting = {
            let mut state = self.state.lock();
            state.ended = true;
            state.bytes = 0;
            std::mem::take(&mut state.waiting)
        };
        let fault = self.fault().unwrap_or(Fault::Closed);
        waiting.into_iter().for_each(|op| op.finish(Some(&fault)));
    }
}
