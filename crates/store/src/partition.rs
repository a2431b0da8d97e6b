//! The handle to one partition: one applier, one compactor, many readers.

mod reads;

use std::borrow::Borrow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chronos_domain::{LogIndex, Marks, PartitionId, Position, Space, Timestamp, Version};
use chronos_env::Env;
use chronos_parts::{Cache, CacheStats, LogStart, Notes, PartsDir};
use chronos_wal::{Log, Mark};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::apply;
use crate::cut::CutLimits;
use crate::debt::Debt;
use crate::digest::Tail;
use crate::entry::{Command, Outcome};
use crate::fault::Fault;
use crate::members::Members;
use crate::recent::Recent;
use crate::recover::{self, Upto};
use crate::sealed::Sealed;
use crate::shelf::Shelf;
use crate::state::State;
use crate::stats::Stats;

pub(crate) const APPLY_BEFORE: &str = "store.apply.before";
pub(crate) const APPLY_AFTER: &str = "store.apply.after";

/// Where in a data directory the partitions have their parts: the directory that [`Config::of`] starts from.
pub const PARTS: &str = "parts";

/// Memory for the newest blocks of one partition unless somebody says otherwise.
const CACHE_BYTES: usize = 16 << 20;
/// Memory for decoded pages of parts, likewise.
const PARTS_CACHE_BYTES: usize = 64 << 20;

/// How a partition holds its data.
#[derive(Clone, Debug)]
pub struct Config {
    /// Memory for the newest blocks of one partition, in bytes; older blocks are read from the log when asked for.
    /// An eighth of it again is for older blocks that are read often.
    pub cache_bytes: usize,
    /// The directory of its parts. Made if it is missing.
    pub dir: PathBuf,
    /// The cluster it belongs to.
    pub cluster: u128,
    /// Where decoded pages of parts are kept. Clones share it: one serves a node.
    pub parts_cache: Cache,
    /// When generations are cut. Never configured but by tests: replicas must agree.
    pub cuts: CutLimits,
}

impl Config {
    /// For a partition whose parts are in `dir`, with everything else as usual.
    pub fn new(dir: PathBuf, cluster: u128) -> Config {
        let parts_cache = Cache::new(PARTS_CACHE_BYTES);
        Config { cache_bytes: CACHE_BYTES, dir, cluster, parts_cache, cuts: CutLimits::default() }
    }

    /// The same for one of several partitions, in a directory of its own beneath: `p07` for partition 7.
    #[must_use]
    pub fn of(&self, id: PartitionId) -> Config {
        Config { dir: self.dir.join(format!("p{:02}", id.get())), ..self.clone() }
    }
}

/// One partition. Clones share it.
///
/// Reads return what has been applied, and nothing else. They touch memory only, unless what they return is in a part
/// or its block has been evicted ([`Config::cache_bytes`]): then the calling thread reads the disk.
#[derive(Clone)]
pub struct Partition {
    pub(crate) shared: Arc<Shared>,
}

/// What all handles of a partition share. Lock order: `files`, `applier`, then `state`, then `recent`.
pub(crate) struct Shared {
    pub(crate) id: PartitionId,
    pub(crate) env: Env,
    pub(crate) config: Config,
    pub(crate) log: Log,
    pub(crate) dir: PartsDir,
    notes: Notes,
    pub(crate) state: RwLock<State>,
    /// Held by whoever applies an entry or installs parts: while an entry is applied, nothing leaves memory.
    pub(crate) applier: Mutex<()>,
    /// Held by whoever writes, names or removes files of parts, for a slice of work at a time. Comes before all others.
    pub(crate) files: Mutex<()>,
    /// Whether this replica was discarded once.
    pub(crate) begun_elsewhere: AtomicBool,
    /// See [`Partition::life`]. Becomes odd before anything is discarded, and even together with the new state, under its
    /// lock.
    pub(crate) lives: AtomicU64,
    pub(crate) recent: Mutex<Recent>,
    /// Held while digests are made, also while the disk is read for them.
    pub(crate) tail: Mutex<Tail>,
    log_reads: AtomicU64,
    pub(crate) applied: watch::Sender<Position>,
}

impl Partition {
    /// Rebuilds the partition: its parts are opened, and what the log holds beyond them is decoded, verified and applied
    /// again.
    ///
    /// Blocks while it reads. Every entry of the log is taken to be committed; [`Partition::open_to`] is for a log of
    /// which that is not known.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when parts and log together do not give back every entry, or when what they give back cannot
    /// be what was written; [`Fault::Io`] when they could not be read.
    pub fn open(env: &Env, id: PartitionId, log: Log, config: Config) -> Result<Partition, Fault> {
        Partition::open_to(env, id, log, config, Upto::End)
    }

