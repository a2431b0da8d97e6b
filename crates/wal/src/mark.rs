//! The flushed mark of a lane: how far the last group commit went whose sync returned `Ok`.
//!
//! The mark file has two slots, written in turn, each inside one sector: a power cut leaves a slot as it was or as
//! it became. Both hold a mark before the lane is used, so a slot that holds none has rotted. Slots are written after every group commit and synced
//! only now and then: after the death of the process the mark is exact, after a power cut it may lag behind, never
//! run ahead.
//!
//! Beside it lies a second file of the same make, which is written, and synced, only when the lane goes on in another
//! segment: who has lost the mark knows from it which segment was the newest, were that lost as well.

use std::io;
use std::path::Path;
use std::sync::Arc;

use chronos_env::{Disk, File, OpenMode};

use crate::format::{self, FORMAT, Fields, PerLog, Reader, SECTOR_BYTES, SLOT_STRIDE};
use crate::numbers::{LaneId, LaneSeq, LogSeq, SegmentNo, UnitNo};

pub(crate) const FILE_BYTES: usize = 2 * SLOT_STRIDE;
/// Bytes of a slot before the numbers of the logs.
pub(crate) const FIXED_BYTES: usize = 56;

/// Which of a lane's two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// How far it is synced: written with every unit.
    Flushed,
    /// Where its newest segment began: written before anything in that segment is acknowledged.
    Rolled,
}

impl Role {
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Role::Flushed => "flushed",
            Role::Rolled => "rolled",
        }
    }

    fn magic(self) -> u32 {
        u32::from_le_bytes(match self {
            Role::Flushed => *b"CHRM",
            Role::Rolled => *b"CHRR",
        })
    }
}

/// Why a slot cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotFlaw {
    /// Written by a later release.
    NewerFormat(u16),
    /// Not what was written.
    Spoiled(&'static str),
}

/// What one slot says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlushedMark {
    pub(crate) lane: LaneId,
    pub(crate) cluster: u64,
    /// +1 with every write of a mark; its parity chooses the slot.
    pub(crate) generation: u64,
    /// Where the last flushed unit ends; segment 0 before the first.
    pub(crate) segment: SegmentNo,
    pub(crate) offset: u64,
    pub(crate) unit: UnitNo,
    pub(crate) lane_seq: LaneSeq,
    /// Of each log, a frame that is known to be flushed, with all before it: the last one if this lane writes it.
    pub(crate) tops: PerLog<LogSeq>,
}

impl FlushedMark {
    /// The mark of a lane without frames.
    pub(crate) fn first(lane: LaneId, cluster: u64, logs: u8) -> FlushedMark {
        let tops = vec![LogSeq(0); usize::from(logs)];
        FlushedMark {
            lane,
            cluster,
            generation: 1,
            segment: SegmentNo(0),
            offset: 0,
            unit: UnitNo(0),
            lane_seq: LaneSeq(0),
            tops,
        }
    }

    pub(crate) fn encode(&self, role: Role) -> [u8; SECTOR_BYTES] {
        let mut block = [0; SECTOR_BYTES];
        let logs = u8::try_from(self.tops.len()).expect("the number of logs is a u8");
        let mut fields = Fields::of(&mut block);
        fields.u32(role.magic()).u16(FORMAT).u8(self.lane.0).u8(logs).u64(self.cluster).u64(self.generation);
        fields.u64(self.segment.0).u64(self.offset).u64(self.unit.0).u64(self.lane_seq.0);
        for top in &self.tops {
            fields.u64(top.0);
        }
        format::seal(&mut block);
        block
    }

    fn decode(block: &[u8], role: Role) -> Result<FlushedMark, SlotFlaw> {
        let mut fields = Reader::of(block);
        if !format::is_sealed(block) || fields.u32() != role.magic() {
            return Err(SlotFlaw::Spoiled("slot fails its checksum"));
        }
        match fields.u16() {
            FORMAT => {}
            newer if newer > FORMAT => return Err(SlotFlaw::NewerFormat(newer)),
            _ => return Err(SlotFlaw::Spoiled("slot has format 0")),
        }
        let (lane, logs) = (LaneId(fields.u8()), fields.u8().min(format::LOGS_MAX));
        Ok(FlushedMark {
            lane,
            cluster: fields.u64(),
            generation: fields.u64(),
            segment: SegmentNo(fields.u64()),
            offset: fields.u64(),
            unit: UnitNo(fields.u64()),
            lane_seq: LaneSeq(fields.u64()),
            tops: (0..logs).map(|_| LogSeq(fields.u64())).collect(),
        })
    }

    fn slot_offset(&self) -> u64 {
        (self.generation % 2) * SLOT_STRIDE as u64
    }
}

