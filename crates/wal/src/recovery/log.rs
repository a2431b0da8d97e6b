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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::frame::{Header, Link};
    use crate::numbers::{LaneSeq, SegmentNo, UnitNo};

    const LOG: LogId = LogId(1);

    /// Frame number `seq`, whose link is its number, behind the one before.
    fn frame(seq: u64, kind: Kind, index: u64, control: Option<Bytes>) -> Placed {
        let header = Header {
            kind,
            last_of_unit: true,
            log: LOG,
            cluster: 0,
            unit: UnitNo(seq),
            ordinal: 0,
            lane_seq: LaneSeq(seq),
            log_seq: LogSeq(seq),
            index,
            term: 1,
            prev: Link(seq - 1),
            payload_len: 0,
            payload_crc: 0,
        };
        let offset = 4096 + seq * 80;
        let at = Position { lane: LaneId(0), segment: SegmentNo(1), offset };
        Placed { frame: FrameFound { header, link: Link(seq), offset, control }, at, segment: SegmentKey(0) }
    }

    fn entry(seq: u64, index: u64) -> Placed {
        frame(seq, Kind::Entry, index, None)
    }

    fn purge(seq: u64, index: u64, floor: u64) -> Placed {
        let checkpoint = Checkpoint { floor: LogSeq(floor), committed: 3, has_purged: index > 0, vote: None };
        frame(seq, Kind::Purge, index, Some(Bytes::from(checkpoint.encode())))
    }

    fn judged(frames: &[Placed], top: u64) -> LogJudged {
        let path = |_| PathBuf::from("/segment");
        let scene = Scene { root: Path::new("/root"), lanes: &[], path: &path };
        judge(LOG, frames, LogSeq(top), &scene)
    }

    fn held(judged: &LogJudged) -> Vec<u64> {
        judged.index.iter().map(|(index, _)| index).collect()
    }

    #[test]
    fn a_chain_without_a_gap_is_whole() {
        let judged = judged(&[entry(1, 1), entry(2, 2), frame(3, Kind::Truncate, 1, None), entry(4, 2)], 4);
        assert_eq!((held(&judged), judged.corrupt.len()), (vec![1, 2], 0));
        assert_eq!(judged.chain.seq, LogSeq(4));
    }

    #[test]
    fn a_frame_missing_anywhere_up_to_the_top_is_lost() {
        for missing in 1..=4 {
            let all = [entry(1, 1), entry(2, 2), entry(3, 3), entry(4, 4)];
            let left: Vec<_> =
                all.into_iter().filter(|placed| placed.frame.header.log_seq.0 != missing).collect();
            assert_eq!(judged(&left, 4).corrupt.len(), 1, "frame {missing} is missing");
        }
        assert!(
            judged(&[entry(1, 1)], 1).corrupt.is_empty(),
            "what was never known to be flushed is not missed"
        );
    }

    #[test]
    fn a_frame_of_another_history_is_not_taken_for_the_next() {
        let mut stranger = entry(3, 3);
        stranger.frame.header.prev = Link(77);
        assert_eq!(judged(&[entry(1, 1), entry(2, 2), stranger], 3).corrupt.len(), 1);
        assert_eq!(
            judged(&[entry(1, 1), entry(2, 2), entry(2, 2)], 2).corrupt.len(),
            1,
            "one number, two frames"
        );
    }

    #[test]
    fn below_the_floor_nothing_is_needed() {
        let judged = judged(&[entry(3, 3), entry(5, 5), purge(6, 4, 5), entry(7, 6)], 7);
        assert_eq!((held(&judged), judged.corrupt.len()), (vec![5, 6], 0));
        assert_eq!(judged.chain.committed, 3);
        assert_eq!(judged.floor, LogSeq(5));
    }

    /// An older purge above the floor speaks of entries whose own frames lie below it.
    #[test]
    fn an_older_purge_above_the_floor_does_not_confuse_the_replay() {
        let judged = judged(&[purge(5, 3, 4), entry(6, 5), purge(7, 5, 5), entry(8, 6)], 8);
        assert_eq!((held(&judged), judged.corrupt.len()), (vec![6], 0));
    }

    #[test]
    fn a_lost_checkpoint_is_noticed_by_the_number_it_had() {
        let judged = judged(&[entry(1, 1), entry(3, 2)], 3);
        assert_eq!(judged.corrupt.len(), 1);
        assert_eq!(judged.floor, LogSeq(1));
    }
}
