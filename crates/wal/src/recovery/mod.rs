//! What a directory means after whatever happened to it.
//!
//! Four steps. `evidence` reads files and never judges. `lane` says of each lane which frames must be there and
//! where its torn tail begins. `log` puts the frames of each log together and says whether it is whole. `repair`,
//! only when opening, cuts torn tails and writes the newest unit once more. The first three never write: verifying
//! a directory and opening it come to the same verdict.

mod evidence;
mod lane;
mod log;
mod repair;
mod scan;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronos_env::{Disk, File};

pub(crate) use evidence::{Identity, LaneFound, RosterFound, lanes_present, read_roster};
use lane::Judgement;
pub(crate) use lane::{Cut, End};
pub(crate) use log::LogJudged;
use log::{LaneLosses, Placed, Scene};
pub(crate) use repair::repair;

use crate::format::{PerLog, all_logs};
use crate::frame::Position;
use crate::index::SegmentKey;
use crate::numbers::{LaneId, LogId, LogSeq, SegmentNo};
use crate::roster;
use crate::{Corrupt, LogState, OpenError};

/// What recovery found, log by log.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// One for each log, in order.
    pub logs: Vec<LogRecovery>,
    /// Everything on disk that is not as written, whether or not a log is hurt by it.
    pub damages: Vec<Corrupt>,
    /// Frames read.
    pub frames: u64,
    /// Bytes of segments read.
    pub bytes: u64,
}

/// What recovery found of one log.
#[derive(Clone, Debug)]
pub struct LogRecovery {
    /// Which log.
    pub log: LogId,
    /// Whether it is whole.
    pub verdict: Verdict,
    /// Its state. Of a corrupt log: as far as can be told.
    pub state: LogState,
}

/// The three outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that was ever acknowledged is there.
    Clean,
    /// The same; but the end of the log's lane was cut off, that was being written when the node died and had
    /// never been acknowledged. It may have held frames of this log.
    TornTail {
        /// The segment that was cut.
        file: PathBuf,
        /// Where the cut begins.
        offset: u64,
        /// How many bytes were overwritten with zeros.
        bytes: u64,
    },
    /// Something acknowledged is lost, or cannot be proven to be there. The log stays closed.
    Corrupt(Vec<Corrupt>),
}

/// A torn tail of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// Where the tail begins.
    pub offset: u64,
    /// Its length, up to the last byte that is not zero.
    pub bytes: u64,
}

/// A segment as found; its position in the list is its key.
pub(crate) struct SegmentSeen {
    pub(crate) lane: LaneId,
    pub(crate) number: SegmentNo,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) bytes: u64,
    /// Per log, its last frame in here.
    pub(crate) tops: PerLog<LogSeq>,
    /// Frames were lost from it.
    pub(crate) hurt: bool,
}

/// A lane as found and judged.
pub(crate) struct LaneSeen {
    pub(crate) found: LaneFound,
    pub(crate) tops: PerLog<LogSeq>,
    pub(crate) cut: Option<Cut>,
    pub(crate) unproven: Option<Cut>,
    pub(crate) doubt: Option<Corrupt>,
    pub(crate) end: End,
}

impl LaneSeen {
    pub(crate) fn torn_tail(&self) -> Option<TornTail> {
        let cut = self.cut.as_ref()?;
        let file = self.found.segments[cut.segment].path.clone();
        Some(TornTail { file, offset: cut.from, bytes: cut.to - cut.from })
    }
}

/// The whole directory, judged.
pub(crate) struct Examined {
    pub(crate) lanes: Vec<LaneSeen>,
    pub(crate) segments: Vec<SegmentSeen>,
    pub(crate) logs: PerLog<LogJudged>,
    pub(crate) damages: Vec<Corrupt>,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

/// Which lanes there should be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Log `p` was written to lane `p mod lanes`.
    pub(crate) lanes: u8,
    /// Lanes `0..made` should have a directory.
    pub(crate) made: u8,
}

