//! The writer of one lane: everything queued becomes one unit, one write, one sync; then it is told.
//!
//! ```text
//!   take what waits ── room? ── encode ── write ── sync ── flushed mark ── views ── completions
//!                        │                                 (not synced)
//!                        └─ roll to the next segment, or refuse appends for want of space
//! ```
//!
//! Invariants: no completion says `Ok` before the sync of its unit returned; one unit is on its way at a time, so
//! everything before the newest unit is synced; a unit lies in one segment; after the first failure nothing more
//! is written or synced. While a sync runs the next unit gathers in the queue, so no delay is ever added.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chronos_bugs::{Bug, is_seeded};
use chronos_env::{Env, File};

use crate::Fault;
use crate::crash;
use crate::format::{self, PerLog, SEGMENT_HEADER_BYTES, UNIT_BYTES};
use crate::frame::Position;
use crate::index::SegmentKey;
use crate::keeper::{NotMade, Spares, Used};
use crate::log::LogCell;
use crate::mark::{FlushedMark, MarkFile, Role};
use crate::numbers::{LaneId, LaneSeq, LogId, LogSeq, SegmentNo, UnitNo};
use crate::queue::{Op, Queue, Work};
use crate::segment::SegmentHeader;
use crate::shelf::{SegmentFile, Shelf};
use crate::stats::Counters;
use crate::unit::{Chain, Extras, Start, Unit};

/// A lane without work for this long syncs its flushed mark.
const MARK_IDLE: Duration = Duration::from_millis(20);
/// A lane without rest syncs its flushed mark this often.
const MARK_BUSY: Duration = Duration::from_secs(1);
/// A buffer that one large unit made greater than this is given back.
const BUFFER_KEPT: usize = 2 * UNIT_BYTES;

/// The segment a lane writes to.
pub(crate) struct Active {
    pub(crate) key: SegmentKey,
    pub(crate) number: SegmentNo,
    pub(crate) file: Arc<dyn File>,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// Where the next frame goes.
    pub(crate) offset: u64,
}

/// What every lane of a write-ahead log is told alike.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) env: Env,
    pub(crate) cluster: u128,
    pub(crate) lanes: u8,
    pub(crate) segment_bytes: u64,
    pub(crate) release: String,
    pub(crate) cells: Arc<[Arc<LogCell>]>,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) counters: Arc<Counters>,
}

/// Where recovery left a lane.
pub(crate) struct Resume {
    pub(crate) active: Option<Active>,
    pub(crate) next_segment: SegmentNo,
    pub(crate) next_seq: LaneSeq,
    pub(crate) next_unit: UnitNo,
    pub(crate) mark: FlushedMark,
    pub(crate) mark_file: MarkFile,
    pub(crate) rolled: FlushedMark,
    pub(crate) rolled_file: MarkFile,
}

pub(crate) struct Lane {
    id: LaneId,
    dir: PathBuf,
    common: Common,
    queue: Arc<Queue>,
    chains: PerLog<Chain>,
    at: Resume,
    spares: Spares,
    /// Logs to state again with the next unit.
    restates: BTreeSet<LogId>,
    buffer: Vec<u8>,
    mark_synced_at: Duration,
    mark_is_dirty: bool,
    _end: EndOfLane,
}

/// Why the lane stops for good.
type Stop = String;

impl Lane {
    pub(crate) fn new(
        id: LaneId,
        dir: PathBuf,
        common: Common,
        queue: Arc<Queue>,
        chains: PerLog<Chain>,
        at: Resume,
    ) -> Lane {
        let mut spares =
            Spares::start(&common.env, id, dir.clone(), common.segment_bytes, Arc::clone(&queue));
        if at.active.is_none() {
            spares.foresee(Used::Half);
        }
        Lane {
            id,
            dir,
            mark_synced_at: common.env.clock.monotonic(),
            common,
            _end: EndOfLane(Arc::clone(&queue)),
            queue,
            chains,
            at,
            spares,
            restates: BTreeSet::new(),
            buffer: Vec::new(),
            mark_is_dirty: false,
        }
    }

