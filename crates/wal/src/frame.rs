//! One frame: an 80-byte header, a payload, zeros up to the next multiple of eight.
//!
//! The header's checksum covers the header and *where the frame stands* (lane, segment, offset), so that a frame
//! found at another place, in another file or inside a payload is no frame. The header holds the payload's
//! checksum; so one bit flipped anywhere is noticed, and a spoiled payload still has a trustworthy name.

use crate::format::{self, Fields, Reader};
use crate::numbers::{LaneId, LaneSeq, LogId, LogSeq, SegmentNo, UnitNo};

pub(crate) const HEADER_BYTES: usize = 80;
pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"CHRF");
const FORMAT: u8 = format::FORMAT as u8;
const LAST_OF_UNIT: u8 = 1;

const _: () = assert!(HEADER_BYTES.is_multiple_of(format::ALIGN), "payloads start aligned");

/// What a frame says. The numbers are stored and never change meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The log has this entry at `index`.
    Entry = 1,
    /// The log's vote is the payload.
    Vote = 2,
    /// Entries above `index` are gone.
    Truncate = 3,
    /// Entries up to `index` are gone, and the payload restates all else: a [`crate::checkpoint::Checkpoint`].
    Purge = 4,
    /// Entries up to `index` are committed.
    Commit = 5,
}

impl Kind {
    fn from_u8(byte: u8) -> Option<Kind> {
        [Kind::Entry, Kind::Vote, Kind::Truncate, Kind::Purge, Kind::Commit]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Where a frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) lane: LaneId,
    pub(crate) segment: SegmentNo,
    pub(crate) offset: u64,
}

/// A frame's checksums together: what the next frame of the same log must name as its predecessor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link(pub(crate) u64);

/// A frame without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) last_of_unit: bool,
    pub(crate) log: LogId,
    pub(crate) cluster: u64,
    pub(crate) unit: UnitNo,
    /// Number of the frame in its unit, from 0.
    pub(crate) ordinal: u32,
    pub(crate) lane_seq: LaneSeq,
    pub(crate) log_seq: LogSeq,
    pub(crate) index: u64,
    pub(crate) term: u64,
    /// The previous frame of this log; 0 for the first.
    pub(crate) prev: Link,
    pub(crate) payload_len: u32,
    pub(crate) payload_crc: u32,
}

impl Header {
    /// The lane sequence number of the first frame of this frame's unit.
    pub(crate) fn unit_start(&self) -> LaneSeq {
        LaneSeq(self.lane_seq.0.saturating_sub(u64::from(self.ordinal)))
    }

    /// Bytes from this frame to the next.
    pub(crate) fn framed_len(&self) -> usize {
        framed_len(self.payload_len as usize)
    }

    fn encode(&self, at: Position) -> ([u8; HEADER_BYTES], Link) {
        let mut block = [0; HEADER_BYTES];
        Fields::of(&mut block)
            .u32(MAGIC)
            .u8(FORMAT)
            .u8(self.kind as u8)
            .u8(self.log.get())
            .u8(if self.last_of_unit { LAST_OF_UNIT } else { 0 })
            .u64(self.cluster)
            .u64(self.unit.0)
            .u64(self.lane_seq.0)
            .u64(self.log_seq.0)
            .u64(self.index)
            .u64(self.term)
            .u64(self.prev.0)
            .u32(self.ordinal)
            .u32(self.payload_len)
            .u32(self.payload_crc);
        let crc = header_crc(&block[..HEADER_BYTES - 4], at);
        block[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        (block, link(crc, self.payload_crc))
    }

    /// Reads the header that stands at the start of `bytes`, if there is one that belongs at `at`.
    pub(crate) fn decode(bytes: &[u8], at: Position) -> Option<(Header, Link)> {
        let block = bytes.get(..HEADER_BYTES)?;
        let (body, crc) = block.split_at(HEADER_BYTES - 4);
        let crc = u32::from_le_bytes(crc.try_into().expect("the split leaves four bytes"));
        let mut fields = Reader::of(body);
        if fields.u32() != MAGIC || crc != header_crc(body, at) || fields.u8() != FORMAT {
            return None;
        }
        let kind = Kind::from_u8(fields.u8())?;
        let log = LogId(fields.u8());
        let flags = fields.u8();
        let mut header = Header {
            kind,
            last_of_unit: flags & LAST_OF_UNIT != 0,
            log,
            cluster: fields.u64(),
            unit: UnitNo(fields.u64()),
            lane_seq: LaneSeq(fields.u64()),
            log_seq: LogSeq(fields.u64()),
            index: fields.u64(),
            term: fields.u64(),
            prev: Link(fields.u64()),
            ordinal: fields.u32(),
            payload_len: 0,
            payload_crc: 0,
        };
        header.payload_len = fields.u32();
        header.payload_crc = fields.u32();
        Some((header, link(crc, header.payload_crc)))
    }
}

/// Bytes a frame with such a payload takes.
pub(crate) const fn framed_len(payload_len: usize) -> usize {
    format::aligned(HEADER_BYTES + payload_len)
}

/// Writes a frame to the end of `out`, filling in the payload's length and checksum. `at` is where the frame will
/// stand on disk.
pub(crate) fn append(out: &mut Vec<u8>, mut header: Header, payload: &[u8], at: Position) -> Link {
    assert!(at.offset.is_multiple_of(format::ALIGN as u64), "frame at unaligned offset {}", at.offset);
    header.payload_len =
        u32::try_from(payload.len()).expect("a segment, and so a payload, is smaller than 4 GiB");
    header.payload_crc = crc32fast::hash(payload);
    let (block, link) = header.encode(at);
    let end = out.len() + header.framed_len();
    out.extend_from_slice(&block);
    out.extend_from_slice(payload);
    out.resize(end, 0);
    link
}

/// What stands at one place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A whole frame.
    Frame { header: Header, link: Link, payload: &'a [u8], padding_is_zero: bool },
    /// A frame whose payload is not what was written, or runs past the end.
    Spoiled { header: Header },
    /// No header that belongs here.
    Nothing,
}

/// Reads what stands at the start of `bytes`, which begin at `at`.
pub(crate) fn read(bytes: &[u8], at: Position) -> Found<'_> {
    let Some((header, link)) = Header::decode(bytes, at) else { return Found::Nothing };
    let payload_end = HEADER_BYTES + header.payload_len as usize;
    let Some(framed) = bytes.get(..header.framed_len()) else { return Found::Spoiled { header } };
    let payload = &framed[HEADER_BYTES..payload_end];
    if crc32fast::hash(payload) != header.payload_crc {
        return Found::Spoiled { header };
    }
    let padding_is_zero = framed[payload_end..].iter().all(|byte| *byte == 0);
    Found::Frame { header, link, payload, padding_is_zero }
}

