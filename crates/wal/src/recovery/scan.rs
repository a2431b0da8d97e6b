//! Reading a segment when anything may have happened to it: a pure function from bytes to what stands in them.

use bytes::Bytes;

use crate::format::{ALIGN, SEGMENT_HEADER_BYTES};
use crate::frame::{self, Found, HEADER_BYTES, Header, Kind, Link, MAGIC, Position};
use crate::numbers::{LaneId, LaneSeq, SegmentNo};

/// A whole frame.
#[derive(Clone, Debug)]
pub(crate) struct FrameFound {
    pub(crate) header: Header,
    pub(crate) link: Link,
    pub(crate) offset: u64,
    /// The payload of a vote or purge.
    pub(crate) control: Option<Bytes>,
}

/// What stands in a segment, in order; zeros behind the last frame are not a piece.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Frame(FrameFound),
    /// The header is whole, the payload is not.
    Spoiled {
        header: Header,
        offset: u64,
    },
    /// No frame stands here, yet more frames follow or the bytes are not zero.
    Unreadable {
        start: u64,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) pieces: Vec<Piece>,
    /// Ends of frames behind which the padding is not zero.
    pub(crate) stray_padding: Vec<u64>,
    /// End of the last frame, whole or spoiled; the end of the header when there is none.
    pub(crate) end: u64,
    /// One past the last byte that is not zero, at least `end`.
    pub(crate) dirty_end: u64,
}

/// What frames must say to be accepted here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expect {
    pub(crate) lane: LaneId,
    pub(crate) segment: SegmentNo,
    pub(crate) cluster: u64,
    pub(crate) logs: u8,
}

/// Reads a whole segment. Where no frame stands it looks for the next one at every aligned offset, because what
/// comes after damage decides what the damage means.
pub(crate) fn scan(bytes: &[u8], expect: Expect) -> Scan {
    let mut scanner = Scanner { bytes, expect, last_seq: LaneSeq(0), found: Scan::default() };
    let dirty = used_len(bytes);
    let mut at = SEGMENT_HEADER_BYTES;
    scanner.found.end = at as u64;
    while at < dirty {
        at = scanner.step(at, dirty);
    }
    let mut found = scanner.found;
    found.dirty_end = found.end.max(dirty as u64);
    found
}

/// One past the last byte that is not zero. Compares block by block: most of a young segment is zeros.
fn used_len(bytes: &[u8]) -> usize {
    static ZEROS: [u8; 4096] = [0; 4096];
    let zero_blocks = bytes.rchunks(ZEROS.len()).take_while(|block| **block == ZEROS[..block.len()]);
    let rest = &bytes[..bytes.len() - zero_blocks.map(<[u8]>::len).sum::<usize>()];
    rest.len() - rest.iter().rev().take_while(|byte| **byte == 0).count()
}

struct Scanner<'a> {
    bytes: &'a [u8],
    expect: Expect,
    last_seq: LaneSeq,
    found: Scan,
}

impl<'a> Scanner<'a> {
    /// Takes in the piece at `at`; returns where the next one starts.
    fn step(&mut self, at: usize, dirty: usize) -> usize {
        let offset = at as u64;
        let (header, piece) = match self.read(at) {
            Found::Frame { header, link, payload, padding_is_zero } => {
                if !padding_is_zero {
                    self.found.stray_padding.push(offset + (HEADER_BYTES + payload.len()) as u64);
                }
                let is_control = matches!(header.kind, Kind::Vote | Kind::Purge);
                let control = is_control.then(|| Bytes::copy_from_slice(payload));
                (header, Piece::Frame(FrameFound { header, link, offset, control }))
            }
            Found::Spoiled { header } => (header, Piece::Spoiled { header, offset }),
            Found::Nothing => {
                let next = self.next_frame(at + ALIGN, dirty).unwrap_or(dirty);
                self.found.pieces.push(Piece::Unreadable { start: offset });
                return next;
            }
        };
        self.found.pieces.push(piece);
        self.last_seq = header.lane_seq;
        let end = (at + header.framed_len()).min(self.bytes.len());
        self.found.end = end as u64;
        end
    }

