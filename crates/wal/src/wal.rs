//! All logs and lanes of one directory: opening and closing.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use chronos_env::{Env, OpenMode, Task};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::format::{self, UNIT_BYTES, all_logs};
use crate::lane::{Active, Common, Lane, Resume};
use crate::log::{Closed, LogCell};
use crate::mark::{FlushedMark, MarkFile, Role};
use crate::numbers::{LaneId, LaneSeq, LogId, LogSeq, UnitNo};
use crate::queue::{FaultBoard, Queue};
use crate::recovery::{self, Examined, Identity, LaneSeen, RosterFound, Surveyed};
use crate::roster::{self, Roster};
use crate::segment;
use crate::shelf::{SegmentFile, Shelf};
use crate::stats::Counters;
use crate::unit::Chain;
use crate::view::View;
use crate::{Config, Fault, Gauge, Log, LogRecovery, OpenError, Recovery, Stats, crash};

/// An open write-ahead log.
///
/// Dropping it lets the lanes finish what is queued; [`Wal::close`] also waits for that.
pub struct Wal {
    cells: Arc<[Arc<LogCell>]>,
    lanes: Vec<RunningLane>,
    board: FaultBoard,
    counters: Arc<Counters>,
    shelf: Arc<Shelf>,
}

struct RunningLane {
    queue: Arc<Queue>,
    task: Task<()>,
}

impl Wal {
    /// Opens the write-ahead log in `config.dir`, making it if there is none, and recovers every log. Blocks on
    /// the disk: all segments are read. Must be called where [`chronos_env::Tasks::dedicated`] may be.
    ///
    /// When it returns, what the logs hold is durable, torn tails have been cut, and logs whose verdict is
    /// [`crate::Verdict::Corrupt`] are closed: reads of them answer with the damage, writes with
    /// [`Fault::Poisoned`]. The caller makes sure that nobody else has the directory open.
    ///
    /// # Errors
    /// See [`OpenError`]. Damage is not an error: it is in the [`Recovery`].
    pub fn open(env: &Env, config: Config) -> Result<(Wal, Recovery), OpenError> {
        config.check()?;
        check_identity(env, &config)?;
        let whose = Identity { cluster: config.cluster, logs: config.logs };
        let surveyed =
            recovery::survey(env.disk.as_ref(), &config.dir, whose, Some(config.lanes), config.exists)?;
        check_layout(&config, &surveyed)?;
        let recovery = report(&surveyed);
        let opening = Opening { env, config: &config, surveyed };
        opening.surveyed.examined.lanes.iter().try_for_each(|lane| recovery::repair(env, lane))?;
        opening.make_lanes()?;
        let resumes = opening.resume_lanes()?;
        opening.write_roster()?;
        Ok((opening.start(resumes), recovery))
    }

    /// A handle to one log.
    ///
    /// # Panics
    /// If there is no log of that number.
    pub fn log(&self, id: LogId) -> Log {
        let cell = self.cells.get(id.slot());
        Log {
            cell: Arc::clone(cell.unwrap_or_else(|| panic!("there is no {id}, only {}", self.cells.len()))),
        }
    }

    /// How many lanes there are. Log `n` is written to lane `n` modulo this.
    pub fn lanes(&self) -> u8 {
        u8::try_from(self.lanes.len())
            .expect("there are no more lanes than logs, and those are numbered in a byte")
    }

    /// The first fault that stopped a lane for good, if one did. The node should then end.
    pub fn fault(&self) -> Option<Fault> {
        self.board.borrow().clone()
    }

    /// Resolves at the first fault that stops a lane for good. Cancel-safe.
    pub async fn faulted(&self) -> Fault {
        let mut board = self.board.subscribe();
        let fault = board.wait_for(Option::is_some).await.expect("the write-ahead log holds the sender");
        fault.clone().expect("waited until there is one")
    }

    /// Stops every lane for good, as a write that fails does: nothing is acknowledged any more. For whoever knows that what
    /// is written is lost although the disk takes it.
    pub fn poison(&self, reason: &str) {
        self.lanes.iter().for_each(|lane| lane.queue.poison(reason));
    }

    /// Lets every lane finish what is queued, sync, and end. Calls after it are answered with [`Fault::Closed`].
    pub async fn close(mut self) {
        let lanes = std::mem::take(&mut self.lanes);
        lanes.iter().for_each(|lane| lane.queue.close());
        for RunningLane { task, .. } in lanes {
            // A lane that died has said so on the board, and has answered everyone.
            let _ = task.await;
        }
    }

