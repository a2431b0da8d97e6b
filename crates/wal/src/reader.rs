//! Reading entries back: what waits comes from memory, what is flushed from disk, checked byte by byte.
//!
//! The lock of the view is held only to look up places. So a segment may be purged, and even used again, while it
//! is read: bytes that fail their check are blamed on the disk only if the entry still has the same place.

use std::sync::Arc;

use bytes::Bytes;

use crate::frame::{self, Found, HEADER_BYTES, Kind, Position, framed_len};
use crate::index::Slot;
use crate::log::LogCell;
use crate::shelf::SegmentFile;
use crate::view::Whereabouts;
use crate::{Corrupt, Entry, ReadError};

/// Frames no further apart than this are fetched by one read.
const GAP_BYTES_MAX: u64 = 16 << 10;
/// The most one read fetches, unless one frame is larger.
const FETCH_BYTES_MAX: u64 = 1 << 20;
/// Bounds the entries looked up under one lock.
const LOOKUP_MAX: usize = 4096;

pub(crate) fn read(cell: &LogCell, from: u64, max_bytes: usize) -> Result<Vec<Entry>, ReadError> {
    if let Some(corrupt) = cell.corrupt() {
        return Err(ReadError::Corrupt(corrupt));
    }
    loop {
        let found = look_up(cell, from, max_bytes);
        if found.is_empty() {
            return Err(not_here(cell, from));
        }
        match fetch_all(cell, &found) {
            Ok(entries) => return Ok(entries),
            Err(Flaw::Disk(error)) => return Err(ReadError::Io(error)),
            Err(Flaw::Content(at, corrupt)) if still_there(cell, &found[at]) => {
                return Err(ReadError::Corrupt(corrupt));
            }
            Err(Flaw::Content(..) | Flaw::Gone) => {} // the log changed while we read: look again
        }
    }
}

/// An index and where its entry was when we looked.
struct Located {
    index: u64,
    place: Whereabouts,
}

enum Flaw {
    Disk(std::io::Error),
    /// The bytes of the entry with this position in the list are wrong.
    Content(usize, Corrupt),
    /// Its segment is not live any more.
    Gone,
}

fn not_here(cell: &LogCell, index: u64) -> ReadError {
    let bounds = cell.view.lock().bounds();
    ReadError::NotHere { index, first: bounds.map(|(first, _)| first), last: bounds.map(|(_, last)| last) }
}

/// Consecutive entries from `from` until their payloads reach `max_bytes`, at least one if there is one.
fn look_up(cell: &LogCell, from: u64, max_bytes: usize) -> Vec<Located> {
    let view = cell.view.lock();
    let mut found = Vec::new();
    let mut bytes = 0;
    for index in (from..=u64::MAX).take(LOOKUP_MAX) {
        let Some(place) = view.find(index) else { break };
        bytes += match &place {
            Whereabouts::Memory(entry) => entry.payload.len(),
            Whereabouts::Disk(slot) => slot.payload_len as usize,
        };
        if !found.is_empty() && bytes > max_bytes {
            break;
        }
        found.push(Located { index, place });
    }
    found
}

fn still_there(cell: &LogCell, located: &Located) -> bool {
    match (cell.view.lock().find(located.index), &located.place) {
        (Some(Whereabouts::Disk(now)), Whereabouts::Disk(then)) => now == *then,
        _ => false,
    }
}

fn fetch_all(cell: &LogCell, found: &[Located]) -> Result<Vec<Entry>, Flaw> {
    let mut entries = Vec::with_capacity(found.len());
    let mut at = 0;
    while let Some(located) = found.get(at) {
        match &located.place {
            Whereabouts::Memory(entry) => {
                entries.push(entry.clone());
                at += 1;
            }
            Whereabouts::Disk(first) => {
                let count = run_length(first, &found[at..]);
                fetch_run(cell, at, &found[at..at + count], &mut entries)?;
                at += count;
            }
        }
    }
    Ok(entries)
}

/// How many of `found` lie behind `first` in its segment, close enough for one read.
fn run_length(first: &Slot, found: &[Located]) -> usize {
    let mut end = first.offset;
    let near = found.iter().take_while(|located| {
        let Whereabouts::Disk(slot) = &located.place else { return false };
        let next_end = slot.offset + framed_len(slot.payload_len as usize) as u64;
        let near = slot.segment == first.segment
            && slot.offset >= end
            && slot.offset - end <= GAP_BYTES_MAX
            && (slot.offset == first.offset || next_end - first.offset <= FETCH_BYTES_MAX);
        end = next_end;
        near
    });
    near.count()
}

fn fetch_run(cell: &LogCell, at: usize, run: &[Located], entries: &mut Vec<Entry>) -> Result<(), Flaw> {
    let slots = || {
        run.iter().filter_map(|located| match &located.place {
            Whereabouts::Disk(slot) => Some((located.index, slot)),
            Whereabouts::Memory(_) => None,
        })
    };
    let (_, first) = slots().next().expect("a run has a first slot");
    let (_, last) = slots().last().expect("a run has a last slot");
    let file = cell.shelf.file(first.segment).ok_or(Flaw::Gone)?;
    let len = last.offset - first.offset + framed_len(last.payload_len as usize) as u64;
    let bytes = fetch(&file, first.offset, len).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            Flaw::Content(at, damaged(cell, &file, run[0].index, first.offset))
        }
        _ => Flaw::Disk(error),
    })?;
    for (nth, (index, slot)) in slots().enumerate() {
        let start = (slot.offset - first.offset) as usize;
        let payload = check(cell, &file, index, slot, &bytes[start..])
            .ok_or_else(|| Flaw::Content(at + nth, damaged(cell, &file, index, slot.offset)))?;
        let body = start + HEADER_BYTES..start + HEADER_BYTES + payload;
        entries.push(Entry { index, term: slot.term, payload: bytes.slice(body) });
    }
    Ok(())
}

fn fetch(file: &Arc<SegmentFile>, offset: u64, len: u64) -> std::io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(len).expect("a segment fits the address space")];
    file.file.read_exact_at(&mut bytes, offset)?;
    Ok(Bytes::from(bytes))
}

/// The length of the payload, if this is the very frame the index speaks of.
fn check(cell: &LogCell, file: &SegmentFile, index: u64, slot: &Slot, bytes: &[u8]) -> Option<usize> {
    let at = Position { lane: file.lane, segment: file.number, offset: slot.offset };
    let Found::Frame { header, payload, .. } = frame::read(bytes, at) else { return None };
    let is_it = header.kind == Kind::Entry
        && (header.log, header.log_seq) == (cell.id, slot.seq)
        && (header.index, header.term) == (index, slot.term);
    is_it.then_some(payload.len())
}

fn damaged(cell: &LogCell, file: &SegmentFile, index: u64, offset: u64) -> Corrupt {
    let what = "the bytes on disk are not the entry that was written".to_owned();
    Corrupt { file: file.path.clone(), offset, log: Some(cell.id), index: Some(index), what }
}
