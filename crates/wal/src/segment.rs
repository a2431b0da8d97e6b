//! Segment files: names, header, and the way from nothing to a live file.
//!
//! A segment is zeros and a header before it gets its live name, and never changes its length afterwards: so a
//! shorter file is damage, bytes behind the last frame are zeros, and no group commit waits for the file system to
//! find blocks.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronos_bugs::{Bug, is_seeded};
use chronos_env::{CrashPoints, Disk, File, OpenMode};

use crate::format::{self, FORMAT, Fields, PerLog, RELEASE_BYTES_MAX, Reader, SEGMENT_HEADER_BYTES};
use crate::numbers::{LaneId, LaneSeq, LogSeq, SegmentNo, UnitNo};

const MAGIC: &[u8; 8] = b"CHRWALSG";
/// The number of a lane's first segment.
pub(crate) const FIRST: SegmentNo = SegmentNo(1);
/// The greatest number a segment may have: its name has ten digits.
const LAST: SegmentNo = SegmentNo(9_999_999_999);
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];
/// Zeros are synced in steps, so that no group commit of the lane waits behind a large write-back.
const ZERO_SYNC_BYTES: u64 = 8 << 20;

/// The first 4096 bytes of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) lane: LaneId,
    pub(crate) cluster: u128,
    pub(crate) number: SegmentNo,
    /// Length of the file.
    pub(crate) bytes: u64,
    /// The sequence number its first frame has or will have.
    pub(crate) base_seq: LaneSeq,
    pub(crate) base_unit: UnitNo,
    /// Per log, the last frame before this segment that is known to be flushed.
    pub(crate) tops: PerLog<LogSeq>,
    /// Who wrote it.
    pub(crate) release: String,
}

/// Why a segment header cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFlaw {
    /// Written by a later release.
    NewerFormat(u16),
    /// Not what was written.
    Spoiled(&'static str),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = vec![0; SEGMENT_HEADER_BYTES];
        let logs = u8::try_from(self.tops.len()).expect("the number of logs is a u8");
        let mut fields = Fields::of(&mut block);
        fields.bytes(MAGIC).u16(FORMAT).u8(self.lane.0).u8(logs).u32(SEGMENT_HEADER_BYTES as u32);
        fields
            .u128(self.cluster)
            .u64(self.number.0)
            .u64(self.bytes)
            .u64(self.base_seq.0)
            .u64(self.base_unit.0);
        fields.text(&self.release, RELEASE_BYTES_MAX);
        for top in &self.tops {
            fields.u64(top.0);
        }
        format::seal(&mut block);
        block
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, HeaderFlaw> {
        let Some(block) = bytes.get(..SEGMENT_HEADER_BYTES) else {
            return Err(HeaderFlaw::Spoiled("file ends inside its header"));
        };
        let mut fields = Reader::of(block);
        if !format::is_sealed(block) || fields.bytes(8) != MAGIC {
            return Err(HeaderFlaw::Spoiled("segment header fails its checksum"));
        }
        match fields.u16() {
            FORMAT => {}
            newer if newer > FORMAT => return Err(HeaderFlaw::NewerFormat(newer)),
            _ => return Err(HeaderFlaw::Spoiled("segment header has format 0")),
        }
        let (lane, logs, _header_bytes) =
            (LaneId(fields.u8()), fields.u8().min(format::LOGS_MAX), fields.u32());
        Ok(SegmentHeader {
            lane,
            cluster: fields.u128(),
            number: SegmentNo(fields.u64()),
            bytes: fields.u64(),
            base_seq: LaneSeq(fields.u64()),
            base_unit: UnitNo(fields.u64()),
            release: fields.text(RELEASE_BYTES_MAX),
            tops: (0..logs).map(|_| LogSeq(fields.u64())).collect(),
        })
    }
}

/// The directory of a lane inside the write-ahead log's.
pub(crate) fn lane_dir(root: &Path, lane: LaneId) -> PathBuf {
    root.join(format!("lane-{:02}", lane.0))
}

/// The lane that has a directory of this name.
pub(crate) fn lane_of_dir(name: &str) -> Option<LaneId> {
    let digits = name.strip_prefix("lane-")?;
    let lane = LaneId(digits.parse().ok()?);
    (name == format!("lane-{:02}", lane.0)).then_some(lane)
}

/// The file name of a live segment.
pub(crate) fn file_name(number: SegmentNo) -> String {
    format!("{:010}.seg", number.0)
}

/// The live segment that has this file name. A name that no lane would ever give is a stranger's.
pub(crate) fn number_of_file(name: &str) -> Option<SegmentNo> {
    let number = SegmentNo(name.strip_suffix(".seg")?.parse().ok()?);
    let is_ours = (FIRST..=LAST).contains(&number) && name == file_name(number);
    is_ours.then_some(number)
}

/// Makes sure that a segment may be given this number, so that recovery will know it by its name.
///
/// # Errors
/// When numbers are used up. No lane writes that much: a file of a very high number is in the lane by mistake.
pub(crate) fn check_number(number: SegmentNo) -> io::Result<()> {
    if number <= LAST {
        return Ok(());
    }
    let what =
        format!("no segment may come after {}; if this file is here by mistake, remove it", file_name(LAST));
    Err(io::Error::other(what))
}

/// The file name of a segment that is not in use; it never holds anything that is needed.
pub(crate) fn spare_name(ordinal: u64) -> String {
    format!("spare-{ordinal:06}.tmp")
}

/// Whether a file of this name is a spare.
pub(crate) fn is_spare(name: &str) -> bool {
    name.starts_with("spare-") && name.ends_with(".tmp")
}