    /// As [`Partition::open`], but the log is applied only as far as it is said.
    ///
    /// # Errors
    /// As [`Partition::open`].
    pub fn open_to(
        env: &Env,
        id: PartitionId,
        log: Log,
        config: Config,
        upto: Upto,
    ) -> Result<Partition, Fault> {
        let (dir, manifest, notes) =
            PartsDir::open(env, config.dir.clone(), config.cluster, id, start_of(&log))
                .map_err(Fault::of_parts(id))?;
        let begun_elsewhere = dir.has_begun_elsewhere().map_err(Fault::of_parts(id))?;
        let shelf = match manifest {
            Some(manifest) => Shelf::open(env, &config, manifest)?,
            None => Shelf::empty(config.cluster, id),
        };
        let purged = log.state().purged.map_or(0, |mark| mark.index);
        let state = RwLock::new(State::new(id, Arc::new(shelf), config.cache_bytes, config.cuts));
        recover::replay(id, &log, &env.crash, &state, upto)?;
        state.write().note_purged(LogIndex::new(purged));
        let (applied, _) = watch::channel(state.read().visible());
        let shared = Shared {
            id,
            env: env.clone(),
            log,
            dir,
            notes,
            state,
            applier: Mutex::new(()),
            files: Mutex::new(()),
            begun_elsewhere: AtomicBool::new(begun_elsewhere),
            lives: AtomicU64::new(0),
            recent: Mutex::new(Recent::new(config.cache_bytes / 8)),
            tail: Mutex::new(Tail::new()),
            log_reads: AtomicU64::new(0),
            applied,
            config,
        };
        Ok(Partition { shared: Arc::new(shared) })
    }

    /// Which partition this is.
    pub fn id(&self) -> PartitionId {
        self.shared.id
    }

    /// What opening its directory of parts has found and done.
    pub fn notes(&self) -> &Notes {
        &self.shared.notes
    }

    /// Applies one committed entry of the log: decides every command in order, numbers what it accepts, and makes it
    /// visible to readers before it returns. `commands` is empty for a blank entry. Gives one outcome per command. May
    /// read the disk where a command has to be compared with events in parts.
    ///
    /// Only the partition's state machine calls this, once per entry, in log order, after the entry is committed.
    ///
    /// # Errors
    /// A fault of the disk, or [`Fault::Stopped`] when an earlier call ended half-way; no outcome is given, and no later
    /// entry is accepted.
    ///
    /// # Panics
    /// If `mark` does not follow the last one.
    pub fn apply<C: Borrow<Command>>(&self, mark: Mark, commands: &[C]) -> Result<Vec<Outcome>, Fault> {
        self.shared.env.crash.hit(APPLY_BEFORE);
        let outcomes = {
            let _applier = self.shared.applier.lock();
            apply::entry(&self.shared.state, mark, commands)?
        };
        let head = self.head();
        self.shared.applied.send_if_modified(|seen| std::mem::replace(seen, head) != head);
        self.shared.env.crash.hit(APPLY_AFTER);
        Ok(outcomes)
    }

    /// Applies one committed entry that names the members of the group. They are in every later manifest.
    ///
    /// # Errors
    /// [`Fault::Stopped`] when an earlier call ended half-way.
    ///
    /// # Panics
    /// If the entry does not follow the last one, or is longer than a manifest can keep.
    pub fn apply_members(&self, members: &Members) -> Result<(), Fault> {
        let (len, most) = (members.payload.len(), chronos_parts::MEMBERS_BYTES_MAX - 16);
        assert!(len <= most, "members described in {len} bytes do not fit a manifest, which takes {most}");
        let _applier = self.shared.applier.lock();
        apply::members(&self.shared.state, members)
    }

    /// Reads the log's entries up to `to` that have not been applied, and applies them. They must be committed, and
    /// nobody else may apply meanwhile. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Partition::open`].
    pub fn catch_up(&self, to: LogIndex) -> Result<(), Fault> {
        let shared = &self.shared;
        let caught_up = {
            let _applier = shared.applier.lock();
            recover::catch_up(shared.id, &shared.log, &shared.env.crash, &shared.state, to)
        };
        let head = self.head();
        shared.applied.send_if_modified(|seen| std::mem::replace(seen, head) != head);
        caught_up
    }

    /// The last applied entry; index and term are zero without one.
    pub fn applied_mark(&self) -> Mark {
        self.shared.state.read().applied_mark()
    }

    /// The last applied entry that names the members of the group.
    pub fn members(&self) -> Option<Members> {
        Members::decode(self.shared.state.read().members())
    }

