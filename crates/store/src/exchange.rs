//! Exchanging everything a replica holds: for a manifest of another replica, for nothing, or for what its disk holds.
//!
//! Parts, log and memory change one after the other, and a note in the directory of parts says that they do
//! (`chronos_parts`). So there are three places to be when a node dies, and [`settle`], which runs before a partition is
//! opened, makes two of them: what was not noted has not happened, what was noted is finished.
//!
//! ```text
//!  take over   note ─► parts and manifest ─► memory ─► log purged up to the manifest, for good ─► note removed
//!  reset       note ─► log reset, for good ─► parts and manifest gone ─► memory ─► note replaced
//! ```
//!
//! A third exchange is of memory alone and leaves nothing unfinished: where other nodes have committed what this node's log
//! had no room for, memory is ahead of the disk, and goes back to it ([`Partition::go_back`]).
//!
//! * Whoever holds the old shelf reads on: its files are open.
//! * A compaction that is under way notices at its next slice that its shelf is no longer the one that counts, and gives
//!   up ([`Setback::Superseded`](crate::Setback)).
//! * Taking over never lowers a mark. Resetting lowers all of them: from before the log is gone until everything is,
//!   whoever reads is told so, and what was begun to be read fails ([`Partition::life`]). Going back lowers them at one
//!   moment, and what was begun before it fails too.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chronos_domain::{LogIndex, PartitionId};
use chronos_env::Env;
use chronos_parts::{Leftovers, Manifest, Part, PartMeta, PartsDir, Unfinished, unfinished};
use chronos_wal::{Log, Mark};
use parking_lot::RwLock;
use tokio::sync::oneshot;

use crate::digest::Tail;
use crate::fault::Fault;
use crate::partition::{Config, Partition};
use crate::recent::Recent;
use crate::recover::{self, Upto};
use crate::shelf::Shelf;
use crate::state::State;

/// What [`settle`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing was unfinished.
    Nothing,
    /// The parts of another replica hold now, up to this entry of the log.
    TookOver(Mark),
    /// The replica has nothing.
    Reset,
}

/// Finishes what an earlier life has begun to exchange in the partition's directory and log. To be called before the
/// partition is opened. Blocks on the disk where it has to.
///
/// # Errors
/// [`Fault::Corrupt`] when it cannot be finished because of damage; [`Fault::Io`] and [`Fault::Stopped`] when the disk
/// or the log refuse. To be called again then, at the latest at the next start.
pub async fn settle(env: &Env, id: PartitionId, log: &Log, config: &Config) -> Result<Settled, Fault> {
    let failed = Fault::of_parts(id);
    let (world, path) = (env.clone(), config.dir.clone());
    let found = env.tasks.blocking(move || unfinished(world.disk.as_ref(), &path)).await;
    match found.map_err(&failed)? {
        None => Ok(Settled::Nothing),
        Some(Unfinished::Reset(leftovers)) => {
            chronos_env::sometimes!("store.reset_resumed");
            finish_reset(env, id, log, config, leftovers).await?;
            Ok(Settled::Reset)
        }
        Some(Unfinished::Install(manifest)) => {
            chronos_env::sometimes!("store.install_resumed");
            let dir = PartsDir::at(env, config.dir.clone());
            let (dir, cluster) = (Arc::new(dir), config.cluster);
            let (changing, mark) = (Arc::clone(&dir), mark_of(&manifest));
            let resumed = env.tasks.blocking(move || changing.resume_install(&manifest, cluster, id)).await;
            resumed.map_err(&failed)?;
            follow(id, log, mark).await?;
            env.tasks.blocking(move || dir.end_install()).await.map_err(&failed)?;
            Ok(Settled::TookOver(mark))
        }
    }
}

/// Discards everything a partition that is not open holds: its parts, every entry of its log, what was purged and
/// committed. The vote stays as far as it could be read; and it is noted that the partition's history has begun elsewhere
/// ([`Partition::has_begun_elsewhere`]), so that this node never begins it by itself. Also for one whose log or parts are
/// damaged. When it returns, all of that is durable, and the partition can be opened: it is empty.
///
/// # Errors
/// As [`settle`]. When it was begun, [`settle`] finishes it.
pub async fn reset(
    env: &Env,
    id: PartitionId,
    log: &Log,
    config: &Config,
    leftovers: Leftovers,
) -> Result<(), Fault> {
    let dir = PartsDir::at(env, config.dir.clone());
    env.tasks.blocking(move || dir.begin_reset(leftovers)).await.map_err(Fault::of_parts(id))?;
    finish_reset(env, id, log, config, leftovers).await
}

async fn finish_reset(
    env: &Env,
    id: PartitionId,
    log: &Log,
    config: &Config,
    leftovers: Leftovers,
) -> Result<(), Fault> {
    forget(id, log).await?;
    let dir = PartsDir::at(env, config.dir.clone());
    env.tasks.blocking(move || dir.end_reset(leftovers)).await.map_err(Fault::of_parts(id))
}