    /// How long the log is and who keeps it so, for as long as somebody wants to know.
    pub fn gauge(&self) -> Gauge {
        Gauge::new(Arc::clone(&self.shelf), Arc::clone(&self.counters), self.lanes.len() as u8)
    }

    /// The counters since opening.
    pub fn stats(&self) -> Stats {
        self.counters.read(self.shelf.count())
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.lanes.iter().for_each(|lane| lane.queue.close());
    }
}

/// Refuses a directory that was made for somebody else, before anything in it is called damaged.
fn check_identity(env: &Env, config: &Config) -> Result<(), OpenError> {
    let Some(found) = recovery::identify(env.disk.as_ref(), &config.dir)? else { return Ok(()) };
    let dir = config.dir.clone();
    if found.cluster != config.cluster {
        return Err(OpenError::OtherCluster { dir, found: found.cluster, expected: config.cluster });
    }
    if found.logs != config.logs {
        return Err(OpenError::OtherLogs { dir, found: found.logs, expected: config.logs });
    }
    Ok(())
}

/// Logs cannot move between lanes while nobody knows what one of the lanes held.
fn check_layout(config: &Config, surveyed: &Surveyed) -> Result<(), OpenError> {
    let doubt = surveyed.examined.lanes.iter().find_map(|lane| lane.doubt.as_ref());
    match doubt {
        Some(doubt) if config.lanes != surveyed.layout.lanes => Err(OpenError::Config(format!(
            "the number of lanes cannot change from {} to {} while a lane is damaged: {doubt}",
            surveyed.layout.lanes, config.lanes
        ))),
        _ => Ok(()),
    }
}

fn report(surveyed: &Surveyed) -> Recovery {
    let Surveyed { examined, layout, .. } = surveyed;
    let logs = (0..).map(LogId).zip(&examined.logs).map(|(log, judged)| LogRecovery {
        log,
        verdict: examined.verdict(log, *layout),
        state: judged.state(),
    });
    Recovery {
        logs: logs.collect(),
        damages: examined.damages.clone(),
        frames: examined.frames,
        bytes: examined.bytes,
    }
}

struct Opening<'a> {
    env: &'a Env,
    config: &'a Config,
    surveyed: Surveyed,
}

