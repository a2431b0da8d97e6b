//! Judging one log: its frames from all lanes, in the order of their sequence numbers, must be a chain without a
//! gap from the floor up to the last one known to be flushed. Replaying it gives the log's state.

use std::path::{Path, PathBuf};

use super::lane::Loss;
use super::scan::FrameFound;
use crate::checkpoint::Checkpoint;
use crate::frame::{Kind, Position};
use crate::index::{Index, SegmentKey, Slot};
use crate::numbers::{LaneId, LogId, LogSeq};
use crate::unit::Chain;
use crate::{Corrupt, Mark};

/// A frame of a log, and where it was found.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) frame: FrameFound,
    pub(crate) at: Position,
    pub(crate) segment: SegmentKey,
}

/// What a lane lost.
pub(crate) struct LaneLosses {
    pub(crate) lane: LaneId,
    /// In order.
    pub(crate) losses: Vec<Loss>,
    /// The segment before the oldest one that is there: retired, or lost if somebody still needs it.
    pub(crate) before_oldest: Option<PathBuf>,
}

/// A log after recovery.
#[derive(Debug, Default)]
pub(crate) struct LogJudged {
    pub(crate) index: Index,
    pub(crate) chain: Chain,
    pub(crate) floor: LogSeq,
    /// Empty when nothing is lost.
    pub(crate) corrupt: Vec<Corrupt>,
}

/// Where to look for an explanation of what is missing.
pub(crate) struct Scene<'a> {
    pub(crate) root: &'a Path,
    pub(crate) lanes: &'a [LaneLosses],
    /// Path of a segment, for frames that are whole but do not fit.
    pub(crate) path: &'a dyn Fn(SegmentKey) -> PathBuf,
}

/// Judges `log` from its frames, ascending by sequence number, of which all up to `top` must be there.
pub(crate) fn judge(log: LogId, frames: &[Placed], top: LogSeq, scene: &Scene<'_>) -> LogJudged {
    let floor = frames.iter().filter_map(floor_stated).max().unwrap_or(LogSeq(1));
    let mut replay = Replay::starting(log, frames, scene, floor);
    let needed = &frames[frames.partition_point(|placed| placed.frame.header.log_seq < floor)..];
    let mut expected = floor;
    let mut before: Option<&Placed> = None;
    for placed in needed {
        let seq = placed.frame.header.log_seq;
        if seq > expected {
            replay.missing(expected, LogSeq(seq.0 - 1), before, Some(placed));
        } else if seq < expected || before.is_some_and(|before| before.frame.link != placed.frame.header.prev)
        {
            replay.misfit(placed, "frame does not belong behind the one before it");
        }
        replay.apply(placed);
        expected = seq.next();
        before = Some(placed);
    }
    if expected <= top {
        replay.missing(expected, top, before, None);
    }
    replay.out
}

fn floor_stated(placed: &Placed) -> Option<LogSeq> {
    let is_purge = placed.frame.header.kind == Kind::Purge;
    let checkpoint = Checkpoint::decode(placed.frame.control.as_deref().filter(|_| is_purge)?)?;
    Some(checkpoint.floor)
}

/// The replay begins with the newest purge mark: frames before that purge may speak of entries whose own frames
/// lie below the floor, and of what it purged nothing matters any more.
struct Replay<'a> {
    log: LogId,
    scene: &'a Scene<'a>,
    purged: Option<Mark>,
    out: LogJudged,
}