impl Partition {
    /// Whether everything here was discarded once ([`reset`], [`Partition::reset`]): the partition's history is that of
    /// others, and must not be begun here, however empty this replica is.
    pub fn has_begun_elsewhere(&self) -> bool {
        self.shared.begun_elsewhere.load(Ordering::Acquire)
    }

    /// The directory of its parts.
    pub fn dir(&self) -> &Path {
        &self.shared.config.dir
    }

    /// The parts of `manifest` that are not on the shelf: each of them has to be in [`Partition::incoming`] before it
    /// can be taken over.
    pub fn missing_of(&self, manifest: &Manifest) -> Vec<PartMeta> {
        let shelf = self.shelf();
        let held = |part: &&PartMeta| shelf.manifest.parts.contains(part);
        manifest.parts.iter().filter(|part| !held(part)).cloned().collect()
    }

    /// Where files of parts arrive; made if it is missing. What is there and is none of `manifest`'s goes. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// [`Fault::Io`].
    pub fn incoming(&self, manifest: &Manifest) -> Result<PathBuf, Fault> {
        let dir = &self.shared.dir;
        let made = dir.make_incoming().and_then(|incoming| dir.keep_incoming(manifest).map(|()| incoming));
        made.map_err(Fault::of_parts(self.id()))
    }

    /// Whether `manifest` can be taken over: it belongs here, is ahead of what was applied, and every part of it that is
    /// not on the shelf has arrived and can be opened. Blocks on the disk.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] with what is wrong; nothing here is damaged by it.
    pub fn check_arrived(&self, manifest: &Manifest) -> Result<(), Fault> {
        let (id, shared) = (self.id(), &self.shared);
        let refuse = |what: String| Err(Fault::Corrupt(format!("a manifest of partition {id}: {what}")));
        if manifest.cluster != shared.config.cluster || manifest.partition != id {
            let (cluster, partition) = (manifest.cluster, manifest.partition);
            return refuse(format!("it is of partition {partition} of cluster {cluster:032x}"));
        }
        if manifest.applied > self.applied_index() && manifest.compacted < self.head() {
            let (entry, ends, head) = (manifest.applied, manifest.compacted, self.head());
            return refuse(format!(
                "it ends at position {ends} with entry {entry}, and {head} was here before"
            ));
        }
        let (disk, dir) = (&shared.env.disk, chronos_parts::incoming(shared.dir.path()));
        for part in self.missing_of(manifest) {
            Part::open(disk.clone(), &dir, part, id, &shared.config.parts_cache)
                .map_err(Fault::of_parts(id))?;
        }
        Ok(())
    }

    /// Takes over `manifest`, which [`Partition::check_arrived`] has found fit, in the place of everything that was
    /// applied here. When it returns, that is durable and what readers see; the log does not follow before
    /// [`Partition::end_take_over`]. Blocks on the disk. Nobody may apply meanwhile.
    ///
    /// # Errors
    /// As [`Partition::open`]. What has happened shows at the next start: the node has to end.
    ///
    /// # Panics
    /// If the manifest is not ahead of what was applied.
    pub fn take_over(&self, manifest: &Manifest) -> Result<(), Fault> {
        let shared = &self.shared;
        let before = {
            let _files = shared.files.lock();
            let shelf = self.shelf();
            let manifest = Manifest { sequence: shelf.manifest.sequence + 1, ..manifest.clone() };
            shared.dir.install(&manifest).map_err(Fault::of_parts(shared.id))?;
            let next = Arc::new(Shelf::open_beside(&shared.env, &shared.config, manifest, &shelf)?);
            let _applier = shared.applier.lock();
            shared.state.write().take_over(next, shared.config.cache_bytes)
        };
        chronos_env::sometimes!("store.head_jumped", self.head().get() > before.visible().get() + 100);
        // Large tables: nobody waits while they are taken apart.
        drop(before);
        *shared.recent.lock() = Recent::new(shared.config.cache_bytes / 8);
        let head = self.head();
        shared.applied.send_if_modified(|seen| std::mem::replace(seen, head) != head);
        Ok(())
    }

    /// Lets the log go on behind the parts that were taken over, for good; then forgets that they were, and removes files
    /// that nothing names any more.
    ///
    /// # Errors
    /// What the log says. What is left to do is done at the next start.
    pub async fn end_take_over(&self) -> Result<(), Fault> {
        let manifest = Arc::clone(&self.shelf().manifest);
        let mark = mark_of(&manifest);
        follow(self.id(), &self.shared.log, mark).await?;
        self.raise_purged(LogIndex::new(mark.index));
        let partition = self.clone();
        let cleared = self.shared.env.tasks.blocking(move || {
            let _files = partition.shared.files.lock();
            partition.shared.dir.end_install()?;
            partition.shared.dir.remove_unnamed(&manifest).map(drop)
        });
        // What is left of it costs space until the next start and nothing else.
        let _ = cleared.await;
        Ok(())
    }

