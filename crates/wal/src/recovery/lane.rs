//! Judging one lane: which frames must be there, which are lost, and what at its end was never acknowledged.
//!
//! A lane writes one unit, syncs it, and only then begins the next. So of all it ever wrote, only the newest unit
//! may be torn; every frame before it was synced. That gives `must`, the last lane sequence number that has to be
//! present: the greatest of what the flushed mark says, what headers of segments say, and what comes before the
//! newest unit. A frame missing up to `must` is lost. One missing beyond it was never acknowledged, and the rest of
//! the unit goes with it: the torn tail.
//!
//! When a slot of the mark is spoiled, a mark may have been lost that covered the newest unit. Then that unit must
//! be whole as well, and anything unreadable at the end leaves the lane *in doubt*: nobody can say which logs it
//! belonged to, so all of them are hurt, and the lane is not touched. The same when the end itself is gone, because the
//! newest segment was cut short.

use std::path::PathBuf;

use chronos_bugs::{Bug, is_seeded};

use super::evidence::{LaneFound, SegmentFound};
use super::scan::{FrameFound, Piece};
use crate::Corrupt;
use crate::format::{PerLog, SEGMENT_HEADER_BYTES};
use crate::frame::{Header, Kind};
use crate::mark::FlushedMark;
use crate::numbers::{LaneSeq, LogId, LogSeq, SegmentNo, UnitNo};
use crate::segment;

/// Frames that are lost, and where they would have been.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    /// Place in the lane, for finding the loss that explains a gap in a log.
    pub(crate) at: (SegmentNo, u64),
    /// The frame's log and number, when its header is whole.
    pub(crate) known: Option<(LogId, LogSeq)>,
    pub(crate) corrupt: Corrupt,
}

/// A tail that was never acknowledged, to be overwritten with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Position in the list of the lane's segments.
    pub(crate) segment: usize,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// Where a lane goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The newest segment and the offset behind its last frame, unless something is wrong with it.
    pub(crate) usable: Option<(usize, u64)>,
    pub(crate) last_segment: SegmentNo,
    pub(crate) next_seq: LaneSeq,
    pub(crate) next_unit: UnitNo,
}

#[derive(Debug)]
pub(crate) struct Judgement {
    /// Per segment of the lane, the frames that count.
    pub(crate) kept: Vec<Vec<FrameFound>>,
    pub(crate) losses: Vec<Loss>,
    pub(crate) strays: Vec<Corrupt>,
    /// Per log, a frame up to which all must be there.
    pub(crate) tops: PerLog<LogSeq>,
    pub(crate) cut: Option<Cut>,
    /// The bytes of the newest unit, when it is not known to be synced.
    pub(crate) unproven: Option<Cut>,
    pub(crate) doubt: Option<Corrupt>,
    pub(crate) end: End,
}

/// Judges a lane of `logs` logs. `in_use` says whether logs were written to it: such a lane never gives up its
/// newest segment.
pub(crate) fn judge(found: &LaneFound, logs: u8, in_use: bool) -> Judgement {
    let newest =
        found.segments.iter().enumerate().rev().find_map(|(at, segment)| Some((at, last_header(segment)?)));
    let (must, doubtful) = if is_seeded(Bug::M8) { Default::default() } else { must_be_there(found, newest) };
    let mut walk = Walk {
        found,
        must,
        doubtful,
        expected: None,
        hole: None,
        out: Judgement {
            kept: found.segments.iter().map(|_| Vec::new()).collect(),
            losses: Vec::new(),
            strays: Vec::new(),
            tops: tops(found, logs, must),
            cut: None,
            unproven: None,
            doubt: None,
            end: End {
                usable: None,
                last_segment: last_segment(found),
                next_seq: LaneSeq(0),
                next_unit: next_unit(found, newest.map(|(_, header)| header)),
            },
        },
    };
    for at in 0..found.segments.len() {
        walk.segment(at);
    }
    walk.finish(in_use);
    walk.out
}

/// The last lane sequence number that has to be present, and whether a lost mark may have covered more than is
/// readable.
fn must_be_there(found: &LaneFound, newest: Option<(usize, &Header)>) -> (LaneSeq, bool) {
    let mark = found.mark.newest.as_ref();
    let mut must = found.marks().map(|mark| mark.lane_seq.0).max().unwrap_or(0);
    for header in found.segments.iter().filter_map(|segment| segment.header.as_ref()) {
        must = must.max(header.base_seq.0.saturating_sub(1));
    }
    let Some((at, newest)) = newest else { return (LaneSeq(must), found.mark.doubtful) };
    must = must.max(newest.unit_start().0.saturating_sub(1));
    if at + 1 < found.segments.len() {
        must = must.max(newest.lane_seq.0);
    }
    // Marks are written unit by unit: the one that is lost spoke of the unit behind the one that is left.
    let covered = mark.map_or(u64::MAX, |mark| mark.unit.0 + 1);
    let doubtful = found.mark.doubtful && newest.unit.0 <= covered;
    if doubtful {
        must = must.max(newest.lane_seq.0);
    }
    let is_whole = newest.unit.0 == covered && newest.last_of_unit;
    (LaneSeq(must), doubtful && !is_whole)
}

