//! Looking at a directory without opening it. Never writes; comes to the verdicts that opening would.

use std::io;
use std::path::{Path, PathBuf};

use chronos_env::Disk;

use crate::frame::{self, Found, HEADER_BYTES, Position, framed_len};
use crate::index::Slot;
use crate::recovery::{self, Examined, LaneSeen, TornTail};
use crate::{Corrupt, Entry, LogId, LogState, Verdict};

/// Where an entry lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment.
    pub file: PathBuf,
    /// Offset of the entry's frame in it.
    pub offset: u64,
}

/// What a directory holds.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Whose it is; `None` if nothing was ever written.
    pub cluster: Option<u128>,
    /// Frames that are whole and count.
    pub frames: u64,
    /// Bytes of segments read.
    pub bytes: u64,
    /// One for each log, in order.
    pub logs: Vec<LogReport>,
    /// Ends that were being written when the node died and were never acknowledged: legal, and not damage.
    pub torn_tails: Vec<TornTail>,
    /// Everything that is not as written.
    pub damages: Vec<Corrupt>,
}

/// What a directory holds of one log.
#[derive(Clone, Debug)]
pub struct LogReport {
    /// Which log.
    pub log: LogId,
    /// Whether it is whole.
    pub verdict: Verdict,
    /// Its state. Of a corrupt log: as far as can be told.
    pub state: LogState,
    /// Entries held.
    pub entries: u64,
}

/// Walks the write-ahead log in `dir` of a node that is stopped, however it stopped, checks every frame and every
/// chain, and calls `visit` for each entry held, log by log, in the order of their indexes. Of a corrupt log it
/// visits what is readable.
///
/// # Errors
/// When the disk refuses, or when a file was written by a later release. Damage is not an error: it is reported.
pub fn verify(
    disk: &dyn Disk,
    dir: &Path,
    visit: &mut dyn FnMut(LogId, &Entry, &Place),
) -> Result<VerifyReport, io::Error> {
    let mut report = VerifyReport::default();
    let whose = recovery::identify(disk, dir).map_err(recovery::as_io)?;
    let Some(whose) = whose else {
        return unidentified(disk, dir, report);
    };
    let surveyed = recovery::survey(disk, dir, whose, None, false).map_err(recovery::as_io)?;
    let examined = surveyed.examined;
    report.cluster = Some(whose.cluster);
    report.frames = examined.frames;
    report.bytes = examined.bytes;
    report.torn_tails = examined.lanes.iter().filter_map(LaneSeen::torn_tail).collect();
    report.damages.clone_from(&examined.damages);
    for (log, judged) in (0..).map(LogId).zip(&examined.logs) {
        for (index, slot) in judged.index.iter() {
            match read_entry(&examined, log, index, slot)? {
                Ok((entry, place)) => visit(log, &entry, &place),
                Err(corrupt) => report.damages.push(corrupt),
            }
        }
        report.logs.push(LogReport {
            log,
            verdict: examined.verdict(log, surveyed.layout),
            state: judged.state(),
            entries: judged.index.iter().count() as u64,
        });
    }
    Ok(report)
}

/// Files of which none tells whose it is: nothing, if no lane was ever written, else damage.
fn unidentified(disk: &dyn Disk, dir: &Path, mut report: VerifyReport) -> io::Result<VerifyReport> {
    let nobody = recovery::Identity { cluster: 0, logs: 1 };
    let surveyed = recovery::survey(disk, dir, nobody, None, false).map_err(recovery::as_io)?;
    if !surveyed.is_blank {
        report.damages = surveyed.examined.damages;
    }
    Ok(report)
}

/// The entry at `slot`, read once more: between judging and now the file may have changed under us.
fn read_entry(
    examined: &Examined,
    log: LogId,
    index: u64,
    slot: &Slot,
) -> io::Result<Result<(Entry, Place), Corrupt>> {
    let segment = &examined.segments[slot.segment.0 as usize];
    let mut bytes = vec![0; framed_len(slot.payload_len as usize)];
    segment.file.read_exact_at(&mut bytes, slot.offset)?;
    let at = Position { lane: segment.lane, segment: segment.number, offset: slot.offset };
    let place = Place { file: segment.path.clone(), offset: slot.offset };
    let Found::Frame { header, .. } = frame::read(&bytes, at) else {
        let what = "entry changed while it was being verified; stop the node first".to_owned();
        return Ok(Err(Corrupt {
            file: place.file,
            offset: place.offset,
            log: Some(log),
            index: Some(index),
            what,
        }));
    };
    let payload = bytes::Bytes::from(bytes).slice(HEADER_BYTES..HEADER_BYTES + header.payload_len as usize);
    Ok(Ok((Entry { index, term: slot.term, payload }, place)))
}