    /// Works until the queue is closed and empty.
    pub(crate) async fn run(mut self) {
        loop {
            let ops = self.queue.take(self.unit_bytes_max());
            if self.queue.fault().is_some() {
                match ops.is_empty() {
                    false => self.answer(ops),
                    true if self.queue.is_closing() => break,
                    true => self.queue.changed().await,
                }
            } else if !ops.is_empty() || !self.restates.is_empty() {
                self.commit_group(ops, Occasion::Work).await;
                self.sync_mark_if_due(MARK_BUSY);
            } else if self.queue.is_closing() {
                self.commit_group(Vec::new(), Occasion::Close).await;
                self.sync_mark_if_due(Duration::ZERO);
                break;
            } else {
                self.rest().await;
            }
        }
        self.spares.stop().await;
    }

    /// Waits for work; syncs the mark when none comes for a while.
    async fn rest(&mut self) {
        if !self.mark_is_dirty {
            return self.queue.changed().await;
        }
        if self.common.env.clock.timeout(MARK_IDLE, self.queue.changed()).await.is_err() {
            self.sync_mark_if_due(Duration::ZERO);
        }
    }

    /// A unit of this size always fits an empty segment, with the control frames of all logs beside it.
    fn unit_bytes_max(&self) -> usize {
        UNIT_BYTES.min(format::append_bytes_max(self.common.segment_bytes))
    }

    async fn commit_group(&mut self, mut ops: Vec<Op>, occasion: Occasion) {
        if let Err(reason) = self.look_for_room(&mut ops).await {
            self.queue.poison(&reason);
            return self.answer(ops);
        }
        self.refuse_what_builds_on_refused(&mut ops);
        let extras = self.extras(&ops, occasion);
        let done = match self.make_room(&mut ops, &extras).await {
            Ok(()) => match self.write(&ops, &extras) {
                Ok(Some((unit, began))) => {
                    self.wait_for_the_disk(began).await;
                    self.complete(&ops, unit)
                }
                Ok(None) => Ok(()),
                Err(stop) => Err(stop),
            },
            Err(stop) => Err(stop),
        };
        if let Err(reason) = done {
            self.queue.poison(&reason);
        }
        self.answer(ops);
    }

    fn answer(&self, ops: Vec<Op>) {
        let fault = self.queue.fault();
        ops.into_iter().for_each(|op| op.finish(fault.as_ref()));
    }

    fn cell(&self, log: LogId) -> &LogCell {
        &self.common.cells[log.slot()]
    }

    /// An append behind one that was refused would leave a hole.
    fn refuse_what_builds_on_refused(&self, ops: &mut [Op]) {
        for op in ops {
            if let Work::Append { ticket, .. } = op.work
                && self.cell(op.log).view.lock().is_refused(ticket)
            {
                op.refuse(Fault::NoSpace);
            }
        }
    }

    fn extras(&mut self, ops: &[Op], occasion: Occasion) -> Extras {
        let restates: Vec<LogId> = std::mem::take(&mut self.restates).into_iter().collect();
        let writes = ops.iter().any(|op| op.work.frames() > 0) || !restates.is_empty();
        if !writes && occasion == Occasion::Work {
            return Extras::default();
        }
        Extras { commits: self.newer_commits().collect(), restates }
    }

    fn newer_commits(&self) -> impl Iterator<Item = (LogId, u64)> {
        let own = self.common.cells.iter().filter(|cell| self.writes(cell.id));
        own.filter_map(|cell| {
            let committed = cell.committed.load(Ordering::Acquire);
            (committed > self.chains[cell.id.slot()].committed).then_some((cell.id, committed))
        })
    }

    /// Whether this lane writes the log: it is the log's lane, and the log is not closed.
    fn writes(&self, log: LogId) -> bool {
        LaneId::of(log, self.common.lanes) == self.id && !self.cell(log).is_corrupt()
    }

    /// Answers those who only ask: there is room in the active segment, or a spare is ready.
    async fn look_for_room(&mut self, ops: &mut [Op]) -> Result<(), Stop> {
        let reserve = format::control_reserve(self.common.segment_bytes);
        for op in ops {
            let Work::Room { bytes } = op.work else { continue };
            if self.fits(bytes, reserve) {
                continue;
            }
            match self.spares.ensure(1).await {
                Ok(()) => {}
                Err(NotMade::NoSpace { .. }) => op.refuse(Fault::NoSpace),
                Err(NotMade::Failed(reason)) => return Err(reason),
            }
        }
        Ok(())
    }