    fn read(&self, at: usize) -> Found<'a> {
        let position = Position { lane: self.expect.lane, segment: self.expect.segment, offset: at as u64 };
        let bytes: &'a [u8] = self.bytes;
        let found = frame::read(&bytes[at..], position);
        match &found {
            Found::Frame { header, .. } | Found::Spoiled { header } if !self.belongs(header) => {
                Found::Nothing
            }
            _ => found,
        }
    }

    fn belongs(&self, header: &Header) -> bool {
        let Expect { cluster, logs, .. } = self.expect;
        header.cluster == cluster && header.log.get() < logs && header.lane_seq > self.last_seq
    }

    fn next_frame(&self, from: usize, dirty: usize) -> Option<usize> {
        let magic = MAGIC.to_le_bytes();
        let candidates = (from..dirty).step_by(ALIGN).filter(|at| self.bytes[*at..].starts_with(&magic));
        candidates.into_iter().find(|at| !matches!(self.read(*at), Found::Nothing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::{LogId, LogSeq, UnitNo};

    const EXPECT: Expect = Expect { lane: LaneId(0), segment: SegmentNo(1), cluster: 9, logs: 3 };

    fn header(seq: u64) -> Header {
        Header {
            kind: Kind::Entry,
            last_of_unit: false,
            log: LogId(1),
            cluster: 9,
            unit: UnitNo(1),
            ordinal: 0,
            lane_seq: LaneSeq(seq),
            log_seq: LogSeq(seq),
            index: seq,
            term: 1,
            prev: Link(0),
            payload_len: 0,
            payload_crc: 0,
        }
    }

    /// Three frames with payloads of 5, 200 and 8 bytes, then zeros.
    fn segment() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
        let mut starts = Vec::new();
        for (seq, len) in [(1, 5), (2, 200), (3, 8)] {
            starts.push(bytes.len());
            let at = Position { lane: LaneId(0), segment: SegmentNo(1), offset: bytes.len() as u64 };
            frame::append(&mut bytes, header(seq), &vec![7; len], at);
        }
        bytes.resize(bytes.len() + 4096, 0);
        (bytes, starts)
    }

    fn seqs(scan: &Scan) -> Vec<u64> {
        let frames = scan.pieces.iter().filter_map(|piece| match piece {
            Piece::Frame(frame) => Some(frame.header.lane_seq.0),
            _ => None,
        });
        frames.collect()
    }

    #[test]
    fn the_used_part_ends_at_the_last_byte_that_is_not_zero() {
        for len in [0, 1, 4095, 4096, 4097, 10_000] {
            for used in [0, 1, len / 2, len].into_iter().filter(|used| *used <= len) {
                let mut bytes = vec![0; len];
                bytes[..used].fill(1);
                assert_eq!(used_len(&bytes), used, "{used} of {len}");
            }
        }
    }

    #[test]
    fn a_whole_segment_is_frames_and_nothing_else() {
        let (bytes, _) = segment();
        let scan = scan(&bytes, EXPECT);
        assert_eq!(seqs(&scan), [1, 2, 3]);
        assert_eq!(scan.pieces.len(), 3);
        assert_eq!((scan.end, scan.dirty_end), (bytes.len() as u64 - 4096, bytes.len() as u64 - 4096));
    }

    #[test]
    fn a_spoiled_header_costs_one_frame_and_a_spoiled_payload_keeps_its_name() {
        let (good, starts) = segment();
        let mut bytes = good.clone();
        bytes[starts[1] + 30] ^= 4;
        let found = scan(&bytes, EXPECT);
        assert_eq!(seqs(&found), [1, 3]);
        let hole = starts[1] as u64;
        assert!(matches!(found.pieces[1], Piece::Unreadable { start } if start == hole));

        let mut bytes = good;
        bytes[starts[1] + HEADER_BYTES + 30] ^= 4;
        let found = scan(&bytes, EXPECT);
        assert_eq!(seqs(&found), [1, 3]);
        assert!(matches!(found.pieces[1], Piece::Spoiled { header, .. } if header.lane_seq == LaneSeq(2)));
    }

    #[test]
    fn a_frame_inside_a_payload_is_not_taken_for_one() {
        let (inner, _) = segment();
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
        let at = Position { lane: LaneId(0), segment: SegmentNo(1), offset: bytes.len() as u64 };
        frame::append(&mut bytes, header(1), &inner[SEGMENT_HEADER_BYTES..], at);
        bytes[SEGMENT_HEADER_BYTES + 20] ^= 1;
        let found = scan(&bytes, EXPECT);
        assert!(seqs(&found).is_empty(), "frames copied into a payload came alive: {found:?}");
    }

    #[test]
    fn zeros_in_the_middle_are_a_hole_and_zeros_at_the_end_are_not() {
        let (mut bytes, starts) = segment();
        bytes[starts[0]..starts[2]].fill(0);
        let found = scan(&bytes, EXPECT);
        assert_eq!(seqs(&found), [3]);
        assert!(matches!(found.pieces[0], Piece::Unreadable { .. }));
        bytes[SEGMENT_HEADER_BYTES..].fill(0);
        assert!(scan(&bytes, EXPECT).pieces.is_empty());
    }

    #[test]
    fn a_segment_cut_anywhere_yields_only_frames_that_are_whole() {
        let (bytes, starts) = segment();
        for len in SEGMENT_HEADER_BYTES..bytes.len() {
            let found = scan(&bytes[..len], EXPECT);
            let whole = starts
                .iter()
                .zip([5, 200, 8])
                .filter(|(start, size)| **start + frame::framed_len(*size) <= len);
            assert_eq!(seqs(&found).len(), whole.count(), "cut to {len} bytes");
        }
    }
}
