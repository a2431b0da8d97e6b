//! One logical log: what a caller holds.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chronos_env::Disk;
use parking_lot::Mutex;

use crate::format::VOTE_BYTES_MAX;
use crate::frame::framed_len;
use crate::queue::{Op, Queue, Work};
use crate::reader;
use crate::shelf::Shelf;
use crate::view::{Admission, View};
use crate::{Corrupt, Fault, LogId, Mark, ReadError};

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its position; indexes of a log are consecutive.
    pub index: u64,
    /// The term it was proposed in.
    pub term: u64,
    /// The caller's bytes.
    pub payload: Bytes,
}

/// Told once what became of an operation. Fired on the lane's thread, in the order of the calls; must not block.
/// After [`Wal::close`](crate::Wal::close) it is fired at once on the caller's.
pub type Completion = Box<dyn FnOnce(Result<(), Fault>) + Send + 'static>;

/// What a log holds at this moment, queued operations included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// Up to where entries were purged.
    pub purged: Option<Mark>,
    /// The last entry, or the purge mark when none is left.
    pub last: Option<Mark>,
    /// Entries up to this index are on disk for good; 0 when none is.
    pub flushed: u64,
    /// The greatest index given to [`Log::commit`]; after a restart, the last one recorded, which may lag behind.
    pub committed: u64,
    /// The last vote that is durable.
    pub vote: Option<Bytes>,
}

/// What the handles of one log and its lane share. Lock order: the view, then the queue.
pub(crate) struct LogCell {
    pub(crate) id: LogId,
    pub(crate) queue: Arc<Queue>,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) view: Mutex<View>,
    pub(crate) committed: AtomicU64,
    pub(crate) closed: Mutex<Closed>,
    /// The most bytes of frames one unit takes from one append.
    pub(crate) part_bytes: usize,
    pub(crate) payload_bytes_max: usize,
}

/// Whether recovery found a log damaged, and what has become of it since.
pub(crate) enum Closed {
    No,
    /// Nothing is read or written.
    Corrupt(Corrupt),
    /// All of it will be forgotten: until that is durable, nothing may be written that does not stand behind it in the
    /// queue.
    Resetting,
}

impl LogCell {
    fn refuses(&self) -> Option<Fault> {
        self.corrupt().map(|corrupt| Fault::Poisoned(Arc::from(corrupt.to_string())))
    }

    /// Why nothing is read or written.
    pub(crate) fn corrupt(&self) -> Option<Corrupt> {
        match &*self.closed.lock() {
            Closed::Corrupt(corrupt) => Some(corrupt.clone()),
            Closed::No | Closed::Resetting => None,
        }
    }

    /// Whether what is on disk of the log cannot be relied on.
    pub(crate) fn is_corrupt(&self) -> bool {
        !matches!(*self.closed.lock(), Closed::No)
    }

    /// The damage is forgotten, for good.
    pub(crate) fn opened(&self) {
        *self.closed.lock() = Closed::No;
    }
}

/// A handle to one log. Clones share it. No call blocks on the disk except the reads.
///
/// The order of calls is the order on disk and the order of completions. Calls for one log must not race each
/// other: the caller decides the order.
#[derive(Clone)]
pub struct Log {
    pub(crate) cell: Arc<LogCell>,
}

impl Log {
    /// Which log this is.
    pub fn id(&self) -> LogId {
        self.cell.id
    }

    /// Queues entries; they are readable when this returns and durable when `done` is told `Ok`. All or nothing,
    /// whatever their size: [`Fault::NoSpace`] means that none was written, and that they, and all that were
    /// queued behind them, are out of the log again. Nothing is queued for an empty append: `done` waits its turn.
    ///
    /// # Panics
    /// If the first index does not continue [`LogState::last`] (a log that is empty and was never purged takes
    /// any), if indexes are not consecutive, or if a payload is longer than
    /// [`Config::payload_bytes_max`](crate::Config::payload_bytes_max).
    pub fn append(&self, entries: Vec<Entry>, done: Completion) {
        let longest = entries.iter().map(|entry| entry.payload.len()).max().unwrap_or(0);
        let limit = self.cell.payload_bytes_max;
        assert!(longest <= limit, "a payload of {longest} bytes exceeds the limit of {limit}");
        if entries.is_empty() {
            return self.submit(|_| Work::Nothing, done);
        }
        if let Some(fault) = self.cell.refuses() {
            return self.cell.queue.push([Op::answered(self.cell.id, fault, done)]);
        }
        let mut view = self.cell.view.lock();
        match view.append(&entries) {
            Admission::TooLate => self.cell.queue.push([Op::answered(self.cell.id, Fault::NoSpace, done)]),
            Admission::Granted(ticket) => self.cell.queue.push(self.parts(entries, ticket, done)),
        }
    }

