//! One cut on its way into parts, slice by slice.

use std::collections::VecDeque;
use std::sync::Arc;

use chronos_bugs::{Bug, is_seeded};
use chronos_domain::{LogIndex, Space};
use chronos_parts::{Manifest, Part, PartMeta, Rows, Spec, Writer, erase, leaf_of};
use chronos_proof::{Frontier, Hash, chain_next};

use super::copy::Copy;
use super::plan::{self, Limits, Rewrite, Shape};
use super::setback::Setback;
use super::{BEGUN, INSTALLED, REMOVED, REWRITTEN, SWAPPED, WRITTEN};
use crate::fault::Fault;
use crate::partition::Partition;
use crate::sealed::Sealed;
use crate::shelf::Shelf;

/// Level of zstd for a part that somebody asked for and is going to keep.
const ZSTD_SETTLED: i32 = 19;
/// Level of zstd for a part that will soon be merged.
const ZSTD_PASSING: i32 = 3;
/// Level of zstd for what was merged or erased.
const ZSTD_REWRITTEN: i32 = 12;
/// Up to so many bytes, before encoding, a rewritten part is compressed like one that is going to be kept. Small parts
/// have little to find repetitions in, so the effort pays there, and it is over within seconds; larger ones lose nothing
/// worth the time.
const REWRITTEN_SMALL_BYTES: u64 = 32 << 20;
/// Rows gathered before they go to the writer.
const BATCH_ROWS: usize = 2048;

/// One cut on its way into parts.
///
/// Dropping it half-way leaves files that the next start removes; [`abandon`](Compaction::abandon) removes what it can
/// at once.
pub struct Compaction {
    partition: Partition,
    sealed: Sealed,
    /// What holds until the swap.
    shelf: Arc<Shelf>,
    /// What will hold: the manifest, and its parts, open.
    manifest: Manifest,
    parts: Vec<Arc<Part>>,
    stage: Stage,
    done: Done,
}

enum Stage {
    Write,
    /// What is left of the plan, the newest parts first, and what is being done of it.
    Rewrite(VecDeque<Rewrite>, Option<(Rewrite, Box<Copy>)>),
    Swap,
    Over,
}

/// How far a call of [`Compaction::step`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// There is more to do.
    More {
        /// Bytes of events, before encoding, that this slice went through.
        bytes: u64,
    },
    /// The cut is in parts, for good.
    Over(Done),
}

/// A cut that is in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Its number.
    pub cut: u64,
    /// The log is no longer needed up to this entry.
    pub purge_to: LogIndex,
    /// Events that were taken from the log into a part.
    pub events: u64,
    /// Parts that were replaced by merged ones.
    pub merged: u64,
    /// Parts that were written again because of truncations only.
    pub erased: u64,
    /// Bytes of events, before encoding, that were gone through.
    pub bytes_in: u64,
    /// Bytes of all files that were written.
    pub bytes_out: u64,
}

impl Compaction {
    pub(super) fn new(partition: Partition, sealed: Sealed, shelf: Arc<Shelf>) -> Compaction {
        let (manifest, cut) = (&shelf.manifest, sealed.cut());
        assert!(cut.number == manifest.cut + 1, "cut {} is taken in after cut {}", cut.number, manifest.cut);
        assert!(
            sealed.first() == manifest.compacted.next(),
            "events from position {} are taken in after position {}",
            sealed.first(),
            manifest.compacted
        );
        let done = Done { cut: cut.number, purge_to: cut.index, ..Done::default() };
        let (manifest, parts) = (Manifest::clone(manifest), shelf.parts.clone());
        Compaction { partition, sealed, shelf, manifest, parts, stage: Stage::Write, done }
    }

    /// Number of the cut that is taken in.
    pub fn cut(&self) -> u64 {
        self.done.cut
    }