/// The content of a new mark file: the mark in its slot, and the same one generation older in the other. So no slot
/// is ever empty, and one that is has lost its mark.
///
/// # Panics
/// If the mark is of generation 0, which has none before it.
pub(crate) fn new_file(role: Role, mark: &FlushedMark) -> Vec<u8> {
    let older = mark.generation.checked_sub(1).expect("the mark of a new file is not of generation 0");
    let mut bytes = vec![0; FILE_BYTES];
    for mark in [&FlushedMark { generation: older, ..mark.clone() }, mark] {
        let at = mark.slot_offset() as usize;
        bytes[at..at + SECTOR_BYTES].copy_from_slice(&mark.encode(role));
    }
    bytes
}

/// What a mark file turned out to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MarkFound {
    /// The newest readable mark.
    pub(crate) newest: Option<FlushedMark>,
    /// Places that are not as written, each with what is wrong.
    pub(crate) flaws: Vec<(u64, String)>,
    /// A slot is spoiled, so a mark newer than `newest` may have been lost.
    pub(crate) doubtful: bool,
}

/// Reads a whole mark file of `lane`.
///
/// # Errors
/// The format of a slot that a later release wrote: what it says of the lane is not for us to guess.
pub(crate) fn read(bytes: &[u8], role: Role, lane: LaneId, cluster: u64, logs: u8) -> Result<MarkFound, u16> {
    let mut found = MarkFound::default();
    if bytes.len() != FILE_BYTES {
        found.flaws.push((0, format!("mark file has {} bytes instead of {FILE_BYTES}", bytes.len())));
        found.doubtful = bytes.len() < SLOT_STRIDE + SECTOR_BYTES;
    }
    for at in [0, SLOT_STRIDE] {
        read_slot(bytes, role, at, &mut found, |mark| {
            mark.lane == lane && mark.cluster == cluster && mark.tops.len() == usize::from(logs)
        })?;
    }
    if found.newest.is_none() {
        found.doubtful = true;
        found.flaws.push((0, "neither slot holds a mark".to_owned()));
    }
    Ok(found)
}

fn read_slot(
    bytes: &[u8],
    role: Role,
    at: usize,
    found: &mut MarkFound,
    belongs: impl Fn(&FlushedMark) -> bool,
) -> Result<(), u16> {
    let Some(slot) = bytes.get(at..at + SECTOR_BYTES) else { return Ok(()) };
    let rest = bytes.get(at + SECTOR_BYTES..at + SLOT_STRIDE).unwrap_or_default();
    if let Some(stray) = rest.iter().position(|byte| *byte != 0) {
        found.flaws.push(((at + SECTOR_BYTES + stray) as u64, "stray bytes behind a slot".to_owned()));
    }
    let what = match FlushedMark::decode(slot, role) {
        Ok(mark) if belongs(&mark) && mark.slot_offset() == at as u64 => {
            let newer = found.newest.as_ref().is_none_or(|other| other.generation < mark.generation);
            if newer {
                found.newest = Some(mark);
            }
            return Ok(());
        }
        Ok(_) => "mark of another lane, slot or cluster",
        Err(SlotFlaw::Spoiled(what)) => what,
        Err(SlotFlaw::NewerFormat(newer)) => return Err(newer),
    };
    chronos_env::sometimes!("wal.mark_spoiled");
    found.flaws.push((at as u64, what.to_owned()));
    found.doubtful = true;
    Ok(())
}

/// The open mark file of a lane that writes.
pub(crate) struct MarkFile {
    role: Role,
    file: Arc<dyn File>,
}

impl MarkFile {
    /// Makes the mark file in `dir`, or puts a new one in the place of one without a readable mark. On return `mark`
    /// is durable, with the file's name, and both slots are filled.
    pub(crate) fn create(
        disk: &dyn Disk,
        dir: &Path,
        role: Role,
        mark: &FlushedMark,
    ) -> io::Result<MarkFile> {
        let path = dir.join(role.file_name());
        disk.write_atomic(&path, &new_file(role, mark))?;
        Ok(MarkFile { role, file: disk.open(&path, OpenMode::ReadWrite)? })
    }

    /// Opens the mark file in `dir`, whose newest readable mark comes just before `mark`. On return `mark` is
    /// durable, in the slot that held an older one or none that is readable, and nothing is left behind either slot: what
    /// was there has been reported, and would be again for ever.
    pub(crate) fn resume(
        disk: &dyn Disk,
        dir: &Path,
        role: Role,
        mark: &FlushedMark,
    ) -> io::Result<MarkFile> {
        let file = disk.open(&dir.join(role.file_name()), OpenMode::ReadWrite)?;
        if file.len()? != FILE_BYTES as u64 {
            return MarkFile::create(disk, dir, role, mark);
        }
        for slot in [0, SLOT_STRIDE] {
            file.write_at(&[0; SLOT_STRIDE - SECTOR_BYTES], (slot + SECTOR_BYTES) as u64)?;
        }
        let file = MarkFile { role, file };
        file.write(mark)?;
        file.sync()?;
        Ok(file)
    }

