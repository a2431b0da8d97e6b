//! The constants of the byte layout, and the one way numbers go in and out of bytes.
#![doc = include_str!("FORMAT.md")]

use crate::LogId;

/// Version of every structure below; readers refuse a greater one by name.
pub(crate) const FORMAT: u16 = 1;
/// Bytes of a segment's header, and so the offset of its first frame.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 4096;
/// Frames begin at multiples of this, so that a reader who lost its way has few places to look.
pub(crate) const ALIGN: usize = 8;
/// What every disk writes whole or not at all.
pub(crate) const SECTOR_BYTES: usize = 512;
/// Distance between the two slots of a mark file: they must never share a block.
pub(crate) const SLOT_STRIDE: usize = 4096;
/// Most logs one write-ahead log may hold: their sequence numbers share a sector with the rest of a mark.
pub(crate) const LOGS_MAX: u8 = 56;
/// Longest vote: votes are restated with every purge, for every log, inside one unit.
pub(crate) const VOTE_BYTES_MAX: usize = 256;
/// Longest release name in a file header.
pub(crate) const RELEASE_BYTES_MAX: usize = 48;
/// Smallest segment: it must take a control frame and a checkpoint of every log beside the entries.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Greatest segment: recovery reads one at a time into memory, and offsets must fit 32 bits of 8-byte words.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << 30;
/// A unit takes what is queued up to this; one append may be larger.
pub(crate) const UNIT_BYTES: usize = 8 << 20;

const _: () = assert!(SEGMENT_HEADER_BYTES.is_multiple_of(ALIGN), "the first frame must be aligned");
const _: () =
    assert!(crate::mark::FIXED_BYTES + 8 * (LOGS_MAX as usize) + 4 <= SECTOR_BYTES, "a mark is one sector");

/// Room kept free at the end of a segment for votes, truncations and purges, so that a full disk cannot stop the
/// very operations that free space.
pub(crate) const fn control_reserve(segment_bytes: u64) -> u64 {
    let eighth = segment_bytes / 8;
    if eighth < (256 << 10) { eighth } else { 256 << 10 }
}

/// The most one append may put into a segment, frames included: half of what an empty segment has for entries, so
/// that the control frames of all logs always fit beside it.
pub(crate) const fn append_bytes_max(segment_bytes: u64) -> usize {
    ((segment_bytes - SEGMENT_HEADER_BYTES as u64 - control_reserve(segment_bytes)) / 2) as usize
}

/// `len` rounded up to where the next frame may begin.
pub(crate) const fn aligned(len: usize) -> usize {
    len.next_multiple_of(ALIGN)
}

/// The 64 bits of the cluster's 128-bit identity that every frame carries.
pub(crate) const fn fold_cluster(cluster: u128) -> u64 {
    (cluster >> 64) as u64 ^ cluster as u64
}

/// Writes fixed-width little-endian fields one after the other into a block that is zero to begin with.
pub(crate) struct Fields<'a> {
    block: &'a mut [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(block: &'a mut [u8]) -> Fields<'a> {
        Fields { block, at: 0 }
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.block[self.at..self.at + value.len()].copy_from_slice(value);
        self.at += value.len();
        self
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(crate) fn u128(&mut self, value: u128) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// A length byte and a field of fixed width, the rest of it zero.
    pub(crate) fn text(&mut self, value: &str, width: usize) -> &mut Self {
        let value = shortened(value, width);
        self.u8(value.len() as u8).bytes(value.as_bytes());
        self.at += width - value.len();
        self
    }
}

/// The longest prefix of `value` that has at most `width` bytes and is still text.
fn shortened(value: &str, width: usize) -> &str {
    &value[..value.floor_char_boundary(width)]
}

/// Reads what [`Fields`] wrote. The caller has checked length and checksum, so a short block is a bug.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn of(block: &'a [u8]) -> Reader<'a> {
        Reader(block)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(len);
        self.0 = rest;
        head
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.bytes(N).try_into().expect("split_at gave exactly N bytes")
    }

    pub(crate) fn u8(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub(crate) fn u128(&mut self) -> u128 {
        u128::from_le_bytes(self.array())
    }

    pub(crate) fn text(&mut self, width: usize) -> String {
        let len = usize::from(self.u8()).min(width);
        String::from_utf8_lossy(&self.bytes(width)[..len]).into_owned()
    }
}

/// Puts the CRC-32 of all bytes before it into the last four of `block`.
pub(crate) fn seal(block: &mut [u8]) {
    let (body, crc) = block.split_at_mut(block.len() - 4);
    crc.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
}

/// Whether `block` ends with the CRC-32 of what comes before.
pub(crate) fn is_sealed(block: &[u8]) -> bool {
    let (body, crc) = block.split_at(block.len() - 4);
    crc == crc32fast::hash(body).to_le_bytes()
}

/// One number per log.
pub(crate) type PerLog<T> = Vec<T>;

/// All logs of a write-ahead log with `logs` of them.
pub(crate) fn all_logs(logs: u8) -> impl Iterator<Item = LogId> {
    (0..logs).map(LogId)
}