/// A file of zeros, whole and synced, that waits to become a segment.
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) bytes: u64,
}

impl Spare {
    /// Makes a new file of zeros.
    pub(crate) fn create(
        disk: &dyn Disk,
        crash: &CrashPoints,
        path: PathBuf,
        bytes: u64,
    ) -> io::Result<Spare> {
        let file = disk.open(&path, OpenMode::CreateNew)?;
        crash.hit(crate::crash::SEGMENT_CREATED);
        Spare::zeroed(file, crash, path, bytes)
    }

    /// Makes a segment that nobody needs any more into a file of zeros. Its old name must be durably gone.
    pub(crate) fn reuse(
        disk: &dyn Disk,
        crash: &CrashPoints,
        path: PathBuf,
        bytes: u64,
    ) -> io::Result<Spare> {
        let file = disk.open(&path, OpenMode::ReadWrite)?;
        Spare::zeroed(file, crash, path, bytes)
    }

    fn zeroed(file: Arc<dyn File>, crash: &CrashPoints, path: PathBuf, bytes: u64) -> io::Result<Spare> {
        zero(file.as_ref(), 0, bytes)?;
        crash.hit(crate::crash::SEGMENT_ZEROED);
        Ok(Spare { path, file, bytes })
    }

    /// Gives the spare its header and its live name. On return both are durable.
    ///
    /// # Errors
    /// When the disk refuses, or when numbers of segments are used up.
    pub(crate) fn activate(
        self,
        disk: &dyn Disk,
        crash: &CrashPoints,
        dir: &Path,
        header: &SegmentHeader,
    ) -> io::Result<(PathBuf, Arc<dyn File>)> {
        assert_eq!(header.bytes, self.bytes, "the header must state the file's length");
        check_number(header.number)?;
        self.file.write_at(&header.encode(), 0)?;
        crash.hit(crate::crash::SEGMENT_HEADED);
        self.file.sync_data()?;
        let live = dir.join(file_name(header.number));
        disk.rename(&self.path, &live)?;
        crash.hit(crate::crash::SEGMENT_RENAMED);
        if !is_seeded(Bug::M10) {
            disk.sync_dir(dir)?;
        }
        crash.hit(crate::crash::SEGMENT_NAMED);
        Ok((live, self.file))
    }
}

/// Writes zeros from `from` up to `to` and makes them durable.
pub(crate) fn zero(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let step = (to - at).min(ZEROS.len() as u64);
        file.write_at(&ZEROS[..step as usize], at)?;
        at += step;
        if at == to || at.is_multiple_of(ZERO_SYNC_BYTES) {
            file.sync_data()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            lane: LaneId(3),
            cluster: 0x1122_3344_5566_7788_99aa_bbcc_ddee_ff00,
            number: SegmentNo(42),
            bytes: 64 << 20,
            base_seq: LaneSeq(1001),
            base_unit: UnitNo(77),
            tops: (0..33).map(LogSeq).collect(),
            release: "0.1.0".to_owned(),
        }
    }

    #[test]
    fn a_header_reads_back_as_written() {
        assert_eq!(SegmentHeader::decode(&header().encode()), Ok(header()));
        let long = SegmentHeader { release: "é".repeat(60), ..header() };
        let read = SegmentHeader::decode(&long.encode()).map(|header| header.release);
        assert_eq!(read, Ok("é".repeat(24)), "a long release name is cut at a character");
    }

    #[test]
    fn every_single_flipped_bit_of_a_header_is_noticed() {
        let good = header().encode();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&bytes).is_err(), "bit {bit} flipped unnoticed");
        }
    }

    #[test]
    fn a_header_cut_at_any_byte_is_noticed() {
        let good = header().encode();
        for len in 0..good.len() {
            assert!(SegmentHeader::decode(&good[..len]).is_err(), "cut to {len} bytes unnoticed");
        }
    }

    #[test]
    fn a_newer_format_is_named_not_guessed() {
        let mut bytes = header().encode();
        bytes[8..10].copy_from_slice(&2u16.to_le_bytes());
        format::seal(&mut bytes);
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderFlaw::NewerFormat(2)));
    }

    #[test]
    fn names_and_numbers_belong_together_one_to_one() {
        assert_eq!(number_of_file(&file_name(SegmentNo(7))), Some(SegmentNo(7)));
        assert_eq!(lane_of_dir("lane-05"), Some(LaneId(5)));
        assert_eq!(number_of_file("9999999999.seg"), Some(LAST));
        for stranger in [
            "7.seg",
            "+000000007.seg",
            "0000000007.seg.bak",
            "0000000000.seg",
            "00000000007.seg",
            "10000000000.seg",
            "18446744073709551615.seg",
            "spare-000001.tmp",
        ] {
            assert_eq!(number_of_file(stranger), None, "{stranger} was taken for a segment");
        }
        for stranger in ["lane-5", "lane-005", "lane-+5", "lanes"] {
            assert_eq!(lane_of_dir(stranger), None, "{stranger} was taken for a lane");
        }
        assert!(is_spare(&spare_name(3)));
    }

    #[test]
    fn the_bytes_of_a_header_never_change() {
        let bytes = header().encode();
        let used = 16 + 16 + 32 + 1 + RELEASE_BYTES_MAX + 33 * 8;
        assert!(bytes[used..SEGMENT_HEADER_BYTES - 4].iter().all(|byte| *byte == 0), "the rest is zero");
        let mut shown = bytes[..used].to_vec();
        shown.extend_from_slice(&bytes[SEGMENT_HEADER_BYTES - 4..]);
        crate::golden::check(include_str!("../tests/golden/segment_header.hex"), &shown);
    }
}