/// Reads and judges everything under `root`. Never writes.
pub(crate) fn examine(
    disk: &dyn Disk,
    root: &Path,
    whose: Identity,
    layout: Layout,
    roster: &RosterFound,
) -> Result<Examined, OpenError> {
    let mut seen = Examined {
        lanes: Vec::new(),
        segments: Vec::new(),
        logs: Vec::new(),
        damages: Vec::new(),
        frames: 0,
        bytes: 0,
    };
    let mut frames: PerLog<Vec<Placed>> = all_logs(whose.logs).map(|_| Vec::new()).collect();
    let mut losses = Vec::new();
    for lane in (0..layout.made).map(LaneId) {
        let found = evidence::read_lane(disk, root, lane, whose)?;
        let judgement = lane::judge(&found, whose.logs, lane.0 < layout.lanes);
        let before_oldest = found.before_oldest();
        losses.push(LaneLosses { lane, losses: seen.add(found, judgement, &mut frames), before_oldest });
    }
    seen.judge_logs(root, layout, frames, &losses);
    seen.judge_roster(root, roster);
    Ok(seen)
}

impl Examined {
    /// Takes in a judged lane, and hands its frames out to their logs.
    fn add(
        &mut self,
        mut found: LaneFound,
        judgement: Judgement,
        frames: &mut PerLog<Vec<Placed>>,
    ) -> Vec<lane::Loss> {
        let Judgement { kept, losses, strays, tops, cut, unproven, doubt, end } = judgement;
        self.damages.append(&mut found.damages);
        self.damages.extend(strays);
        self.damages.extend(losses.iter().map(|loss| loss.corrupt.clone()));
        self.damages.extend(doubt.clone());
        for (segment, kept) in found.segments.iter_mut().zip(kept) {
            segment.scan.pieces = Vec::new();
            let key = SegmentKey(self.segments.len() as u32);
            let mut last = vec![LogSeq(0); frames.len()];
            self.frames += kept.len() as u64;
            self.bytes += segment.bytes;
            for frame in kept {
                let log = frame.header.log.slot();
                last[log] = frame.header.log_seq;
                let at = Position { lane: found.lane, segment: segment.number, offset: frame.offset };
                frames[log].push(Placed { frame, at, segment: key });
            }
            self.segments.push(SegmentSeen {
                lane: found.lane,
                number: segment.number,
                path: segment.path.clone(),
                file: Arc::clone(&segment.file),
                bytes: segment.bytes,
                tops: last,
                hurt: losses.iter().any(|loss| loss.at.0 == segment.number),
            });
        }
        self.lanes.push(LaneSeen { found, tops, cut, unproven, doubt, end });
        losses
    }

    fn judge_logs(&mut self, root: &Path, layout: Layout, frames: PerLog<Vec<Placed>>, lanes: &[LaneLosses]) {
        let segments = &self.segments;
        let path = |key: SegmentKey| segments[key.0 as usize].path.clone();
        let scene = Scene { root, lanes, path: &path };
        for (log, mut frames) in (0..).map(LogId).zip(frames) {
            frames.sort_by_key(|placed| placed.frame.header.log_seq);
            let top = self.lanes.iter().map(|lane| lane.tops[log.slot()]).max().unwrap_or_default();
            let mut judged = log::judge(log, &frames, top, &scene);
            let doubts = self.lanes.iter().filter(|lane| lane.found.lane == LaneId::of(log, layout.lanes));
            let doubts = doubts.filter_map(|lane| lane.doubt.clone());
            judged.corrupt.extend(doubts.map(|doubt| Corrupt { log: Some(log), ..doubt }));
            chronos_env::sometimes!("wal.log_damaged", !judged.corrupt.is_empty());
            self.logs.push(judged);
        }
        let missing = self.logs.iter().flat_map(|log| &log.corrupt).filter(|corrupt| {
            let same = |damage: &Corrupt| damage.file == corrupt.file && damage.offset == corrupt.offset;
            !self.damages.iter().any(same)
        });
        let missing: Vec<_> = missing.cloned().collect();
        self.damages.extend(missing);
    }

    fn judge_roster(&mut self, root: &Path, roster: &RosterFound) {
        let what = match roster {
            RosterFound::Read(_) => return,
            RosterFound::Missing if self.is_blank() => return,
            RosterFound::Missing => "list of lanes is missing".to_owned(),
            RosterFound::Spoiled(what) => format!("list of lanes {what}"),
        };
        let file = root.join(roster::FILE_NAME);
        self.damages.push(Corrupt { file, offset: 0, log: None, index: None, what });
    }