    /// Puts the mark into its slot; durable only after [`MarkFile::sync`].
    pub(crate) fn write(&self, mark: &FlushedMark) -> io::Result<()> {
        self.file.write_at(&mark.encode(self.role), mark.slot_offset())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Whether the next start will find it.
    pub(crate) fn has_name(&self) -> io::Result<bool> {
        self.file.has_name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(generation: u64) -> FlushedMark {
        FlushedMark {
            lane: LaneId(2),
            cluster: 77,
            generation,
            segment: SegmentNo(3),
            offset: 8192,
            unit: UnitNo(generation + 5),
            lane_seq: LaneSeq(generation * 10),
            tops: (0..33).map(|log| LogSeq(log + generation)).collect(),
        }
    }

    fn file_with(marks: &[FlushedMark]) -> Vec<u8> {
        let mut bytes = vec![0; FILE_BYTES];
        for mark in marks {
            let at = mark.slot_offset() as usize;
            bytes[at..at + SECTOR_BYTES].copy_from_slice(&mark.encode(Role::Flushed));
        }
        bytes
    }

    fn read_it(bytes: &[u8]) -> MarkFound {
        read(bytes, Role::Flushed, LaneId(2), 77, 33).expect("no release after this one wrote it")
    }

    #[test]
    fn the_newer_of_two_marks_counts() {
        for (a, b) in [(4, 5), (5, 6), (6, 3)] {
            let found = read_it(&file_with(&[mark(a), mark(b)]));
            assert_eq!(found, MarkFound { newest: Some(mark(a.max(b))), ..MarkFound::default() });
        }
    }

    #[test]
    fn a_new_file_holds_its_mark_and_no_flaw() {
        let first = FlushedMark::first(LaneId(2), 77, 33);
        let found = read_it(&new_file(Role::Flushed, &first));
        assert_eq!(found, MarkFound { newest: Some(first), ..MarkFound::default() });
    }

    #[test]
    fn every_single_flipped_bit_is_noticed_and_the_other_slot_still_counts() {
        let good = file_with(&[mark(8), mark(9)]);
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = read_it(&bytes);
            assert!(!found.flaws.is_empty(), "bit {bit} flipped unnoticed");
            assert!(
                found.newest == Some(mark(8)) || found.newest == Some(mark(9)),
                "bit {bit} made up a mark"
            );
        }
    }

    #[test]
    fn a_slot_of_zeros_has_lost_its_mark() {
        for good in [file_with(&[mark(8), mark(9)]), new_file(Role::Flushed, &mark(9))] {
            for (at, left) in [(0, 9), (SLOT_STRIDE, 8)] {
                for len in [SECTOR_BYTES, SLOT_STRIDE] {
                    let mut bytes = good.clone();
                    bytes[at..at + len].fill(0);
                    let found = read_it(&bytes);
                    assert_eq!(found.newest.map(|mark| mark.generation), Some(left));
                    assert!(found.doubtful, "the mark at {at} is not missed");
                    assert_eq!(found.flaws, [(at as u64, "slot fails its checksum".to_owned())]);
                }
            }
        }
    }

    #[test]
    fn a_file_cut_at_any_byte_is_noticed() {
        let good = file_with(&[mark(8), mark(9)]);
        for len in (0..good.len()).step_by(7) {
            let found = read_it(&good[..len]);
            assert!(!found.flaws.is_empty(), "cut to {len} bytes unnoticed");
            assert!(found.doubtful || found.newest == Some(mark(9)), "cut to {len} bytes it is trusted");
        }
    }

    #[test]
    fn a_mark_of_another_lane_cluster_or_file_does_not_count() {
        let bytes = file_with(&[mark(8)]);
        for found in [
            read(&bytes, Role::Rolled, LaneId(2), 77, 33),
            read(&bytes, Role::Flushed, LaneId(1), 77, 33),
            read(&bytes, Role::Flushed, LaneId(2), 78, 33),
            read(&bytes, Role::Flushed, LaneId(2), 77, 32),
        ] {
            let found = found.unwrap();
            assert!(found.newest.is_none());
            assert!(found.doubtful);
        }
    }

    #[test]
    fn a_newer_format_in_either_slot_is_named_not_guessed() {
        for at in [0, SLOT_STRIDE] {
            let mut bytes = file_with(&[mark(8), mark(9)]);
            bytes[at + 4..at + 6].copy_from_slice(&2u16.to_le_bytes());
            format::seal(&mut bytes[at..at + SECTOR_BYTES]);
            assert_eq!(read(&bytes, Role::Flushed, LaneId(2), 77, 33), Err(2));
        }
    }

    #[test]
    fn the_bytes_of_a_mark_never_change() {
        crate::golden::check(include_str!("../tests/golden/mark.hex"), &mark(1).encode(Role::Flushed));
    }
}
