//! Collecting what a directory holds, without judging and without writing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronos_env::{Disk, EntryKind, File, OpenMode};

use super::scan::{Expect, Scan, scan};
use crate::format::{self, FORMAT, SEGMENT_HEADER_BYTES};
use crate::mark::{self, MarkFound, Role};
use crate::numbers::{LaneId, SegmentNo};
use crate::roster::{self, Roster, RosterFlaw};
use crate::segment::{self, HeaderFlaw, SegmentHeader};
use crate::{Corrupt, OpenError};

const READ_BYTES: usize = 1 << 20;

/// Whose files these should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) cluster: u128,
    pub(crate) logs: u8,
}

/// What the `LANES` file turned out to be.
#[derive(Clone, Debug)]
pub(crate) enum RosterFound {
    Missing,
    Spoiled(&'static str),
    Read(Roster),
}

pub(crate) fn read_roster(disk: &dyn Disk, root: &Path) -> Result<RosterFound, OpenError> {
    let file = root.join(roster::FILE_NAME);
    if !disk.exists(&file)? {
        return Ok(RosterFound::Missing);
    }
    match Roster::decode(&disk.read_file(&file)?) {
        Ok(roster) => Ok(RosterFound::Read(roster)),
        Err(RosterFlaw::NewerFormat(found)) => Err(OpenError::NewerFormat { file, found, supported: FORMAT }),
        Err(RosterFlaw::Spoiled(what)) => Ok(RosterFound::Spoiled(what)),
    }
}

/// The lanes that have a directory, ascending.
pub(crate) fn lanes_present(disk: &dyn Disk, root: &Path) -> io::Result<Vec<LaneId>> {
    if !disk.exists(root)? {
        return Ok(Vec::new());
    }
    let dirs = disk.list(root)?.into_iter().filter(|entry| entry.kind == EntryKind::Dir);
    let mut lanes: Vec<_> = dirs.filter_map(|entry| segment::lane_of_dir(&entry.name)).collect();
    lanes.sort_unstable();
    Ok(lanes)
}

/// Whose the segments of a lane are, if any of them can tell.
pub(crate) fn identity_of_lane(disk: &dyn Disk, root: &Path, lane: LaneId) -> io::Result<Option<Identity>> {
    let dir = segment::lane_dir(root, lane);
    for entry in disk.list(&dir)?.iter().filter(|entry| segment::number_of_file(&entry.name).is_some()) {
        let file = disk.open(&dir.join(&entry.name), OpenMode::Read)?;
        let mut block = vec![0; SEGMENT_HEADER_BYTES];
        if file.read_exact_at(&mut block, 0).is_err() {
            continue;
        }
        if let Ok(header) = SegmentHeader::decode(&block) {
            let logs = u8::try_from(header.tops.len()).expect("the number of logs is a u8");
            return Ok(Some(Identity { cluster: header.cluster, logs }));
        }
    }
    Ok(None)
}

/// A segment file and what stands in it.
pub(crate) struct SegmentFound {
    pub(crate) number: SegmentNo,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    /// The length it has, whatever its header says.
    pub(crate) bytes: u64,
    pub(crate) header: Option<SegmentHeader>,
    pub(crate) scan: Scan,
    /// Something about it is not as written, though no frame need be lost.
    pub(crate) flawed: bool,
}

/// A lane's directory.
pub(crate) struct LaneFound {
    pub(crate) lane: LaneId,
    pub(crate) dir: PathBuf,
    pub(crate) mark: MarkFound,
    /// What is known of its newest segment, were the mark lost.
    pub(crate) rolled: MarkFound,
    /// Ascending.
    pub(crate) segments: Vec<SegmentFound>,
    pub(crate) damages: Vec<Corrupt>,
}

/// Reads a lane's directory; a lane without one has neither mark nor segments.
pub(crate) fn read_lane(
    disk: &dyn Disk,
    root: &Path,
    lane: LaneId,
    whose: Identity,
) -> Result<LaneFound, OpenError> {
    let dir = segment::lane_dir(root, lane);
    let mut found = LaneFound {
        lane,
        mark: MarkFound::default(),
        rolled: MarkFound::default(),
        segments: Vec::new(),
        damages: Vec::new(),
        dir,
    };
    if !disk.exists(&found.dir)? {
        found.mark.doubtful = true;
        found.damage(&found.dir.clone(), 0, "directory of the lane is missing".to_owned());
        return Ok(found);
    }
    found.mark = read_mark(disk, &mut found, Role::Flushed, whose)?;
    found.rolled = read_mark(disk, &mut found, Role::Rolled, whose)?;
    let entries = disk.list(&found.dir)?;
    let mut numbers: Vec<_> =
        entries.iter().filter_map(|entry| segment::number_of_file(&entry.name)).collect();
    numbers.sort_unstable();
    for number in numbers {
        let segment = read_segment(disk, &mut found, number, whose)?;
        found.segments.push(segment);
    }
    Ok(found)
}

fn read_mark(
    disk: &dyn Disk,
    found: &mut LaneFound,
    role: Role,
    whose: Identity,
) -> Result<MarkFound, OpenError> {
    let path = found.dir.join(role.file_name());
    if !disk.exists(&path)? {
        found.damage(&path, 0, "mark file is missing".to_owned());
        return Ok(MarkFound { doubtful: true, ..MarkFound::default() });
    }
    let cluster = format::fold_cluster(whose.cluster);
    let read = mark::read(&disk.read_file(&path)?, role, found.lane, cluster, whose.logs);
    let read =
        read.map_err(|newer| OpenError::NewerFormat { file: path.clone(), found: newer, supported: FORMAT })?;
    for (offset, what) in read.flaws.clone() {
        found.damage(&path, offset, what);
    }
    Ok(read)
}

fn read_segment(
    disk: &dyn Disk,
    found: &mut LaneFound,
    number: SegmentNo,
    whose: Identity,
) -> Result<SegmentFound, OpenError> {
    let path = found.dir.join(segment::file_name(number));
    let file = disk.open(&path, OpenMode::Read)?;
    let before = found.damages.len();
    let bytes = read_all(file.as_ref(), |offset, what| found.damage(&path, offset, what))?;
    let header = match SegmentHeader::decode(&bytes) {
        Ok(header) => {
            check_header(found, &path, &header, number, whose, bytes.len() as u64);
            Some(header).filter(|header| (header.lane, header.number) == (found.lane, number))
        }
        Err(HeaderFlaw::NewerFormat(version)) => {
            return Err(OpenError::NewerFormat { file: path, found: version, supported: FORMAT });
        }
        Err(HeaderFlaw::Spoiled(what)) => {
            found.damage(&path, 0, what.to_owned());
            None
        }
    };
    let cluster = format::fold_cluster(whose.cluster);
    let scan = scan(&bytes, Expect { lane: found.lane, segment: number, cluster, logs: whose.logs });
    for offset in &scan.stray_padding {
        found.damage(&path, *offset, "bytes between frames are not zero".to_owned());
    }
    let flawed = found.damages.len() > before;
    Ok(SegmentFound { number, path, file, bytes: bytes.len() as u64, header, scan, flawed })
}

fn check_header(
    found: &mut LaneFound,
    path: &Path,
    header: &SegmentHeader,
    number: SegmentNo,
    whose: Identity,
    len: u64,
) {
    if (header.lane, header.number) != (found.lane, number) {
        let what = format!("file is segment {} of lane {}, under a wrong name", header.number, header.lane.0);
        found.damage(path, 0, what);
    }
    if header.cluster != whose.cluster || header.tops.len() != usize::from(whose.logs) {
        found.damage(path, 0, "segment belongs to another cluster or number of logs".to_owned());
    }
    if header.bytes != len {
        found.damage(
            path,
            len.min(header.bytes),
            format!("file has {len} bytes instead of {}", header.bytes),
        );
    }
}

/// The whole file; a stretch that cannot be read is reported, and stands as zeros.
fn read_all(file: &dyn File, mut damage: impl FnMut(u64, String)) -> io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).expect("a segment fits the address space");
    let mut bytes = vec![0; len];
    for (at, stretch) in (0..).step_by(READ_BYTES).zip(bytes.chunks_mut(READ_BYTES)) {
        if let Err(error) = file.read_exact_at(stretch, at as u64) {
            stretch.fill(0);
            damage(at as u64, format!("cannot be read: {error}"));
        }
    }
    Ok(bytes)
}

impl LaneFound {
    pub(crate) fn damage(&mut self, file: &Path, offset: u64, what: String) {
        self.damages.push(Corrupt { file: file.to_owned(), offset, log: None, index: None, what });
    }
}
