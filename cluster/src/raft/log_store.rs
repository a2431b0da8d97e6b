//! openraft's log on the write-ahead log.
//!
//! * **One order.** Votes, entries, truncations and purges go through one queue of the write-ahead log, in the order in
//!   which openraft asks for them; completions come back in that order, after the sync.
//! * **A completion says `Ok` only after the sync.** Entries are readable as soon as they are appended.
//! * **A read that fails stops the group**, and so does a failed write: a log that answers wrongly is worse than none.
//! * **A full disk does not.** openraft takes any error of the log for its end. So an append for which there is no room is
//!   not answered at all: openraft never counts it, and whoever watches over the group ends it in order and starts it
//!   anew once there is room ([`Trouble`]). The write-ahead log has taken nothing of it, nor of what came behind it; until
//!   the end it is readable from memory, because other nodes may have committed it.
//! * **The commit mark** is what openraft says, recorded lazily: after a crash it may lag behind, never lead.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds, RangeInclusive};
use std::sync::Arc;

use chronos_bugs::{Bug, is_seeded};
use chronos_env::Env;
use chronos_wal::{Fault, Log, Mark, ReadError};
use futures::stream::{self, Stream};
use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::codec::{decode_vote, encode_vote, from_log};
use super::tail::{KEPT_BYTES, Tail};
use super::trouble::Trouble;
use super::types::{Entry, LogId, Types, Vote, log_id_of, mark_of, ours};

/// Bytes of payload in one message to another node, unless a single entry is larger.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes of payload read at a time for whoever wants everything.
const BATCH_BYTES: usize = 4 << 20;

/// The log of one group. Clones share it.
#[derive(Clone)]
pub(crate) struct LogStore(Arc<Shared>);

struct Shared {
    env: Env,
    log: Log,
    tail: Mutex<Tail>,
    trouble: Trouble,
    purged: watch::Sender<u64>,
}

impl LogStore {
    /// A log whose newest entries stay in memory for a while if there are `followers` to be sent them.
    pub(crate) fn new(env: &Env, log: Log, trouble: Trouble, followers: bool) -> LogStore {
        let purged = watch::Sender::new(log.state().purged.map_or(0, |mark| mark.index));
        let tail = Mutex::new(Tail::keeping(if followers { KEPT_BYTES } else { 0 }));
        LogStore(Arc::new(Shared { env: env.clone(), log, tail, trouble, purged }))
    }

    /// Entries up to this one have been applied.
    pub(crate) fn applied(&self, index: u64) {
        let mut tail = self.0.tail.lock();
        tail.applied(index);
        if tail.is_large() {
            tail.evict(self.0.log.state().flushed);
        }
    }

    /// The log is about to go on behind this entry, whether it has it or not.
    pub(crate) fn skipped_to(&self, index: u64) {
        let last = self.0.log.state().last.map_or(0, |last| last.index);
        if index >= last {
            self.0.tail.lock().clear();
        }
    }

    /// The last entry that is on disk for good, as far as the log still knows its term.
    pub(crate) fn flushed(&self) -> Option<LogId> {
        self.0.log.mark_at(self.0.log.state().flushed).and_then(log_id_of)
    }

    /// Follows how far the log is purged for good.
    pub(crate) fn watch_purged(&self) -> watch::Receiver<u64> {
        self.0.purged.subscribe()
    }