fn last_header(segment: &SegmentFound) -> Option<&Header> {
    segment.scan.pieces.iter().rev().find_map(piece_header)
}

fn piece_header(piece: &Piece) -> Option<&Header> {
    match piece {
        Piece::Frame(frame) => Some(&frame.header),
        Piece::Spoiled { header, .. } => Some(header),
        Piece::Unreadable { .. } => None,
    }
}

fn tops(found: &LaneFound, logs: u8, must: LaneSeq) -> PerLog<LogSeq> {
    let mut tops = vec![LogSeq(0); usize::from(logs)];
    if is_seeded(Bug::M8) {
        return tops;
    }
    let mut raise = |log: usize, seq: LogSeq| {
        if let Some(top) = tops.get_mut(log) {
            *top = (*top).max(seq);
        }
    };
    let stated =
        found.segments.iter().filter_map(|segment| segment.header.as_ref()).map(|header| &header.tops);
    for stated in stated.chain(found.marks().map(|mark| &mark.tops)) {
        stated.iter().enumerate().for_each(|(log, seq)| raise(log, *seq));
    }
    let pieces = found.segments.iter().flat_map(|segment| &segment.scan.pieces);
    for header in pieces.filter_map(piece_header).filter(|header| header.lane_seq <= must) {
        raise(header.log.slot(), header.log_seq);
    }
    tops
}

fn last_segment(found: &LaneFound) -> SegmentNo {
    let present = found.segments.last().map(|segment| segment.number);
    let marked = found.marks().map(|mark| mark.segment).max();
    present.max(marked).unwrap_or_default()
}

fn next_unit(found: &LaneFound, newest: Option<&Header>) -> UnitNo {
    let marked = found.marks().map(|mark| mark.unit.0).max().unwrap_or(0);
    let begun =
        found.segments.iter().filter_map(|segment| segment.header.as_ref()).map(|header| header.base_unit.0);
    let begun = begun.max().unwrap_or(1).saturating_sub(1);
    UnitNo(marked.max(begun).max(newest.map_or(0, |header| header.unit.0)) + 1)
}

struct Walk<'a> {
    found: &'a LaneFound,
    must: LaneSeq,
    doubtful: bool,
    /// The next lane sequence number; unknown until something says where the lane begins.
    expected: Option<LaneSeq>,
    /// The last unreadable stretch, until a gap or its absence explains it.
    hole: Option<(usize, u64)>,
    out: Judgement,
}

