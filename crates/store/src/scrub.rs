//! Reading everything a running partition has on disk, to find damage before a reader does.
//!
//! One [`Scrub`] is one pass. It works in steps, so that whoever drives it can pause in between:
//!
//! ```text
//!  step     1           2 ..= n+1             n+2 ..
//!        manifests ─► part 1 .. part n ─► log, 1 MiB a step ─► over
//!        both copies   every byte, every    every entry on disk, checksums
//!        against the   row, the chain, the  of frames, the content of every
//!        one in use    index built anew     block hashed again; its files
//! ```
//!
//! Invariants:
//!
//! * **It sees what was there when it began.** Parts that are compacted away meanwhile, and entries that are purged, are
//!   passed over in silence: only files that the partition still relies on can be damaged. When everything is discarded
//!   the pass is over.
//! * **Nothing is changed**, and nothing that was read is kept: no cache is filled, no lock is held while the disk is
//!   read.
//! * **Damage is reported, not acted upon.** The pass goes on behind it, so that one pass names everything.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronos_domain::{LogIndex, PartitionId};
use chronos_parts::{Copy, Part, inspect};
use chronos_wal::{Corrupt, ReadError};

use crate::entry;
use crate::identity::WAL;
use crate::partition::Partition;
use crate::shelf::Shelf;
use crate::verify::Damage;

/// Log bytes read in one step.
const LOG_BYTES: usize = 1 << 20;
/// Behind so many damaged entries a log is not read on: the first ones say enough.
const LOG_FINDINGS_MAX: usize = 100;

/// What a pass found to be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it is, and what is wrong. Offset 0 also stands for the file as a whole.
    pub damage: Damage,
    /// What may be concluded.
    pub nature: Nature,
}

/// What may be concluded from a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// What is there is not what was written: it must not be served, and trying again does not help.
    Damaged,
    /// The system did not give it back, or a later release wrote it. Nothing is known to be damaged.
    Unreadable,
}

/// What a pass, or a step of it, has read and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Parts that were read in full and are whole.
    pub parts: u64,
    /// Events in them.
    pub events: u64,
    /// Entries of the log that were read and are whole.
    pub entries: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
}

impl Scrubbed {
    /// Adds what another step has read and found.
    pub fn add(&mut self, step: Scrubbed) {
        self.parts += step.parts;
        self.events += step.events;
        self.entries += step.entries;
        self.bytes += step.bytes;
        self.findings.extend(step.findings);
    }
}

/// One pass over what a partition has on disk.
pub struct Scrub {
    partition: Partition,
    life: u64,
    shelf: Arc<Shelf>,
    next: Next,
    /// The next entry of the log, and the last one that was on disk when the pass began.
    log: (LogIndex, LogIndex),
    found_in_log: usize,
}

/// What comes next.
#[derive(Clone, Copy)]
enum Next {
    Manifests,
    Part(usize),
    Log,
    Over,
}

impl Partition {
    /// Begins to read everything that this partition has on disk.
    pub fn scrub(&self) -> Scrub {
        let life = self.life();
        let log = self.shared.log.state();
        let last = log.last.map_or(0, |mark| mark.index);
        let first = log.purged.map_or(0, |mark| mark.index) + 1;
        Scrub {
            partition: self.clone(),
            life,
            shelf: self.shelf(),
            next: Next::Manifests,
            log: (LogIndex::new(first), LogIndex::new(log.flushed.min(last))),
            found_in_log: 0,
        }
    }

    /// Bytes of all parts, which is most of what a pass reads; the log comes on top.
    pub fn part_bytes(&self) -> u64 {
        self.shelf().manifest.parts.iter().map(|part| part.parquet.bytes + part.index.bytes).sum()
    }
}

impl Scrub {
    /// Takes the next step; `None` when the pass is over. Blocks on the disk. `pace` is told how many bytes were read,
    /// again and again during a long step, and may hold it up.
    pub fn step(&mut self, pace: &mut dyn FnMut(u64)) -> Option<Scrubbed> {
        let seen = self.next_step(pace);
        if self.partition.life() == self.life && !self.partition.is_out() {
            return seen;
        }
        self.next = Next::Over;
        None
    }

    fn next_step(&mut self, pace: &mut dyn FnMut(u64)) -> Option<Scrubbed> {
        match self.next {
            Next::Manifests => {
                self.next = Next::Part(0);
                Some(self.manifests())
            }
            Next::Part(at) => {
                let Some(part) = self.shelf.parts.get(at).cloned() else {
                    self.next = Next::Log;
                    return self.next_step(pace);
                };
                self.next = Next::Part(at + 1);
                Some(self.part(&part, pace))
            }
            Next::Log if self.log.0 > self.log.1 => {
                self.next = Next::Over;
                Some(self.log_files())
            }
            Next::Log => Some(self.log(pace)),
            Next::Over => None,
        }
    }

    /// Which partition it reads.
    pub fn partition(&self) -> PartitionId {
        self.partition.id()
    }

    /// Both copies of the manifest are the one this partition runs on, or one that is about to take its place. Each name
    /// has one of them at every moment: they are replaced by renaming.
    fn manifests(&self) -> Scrubbed {
        if self.shelf.manifest.sequence == 0 {
            return Scrubbed::default();
        }
        let shared = &self.partition.shared;
        let dir = shared.dir.path();
        let findings = match inspect(shared.env.disk.as_ref(), dir) {
            Ok(found) => {
                let copies = [("MANIFEST", &found.manifest), ("MANIFEST.previous", &found.twin)];
                let wrong = |(name, copy)| Some((dir.join(name), self.unlike(copy)?));
                let damaged = |(file, what)| self.finding(file, None, Nature::Damaged, what);
                copies.into_iter().filter_map(wrong).map(damaged).collect()
            }
            Err(fault) => vec![self.of_parts(dir, fault)],
        };
        Scrubbed { findings, ..Scrubbed::default() }
    }

