//! The handle to one partition: one applier, many readers.

use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chronos_block::{Filter, Page, Range, Recorded};
use chronos_domain::{EventId, LogIndex, Marks, PartitionId, Position, Space, Timestamp, Verdict, Version};
use chronos_env::CrashPoints;
use chronos_wal::Log;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::watch;

use crate::entry::Command;
use crate::fault::Fault;
use crate::load::Loader;
use crate::read::{self, Picked, Reader};
use crate::recent::Recent;
use crate::recover;
use crate::state::State;
use crate::stats::Stats;

pub(crate) const APPLY_BEFORE: &str = "store.apply.before";
pub(crate) const APPLY_AFTER: &str = "store.apply.after";

/// How a partition holds its data.
#[derive(Clone, Debug)]
pub struct Config {
    /// Memory for the newest blocks of one partition, in bytes; older blocks are read from the log when asked for.
    /// An eighth of it again is for older blocks that are read often.
    pub cache_bytes: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { cache_bytes: 64 << 20 }
    }
}

/// One partition. Clones share it.
///
/// Reads return what has been applied, and nothing else. They touch memory only, unless a block they return has been
/// evicted ([`Config::cache_bytes`]): then the calling thread reads the disk.
#[derive(Clone)]
pub struct Partition {
    shared: Arc<Shared>,
}

struct Shared {
    id: PartitionId,
    log: Log,
    crash: CrashPoints,
    state: RwLock<State>,
    recent: Mutex<Recent>,
    log_reads: AtomicU64,
    applied: watch::Sender<Position>,
}

impl Partition {
    /// Rebuilds the partition from its log: every entry is decoded, verified and applied again.
    ///
    /// Blocks while it reads the whole log. With a quorum of one every entry in the log is committed.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when the log does not give back every entry it was given, or when what it gives back cannot
    /// be what was written; [`Fault::Io`] when it could not be read.
    pub fn open(id: PartitionId, log: Log, crash: CrashPoints, config: Config) -> Result<Partition, Fault> {
        let mut state = State::new(id, config.cache_bytes);
        recover::replay(id, &log, &crash, &mut state)?;
        let (applied, _) = watch::channel(state.marks.applied);
        let shared = Shared {
            id,
            log,
            crash,
            state: RwLock::new(state),
            recent: Mutex::new(Recent::new(config.cache_bytes / 8)),
            log_reads: AtomicU64::new(0),
            applied,
        };
        Ok(Partition { shared: Arc::new(shared) })
    }

    /// Which partition this is.
    pub fn id(&self) -> PartitionId {
        self.shared.id
    }

    /// Applies one committed entry of the log: decides every command in order, numbers what it accepts, and makes it
    /// visible to readers before it returns. `commands` is empty for a blank entry. Gives one verdict per command.
    ///
    /// Only the partition's driver calls this, once per entry, in log order, after the entry is durable.
    ///
    /// # Errors
    /// [`Fault::Stopped`] when an earlier call ended half-way; no verdict is given.
    ///
    /// # Panics
    /// If `index` does not follow the last one.
    pub fn apply<C: Borrow<Command>>(&self, index: LogIndex, commands: &[C]) -> Result<Vec<Verdict>, Fault> {
        self.shared.crash.hit(APPLY_BEFORE);
        let (verdicts, head) = {
            let mut state = self.shared.state.write();
            state.check_whole()?;
            let verdicts = state.apply(index, commands);
            (verdicts, state.marks.applied)
        };
        self.shared.applied.send_if_modified(|seen| std::mem::replace(seen, head) != head);
        self.shared.crash.hit(APPLY_AFTER);
        Ok(verdicts)
    }

    /// All marks of this replica.
    pub fn marks(&self) -> Marks {
        self.shared.state.read().marks
    }

    /// Position of the last event readers may see; zero without one.
    pub fn head(&self) -> Position {
        self.marks().applied
    }

    /// Index of the last applied entry; zero without one.
    pub fn applied_index(&self) -> LogIndex {
        self.shared.state.read().applied()
    }

    /// When the last event was recorded; [`Timestamp::MIN`] without one.
    pub fn recorded_at(&self) -> Timestamp {
        self.shared.state.read().numbers().recorded_at()
    }