impl Walk<'_> {
    fn segment(&mut self, at: usize) {
        let segment = &self.found.segments[at];
        if let Some(header) = &segment.header {
            self.enter(at, header.base_seq);
        }
        for piece in &segment.scan.pieces {
            if self.out.cut.is_some() {
                return;
            }
            self.piece(at, piece);
        }
    }

    /// A segment begins with `base`: what came before it must have ended there.
    fn enter(&mut self, at: usize, base: LaneSeq) {
        match self.expected {
            Some(expected) if base > expected => {
                let place = self.place_before(at);
                self.lose(expected, LaneSeq(base.0 - 1), place);
            }
            _ => self.explain_hole(),
        }
        self.hole = None;
        self.expected = self.expected.max(Some(base));
    }

    /// Where frames are missing that should stand before segment `at`: in an unreadable stretch, in a segment that
    /// is gone, or behind the end of the previous one.
    fn place_before(&self, at: usize) -> Place {
        let number = self.found.segments[at].number;
        match (self.hole, at.checked_sub(1).map(|before| &self.found.segments[before])) {
            (Some((hole, offset)), _) => Place::In(hole, offset),
            (None, Some(before)) if before.number.next() < number => Place::Gone(before.number.next()),
            (None, Some(before)) => Place::In(at - 1, before.scan.end),
            (None, None) => Place::In(at, 0),
        }
    }

    fn piece(&mut self, at: usize, piece: &Piece) {
        match piece {
            Piece::Unreadable { start } => self.hole = Some((at, *start)),
            Piece::Frame(frame) => {
                if self.reach(at, &frame.header, frame.offset) {
                    self.out.kept[at].push(frame.clone());
                }
            }
            Piece::Spoiled { header, offset } => {
                if !self.reach(at, header, *offset) {
                    return;
                }
                if header.lane_seq <= self.must {
                    self.lose_known(at, header, *offset);
                } else {
                    self.expected = Some(header.lane_seq);
                    self.cut(at, *offset);
                }
            }
        }
    }

    /// Goes on to a frame, accounting for those missing before it; false when it is part of the torn tail.
    fn reach(&mut self, at: usize, header: &Header, offset: u64) -> bool {
        let expected = self.expected.unwrap_or(header.lane_seq);
        if header.lane_seq < expected {
            self.stray(at, offset, "frame is out of order");
            return false;
        }
        if header.lane_seq > expected {
            let (hole_at, hole) = self.hole.unwrap_or_else(|| (at, self.behind_kept(at)));
            if expected > self.must {
                self.cut(hole_at, hole);
                return false;
            }
            let place = Place::In(hole_at, hole);
            self.lose(expected, self.must.min(LaneSeq(header.lane_seq.0 - 1)), place);
            if header.lane_seq.0 - 1 > self.must.0 {
                self.cut(at, offset);
                return false;
            }
        } else {
            self.explain_hole();
        }
        self.hole = None;
        self.expected = Some(header.lane_seq.next());
        true
    }

    fn behind_kept(&self, at: usize) -> u64 {
        let last = self.out.kept[at].last();
        last.map_or(SEGMENT_HEADER_BYTES as u64, |frame| frame.offset + frame.header.framed_len() as u64)
    }

    /// An unreadable stretch that hides no frame.
    fn explain_hole(&mut self) {
        if let Some((at, start)) = self.hole.take() {
            self.stray(at, start, "bytes that belong to no frame");
        }
    }

    fn stray(&mut self, at: usize, offset: u64, what: &str) {
        let file = self.found.segments[at].path.clone();
        self.out.strays.push(Corrupt { file, offset, log: None, index: None, what: what.to_owned() });
    }

    fn cut(&mut self, at: usize, from: u64) {
        self.hole = None;
        let to = self.found.segments[at].scan.dirty_end.max(from);
        self.out.cut = Some(Cut { segment: at, from, to });
    }

    fn lose(&mut self, from: LaneSeq, to: LaneSeq, place: Place) {
        let which = if from == to { format!("frame {to}") } else { format!("frames {from} to {to}") };
        let (file, segment, offset, what) = match place {
            Place::In(at, offset) => {
                let segment = &self.found.segments[at];
                (
                    segment.path.clone(),
                    segment.number,
                    offset,
                    format!("{which} of the lane unreadable or missing"),
                )
            }
            Place::Gone(number) => {
                (self.path_of(number), number, 0, format!("segment is missing, with {which} of the lane"))
            }
        };
        let corrupt = Corrupt { file, offset, log: None, index: None, what };
        self.out.losses.push(Loss { at: (segment, offset), known: None, corrupt });
    }

    fn lose_known(&mut self, at: usize, header: &Header, offset: u64) {
        let segment = &self.found.segments[at];
        let index = (header.kind == Kind::Entry).then_some(header.index);
        let what = "payload fails its checksum".to_owned();
        let corrupt = Corrupt { file: segment.path.clone(), offset, log: Some(header.log), index, what };
        let known = Some((header.log, header.log_seq));
        self.out.losses.push(Loss { at: (segment.number, offset), known, corrupt });
    }

    fn path_of(&self, number: SegmentNo) -> PathBuf {
        self.found.dir.join(segment::file_name(number))
    }

    fn finish(&mut self, in_use: bool) {
        let newest = self.found.segments.len().checked_sub(1);
        match (self.hole, newest) {
            (Some((at, start)), Some(_)) if self.doubtful => self.doubt(at, start),
            (Some((at, start)), Some(newest)) if at == newest && self.is_complete() => self.cut(at, start),
            _ => {}
        }
        if newest.is_none() && self.found.mark.newest.is_none() {
            self.nothing_left();
        }
        if let Some(at) = newest.filter(|at| self.doubtful && self.ends_unseen(*at)) {
            self.end_unseen(at);
        }
        if let Some(number) = self.newest_gone().filter(|_| self.doubtful && self.out.doubt.is_none()) {
            self.newest_lost(number);
        }
        if self.out.cut.is_none() {
            self.miss_the_end(in_use);
        }
        self.out.unproven = newest.and_then(|at| self.unproven(at));
        self.out.end.next_seq = self.must.next().max(self.expected.unwrap_or_default()).max(LaneSeq(1));
        self.out.end.usable = newest.and_then(|at| self.usable(at));
    }

    /// Whether all that must be there has been passed.
    fn is_complete(&self) -> bool {
        self.expected.unwrap_or(LaneSeq(1)) > self.must
    }

    /// Frames that must be there and that nothing came after.
    fn miss_the_end(&mut self, in_use: bool) {
        if self.is_complete() {
            return self.explain_hole();
        }
        let marked = self.found.mark.newest.as_ref().filter(|mark| mark.offset > 0).map(|mark| mark.segment);
        let place = match (self.found.segments.len().checked_sub(1), marked) {
            (None, Some(marked)) if in_use => Place::Gone(marked),
            (None, _) => return,
            (Some(at), Some(marked)) if self.found.segments[at].number < marked => Place::Gone(marked),
            (Some(at), _) => {
                let (at, offset) = self.hole.unwrap_or((at, self.found.segments[at].scan.end));
                Place::In(at, offset)
            }
        };
        let from = self.expected.unwrap_or(self.must);
        self.lose(from, self.must, place);
    }

    fn doubt(&mut self, at: usize, offset: u64) {
        let what = "bytes at the end of the lane are unreadable, and the flushed mark that would tell whether they \
                    were acknowledged is spoiled";
        let file = self.found.segments[at].path.clone();
        self.hole = None;
        self.out.doubt = Some(Corrupt { file, offset, log: None, index: None, what: what.to_owned() });
    }

    /// Whether the newest segment may have held more than what is left of it: its file is shorter than it was made, or
    /// its header, which would tell, is spoiled.
    fn ends_unseen(&self, at: usize) -> bool {
        let segment = &self.found.segments[at];
        self.out.doubt.is_none() && segment.header.as_ref().is_none_or(|header| segment.bytes < header.bytes)
    }

    fn end_unseen(&mut self, at: usize) {
        let what = "segment is cut short or its header is spoiled, and so is the flushed mark that would tell how far it \
                    was written";
        let segment = &self.found.segments[at];
        let (file, offset) = (segment.path.clone(), segment.scan.end);
        self.out.doubt = Some(Corrupt { file, offset, log: None, index: None, what: what.to_owned() });
    }

    /// The segment that was the newest, if all that is left are older ones.
    fn newest_gone(&self) -> Option<SegmentNo> {
        let left = self.found.segments.last().map(|segment| segment.number).unwrap_or_default();
        let rolled = self.found.rolled.newest.as_ref()?;
        (rolled.segment > left).then_some(rolled.segment)
    }

    fn newest_lost(&mut self, number: SegmentNo) {
        let what =
            "segment is missing, and the flushed mark that would tell what it held is spoiled".to_owned();
        let file = self.path_of(number);
        self.out.doubt = Some(Corrupt { file, offset: 0, log: None, index: None, what });
    }

    fn nothing_left(&mut self) {
        let what = "neither segments nor a flushed mark of the lane are left".to_owned();
        let file = self.found.dir.clone();
        self.out.doubt = Some(Corrupt { file, offset: 0, log: None, index: None, what });
    }

    /// The newest unit's bytes, unless the mark says they are synced: they may be in the page cache only, and a
    /// failed sync may have called the page clean.
    fn unproven(&self, at: usize) -> Option<Cut> {
        let last = self.out.kept[at].last()?;
        let marked = self.found.mark.newest.as_ref().map_or(UnitNo(0), |mark| mark.unit);
        if last.header.unit <= marked {
            return None;
        }
        let first = self.out.kept[at].iter().find(|frame| frame.header.unit == last.header.unit)?;
        Some(Cut { segment: at, from: first.offset, to: self.behind_kept(at) })
    }

    /// The newest segment may be written on if all of it is as written.
    fn usable(&self, at: usize) -> Option<(usize, u64)> {
        let segment = &self.found.segments[at];
        let hurt = self.out.losses.iter().any(|loss| loss.at.0 >= segment.number)
            || self.out.strays.iter().any(|stray| stray.file == segment.path);
        let usable = !hurt && !segment.flawed && self.out.doubt.is_none();
        usable.then(|| (at, self.behind_kept(at)))
    }
}

/// Where frames are missing.
enum Place {
    In(usize, u64),
    Gone(SegmentNo),
}

impl LaneFound {
    /// What can be read of its two files of marks.
    pub(crate) fn marks(&self) -> impl Iterator<Item = &FlushedMark> {
        self.mark.newest.iter().chain(&self.rolled.newest)
    }

    /// The path of the segment before the oldest one that is there.
    pub(crate) fn before_oldest(&self) -> Option<PathBuf> {
        let number = self.segments.first()?.number;
        (number > segment::FIRST).then(|| self.dir.join(segment::file_name(SegmentNo(number.0 - 1))))
    }

    /// The mark recovery starts from, were it readable or not.
    pub(crate) fn mark_or_first(&self, cluster: u64, logs: u8) -> FlushedMark {
        let found = self.mark.newest.clone();
        found.unwrap_or_else(|| FlushedMark::first(self.lane, cluster, logs))
    }
}