/// The frame at the beginning of `bytes`, which stand at this place, as it is written anew from what was read; `None`
/// where no whole frame is. For whoever holds the two directions against each other.
pub fn rewritten(bytes: &[u8], lane: u8, segment: u64, offset: u64) -> Option<Vec<u8>> {
    let at = Position { lane: LaneId(lane), segment: SegmentNo(segment), offset };
    let Found::Frame { header, link: read_link, payload, .. } = read(bytes, at) else { return None };
    let mut written = Vec::new();
    let written_link = append(&mut written, header, payload, at);
    // Flags that no release writes are read over, and are in the sum: without them it is another frame.
    let same_flags = bytes[7] & !LAST_OF_UNIT == 0;
    assert!(!same_flags || written_link == read_link, "a frame that is written anew has another link");
    Some(written)
}

fn header_crc(body: &[u8], at: Position) -> u32 {
    let mut place = [0; 17];
    Fields::of(&mut place).u8(at.lane.0).u64(at.segment.0).u64(at.offset);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&place);
    crc.update(body);
    crc.finalize()
}

fn link(header_crc: u32, payload_crc: u32) -> Link {
    Link(u64::from(header_crc) << 32 | u64::from(payload_crc))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Position = Position { lane: LaneId(1), segment: SegmentNo(7), offset: 4096 };

    fn header() -> Header {
        Header {
            kind: Kind::Entry,
            last_of_unit: true,
            log: LogId(5),
            cluster: 0x0123_4567_89ab_cdef,
            unit: UnitNo(11),
            ordinal: 2,
            lane_seq: LaneSeq(40),
            log_seq: LogSeq(17),
            index: 12,
            term: 3,
            prev: Link(0xfeed_f00d_dead_beef),
            payload_len: 0,
            payload_crc: 0,
        }
    }

    fn framed(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        append(&mut out, header(), payload, AT);
        out
    }

    #[test]
    fn a_frame_reads_back_as_written() {
        for len in [0, 1, 7, 8, 9, 1000] {
            let payload: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
            let bytes = framed(&payload);
            assert_eq!(bytes.len(), framed_len(len));
            let Found::Frame { header: read, payload: body, padding_is_zero, .. } = read(&bytes, AT) else {
                panic!("no frame of {len} bytes")
            };
            assert!(padding_is_zero);
            assert_eq!(body, payload);
            assert_eq!(Header { payload_len: 0, payload_crc: 0, ..read }, header());
        }
    }

    #[test]
    fn a_frame_cut_at_any_byte_is_no_frame() {
        let bytes = framed(b"thirteen byte");
        for len in 0..bytes.len() {
            let found = read(&bytes[..len], AT);
            assert!(!matches!(found, Found::Frame { .. }), "cut to {len} bytes it still read as a frame");
        }
    }

    #[test]
    fn every_single_flipped_bit_is_noticed() {
        let good = framed(b"thirteen byte");
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let noticed = match read(&bytes, AT) {
                Found::Frame { padding_is_zero, .. } => !padding_is_zero,
                Found::Spoiled { header: read } => read.log == header().log && bit / 8 >= HEADER_BYTES,
                Found::Nothing => bit / 8 < HEADER_BYTES,
            };
            assert!(noticed, "bit {bit} flipped unnoticed");
        }
    }

    #[test]
    fn a_frame_at_another_place_is_no_frame() {
        let bytes = framed(b"payload");
        let elsewhere = [
            Position { lane: LaneId(2), ..AT },
            Position { segment: SegmentNo(8), ..AT },
            Position { offset: 4104, ..AT },
        ];
        for at in elsewhere {
            assert_eq!(read(&bytes, at), Found::Nothing, "accepted at {at:?}");
        }
    }

    #[test]
    fn the_bytes_of_a_frame_never_change() {
        let golden = include_str!("../tests/golden/frame.hex");
        crate::golden::check(golden, &framed(b"golden"));
    }
}