    /// Does the next slice of the work, a few megabytes of it; completing a part is one slice, however large it is.
    /// Blocks on the disk. After [`Slice::Over`] the cut is in parts, its generation has left memory, and files that
    /// are no longer needed are gone.
    ///
    /// # Errors
    /// See [`Setback`]. What was written is given up; the compaction is to be begun again.
    ///
    /// # Panics
    /// After it has given [`Slice::Over`] or an error.
    pub fn step(&mut self) -> Result<Slice, Setback> {
        let shared = Arc::clone(&self.partition.shared);
        let _files = shared.files.lock();
        if self.is_superseded() {
            self.give_up();
            return Err(Setback::Superseded(shared.id));
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let stepped = match stage {
            Stage::Write => self.write(),
            Stage::Rewrite(plan, copy) => self.rewrite(plan, copy),
            Stage::Swap => return self.swap(),
            Stage::Over => panic!("a compaction that is over has no next slice"),
        };
        match stepped {
            Ok(bytes) => {
                self.done.bytes_in += bytes;
                Ok(Slice::More { bytes })
            }
            Err(setback) => {
                self.remove_what_was_written();
                // What is being discarded does not read back.
                Err(if self.partition.is_out() { Setback::Superseded(shared.id) } else { setback })
            }
        }
    }

    /// Whether what this compaction started from is no longer what counts, or is about to be discarded.
    fn is_superseded(&self) -> bool {
        self.partition.is_out() || !Arc::ptr_eq(&self.shelf, &self.partition.shelf())
    }

    /// Gives the work up and removes what it has written, as far as the disk lets it.
    pub fn abandon(mut self) {
        let shared = Arc::clone(&self.partition.shared);
        let _files = shared.files.lock();
        self.give_up();
    }

    fn give_up(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Over => return,
            Stage::Rewrite(_, Some((_, copy))) => copy.abandon(),
            Stage::Write | Stage::Rewrite(..) | Stage::Swap => {}
        }
        self.remove_what_was_written();
    }

    /// Before the swap no manifest names it. What is left over costs space until the next compaction or start, and
    /// nothing else.
    fn remove_what_was_written(&self) {
        let _ = self.partition.shared.dir.remove_unnamed(&self.partition.shelf().manifest);
    }

    /// The generation becomes a part of its own; then it is known what is to be rewritten.
    fn write(&mut self) -> Result<u64, Setback> {
        self.partition.shared.env.crash.hit(BEGUN);
        let hit = self.hit()?;
        let cut = *self.sealed.cut();
        let mut bytes = 0;
        if self.sealed.events() > 0 {
            self.name_nothing()?;
            let meta = self.write_generation()?;
            bytes = meta.raw_bytes;
            self.done.events = self.sealed.events();
            self.put(self.parts.len()..self.parts.len(), meta)?;
            self.partition.shared.env.crash.hit(WRITTEN);
        }
        self.manifest.sequence += 1;
        self.manifest.cut = cut.number;
        self.manifest.applied = if is_seeded(Bug::M13) { cut.index.next() } else { cut.index };
        self.manifest.applied_term = cut.term;
        self.manifest.members = self.sealed.members().clone();
        self.manifest.compacted = cut.head;
        self.manifest.recorded_at = cut.recorded_at;
        self.manifest.entities = cut.entities;
        self.manifest.tombstones = self.sealed.tombstones().clone();
        self.stage = Stage::Rewrite(self.plan(hit), None);
        Ok(bytes)
    }

    /// Writes down that there are no parts yet, before there are: a directory with parts and without a manifest would be
    /// a damaged one.
    fn name_nothing(&mut self) -> Result<(), Setback> {
        if self.manifest.sequence > 0 {
            return Ok(());
        }
        self.manifest.sequence = 1;
        let failed = Setback::of_parts(self.partition.id());
        self.partition.shared.dir.swap(&self.manifest).map_err(failed)
    }