    /// The key of a segment that was found.
    pub(crate) fn key_of(&self, lane: LaneId, number: SegmentNo) -> SegmentKey {
        let at = self.segments.iter().position(|seen| (seen.lane, seen.number) == (lane, number));
        SegmentKey(at.expect("every segment of every lane was taken in") as u32)
    }

    /// Whether nothing was ever written: what the making of a directory leaves when it is interrupted.
    pub(crate) fn is_blank(&self) -> bool {
        self.lanes.iter().all(|lane| {
            let marked = lane.found.marks().any(|mark| mark.unit.0 > 0 || mark.segment.0 > 0);
            lane.found.segments.is_empty() && !marked
        })
    }

    /// The outcome for each log.
    pub(crate) fn verdict(&self, log: LogId, layout: Layout) -> Verdict {
        let judged = &self.logs[log.slot()];
        if !judged.corrupt.is_empty() {
            return Verdict::Corrupt(judged.corrupt.clone());
        }
        let own = self.lanes.iter().find(|lane| lane.found.lane == LaneId::of(log, layout.lanes));
        match own.and_then(LaneSeen::torn_tail) {
            Some(TornTail { file, offset, bytes }) => Verdict::TornTail { file, offset, bytes },
            None => Verdict::Clean,
        }
    }
}

impl LogJudged {
    pub(crate) fn state(&self) -> LogState {
        LogState {
            purged: self.index.purged(),
            last: self.index.last(),
            flushed: self.index.end().saturating_sub(1),
            committed: self.chain.committed,
            vote: self.chain.vote.clone(),
        }
    }
}

/// Opening errors as the disk errors they are for those who only read.
pub(crate) fn as_io(error: OpenError) -> io::Error {
    match error {
        OpenError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::Unsupported, other.to_string()),
    }
}

/// A directory with everything that opening or verifying must know about it.
pub(crate) struct Surveyed {
    pub(crate) roster: RosterFound,
    pub(crate) layout: Layout,
    pub(crate) examined: Examined,
    /// Nothing was ever written here; the lanes, if there are any, are half made.
    pub(crate) is_blank: bool,
}

/// Examines `root`. Where the list of lanes cannot be read, `lanes` says how many are supposed to be in use, else
/// the directories that are there. With `exists` it is known that there was something: nothing is damage then.
pub(crate) fn survey(
    disk: &dyn Disk,
    root: &Path,
    whose: Identity,
    lanes: Option<u8>,
    exists: bool,
) -> Result<Surveyed, OpenError> {
    let roster = read_roster(disk, root)?;
    let examined = |layout| examine(disk, root, whose, layout, &roster);
    if let RosterFound::Read(known) = &roster {
        let layout = Layout { lanes: known.lanes, made: known.made };
        return Ok(Surveyed { layout, examined: examined(layout)?, is_blank: false, roster });
    }
    let present = lanes_present(disk, root)?.last().map_or(0, |lane| lane.0 + 1);
    let lanes = lanes.unwrap_or(present).max(1);
    let layout = Layout { lanes, made: present };
    let first_look = examined(layout)?;
    if !exists && matches!(roster, RosterFound::Missing) && first_look.is_blank() {
        let layout = Layout { lanes, made: 0 };
        return Ok(Surveyed { layout, examined: examined(layout)?, is_blank: true, roster });
    }
    if lanes <= present {
        return Ok(Surveyed { layout, examined: first_look, is_blank: false, roster });
    }
    let layout = Layout { lanes, made: lanes };
    Ok(Surveyed { layout, examined: examined(layout)?, is_blank: false, roster })
}

/// Whose files these are: what the list of lanes says, else the first segment whose header can be read.
pub(crate) fn identify(disk: &dyn Disk, root: &Path) -> Result<Option<Identity>, OpenError> {
    if let RosterFound::Read(roster) = read_roster(disk, root)? {
        return Ok(Some(Identity { cluster: roster.cluster, logs: roster.logs }));
    }
    for lane in lanes_present(disk, root)? {
        if let Some(whose) = evidence::identity_of_lane(disk, root, lane)? {
            return Ok(Some(whose));
        }
    }
    Ok(None)
}
