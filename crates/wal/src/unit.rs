//! A unit: the frames of one group commit, encoded one behind the other for one write.
//!
//! This is the only place where frames get their numbers: lane and log sequence numbers without a gap, and the
//! link to the previous frame of the same log.

use bytes::Bytes;

use crate::checkpoint::Checkpoint;
use crate::format::{LOGS_MAX, PerLog, SEGMENT_BYTES_MIN, VOTE_BYTES_MAX, append_bytes_max};
use crate::frame::{self, Header, Kind, Link, Position, framed_len};
use crate::index::{SegmentKey, Slot};
use crate::numbers::{LaneSeq, LogId, LogSeq, UnitNo};
use crate::queue::{Op, Work};
use crate::{Entry, Mark};

/// Bytes of the longest checkpoint's frame.
pub(crate) const CHECKPOINT_FRAME_MAX: usize = framed_len(24 + VOTE_BYTES_MAX);

/// A log that is reset leaves out so many numbers of frames.
const RESET_GAP: u64 = 1 << 20;

const _: () = assert!(
    LOGS_MAX as usize * (CHECKPOINT_FRAME_MAX + framed_len(0)) <= append_bytes_max(SEGMENT_BYTES_MIN),
    "the control frames of all logs fit an empty segment beside the greatest append"
);

/// All that has been written of one log, in short.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chain {
    /// The last frame.
    pub(crate) seq: LogSeq,
    pub(crate) link: Link,
    /// What the frames say about everything but entries.
    pub(crate) vote: Option<Bytes>,
    pub(crate) committed: u64,
    pub(crate) purged: Option<Mark>,
}

/// Frames a unit carries beside what was asked for.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Commit marks that are newer than the recorded ones.
    pub(crate) commits: Vec<(LogId, u64)>,
    /// Logs whose state is to be stated again, because its frames hold on to an old segment.
    pub(crate) restates: Vec<LogId>,
}

impl Extras {
    pub(crate) fn frames(&self) -> usize {
        self.commits.len() + self.restates.len()
    }

    pub(crate) fn framed_bytes(&self) -> usize {
        self.commits.len() * framed_len(0) + self.restates.len() * CHECKPOINT_FRAME_MAX
    }
}

/// Where a unit goes and how it is numbered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) cluster: u64,
    pub(crate) at: Position,
    pub(crate) segment: SegmentKey,
    pub(crate) unit: UnitNo,
    pub(crate) lane_seq: LaneSeq,
}

/// A unit being encoded, then what became of it.
pub(crate) struct Unit {
    pub(crate) start: Start,
    pub(crate) bytes: Vec<u8>,
    /// Places of the entries, in order.
    pub(crate) slots: Vec<Slot>,
    /// Floors stated by purge frames.
    pub(crate) floors: Vec<(LogId, LogSeq)>,
    /// Per log, first and last frame in here; 0 when it has none.
    spans: PerLog<(LogSeq, LogSeq)>,
    frames: u32,
    frames_planned: u32,
}

impl Unit {
    /// Encodes `ops` and `extras` into `buffer`. `first_seq_after` tells, of a log, the first flushed frame that
    /// still matters once it is purged up to a mark.
    pub(crate) fn encode(
        start: Start,
        mut buffer: Vec<u8>,
        ops: &[Op],
        extras: &Extras,
        chains: &mut [Chain],
        first_seq_after: impl Fn(LogId, Option<Mark>) -> Option<LogSeq>,
    ) -> Unit {
        buffer.clear();
        let planned: usize = ops.iter().map(|op| op.work.frames()).sum::<usize>() + extras.frames();
        let mut unit = Unit {
            start,
            bytes: buffer,
            slots: Vec::new(),
            floors: Vec::new(),
            spans: vec![Default::default(); chains.len()],
            frames: 0,
            frames_planned: u32::try_from(planned).expect("a unit has fewer frames than bytes"),
        };
        for op in ops {
            unit.op(op, &mut chains[op.log.slot()], &first_seq_after);
        }
        for (log, index) in &extras.commits {
            let chain = &mut chains[log.slot()];
            chain.committed = *index;
            unit.frame(*log, chain, Kind::Commit, *index, 0, &[]);
        }
        for log in &extras.restates {
            unit.checkpoint(*log, &mut chains[log.slot()], &first_seq_after);
        }
        assert_eq!(unit.frames, unit.frames_planned, "the last frame of a unit must be marked as such");
        unit
    }