    /// What an operation is told, other than an append.
    fn note(&self, what: &'static str) -> impl FnOnce(Result<(), Fault>) + Send + 'static {
        let trouble = self.0.trouble.clone();
        move |done| {
            if let Err(fault) = done {
                drop(trouble.failed(format!("the log stopped at {what}: {fault}")));
            }
        }
    }

    /// The range as openraft's indexes, from the first entry there is to behind the last one.
    fn clamp(&self, range: &impl RangeBounds<u64>) -> (u64, u64) {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        // What the log refuses for want of room is in memory until the group ends: others may have committed it.
        let tail = {
            let tail = self.0.tail.lock();
            tail.first().zip(tail.end())
        };
        // As everybody counts from 1, the last entry's number is openraft's index behind it.
        let logged = self.0.log.bounds().map(|(first, last)| (first - 1, last));
        let (first, behind) = match (logged, tail) {
            (Some((first, last)), Some((_, end))) => (first, last.max(end)),
            (all, None) | (None, all) => all.unwrap_or_default(),
        };
        (start.max(first), end.min(behind))
    }

    /// Entries from `start` on, below `end`, both of which there are: at least one, and then until they have `bytes_max`.
    async fn some(&self, start: u64, end: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let held = self.0.tail.lock().read(start, end, bytes_max);
        if !held.is_empty() {
            return Ok(held);
        }
        // What is not in memory any more is on disk, up to where memory begins.
        let shared = Arc::clone(&self.0);
        let end = shared.tail.lock().first().map_or(end, |first| end.min(first.max(start + 1)));
        chronos_env::sometimes!("raft.entries_read_from_disk");
        let read = self.0.env.tasks.blocking(move || shared.read(start, end, bytes_max)).await;
        read.map_err(|error| self.0.trouble.failed(error))
    }

    async fn all(&self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let (mut entries, mut next) = (Vec::new(), start);
        while next < end {
            let mut some = self.some(next, end, BATCH_BYTES).await?;
            next += some.len() as u64;
            entries.append(&mut some);
        }
        Ok(entries)
    }

    fn vote(&self) -> io::Result<Option<Vote>> {
        let vote = self.0.log.state().vote;
        let vote = vote.map(|bytes| decode_vote(&bytes)).transpose();
        vote.map_err(|malformed| self.0.trouble.failed(malformed.to_string()))
    }

    fn log_id_at(&self, index: u64) -> Option<LogId> {
        self.0.log.mark_at(ours(index)).and_then(log_id_of)
    }
}

impl Shared {
    /// As [`LogStore::some`], from the disk. Blocks.
    fn read(&self, start: u64, end: u64, bytes_max: usize) -> Result<Vec<Entry>, String> {
        let logged = self.log.read(ours(start), bytes_max).map_err(|error| match error {
            ReadError::NotHere { .. } => format!("the log has lost an entry: {error}"),
            error => format!("the log cannot be read: {error}"),
        })?;
        let below = logged.into_iter().take_while(|logged| logged.index < ours(end));
        let entries: Result<Vec<_>, _> = below.map(from_log).collect();
        let entries =
            entries.map_err(|malformed| format!("an entry of the log cannot be read: {malformed}"))?;
        if entries.is_empty() {
            Err(format!("the log gave nothing from entry {} on", ours(start)))
        } else {
            Ok(entries)
        }
    }
}

/// A vote that may have been cast before this one.
fn vote_before(vote: &Vote) -> Option<Vote> {
    let term = vote.leader_id.term.checked_sub(1)?;
    Some(Vote::new(term, vote.leader_id.voted_for))
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R>(&mut self, range: R) -> io::Result<Vec<Entry>>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = self.clamp(&range);
        self.all(start, end).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        let vote = self.vote()?;
        Ok(if is_seeded(Bug::M3) { vote.and_then(|vote| vote_before(&vote)) } else { vote })
    }