    /// What is wrong with a copy of the manifest.
    fn unlike(&self, copy: &Copy) -> Option<String> {
        let held = &self.shelf.manifest;
        match copy {
            Copy::Whole(found) if found.sequence > held.sequence || found == held.as_ref() => None,
            Copy::Whole(found) => {
                let (found, held) = (found.sequence, held.sequence);
                Some(format!("it is manifest {found} where this node runs on manifest {held}"))
            }
            Copy::Absent => Some("it is missing".to_owned()),
            Copy::Unreadable(why) => Some(why.clone()),
        }
    }

    fn part(&self, part: &Part, pace: &mut dyn FnMut(u64)) -> Scrubbed {
        match part.verify(pace) {
            Ok(seen) => Scrubbed { parts: 1, events: seen.rows, bytes: seen.bytes, ..Scrubbed::default() },
            Err(_) if !self.relies_on(part) => Scrubbed::default(),
            Err(fault) => {
                let file = self.partition.shared.dir.path().join(part.meta().parquet_name());
                Scrubbed { findings: vec![self.of_parts(&file, fault)], ..Scrubbed::default() }
            }
        }
    }

    /// Whether a part is still one of the partition's. A part leaves the shelf before its files are removed.
    fn relies_on(&self, part: &Part) -> bool {
        self.partition.shelf().manifest.parts.iter().any(|named| named == part.meta())
    }

    /// The next piece of the log, up to where it was on disk when the pass began. Where a piece cannot be read, the next
    /// entry alone is tried.
    fn log(&mut self, pace: &mut dyn FnMut(u64)) -> Scrubbed {
        let (next, last) = self.log;
        let log = &self.partition.shared.log;
        let read = log.read(next.get(), LOG_BYTES).or_else(|_| log.read(next.get(), 0));
        let entries = match read {
            Ok(entries) => entries,
            Err(error) => return self.unread(next, error),
        };
        let mut seen = Scrubbed::default();
        for logged in entries.iter().take_while(|logged| logged.index <= last.get()) {
            let index = LogIndex::new(logged.index);
            self.log.0 = index.next();
            seen.bytes += logged.payload.len() as u64;
            match entry::decode_strictly(&logged.payload) {
                Ok(_) => seen.entries += 1,
                Err(malformed) => seen.findings.extend(self.in_log(index, Nature::Damaged, malformed)),
            }
        }
        pace(seen.bytes);
        seen
    }

    /// Whether the log's files are under their names what it reads: a file that was removed is read as long as it is open.
    fn log_files(&self) -> Scrubbed {
        let shared = &self.partition.shared;
        let findings = match shared.log.lost_files(shared.env.disk.as_ref()) {
            Ok(lost) => {
                let damaged = |lost: Corrupt| self.finding(lost.file, None, Nature::Damaged, lost.what);
                lost.into_iter().map(damaged).collect()
            }
            Err(error) => vec![self.finding(WAL.into(), None, Nature::Unreadable, error.to_string())],
        };
        Scrubbed { findings, ..Scrubbed::default() }
    }

    /// An entry that was not given back. What was purged meanwhile is no loss; behind damage the pass goes on.
    fn unread(&mut self, index: LogIndex, error: ReadError) -> Scrubbed {
        let purged = self.partition.shared.log.state().purged.map_or(0, |mark| mark.index);
        if purged >= index.get() {
            self.log.0 = LogIndex::new(purged).next();
            return Scrubbed::default();
        }
        self.log.0 = index.next();
        let finding = match error {
            ReadError::Corrupt(corrupt) => {
                self.in_log(index, Nature::Damaged, &corrupt.what).map(|finding| {
                    let place = Damage { file: corrupt.file, offset: corrupt.offset, ..finding.damage };
                    Finding { damage: place, ..finding }
                })
            }
            ReadError::Io(error) => self.in_log(index, Nature::Unreadable, error),
            missing @ ReadError::NotHere { .. } => self.in_log(index, Nature::Damaged, missing),
        };
        Scrubbed { findings: finding.into_iter().collect(), ..Scrubbed::default() }
    }

    /// A finding about an entry of the log; `None` when there were enough of them. Then the log is given up.
    fn in_log(&mut self, index: LogIndex, nature: Nature, what: impl Display) -> Option<Finding> {
        self.found_in_log += 1;
        if self.found_in_log == LOG_FINDINGS_MAX {
            self.log.0 = self.log.1.next();
            return Some(self.finding(
                WAL.into(),
                Some(index),
                nature,
                format!("{what}; the rest is not read"),
            ));
        }
        (self.found_in_log < LOG_FINDINGS_MAX)
            .then(|| self.finding(WAL.into(), Some(index), nature, what.to_string()))
    }

    /// What the crate of parts says, about `file` unless it names another.
    fn of_parts(&self, file: &Path, fault: chronos_parts::Fault) -> Finding {
        match fault {
            chronos_parts::Fault::Corrupt { file, offset, what } => {
                let mut finding = self.finding(file, None, Nature::Damaged, what);
                finding.damage.offset = offset.unwrap_or(0);
                finding
            }
            chronos_parts::Fault::Unsupported { ref file, .. } => {
                self.finding(file.clone(), None, Nature::Unreadable, fault.to_string())
            }
            other => self.finding(file.to_owned(), None, Nature::Unreadable, other.to_string()),
        }
    }

    fn finding(&self, file: PathBuf, index: Option<LogIndex>, nature: Nature, what: String) -> Finding {
        let (partition, position) = (Some(self.partition()), None);
        Finding { damage: Damage { file, offset: 0, partition, index, position, what }, nature }
    }
}