    /// Splits an append into operations of at most `part_bytes` (or one entry), the last of which completes it.
    fn parts(&self, entries: Vec<Entry>, first: crate::queue::Ticket, done: Completion) -> VecDeque<Op> {
        let mut parts: Vec<Vec<Entry>> = vec![Vec::new()];
        let mut room = self.cell.part_bytes;
        for entry in entries {
            let bytes = framed_len(entry.payload.len());
            if bytes > room && parts.last().is_some_and(|part| !part.is_empty()) {
                parts.push(Vec::new());
                room = self.cell.part_bytes;
            }
            room = room.saturating_sub(bytes);
            parts.last_mut().expect("there is always a part being filled").push(entry);
        }
        let mut ticket = first;
        let mut ops: VecDeque<Op> = VecDeque::with_capacity(parts.len());
        for entries in parts {
            let count = entries.len() as u64;
            ops.push_back(Op::new(self.cell.id, Work::Append { entries, ticket, ahead: 0 }, None));
            ticket.0 += count;
        }
        let rest = ops.iter().skip(1).map(|op| op.work.framed_bytes() as u64).sum();
        if let Some(Work::Append { ahead, .. }) = ops.front_mut().map(|op| &mut op.work) {
            *ahead = rest;
        }
        ops.back_mut().expect("an append has at least one part").done = Some(done);
        ops
    }

    /// Queues the vote. Durable, and in [`LogState::vote`], when `done` is told `Ok`.
    ///
    /// # Panics
    /// If the vote is longer than 256 bytes.
    pub fn save_vote(&self, vote: Bytes, done: Completion) {
        assert!(vote.len() <= VOTE_BYTES_MAX, "a vote of {} bytes exceeds {VOTE_BYTES_MAX}", vote.len());
        self.submit(|_| Work::Vote(vote), done);
    }

    /// Drops entries with an index above `after`; they are unreadable when this returns, and gone for good when
    /// `done` is told `Ok`.
    ///
    /// # Panics
    /// If that would drop purged entries.
    pub fn truncate(&self, after: u64, done: Completion) {
        let work =
            |view: &mut View| if view.truncate(after) { Work::Truncate { after } } else { Work::Nothing };
        self.submit(work, done);
    }

    /// Drops entries up to and with index `up_to`; they are unreadable when this returns. When `done` is told `Ok`
    /// they are gone for good, and files that hold nothing else are on their way to being used again.
    ///
    /// # Panics
    /// If `up_to` lies beyond the last entry: then [`Log::purge_to`] is needed, as the term cannot be known.
    pub fn purge(&self, up_to: u64, done: Completion) {
        self.submit(|view| view.purge(up_to).map_or(Work::Nothing, |mark| Work::Purge { mark }), done);
    }

    /// As [`Log::purge`], but `mark` may lie beyond the last entry; the log then continues behind it.
    pub fn purge_to(&self, mark: Mark, done: Completion) {
        self.submit(|view| view.purge_to(mark).map_or(Work::Nothing, |mark| Work::Purge { mark }), done);
    }

    /// Forgets every entry, what was purged, and how far the log was committed; the vote stays. Afterwards the log takes
    /// any entry next, as one that was never written to. It reads so when this returns, and does for good when `done` is
    /// told `Ok`; a crash before that leaves everything as it was.
    ///
    /// A log that recovery found damaged is open again then. Its vote is the last one that could be read, which need not
    /// be the last that was cast: whoever resets such a log must not vote before it has caught up.
    pub fn reset(&self, done: Completion) {
        let mut closed = self.cell.closed.lock();
        if matches!(*closed, Closed::Corrupt(_)) {
            *closed = Closed::Resetting;
        }
        drop(closed);
        let mut view = self.cell.view.lock();
        self.cell.committed.store(0, Ordering::Release);
        view.reset();
        self.cell.queue.push([Op::new(self.cell.id, Work::Reset, Some(done))]);
    }