    /// Sees to it that the unit fits the active segment, or refuses what does not.
    async fn make_room(&mut self, ops: &mut [Op], extras: &Extras) -> Result<(), Stop> {
        let bytes = framed_bytes(ops, extras);
        if bytes == 0 {
            return Ok(());
        }
        let reserve = format::control_reserve(self.common.segment_bytes);
        let fits = self.fits(bytes, reserve);
        let spares = usize::from(!fits) + self.spares_ahead(ops);
        match self.spares.ensure(spares).await {
            Ok(()) if fits => Ok(()),
            Ok(()) => self.roll().map_err(|error| format!("making a segment live failed: {error}")),
            Err(NotMade::NoSpace { .. }) => self.do_without(ops, extras),
            Err(NotMade::Failed(reason)) => Err(reason),
        }
    }

    fn fits(&self, bytes: usize, reserve: u64) -> bool {
        let active = self.at.active.as_ref();
        active.is_some_and(|active| active.offset + bytes as u64 + reserve <= active.bytes)
    }

    /// Segments that the rest of a large append will need. Each takes at least half of what it has room for.
    fn spares_ahead(&self, ops: &[Op]) -> usize {
        let ahead =
            ops.iter().map(|op| if let Work::Append { ahead, .. } = op.work { ahead } else { 0 }).max();
        match ahead.unwrap_or(0) {
            0 => 0,
            bytes => bytes as usize / format::append_bytes_max(self.common.segment_bytes) + 2,
        }
    }

    /// There is no space for a segment: refuses appends, and puts the rest into the room kept for it.
    fn do_without(&mut self, ops: &mut [Op], extras: &Extras) -> Result<(), Stop> {
        for op in ops.iter_mut() {
            if let Work::Append { ticket, entries, .. } = &op.work {
                chronos_env::sometimes!("wal.append_without_room");
                self.cell(op.log).view.lock().refuse(*ticket, entries);
                op.refuse(Fault::NoSpace);
            }
        }
        if self.fits(framed_bytes(ops, extras), 0) {
            return Ok(());
        }
        for op in ops.iter_mut().filter(|op| matches!(op.work, Work::Vote(_))) {
            op.refuse(Fault::NoSpace);
        }
        if framed_bytes(ops, extras) == 0 || self.fits(framed_bytes(ops, extras), 0) {
            return Ok(());
        }
        Err("the disk is full and the room kept for truncations and purges is used up: free space in the data directory".to_owned())
    }

    /// Makes a spare the active segment.
    fn roll(&mut self) -> io::Result<()> {
        let spare = self.spares.take();
        let header = SegmentHeader {
            lane: self.id,
            cluster: self.common.cluster,
            number: self.at.next_segment,
            bytes: spare.bytes,
            base_seq: self.at.next_seq,
            base_unit: self.at.next_unit,
            tops: self.at.mark.tops.clone(),
            release: self.common.release.clone(),
        };
        let env = &self.common.env;
        let (path, file) = spare.activate(env.disk.as_ref(), &env.crash, &self.dir, &header)?;
        let (number, bytes) = (header.number, header.bytes);
        chronos_env::sometimes!("wal.segment_rolled", number > crate::segment::FIRST);
        let shelved =
            SegmentFile { lane: self.id, number, path: path.clone(), file: Arc::clone(&file), bytes };
        let key = self.common.shelf.add(shelved, vec![LogSeq(0); self.common.cells.len()], false);
        self.note_roll(number)?;
        self.at.next_segment = number.next();
        self.at.active = Some(Active { key, number, file, path, bytes, offset: SEGMENT_HEADER_BYTES as u64 });
        Ok(())
    }

    /// That this segment is the newest is durable before anything in it is acknowledged.
    fn note_roll(&mut self, number: SegmentNo) -> io::Result<()> {
        let rolled = FlushedMark {
            generation: self.at.rolled.generation + 1,
            segment: number,
            offset: SEGMENT_HEADER_BYTES as u64,
            ..self.at.mark.clone()
        };
        self.at.rolled_file.write(&rolled)?;
        self.at.rolled_file.sync()?;
        self.at.rolled = rolled;
        self.common.env.crash.hit(crash::SEGMENT_NOTED);
        Ok(())
    }