    /// Nothing where the first of them is purged: what comes behind a gap must never be sent. openraft may still ask, when
    /// it has given up a follower's progress and the log was purged before its stream to that follower has heard of it.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let (there, end) = self.clamp(&(start..end));
        if there > start || start >= end {
            return Ok(Vec::new());
        }
        self.some(start, end, MESSAGE_BYTES_MAX).await
    }

    /// A piece at a time: a follower that has much to apply holds little of it in memory.
    async fn entries_stream<R>(&mut self, range: R) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = self.clamp(&range);
        let pieces = stream::unfold((self.clone(), start), move |(log, next)| async move {
            if next >= end {
                return None;
            }
            match log.some(next, end, BATCH_BYTES).await {
                Ok(some) => {
                    let behind = next + some.len() as u64;
                    Some((some.into_iter().map(Ok).collect(), (log, behind)))
                }
                Err(error) => Some((vec![Err(error)], (log, end))),
            }
        });
        futures::StreamExt::flat_map(pieces, stream::iter)
    }

    /// The last entry of each term. (The trait speaks of the first; what openraft keeps, and its own implementation
    /// gives, is the last.) Terms are in memory, so that finding where they change asks no disk.
    async fn get_key_log_ids(&mut self, range: RangeInclusive<LogId>) -> io::Result<Vec<LogId>> {
        let (first, last) = range.into_inner();
        let at = |index| {
            let lost = || self.0.trouble.failed(format!("the log has lost entry {}", ours(index)));
            self.log_id_at(index).ok_or_else(lost)
        };
        let (mut keys, mut low) = (Vec::new(), first);
        while low.leader_id.term < last.leader_id.term {
            let term = low.leader_id.term;
            let mut high = last.index;
            // `low` has the term, `high` a later one.
            while high - low.index > 1 {
                let middle = at(low.index + (high - low.index) / 2)?;
                if middle.leader_id.term == term { low = middle } else { high = middle.index }
            }
            keys.push(low);
            low = at(high)?;
        }
        keys.push(last);
        Ok(keys)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let state = self.0.log.state();
        Ok(LogState {
            last_purged_log_id: state.purged.and_then(log_id_of),
            last_log_id: state.last.and_then(log_id_of),
        })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let (tell, told) = oneshot::channel();
        self.0.log.save_vote(encode_vote(vote), Box::new(move |done| drop(tell.send(done))));
        match told.await.unwrap_or(Err(Fault::Closed)) {
            Ok(()) => Ok(()),
            Err(fault @ Fault::NoSpace) => {
                self.0.trouble.full(0);
                Err(io::Error::other(fault))
            }
            Err(fault) => Err(self.0.trouble.failed(format!("the log stopped: {fault}"))),
        }
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(committed) = committed {
            self.0.log.commit(ours(committed.index));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        let state = self.0.log.state();
        let last = state.last.map_or(0, |mark| mark.index);
        // Of a mark that lies behind what was purged nobody knows the term, and parts say more anyway.
        Ok(self.0.log.mark_at(state.committed.min(last)).and_then(log_id_of))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let logged = self.0.tail.lock().push(entries);
        let bytes = logged.iter().map(|entry| entry.payload.len()).sum();
        if let Some(last) = logged.last().filter(|_| is_seeded(Bug::M4)) {
            self.0.log.commit(last.index);
        }
        let trouble = self.0.trouble.clone();
        let done = move |done| match done {
            Ok(()) => callback.io_completed(Ok(())),
            Err(Fault::NoSpace) => trouble.full(bytes),
            Err(fault) => callback.io_completed(Err(trouble.failed(format!("the log stopped: {fault}")))),
        };
        self.0.log.append(logged, Box::new(done));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let Mark { index, .. } = mark_of(last_log_id.as_ref());
        chronos_env::sometimes!("raft.log_truncated");
        chronos_env::sometimes!("raft.truncated_above_commit", index > self.0.log.state().committed);
        self.0.tail.lock().truncate(index);
        self.0.log.truncate(index, Box::new(self.note("a truncation")));
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let mark = mark_of(Some(&log_id));
        let (note, store) = (self.note("a purge"), self.clone());
        let done = move |done: Result<(), Fault>| {
            if done.is_ok() {
                store.0.purged.send_if_modified(|purged| {
                    let rises = mark.index > *purged;
                    *purged = mark.index.max(*purged);
                    rises
                });
            }
            note(done);
        };
        let last = self.0.log.state().last.map_or(0, |last| last.index);
        if mark.index >= last {
            self.0.tail.lock().clear();
        }
        self.0.log.purge_to(mark, Box::new(done));
        Ok(())
    }
}