    /// As the function [`reset`], of a partition that is open, while nobody applies. It is empty afterwards, and all of its
    /// marks are zero. Reads that meet it fail.
    ///
    /// # Errors
    /// As [`reset`]: then this handle must not be used any more.
    pub async fn reset(&self, leftovers: Leftovers) -> Result<(), Fault> {
        let shared = Arc::clone(&self.shared);
        let (tasks, id) = (shared.env.tasks.clone(), shared.id);
        self.retire();
        let noted = tasks.blocking(move || {
            let _files = shared.files.lock();
            shared.dir.begin_reset(leftovers)
        });
        noted.await.map_err(Fault::of_parts(id))?;
        forget(id, &self.shared.log).await?;
        let partition = self.clone();
        tasks.blocking(move || partition.begin_anew(leftovers)).await
    }

    fn begin_anew(&self, leftovers: Leftovers) -> Result<(), Fault> {
        let shared = &self.shared;
        let _files = shared.files.lock();
        shared.dir.end_reset(leftovers).map_err(Fault::of_parts(shared.id))?;
        shared.begun_elsewhere.store(true, Ordering::Release);
        let shelf = Arc::new(Shelf::empty(shared.config.cluster, shared.id));
        let _applier = shared.applier.lock();
        // It was odd.
        self.begin_life(State::new(shared.id, shelf, shared.config.cache_bytes, shared.config.cuts), 1);
        Ok(())
    }

    /// Brings memory back to what parts and log hold, as if the partition were closed and opened: entries that were applied
    /// and are not in the log, which must be committed on other nodes, will be applied again when they come again. Marks go
    /// back; reads that meet it fail, others notice nothing. Blocks on the disk. Nobody may apply, nor write to the log,
    /// meanwhile.
    ///
    /// # Errors
    /// As [`Partition::open`]. Nothing was changed then, and memory is still ahead.
    pub fn go_back(&self) -> Result<(), Fault> {
        let shared = &self.shared;
        let _files = shared.files.lock();
        let _applier = shared.applier.lock();
        let before = self.shelf();
        // A shelf of its own: a compaction that is under way has taken its cut from the memory that goes.
        let manifest = Manifest::clone(&before.manifest);
        let shelf = Shelf::open_beside(&shared.env, &shared.config, manifest, &before)?;
        let next = State::new(shared.id, Arc::new(shelf), shared.config.cache_bytes, shared.config.cuts);
        let next = RwLock::new(next);
        recover::replay(shared.id, &shared.log, &shared.env.crash, &next, Upto::Entry(self.applied_index()))?;
        self.begin_life(next.into_inner(), 2);
        self.raise_purged(LogIndex::new(shared.log.state().purged.map_or(0, |mark| mark.index)));
        Ok(())
    }

    /// Puts `state` in the place of everything that is in memory; `lives` later than the life that ends. The caller holds
    /// `files` and `applier`.
    fn begin_life(&self, state: State, lives: u64) {
        let shared = &self.shared;
        let before = {
            let mut now = shared.state.write();
            shared.lives.fetch_add(lives, Ordering::AcqRel);
            std::mem::replace(&mut *now, state)
        };
        // Large tables: no reader waits while they are taken apart.
        drop(before);
        *shared.recent.lock() = Recent::new(shared.config.cache_bytes / 8);
        *shared.tail.lock() = Tail::new();
        shared.applied.send_replace(self.head());
    }
}

/// The last entry of the log that a manifest has taken in.
fn mark_of(manifest: &Manifest) -> Mark {
    Mark { index: manifest.applied.get(), term: manifest.applied_term }
}

/// Sees to it that the log goes on behind `mark`, for good. Entries behind it stay if they belong to the same history;
/// otherwise they were never committed, and go.
async fn follow(id: PartitionId, log: &Log, mark: Mark) -> Result<(), Fault> {
    let state = log.state();
    let purged = state.purged.map_or(0, |purged| purged.index);
    let goes_past = state.last.is_some_and(|last| last.index >= mark.index);
    if purged < mark.index && goes_past && log.mark_at(mark.index) != Some(mark) {
        chronos_env::sometimes!("store.own_log_given_up");
        log.truncate(purged, ignored());
    }
    let (tell, told) = oneshot::channel();
    // Also when nothing is left to purge: what was asked before is durable when this is answered.
    log.purge_to(mark, Box::new(move |purged| drop(tell.send(purged))));
    told.await.unwrap_or(Err(chronos_wal::Fault::Closed)).map_err(|fault| stopped(id, &fault))
}

async fn forget(id: PartitionId, log: &Log) -> Result<(), Fault> {
    let (tell, told) = oneshot::channel();
    log.reset(Box::new(move |reset| drop(tell.send(reset))));
    told.await.unwrap_or(Err(chronos_wal::Fault::Closed)).map_err(|fault| stopped(id, &fault))
}

/// For an operation that stands before another one in the queue: if it fails, so does that one.
fn ignored() -> chronos_wal::Completion {
    Box::new(|_| ())
}

fn stopped(id: PartitionId, fault: &chronos_wal::Fault) -> Fault {
    Fault::Stopped(format!("the log of partition {id} could not follow its parts: {fault}"))
}