    /// Writes and syncs the unit; gives it back, and when its sync began.
    fn write(&mut self, ops: &[Op], extras: &Extras) -> Result<Option<(Unit, Duration)>, Stop> {
        if framed_bytes(ops, extras) == 0 {
            return Ok(None);
        }
        self.common.env.crash.hit(crash::BEFORE_WRITE);
        let unit = self.encode(ops, extras);
        let began = self.put(ops, &unit)?;
        Ok(Some((unit, began)))
    }

    /// Counts the sync that began then. A disk that is simulated says by how much it was too fast.
    async fn wait_for_the_disk(&mut self, began: Duration) {
        let owed = self.at.active.as_ref().map_or(Duration::ZERO, |active| active.file.owes());
        if !owed.is_zero() {
            self.common.env.clock.sleep(owed).await;
        }
        let took = self.common.env.clock.monotonic().saturating_sub(began);
        self.common.counters.synced(usize::from(self.id.0), took);
    }

    /// Lets everyone see what was written and synced.
    fn complete(&mut self, ops: &[Op], unit: Unit) -> Result<(), Stop> {
        self.advance(&unit)?;
        self.publish(ops, &unit);
        self.tidy(&unit);
        self.common.counters.unit(unit.bytes.len() as u64, unit.frames());
        self.buffer = unit.bytes;
        if self.buffer.capacity() > BUFFER_KEPT {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    fn encode(&mut self, ops: &[Op], extras: &Extras) -> Unit {
        let active = self.at.active.as_ref().expect("room was made in an active segment");
        let at = Position { lane: self.id, segment: active.number, offset: active.offset };
        let start = Start {
            cluster: format::fold_cluster(self.common.cluster),
            at,
            segment: active.key,
            unit: self.at.next_unit,
            lane_seq: self.at.next_seq,
        };
        let cells = &self.common.cells;
        let unit = Unit::encode(
            start,
            std::mem::take(&mut self.buffer),
            ops,
            extras,
            &mut self.chains,
            |log, mark| cells[log.slot()].view.lock().flushed().first_seq_after(mark),
        );
        let end = active.offset + unit.bytes.len() as u64;
        assert!(end <= active.bytes, "a unit up to {end} does not fit a segment of {}", active.bytes);
        unit
    }

    /// On return the unit is durable. Says when its sync began.
    fn put(&self, ops: &[Op], unit: &Unit) -> Result<Duration, Stop> {
        let active = self.at.active.as_ref().expect("the unit was encoded for the active segment");
        let crash = &self.common.env.crash;
        let failed = |what: &str, error| format!("{what} {} failed: {error}", active.path.display());
        let written = active.file.write_at(&unit.bytes, active.offset);
        chronos_env::sometimes!("wal.write_failed", written.is_err());
        written.map_err(|error| failed("writing", error))?;
        crash.hit(crash::AFTER_WRITE);
        let clock = &self.common.env.clock;
        let began = clock.monotonic();
        self.common.counters.sync_begins(usize::from(self.id.0), began);
        let only_votes = || ops.iter().all(|op| matches!(op.work, Work::Vote(_)));
        if is_seeded(Bug::M1) || is_seeded(Bug::M2) && only_votes() {
            return Ok(began);
        }
        let synced = active.file.sync_data();
        let synced = if is_seeded(Bug::M12) { synced.or_else(|_| active.file.sync_data()) } else { synced };
        chronos_env::sometimes!("wal.sync_failed", synced.is_err());
        synced.map_err(|error| failed("syncing", error))?;
        crash.hit(crash::AFTER_SYNC);
        Ok(began)
    }

    /// Moves the lane behind the unit and writes the flushed mark.
    fn advance(&mut self, unit: &Unit) -> Result<(), Stop> {
        let active = self.at.active.as_mut().expect("the unit was written to the active segment");
        active.offset += unit.bytes.len() as u64;
        self.at.next_seq = LaneSeq(self.at.next_seq.0 + unit.frames());
        self.at.next_unit = self.at.next_unit.next();
        let mark = &mut self.at.mark;
        mark.generation += 1;
        mark.segment = active.number;
        mark.offset = active.offset;
        mark.unit = unit.start.unit;
        mark.lane_seq = LaneSeq(self.at.next_seq.0 - 1);
        for (log, top) in unit.tops() {
            mark.tops[log.slot()] = top;
        }
        let is_half = active.offset * 2 >= active.bytes;
        self.spares.foresee(if is_half { Used::Half } else { Used::Little });
        self.common.shelf.note(self.id, unit.tops());
        self.mark_is_dirty = true;
        self.at
            .mark_file
            .write(&self.at.mark)
            .map_err(|error| format!("writing the flushed mark failed: {error}"))?;
        self.common.env.crash.hit(crash::AFTER_MARK);
        Ok(())
    }

    /// Brings the views up to what is flushed now.
    fn publish(&self, ops: &[Op], unit: &Unit) {
        let mut slots = unit.slots.iter().copied();
        for op in ops {
            if matches!(op.work, Work::Room { .. } | Work::Nothing) {
                continue;
            }
            let mut view = self.cell(op.log).view.lock();
            match &op.work {
                Work::Append { entries, ticket, .. } => {
                    let indexes = entries.iter().map(|entry| entry.index);
                    view.flush_append(*ticket, indexes.zip(slots.by_ref().take(entries.len())));
                }
                Work::Vote(vote) => view.flush_vote(vote.clone()),
                Work::Truncate { after } => view.flush_truncate(*after),
                Work::Purge { mark } => view.flush_purge(*mark),
                Work::Reset => {
                    view.flush_reset();
                    drop(view);
                    self.cell(op.log).opened();
                }
                Work::Room { .. } | Work::Nothing => {}
            }
        }
    }

    /// After a purge: retires segments that nobody needs, and plans to free the next one.
    fn tidy(&mut self, unit: &Unit) {
        if unit.floors.is_empty() {
            return;
        }
        for (log, floor) in &unit.floors {
            self.common.shelf.raise_floor(*log, *floor);
        }
        if !self.common.cells.iter().any(|cell| cell.is_corrupt()) {
            self.common.shelf.unpin();
        }
        self.spares.retire(self.common.shelf.reclaim(self.id));
        for holders in self.common.shelf.holders() {
            let all_idle = holders.iter().all(|(log, top)| self.holds_no_entry(*log, *top));
            if all_idle {
                let own: Vec<_> =
                    holders.into_iter().map(|(log, _)| log).filter(|log| self.writes(*log)).collect();
                self.restates.extend(own);
            }
        }
    }

    /// Whether a log needs its frames up to `top` only for what a checkpoint can state again.
    fn holds_no_entry(&self, log: LogId, top: LogSeq) -> bool {
        let cell = self.cell(log);
        !cell.is_corrupt() && cell.view.lock().flushed().first_seq().is_none_or(|first| first > top)
    }

    fn sync_mark_if_due(&mut self, age: Duration) {
        let now = self.common.env.clock.monotonic();
        let due = self.mark_is_dirty && now.saturating_sub(self.mark_synced_at) >= age;
        if !due || self.queue.fault().is_some() {
            return;
        }
        match self.at.mark_file.sync() {
            Ok(()) => {
                self.common.env.crash.hit(crash::MARK_SYNCED);
                self.mark_is_dirty = false;
                self.mark_synced_at = now;
            }
            Err(error) => self.queue.poison(&format!("syncing the flushed mark failed: {error}")),
        }
        self.look_for_names();
    }

    /// A file that was removed takes what is written and syncs it as if it were there. It is looked for as often as the mark
    /// is synced, so next to the syncs it costs nothing.
    fn look_for_names(&self) {
        let active = self.at.active.as_ref().map(|active| (active.file.has_name(), active.path.clone()));
        let mark = (self.at.mark_file.has_name(), self.dir.join(Role::Flushed.file_name()));
        for (has_name, path) in active.into_iter().chain([mark]) {
            // What cannot be asked cannot be written for long.
            if matches!(has_name, Ok(false)) {
                let file = path.display();
                self.queue.poison(&format!("{file} was removed or replaced while the log was being written"));
            }
        }
    }
}

/// Why a group commit happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    Work,
    /// The last one, which also records commit marks that waited for company.
    Close,
}

fn framed_bytes(ops: &[Op], extras: &Extras) -> usize {
    ops.iter().map(|op| op.work.framed_bytes()).sum::<usize>() + extras.framed_bytes()
}

/// However the lane ends, nobody is left waiting.
struct EndOfLane(Arc<Queue>);

impl Drop for EndOfLane {
    fn drop(&mut self) {
        if !self.0.is_closing() {
            self.0.poison("the writer of the lane died");
        }
        self.0.end();
    }
}