impl<'a> Replay<'a> {
    fn starting(log: LogId, frames: &[Placed], scene: &'a Scene<'a>, floor: LogSeq) -> Replay<'a> {
        let newest = frames.iter().rev().find(|placed| placed.frame.header.kind == Kind::Purge);
        let purged = newest.and_then(|placed| {
            let checkpoint = Checkpoint::decode(placed.frame.control.as_deref()?)?;
            let header = &placed.frame.header;
            checkpoint.has_purged.then_some(Mark { index: header.index, term: header.term })
        });
        let mut out = LogJudged { floor, ..LogJudged::default() };
        out.chain.purged = purged;
        purged.into_iter().for_each(|mark| out.index.purge(mark));
        Replay { log, scene, purged, out }
    }

    fn apply(&mut self, placed: &Placed) {
        let header = &placed.frame.header;
        let floor = self.purged.map_or(0, |mark| mark.index);
        let out = &mut self.out;
        out.chain.seq = header.log_seq;
        out.chain.link = placed.frame.link;
        match header.kind {
            Kind::Entry => self.entry(placed),
            Kind::Vote => out.chain.vote.clone_from(&placed.frame.control),
            Kind::Truncate => out.index.truncate(header.index.max(floor)),
            Kind::Commit => out.chain.committed = header.index,
            Kind::Purge => self.purge(placed),
        }
    }

    /// Behind frames that are lost an entry may not continue the log; that is said once, of the frames.
    fn entry(&mut self, placed: &Placed) {
        let header = &placed.frame.header;
        if self.purged.is_some_and(|mark| header.index <= mark.index) {
            return;
        }
        if !self.out.index.takes(header.index) {
            if self.out.corrupt.is_empty() {
                self.misfit(placed, "entry does not continue the log");
            }
            return;
        }
        let slot = Slot {
            term: header.term,
            seq: header.log_seq,
            offset: placed.frame.offset,
            segment: placed.segment,
            payload_len: header.payload_len,
        };
        self.out.index.push(header.index, slot);
    }

    fn purge(&mut self, placed: &Placed) {
        let Some(checkpoint) = placed.frame.control.as_deref().and_then(Checkpoint::decode) else {
            return self.misfit(placed, "purge frame holds no checkpoint");
        };
        self.out.chain.vote = checkpoint.vote;
        self.out.chain.committed = checkpoint.committed;
    }

    fn misfit(&mut self, placed: &Placed, what: &str) {
        let header = &placed.frame.header;
        let index = (header.kind == Kind::Entry).then_some(header.index);
        let file = (self.scene.path)(placed.segment);
        let what = what.to_owned();
        self.out.corrupt.push(Corrupt {
            file,
            offset: placed.frame.offset,
            log: Some(self.log),
            index,
            what,
        });
    }

    /// Frames `from..=to` of the log are not there, between those given. Blames the loss that most likely took them.
    fn missing(&mut self, from: LogSeq, to: LogSeq, before: Option<&Placed>, after: Option<&Placed>) {
        let frames = if from == to { format!("frame {from}") } else { format!("frames {from} to {to}") };
        let corrupt = match self.culprit(from, to, before) {
            Some(loss) => Corrupt {
                log: Some(self.log),
                index: loss.known.and(loss.corrupt.index),
                what: format!("{frames} lost: {}", loss.corrupt.what),
                ..loss.corrupt.clone()
            },
            None => {
                let file = self.absent(after).unwrap_or(self.scene.root).to_owned();
                let what = format!("{frames} lost: the segment that held them is missing");
                Corrupt { file, offset: 0, log: Some(self.log), index: None, what }
            }
        };
        self.out.corrupt.push(corrupt);
    }

    /// The segment that should stand before the oldest one: in the lane of the frame that shows the gap, else in any.
    fn absent(&self, after: Option<&Placed>) -> Option<&'a Path> {
        let lanes = || self.scene.lanes.iter();
        let own = lanes().filter(|lane| after.is_some_and(|after| after.at.lane == lane.lane));
        own.chain(lanes()).find_map(|lane| lane.before_oldest.as_deref())
    }

    /// A spoiled frame with that very name; else the first unnamed loss behind the frame before, in its lane; else
    /// any.
    fn culprit(&self, from: LogSeq, to: LogSeq, before: Option<&Placed>) -> Option<&Loss> {
        let all =
            || self.scene.lanes.iter().flat_map(|lane| lane.losses.iter().map(move |loss| (lane.lane, loss)));
        let named = all().find(|(_, loss)| {
            loss.known.is_some_and(|(log, seq)| log == self.log && (from..=to).contains(&seq))
        });
        let nameless = || all().filter(|(_, loss)| loss.known.is_none());
        let behind = before.and_then(|before| {
            let place = (before.at.segment, before.at.offset);
            nameless().find(|(lane, loss)| *lane == before.at.lane && loss.at > place)
        });
        named.or(behind).or_else(|| nameless().next()).map(|(_, loss)| loss)
    }
}
