//! All live segments of all lanes: who holds which frames, and which are needed by nobody.
//!
//! A segment may go when every frame in it lies below the floor of its log. Floors only rise, and only after the
//! purge frame that states them is durable. Segments of a lane go oldest first, so that what is left is a row
//! without a hole.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chronos_env::{Disk, File, OpenMode};
use parking_lot::Mutex;

use crate::LogId;
use crate::format::{PerLog, SEGMENT_HEADER_BYTES};
use crate::index::SegmentKey;
use crate::numbers::{LaneId, LogSeq, SegmentNo};
use crate::segment::SegmentHeader;

/// A segment file that can be read.
pub(crate) struct SegmentFile {
    pub(crate) lane: LaneId,
    pub(crate) number: SegmentNo,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    pub(crate) bytes: u64,
}

impl SegmentFile {
    /// What is wrong with the file of this name, unless it is the one that is open here.
    pub(crate) fn unlike(&self, disk: &dyn Disk) -> io::Result<Option<String>> {
        let named = match disk.open(&self.path, OpenMode::Read) {
            Ok(named) => named,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some("it is missing, and is read from what is still open".to_owned()));
            }
            Err(error) => return Err(error),
        };
        let (found, bytes) = (named.len()?, self.bytes);
        if found != bytes {
            return Ok(Some(format!("it has {found} bytes instead of {bytes}")));
        }
        let [mut ours, mut theirs] = [[0; SEGMENT_HEADER_BYTES]; 2];
        self.file.read_exact_at(&mut ours, 0)?;
        named.read_exact_at(&mut theirs, 0)?;
        if ours != theirs {
            return Ok(Some("it is another file than the one that was opened".to_owned()));
        }
        Ok(SegmentHeader::decode(&theirs).err().map(|_| "its header is damaged".to_owned()))
    }
}

/// What a segment holds of the logs.
struct Shelved {
    key: SegmentKey,
    /// Per log, its last frame in here; 0 when it has none.
    tops: PerLog<LogSeq>,
    /// Holds frames that were lost of a log that is therefore closed: evidence.
    pinned: bool,
}

/// A segment nobody needs.
pub(crate) struct Retired {
    pub(crate) lane: LaneId,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

#[derive(Default)]
struct Inner {
    files: BTreeMap<SegmentKey, Arc<SegmentFile>>,
    rows: BTreeMap<LaneId, VecDeque<Shelved>>,
    next_key: u32,
    floors: PerLog<LogSeq>,
}

pub(crate) struct Shelf {
    inner: Mutex<Inner>,
    /// Lanes from this number on are only read.
    lanes_in_use: u8,
}

impl Shelf {
    pub(crate) fn new(floors: PerLog<LogSeq>, lanes_in_use: u8) -> Shelf {
        Shelf { inner: Mutex::new(Inner { floors, ..Inner::default() }), lanes_in_use }
    }

    /// Puts the next segment of its lane on the shelf.
    pub(crate) fn add(&self, file: SegmentFile, tops: PerLog<LogSeq>, pinned: bool) -> SegmentKey {
        let mut inner = self.inner.lock();
        let key = SegmentKey(inner.next_key);
        inner.next_key += 1;
        inner.rows.entry(file.lane).or_default().push_back(Shelved { key, tops, pinned });
        inner.files.insert(key, Arc::new(file));
        key
    }

    pub(crate) fn file(&self, key: SegmentKey) -> Option<Arc<SegmentFile>> {
        self.inner.lock().files.get(&key).cloned()
    }

    pub(crate) fn count(&self) -> u64 {
        self.inner.lock().files.len() as u64
    }

    /// The segments that hold frames a log still needs, oldest first.
    pub(crate) fn files_of(&self, log: LogId) -> Vec<Arc<SegmentFile>> {
        let inner = self.inner.lock();
        let needed = |segment: &&Shelved| segment.holders(&inner.floors).any(|(holder, _)| holder == log);
        let keys = inner.rows.values().flatten().filter(needed).map(|segment| segment.key);
        keys.map(|key| Arc::clone(&inner.files[&key])).collect()
    }

    /// Notes the last frames that a unit put into the newest segment of `lane`.
    pub(crate) fn note(&self, lane: LaneId, tops: impl Iterator<Item = (LogId, LogSeq)>) {
        let mut inner = self.inner.lock();
        let newest = inner.rows.get_mut(&lane).and_then(VecDeque::back_mut);
        let newest = newest.expect("a unit was written to the newest segment of its lane");
        for (log, seq) in tops {
            newest.tops[log.slot()] = seq;
        }
    }

    /// No log is closed any more: what was evidence is needed by nobody.
    pub(crate) fn unpin(&self) {
        let mut inner = self.inner.lock();
        inner.rows.values_mut().flatten().for_each(|segment| segment.pinned = false);
    }

    pub(crate) fn raise_floor(&self, log: LogId, floor: LogSeq) {
        let mut inner = self.inner.lock();
        let known = &mut inner.floors[log.slot()];
        *known = (*known).max(floor);
    }

    /// Takes from the shelf what nobody needs: of the lane `writer`, but for the segment it writes to, and, for
    /// lane 0 (which is always in use), of the lanes that are only read.
    pub(crate) fn reclaim(&self, writer: LaneId) -> Vec<Retired> {
        let mut inner = self.inner.lock();
        let Inner { files, rows, floors, .. } = &mut *inner;
        let mut retired = Vec::new();
        for (lane, row) in rows.iter_mut() {
            let only_read = lane.0 >= self.lanes_in_use;
            if *lane != writer && !(only_read && writer == LaneId(0)) {
                continue;
            }
            let keep = usize::from(!only_read);
            while row.len() > keep && row.front().is_some_and(|oldest| oldest.is_done_with(floors)) {
                let key = row.pop_front().expect("the row has a front").key;
                let file = files.remove(&key).expect("every segment on the shelf has its file");
                retired.push(Retired { lane: *lane, path: file.path.clone(), bytes: file.bytes });
            }
        }
        retired
    }

    /// Logs that hold on to the oldest segment of some lane, each with its last frame in there.
    pub(crate) fn holders(&self) -> Vec<Vec<(LogId, LogSeq)>> {
        let inner = self.inner.lock();
        let oldest = inner.rows.iter().filter_map(|(lane, row)| {
            let only_read = lane.0 >= self.lanes_in_use;
            row.front().filter(|oldest| !oldest.pinned && (only_read || row.len() > 1))
        });
        oldest.map(|segment| segment.holders(&inner.floors).collect()).collect()
    }
}

impl Shelved {
    fn holders(&self, floors: &[LogSeq]) -> impl Iterator<Item = (LogId, LogSeq)> {
        let logs = (0..).map(LogId).zip(self.tops.iter().copied().zip(floors));
        logs.filter(|(_, (top, floor))| top.0 != 0 && top >= *floor).map(|(log, (top, _))| (log, top))
    }

    fn is_done_with(&self, floors: &[LogSeq]) -> bool {
        !self.pinned && self.holders(floors).next().is_none()
    }
}