    fn write_generation(&mut self) -> Result<PartMeta, Setback> {
        let zstd = if self.sealed.cut().settle { ZSTD_SETTLED } else { ZSTD_PASSING };
        let spec = self.spec(self.sealed.first(), 0, zstd, self.manifest.chain);
        let mut growth = Growth::new(self, spec)?;
        let written = growth.take_all(&self.sealed, self);
        let Growth { writer, chain, frontier, .. } = growth;
        if let Err(setback) = written {
            writer.abandon();
            return Err(setback);
        }
        let id = self.partition.id();
        let meta = writer.finish().map_err(Setback::of_parts(id))?;
        if meta.chain_after != chain || meta.last != self.sealed.cut().head {
            let what = format!("part {} is not what was applied: it ends elsewhere", meta.stem());
            return Err(Setback::Failed(Fault::corrupt(id, what)));
        }
        (self.manifest.chain, self.manifest.frontier) = (chain, frontier);
        Ok(meta)
    }

    fn spec(&self, first: chronos_domain::Position, level: u8, zstd: i32, chain_before: Hash) -> Spec {
        Spec { partition: self.partition.id(), first, cut: self.done.cut, level, zstd, chain_before }
    }

    /// Opens a part that was written just now and puts it in the place of others.
    fn put(&mut self, place: std::ops::Range<usize>, meta: PartMeta) -> Result<(), Setback> {
        self.done.bytes_out += meta.bytes();
        let shared = &self.partition.shared;
        let (disk, cache) = (shared.env.disk.clone(), &shared.config.parts_cache);
        let part = Part::open(disk, shared.dir.path(), meta.clone(), shared.id, cache);
        let part = part.map_err(Setback::of_new_part(shared.id))?;
        self.parts.splice(place.clone(), [Arc::new(part)]);
        self.manifest.parts.splice(place, [meta]);
        Ok(())
    }

    /// Which parts hold events that have been truncated since the last cut.
    fn hit(&self) -> Result<Vec<bool>, Setback> {
        let (before, now) = (&self.manifest.tombstones, self.sealed.tombstones());
        let mut hit = vec![false; self.parts.len()];
        for (tenant, fork, entity, from, to) in now.since(before) {
            let space = Space { tenant: tenant.as_str(), fork };
            for (part, hit) in self.parts.iter().zip(&mut hit) {
                let held = part.versions(space, entity.as_str());
                let held = held.map_err(Setback::of_parts(self.partition.id()))?;
                *hit |= held.is_some_and(|held| *held.start() < to && *held.end() >= from);
            }
        }
        Ok(hit)
    }

    /// The last parts come first, so that the places of those before them stay what they are.
    fn plan(&self, mut hit: Vec<bool>) -> VecDeque<Rewrite> {
        // What was written just now has been freed of everything truncated.
        hit.resize(self.parts.len(), false);
        let shape =
            |meta: &PartMeta| Shape { rows: meta.rows(), raw_bytes: meta.raw_bytes, level: meta.level };
        let shapes: Vec<Shape> = self.manifest.parts.iter().map(shape).collect();
        plan::plan(&shapes, &hit, Limits::default()).into_iter().rev().collect()
    }

    fn rewrite(
        &mut self,
        mut plan: VecDeque<Rewrite>,
        copy: Option<(Rewrite, Box<Copy>)>,
    ) -> Result<u64, Setback> {
        let Some((rewrite, mut copy)) = copy else {
            self.stage = match plan.pop_front() {
                None => Stage::Swap,
                Some(rewrite) => {
                    let copy = Box::new(self.begin_copy(&rewrite)?);
                    Stage::Rewrite(plan, Some((rewrite, copy)))
                }
            };
            return Ok(0);
        };
        match copy.step() {
            Err(setback) => {
                copy.abandon();
                Err(setback)
            }
            Ok(0) => {
                let meta = copy.finish()?;
                self.count(&rewrite);
                self.put(rewrite.parts, meta)?;
                self.partition.shared.env.crash.hit(REWRITTEN);
                self.stage = Stage::Rewrite(plan, None);
                Ok(0)
            }
            Ok(bytes) => {
                self.stage = Stage::Rewrite(plan, Some((rewrite, copy)));
                Ok(bytes)
            }
        }
    }