    fn op(
        &mut self,
        op: &Op,
        chain: &mut Chain,
        first_seq_after: &impl Fn(LogId, Option<Mark>) -> Option<LogSeq>,
    ) {
        match &op.work {
            Work::Append { entries, .. } => entries.iter().for_each(|entry| self.entry(op.log, chain, entry)),
            Work::Vote(vote) => {
                chain.vote = Some(vote.clone());
                self.frame(op.log, chain, Kind::Vote, 0, 0, vote);
            }
            Work::Truncate { after } => {
                self.frame(op.log, chain, Kind::Truncate, *after, 0, &[]);
            }
            Work::Purge { mark } => {
                chain.purged = Some(*mark);
                self.checkpoint(op.log, chain, first_seq_after);
            }
            Work::Reset => self.reset(op.log, chain),
            Work::Room { .. } | Work::Nothing => {}
        }
    }

    /// A checkpoint that states nothing but the vote, and of which the floor is its own frame: none before it counts.
    fn reset(&mut self, log: LogId, chain: &mut Chain) {
        // Far behind every number known of the log: a frame that could not be read for a while is never taken for one of
        // the new life.
        chain.seq = LogSeq(chain.seq.0 + RESET_GAP);
        (chain.purged, chain.committed) = (None, 0);
        let floor = chain.seq.next();
        self.spans[log.slot()].0 = floor;
        let vote = chain.vote.clone();
        let payload = Checkpoint { floor, committed: 0, has_purged: false, vote }.encode();
        self.frame(log, chain, Kind::Purge, 0, 0, &payload);
        self.floors.push((log, floor));
    }

    fn entry(&mut self, log: LogId, chain: &mut Chain, entry: &Entry) {
        let (offset, seq) = self.frame(log, chain, Kind::Entry, entry.index, entry.term, &entry.payload);
        let payload_len = u32::try_from(entry.payload.len()).expect("a payload is smaller than a segment");
        self.slots.push(Slot { term: entry.term, seq, offset, segment: self.start.segment, payload_len });
    }

    /// States again all that holds of `log`. The floor is the first entry's frame that is flushed already, else
    /// this log's first frame in this unit: perhaps lower than it could be, never higher.
    fn checkpoint(
        &mut self,
        log: LogId,
        chain: &mut Chain,
        first_seq_after: &impl Fn(LogId, Option<Mark>) -> Option<LogSeq>,
    ) {
        let (first_here, _) = self.spans[log.slot()];
        let newest = if first_here == LogSeq(0) { chain.seq.next() } else { first_here };
        let floor = first_seq_after(log, chain.purged).unwrap_or(newest);
        assert!(floor <= newest, "floor {floor} of {log} lies beyond the unit that states it");
        let mark = chain.purged.unwrap_or(Mark { index: 0, term: 0 });
        let (has_purged, committed) = (chain.purged.is_some(), chain.committed);
        let payload = Checkpoint { floor, committed, has_purged, vote: chain.vote.clone() }.encode();
        self.frame(log, chain, Kind::Purge, mark.index, mark.term, &payload);
        self.floors.push((log, floor));
    }

    fn frame(
        &mut self,
        log: LogId,
        chain: &mut Chain,
        kind: Kind,
        index: u64,
        term: u64,
        payload: &[u8],
    ) -> (u64, LogSeq) {
        let offset = self.start.at.offset + self.bytes.len() as u64;
        let log_seq = chain.seq.next();
        let header = Header {
            kind,
            last_of_unit: self.frames + 1 == self.frames_planned,
            log,
            cluster: self.start.cluster,
            unit: self.start.unit,
            ordinal: self.frames,
            lane_seq: LaneSeq(self.start.lane_seq.0 + u64::from(self.frames)),
            log_seq,
            index,
            term,
            prev: chain.link,
            payload_len: 0,
            payload_crc: 0,
        };
        chain.link = frame::append(&mut self.bytes, header, payload, Position { offset, ..self.start.at });
        chain.seq = log_seq;
        self.frames += 1;
        let (first, last) = &mut self.spans[log.slot()];
        if *first == LogSeq(0) {
            *first = log_seq;
        }
        *last = log_seq;
        (offset, log_seq)
    }

    pub(crate) fn frames(&self) -> u64 {
        u64::from(self.frames)
    }

    /// The last frame of each log that has one in here.
    pub(crate) fn tops(&self) -> impl Iterator<Item = (LogId, LogSeq)> {
        let spans = (0..).map(LogId).zip(&self.spans);
        spans.filter(|(_, (_, last))| last.0 != 0).map(|(log, (_, last))| (log, *last))
    }
}