    /// The damage for which the log is closed, if it is.
    pub fn damage(&self) -> Option<Corrupt> {
        self.cell.corrupt()
    }

    /// Notes that entries up to `index` are committed. Recorded with the next unit that is written anyway, so
    /// after a crash the recorded value may be older; never newer.
    pub fn commit(&self, index: u64) {
        self.cell.committed.fetch_max(index, Ordering::AcqRel);
    }

    /// Asks for room for an append of so many bytes of payload, and writes nothing. `Ok` means that there was room when
    /// the lane came to it; [`Fault::NoSpace`] that there was none. For whoever was told that and waits for space.
    pub fn ask_for_room(&self, bytes: usize, done: Completion) {
        let most = self.cell.part_bytes.max(framed_len(self.cell.payload_bytes_max));
        let bytes = framed_len(bytes).min(most);
        self.submit(|_| Work::Room { bytes }, done);
    }

    fn submit(&self, work: impl FnOnce(&mut View) -> Work, done: Completion) {
        if let Some(fault) = self.cell.refuses() {
            return self.cell.queue.push([Op::answered(self.cell.id, fault, done)]);
        }
        let mut view = self.cell.view.lock();
        let work = work(&mut view);
        self.cell.queue.push([Op::new(self.cell.id, work, Some(done))]);
    }

    /// What the log holds now.
    pub fn state(&self) -> LogState {
        self.cell.view.lock().state(self.cell.committed.load(Ordering::Acquire))
    }

    /// Indexes of the first and the last entry the log holds; `None` when it holds none.
    pub fn bounds(&self) -> Option<(u64, u64)> {
        self.cell.view.lock().bounds()
    }

    /// Index and term of an entry the log holds, or of the last one it was purged of. Does not ask the disk.
    pub fn mark_at(&self, index: u64) -> Option<Mark> {
        self.cell.view.lock().mark_at(index)
    }

    /// Bytes of frames that wait in this log's lane, those of other logs in it included. Whoever appends bounds it.
    pub fn queued_bytes(&self) -> usize {
        self.cell.queue.bytes()
    }

    /// Entries from index `from` on, consecutive, until their payloads reach `max_bytes`; at least one. Each was
    /// checked against its checksum, its log and its index. Blocks on the disk for entries that are flushed.
    ///
    /// # Errors
    /// [`ReadError::NotHere`] if `from` is not held; [`ReadError::Corrupt`] if its bytes, or those of one that
    /// follows, are not what was written; [`ReadError::Io`].
    pub fn read(&self, from: u64, max_bytes: usize) -> Result<Vec<Entry>, ReadError> {
        reader::read(&self.cell, from, max_bytes)
    }

    /// The entry of this index. Blocks on the disk if it is flushed.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn read_one(&self, index: u64) -> Result<Entry, ReadError> {
        let mut entries = reader::read(&self.cell, index, 0)?;
        Ok(entries.remove(0))
    }

    /// Files of segments that this log needs and that are no longer under their names what is open and read: lost, cut,
    /// or exchanged for another one. Reads go on to be served from what is open, and the next start would not find it.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn lost_files(&self, disk: &dyn Disk) -> io::Result<Vec<Corrupt>> {
        let needed = || self.cell.shelf.files_of(self.cell.id);
        let mut lost = Vec::new();
        for segment in needed() {
            let Some(what) = segment.unlike(disk)? else { continue };
            // It may have been let go of meanwhile.
            if needed().iter().any(|still| Arc::ptr_eq(still, &segment)) {
                let (file, log) = (segment.path.clone(), Some(self.cell.id));
                lost.push(Corrupt { file, offset: 0, log, index: None, what });
            }
        }
        Ok(lost)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({})", self.cell.id.get())
    }
}