    fn count(&mut self, rewrite: &Rewrite) {
        match rewrite.parts.len() {
            1 => self.done.erased += 1,
            parts => self.done.merged += parts as u64,
        }
    }

    fn begin_copy(&self, rewrite: &Rewrite) -> Result<Copy, Setback> {
        let shared = &self.partition.shared;
        let parts = self.parts[rewrite.parts.clone()].to_vec();
        let first = parts[0].meta();
        let raw_bytes: u64 = parts.iter().map(|part| part.meta().raw_bytes).sum();
        let zstd = if raw_bytes <= REWRITTEN_SMALL_BYTES { ZSTD_SETTLED } else { ZSTD_REWRITTEN };
        let spec = self.spec(first.first, rewrite.level, zstd, first.chain_before);
        let writer = Writer::create(&shared.env, shared.dir.path(), spec);
        let writer = writer.map_err(Setback::of_parts(shared.id))?;
        Ok(Copy::new(shared.id, parts, self.sealed.tombstones().clone(), writer))
    }

    /// From here on the new parts hold, or after a failure possibly do: nothing is removed then.
    fn swap(&mut self) -> Result<Slice, Setback> {
        let shared = self.partition.shared.clone();
        if is_seeded(Bug::M9) {
            let _ = shared.dir.remove_unnamed(&self.manifest);
        }
        shared.dir.swap(&self.manifest).map_err(Setback::of_parts(shared.id))?;
        shared.env.crash.hit(SWAPPED);
        let manifest = Arc::new(self.manifest.clone());
        self.partition.install(Shelf { manifest, parts: std::mem::take(&mut self.parts) });
        shared.env.crash.hit(INSTALLED);
        // Who still reads the old parts has them open. What cannot be removed now is removed by the next compaction.
        let _ = shared.dir.remove_unnamed(&self.manifest);
        shared.env.crash.hit(REMOVED);
        Ok(Slice::Over(self.done))
    }
}

/// The events of a generation on their way into a part, and how chain and tree grow by them.
struct Growth {
    writer: Writer,
    rows: Rows,
    chain: Hash,
    frontier: Frontier,
}

impl Growth {
    fn new(compaction: &Compaction, spec: Spec) -> Result<Growth, Setback> {
        let shared = &compaction.partition.shared;
        let writer = Writer::create(&shared.env, shared.dir.path(), spec);
        let writer = writer.map_err(Setback::of_parts(shared.id))?;
        let (chain, frontier) = (compaction.manifest.chain, compaction.manifest.frontier.clone());
        Ok(Growth { writer, rows: Rows::new(), chain, frontier })
    }

    fn take_all(&mut self, sealed: &Sealed, compaction: &Compaction) -> Result<(), Setback> {
        let mut refused = None;
        let taken = sealed.for_each_batch(|events| {
            for event in events {
                let leaf = leaf_of(event, event.fork);
                self.chain = chain_next(self.chain, leaf);
                self.frontier.push(leaf);
                self.rows.push(event);
            }
            if self.rows.len() < BATCH_ROWS {
                return Ok(());
            }
            self.pass_on(compaction).map_err(|setback| {
                // What is said here is not looked at.
                let told = Fault::Stopped(setback.to_string());
                refused = Some(setback);
                told
            })
        });
        match (refused, taken) {
            (Some(setback), _) => Err(setback),
            (None, Err(fault)) => Err(fault.into()),
            (None, Ok(())) => self.pass_on(compaction),
        }
    }

    fn pass_on(&mut self, compaction: &Compaction) -> Result<(), Setback> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let id = compaction.partition.id();
        let batch = erase(&self.rows.finish(), id, compaction.sealed.tombstones());
        self.writer.push(&batch).map_err(Setback::of_parts(id))
    }
}