    /// The last entry of the log that names the members of the group, whether it has been applied or not; or, without
    /// one, the last that was applied. Blocks on the disk for entries that have not been applied.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn last_members_named(&self) -> Result<Option<Members>, Fault> {
        recover::members_after(self.shared.id, &self.shared.log, self.applied_index())
            .map(|named| named.or_else(|| self.members()))
    }

    /// Whether applying may have to wait for the disk: parts are asked what they know about a command.
    pub fn applies_from_disk(&self) -> bool {
        !self.shared.state.read().layers.compacted().is_zero()
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

    /// Which life of this replica it is: what is read in several steps belongs together only while it stays the same.
    /// It changes when everything here is about to be discarded, when that is done, and when the replica leaves service
    /// for good; in between, and then, nothing is read. It also changes when memory goes back to what the disk holds.
    pub fn life(&self) -> u64 {
        self.shared.lives.load(Ordering::Acquire)
    }

    /// Nothing is read through this handle any more: what it stands for is about to be opened anew, or to go. What is
    /// being read fails.
    pub fn retire(&self) {
        self.shared.lives.fetch_or(1, Ordering::AcqRel);
    }

    /// Whether nothing may be read now.
    pub(crate) fn is_out(&self) -> bool {
        self.life() & 1 == 1
    }

    /// No event is recorded before this from now on, on any replica: what the past of an earlier moment is stands for
    /// good. [`Timestamp::MIN`] when nothing was ever recorded.
    pub fn recorded_at(&self) -> Timestamp {
        self.shared.state.read().numbers().recorded_at()
    }

    /// Follows the applied mark. The value changes only after its events can be read.
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.shared.applied.subscribe()
    }

    /// The version before which an entity's events are erased; zero when it was never truncated.
    pub fn tombstone(&self, space: Space<'_>, entity: &str) -> Version {
        self.shared.state.read().layers.truncated_before(space, entity)
    }

    /// What is on disk for good now. Holding it keeps its files readable, whatever compaction does meanwhile.
    pub fn shelf(&self) -> Arc<Shelf> {
        self.shared.state.read().layers.shelf().clone()
    }

    /// What waits to get into parts.
    pub fn debt(&self) -> Debt {
        Debt::of(&self.shared.state.read())
    }

    /// Entities with at least one event, over all tenants and forks.
    pub fn entities(&self) -> u64 {
        self.shared.state.read().layers.entities()
    }

    /// What the partition holds, counted.
    pub fn stats(&self) -> Stats {
        let mut stats = self.shared.state.read().stats();
        stats.reread_bytes = self.shared.recent.lock().bytes() as u64;
        stats.log_reads = self.shared.log_reads.load(Ordering::Relaxed);
        stats
    }

    /// How the cache of pages of parts does, which all partitions of a node share.
    pub fn parts_cache(&self) -> CacheStats {
        self.shared.config.parts_cache.stats()
    }

    /// Whether a read may have to wait for the disk: not everything is in memory.
    pub fn reads_disk(&self) -> bool {
        let state = self.shared.state.read();
        let layers = &state.layers;
        !layers.compacted().is_zero() || layers.blocks.len() < layers.chunks()
    }

    /// The entry that cut the oldest generation that waits to become a part: with that entry all of it is in the log.
    pub fn oldest_cut(&self) -> Option<LogIndex> {
        self.shared.state.read().layers.sealed().front().map(|sealed| sealed.cut.index)
    }

    /// The oldest generation that waits to become a part, and the parts it comes behind; `None` when all are done but the
    /// active one.
    pub(crate) fn oldest_sealed(&self) -> Option<(Sealed, Arc<Shelf>)> {
        let state = self.shared.state.read();
        let oldest = state.layers.sealed().front()?.clone();
        Some((Sealed::new(self.clone(), oldest), state.layers.shelf().clone()))
    }

    /// Puts the parts of a durable manifest on the shelf. Generations up to its cut leave memory; the compacted mark is
    /// raised.
    ///
    /// # Panics
    /// If they would not end where the first generation left in memory starts.
    pub(crate) fn install(&self, shelf: Shelf) {
        let dropped = {
            let _applier = self.shared.applier.lock();
            self.shared.state.write().install(Arc::new(shelf))
        };
        // Large tables: nobody waits while they are taken apart.
        drop(dropped);
    }

    /// The log has let go of everything up to this entry, for good.
    ///
    /// # Panics
    /// If that reaches beyond the parts.
    pub fn raise_purged(&self, to: LogIndex) {
        self.shared.state.write().note_purged(to);
    }
}

/// What a log can still give to a directory of parts.
pub(crate) fn start_of(log: &Log) -> LogStart {
    let state = log.state();
    match (state.purged, state.last) {
        (Some(_), _) => LogStart::Purged,
        (None, Some(_)) => LogStart::Whole,
        (None, None) => LogStart::Empty,
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