impl Opening<'_> {
    fn examined(&self) -> &Examined {
        &self.surveyed.examined
    }

    fn seen(&self, lane: LaneId) -> Option<&LaneSeen> {
        self.examined().lanes.get(usize::from(lane.0))
    }

    fn lanes(&self) -> impl Iterator<Item = LaneId> + use<> {
        (0..self.config.lanes).map(LaneId)
    }

    /// Gives every lane that is not there yet its directory, durably.
    fn make_lanes(&self) -> io::Result<()> {
        let disk = self.env.disk.as_ref();
        let mut missing = Vec::new();
        for dir in self.lanes().map(|lane| segment::lane_dir(&self.config.dir, lane)) {
            if !disk.exists(&dir)? {
                missing.push(dir);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        missing.iter().try_for_each(|dir| disk.create_dir_all(dir))?;
        disk.sync_dir(&self.config.dir)?;
        if let Some(parent) = self.config.dir.parent() {
            disk.sync_dir(parent)?;
        }
        self.env.crash.hit(crash::LANE_MADE);
        Ok(())
    }

    /// Opens the lanes in use for writing, each with a flushed mark, durable, that covers all that was recovered.
    fn resume_lanes(&self) -> io::Result<Vec<Resume>> {
        self.lanes().map(|lane| self.resume(lane, self.seen(lane))).collect()
    }

    fn resume(&self, lane: LaneId, seen: Option<&LaneSeen>) -> io::Result<Resume> {
        let disk = self.env.disk.as_ref();
        let mut mark = self.mark(lane, seen);
        let (next_segment, next_seq, next_unit) = match seen {
            Some(seen) => {
                // One frame of a lane in doubt is taken to be lost, so that the next look finds it lost as well.
                let skipped = u64::from(seen.doubt.is_some());
                (seen.end.last_segment.next(), LaneSeq(seen.end.next_seq.0 + skipped), seen.end.next_unit)
            }
            None => (segment::FIRST, LaneSeq(1), UnitNo(1)),
        };
        segment::check_number(next_segment)
            .map_err(|error| io::Error::other(format!("lane {}: {error}", lane.0)))?;
        let active = self.active(seen)?;
        mark.lane_seq = LaneSeq(next_seq.0 - 1);
        mark.unit = UnitNo(next_unit.0 - 1);
        let segments = seen.map_or(&[][..], |seen| &seen.found.segments);
        (mark.segment, mark.offset) = match (&active, segments.last()) {
            (Some(active), _) => (active.number, active.offset),
            (None, Some(last)) => (last.number.max(mark.segment), last.scan.end),
            (None, None) => (mark.segment, 0),
        };
        let dir = segment::lane_dir(&self.config.dir, lane);
        // This one first: where the mark is, it is as well.
        let (rolled, rolled_file) = self.rolled(&dir, &mark, seen)?;
        let mark_file = match seen.and_then(|seen| seen.found.mark.newest.as_ref()) {
            Some(_) => MarkFile::resume(disk, &dir, Role::Flushed, &mark)?,
            None => MarkFile::create(disk, &dir, Role::Flushed, &mark)?,
        };
        self.env.crash.hit(crash::LANE_MARKED);
        Ok(Resume { active, next_segment, next_seq, next_unit, mark, mark_file, rolled, rolled_file })
    }

    /// Notes the newest segment of a lane, as far as it is known.
    fn rolled(
        &self,
        dir: &Path,
        mark: &FlushedMark,
        seen: Option<&LaneSeen>,
    ) -> io::Result<(FlushedMark, MarkFile)> {
        let disk = self.env.disk.as_ref();
        let before = seen.and_then(|seen| seen.found.rolled.newest.as_ref());
        let generation = before.map_or(mark.generation, |before| before.generation + 1);
        let segment = before.map_or(mark.segment, |before| before.segment.max(mark.segment));
        let rolled = FlushedMark { generation, segment, ..mark.clone() };
        let file = match before {
            Some(_) => MarkFile::resume(disk, dir, Role::Rolled, &rolled)?,
            None => MarkFile::create(disk, dir, Role::Rolled, &rolled)?,
        };
        Ok((rolled, file))
    }

    /// The next mark of a lane. It vouches for all logs that are written to the lane from now on, so that what is
    /// lost of a log is known even when the log came from another lane.
    ///
    /// Of a lane in doubt nobody knows what is lost. As it is written on, its mark vouches for one frame more of each
    /// log than is known: the logs stay closed, whatever becomes of the doubt, until they are reset.
    fn mark(&self, lane: LaneId, seen: Option<&LaneSeen>) -> FlushedMark {
        let cluster = format::fold_cluster(self.config.cluster);
        let mut mark = match seen {
            Some(seen) => seen.found.mark_or_first(cluster, self.config.logs),
            None => FlushedMark::first(lane, cluster, self.config.logs),
        };
        mark.generation += 1;
        for log in all_logs(self.config.logs).filter(|log| LaneId::of(*log, self.config.lanes) == lane) {
            let known = self.known_top(log);
            let judged = &self.examined().logs[log.slot()];
            let whole = if judged.corrupt.is_empty() { judged.chain.seq } else { LogSeq(0) };
            let known = known.max(whole);
            let in_doubt = seen.is_some_and(|seen| seen.doubt.is_some());
            mark.tops[log.slot()] = if in_doubt { known.max(judged.chain.seq).next() } else { known };
        }
        mark
    }

    fn active(&self, seen: Option<&LaneSeen>) -> io::Result<Option<Active>> {
        let Some((seen, (at, offset))) = seen.and_then(|seen| Some((seen, seen.end.usable?))) else {
            return Ok(None);
        };
        let found = &seen.found.segments[at];
        let key = self.examined().key_of(seen.found.lane, found.number);
        let file = self.env.disk.open(&found.path, OpenMode::ReadWrite)?;
        let (number, path, bytes) = (found.number, found.path.clone(), found.bytes);
        Ok(Some(Active { key, number, file, path, bytes, offset }))
    }

    /// A list of lanes that is lost or could not be read was reported, and is written anew: what it should say is known from
    /// the lanes by now, and what a lane that is gone leaves in doubt is in its mark, durably, since it was resumed.
    fn write_roster(&self) -> io::Result<()> {
        let Config { cluster, logs, lanes, release, dir, .. } = self.config;
        let made = self.surveyed.layout.made.max(*lanes);
        let is_current = match &self.surveyed.roster {
            RosterFound::Read(old) => (old.lanes, old.made) == (*lanes, made),
            RosterFound::Missing | RosterFound::Spoiled(_) => false,
        };
        if is_current {
            return Ok(());
        }
        let roster = Roster { cluster: *cluster, logs: *logs, lanes: *lanes, made, release: release.clone() };
        self.env.disk.write_atomic(&dir.join(roster::FILE_NAME), &roster.encode())?;
        self.env.crash.hit(crash::ROSTER_WRITTEN);
        Ok(())
    }

    fn start(self, resumes: Vec<Resume>) -> Wal {
        let board: FaultBoard = Arc::new(watch::Sender::new(None));
        let queues: Vec<_> = self.lanes().map(|_| Arc::new(Queue::new(Arc::clone(&board)))).collect();
        let (shelf, chains) = (Arc::new(self.shelf()), self.chains());
        let cells = self.cells(&queues, &shelf);
        let counters = Arc::new(Counters::of(self.config.lanes));
        let common = Common {
            env: self.env.clone(),
            cluster: self.config.cluster,
            lanes: self.config.lanes,
            segment_bytes: self.config.segment_bytes,
            release: self.config.release.clone(),
            cells: Arc::clone(&cells),
            shelf: Arc::clone(&shelf),
            counters: Arc::clone(&counters),
        };
        let lanes = (0..).map(LaneId).zip(queues).zip(resumes).map(|((id, queue), resume)| {
            let dir = segment::lane_dir(&self.config.dir, id);
            let lane = Lane::new(id, dir, common.clone(), Arc::clone(&queue), chains.clone(), resume);
            let task = self.env.tasks.dedicated(format!("wal-lane-{:02}", id.0), lane.run());
            RunningLane { queue, task }
        });
        Wal { lanes: lanes.collect(), cells, board, counters, shelf }
    }

    fn chains(&self) -> Vec<Chain> {
        let logs = all_logs(self.config.logs).zip(&self.examined().logs);
        logs.map(|(log, judged)| {
            let mut chain = judged.chain.clone();
            if !judged.corrupt.is_empty() {
                // Only a reset will be written, and its number must be above that of every frame that is missed.
                chain.seq = chain.seq.max(self.known_top(log));
            }
            chain
        })
        .collect()
    }

    /// A frame of the log up to which all must be there.
    fn known_top(&self, log: LogId) -> LogSeq {
        self.examined().lanes.iter().map(|seen| seen.tops[log.slot()]).max().unwrap_or_default()
    }

    /// Puts all segments on the shelf. What belongs to a corrupt log is evidence, and stays.
    fn shelf(&self) -> Shelf {
        let examined = self.examined();
        let any_corrupt = examined.logs.iter().any(|log| !log.corrupt.is_empty());
        let floors =
            examined.logs.iter().map(|log| if log.corrupt.is_empty() { log.floor } else { LogSeq(0) });
        let shelf = Shelf::new(floors.collect(), self.config.lanes);
        for (at, seen) in examined.segments.iter().enumerate() {
            let file = SegmentFile {
                lane: seen.lane,
                number: seen.number,
                path: seen.path.clone(),
                file: Arc::clone(&seen.file),
                bytes: seen.bytes,
            };
            let key = shelf.add(file, seen.tops.clone(), seen.hurt && any_corrupt);
            assert_eq!(key.0 as usize, at, "recovery and the shelf must name segments alike");
        }
        shelf
    }

    fn cells(&self, queues: &[Arc<Queue>], shelf: &Arc<Shelf>) -> Arc<[Arc<LogCell>]> {
        let payload_bytes_max = self.config.payload_bytes_max();
        let part_bytes = UNIT_BYTES.min(format::append_bytes_max(self.config.segment_bytes));
        let cells = (0..).map(LogId).zip(self.surveyed.examined.logs.iter()).map(|(id, judged)| {
            let lane = LaneId::of(id, self.config.lanes);
            Arc::new(LogCell {
                id,
                queue: Arc::clone(&queues[usize::from(lane.0)]),
                shelf: Arc::clone(shelf),
                view: Mutex::new(View::recovered(judged.index.clone(), judged.chain.vote.clone())),
                committed: AtomicU64::new(judged.chain.committed),
                closed: Mutex::new(judged.corrupt.first().cloned().map_or(Closed::No, Closed::Corrupt)),
                part_bytes,
                payload_bytes_max,
            })
        });
        cells.collect()
    }
}