    /// Follows the applied mark. The value changes only after its events can be read.
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.shared.applied.subscribe()
    }

    /// The event with this id.
    ///
    /// # Errors
    /// A fault of storage.
    pub fn by_id(&self, space: Space<'_>, id: EventId) -> Result<Option<Recorded>, Fault> {
        let picked = {
            let state = self.readable()?;
            let tables = &state.tables;
            let position = tables.spaces.get(space).and_then(|space| tables.find(space, id));
            position.and_then(|position| read::pick_one(tables, position))
        };
        self.one(picked)
    }

    /// The event at a position, of whatever tenant and fork.
    ///
    /// # Errors
    /// A fault of storage.
    pub fn at(&self, position: Position) -> Result<Option<Recorded>, Fault> {
        let picked = read::pick_one(&self.readable()?.tables, position);
        self.one(picked)
    }

    /// Events of one entity, by version. An entity without events gives an empty page.
    ///
    /// # Errors
    /// A fault of storage.
    ///
    /// # Panics
    /// If what was stored contradicts the numbers it was given.
    pub fn entity(&self, space: Space<'_>, entity: &str, range: Range) -> Result<Page, Fault> {
        let (picked, limit, applied) = {
            let state = self.readable()?;
            let applied = state.marks.applied;
            let limit = range.bound.min(applied);
            let places = read::places(&state.tables, space, entity);
            (read::pick_entity(&state.tables, places, &range, limit), limit, applied)
        };
        self.reader(&range).entity(entity, picked, limit, applied)
    }

    /// Events of one tenant and fork, by position, that match the filter.
    ///
    /// A call looks at a bounded number of events: when few match, it returns a page that is not full, or empty, with
    /// a `next` to go on from.
    ///
    /// # Errors
    /// A fault of storage.
    ///
    /// # Panics
    /// If what was stored contradicts the numbers it was given.
    pub fn scan(&self, space: Space<'_>, range: Range, filter: &Filter) -> Result<Page, Fault> {
        // Every step sees the same end, however far apply moves on meanwhile.
        let applied = self.readable()?.marks.applied;
        let limit = range.bound.min(applied);
        let pick = |from, count| {
            let state = self.readable()?;
            let table = state.tables.spaces.get(space);
            let picked =
                table.map(|table| read::pick_scan(&state.tables, table, range.direction, from, limit, count));
            Ok(picked.unwrap_or_default())
        };
        self.reader(&range).scan(&range, filter, limit, applied, pick)
    }

    /// The entity's version; zero when it has no event.
    pub fn version(&self, space: Space<'_>, entity: &str) -> Version {
        self.version_at_bound(space, entity, Position::MAX)
    }

    /// The entity's version as of a position: how many of its events lie at it or before.
    pub fn version_at_bound(&self, space: Space<'_>, entity: &str, bound: Position) -> Version {
        let state = self.shared.state.read();
        let places = read::places(&state.tables, space, entity);
        read::version_within(&state.tables, places, bound.min(state.marks.applied))
    }

    /// The last position recorded at `moment` or before; zero when there is none. The bound of a read as of `moment`.
    ///
    /// It is final once `moment` lies before the clock of every node that may lead the partition.
    pub fn bound_at(&self, moment: Timestamp) -> Position {
        let state = self.shared.state.read();
        state.tables.tail.bound_at(moment).min(state.marks.applied)
    }

    /// Entities with at least one event, over all tenants and forks.
    pub fn entities(&self) -> u64 {
        self.stats().entities
    }

    /// What the partition holds, counted.
    pub fn stats(&self) -> Stats {
        let mut stats = self.shared.state.read().stats();
        stats.reread_bytes = self.shared.recent.lock().bytes() as u64;
        stats.log_reads = self.shared.log_reads.load(Ordering::Relaxed);
        stats
    }

    fn readable(&self) -> Result<RwLockReadGuard<'_, State>, Fault> {
        let state = self.shared.state.read();
        state.check_whole()?;
        Ok(state)
    }

    fn one(&self, picked: Option<Picked>) -> Result<Option<Recorded>, Fault> {
        picked.map_or(Ok(None), |picked| self.reader(&Range::forward()).one(picked))
    }

    fn reader(&self, range: &Range) -> Reader<'_> {
        let loader =
            Loader::new(self.shared.id, &self.shared.log, &self.shared.recent, &self.shared.log_reads);
        Reader::new(self.shared.id, loader, range)
    }
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partition")
            .field("id", &self.shared.id)
            .field("head", &self.head())
            .finish_non_exhaustive()
    }
}
