//! The ledger: what a soak did, one JSON line for each step, each synced before the next step begins.
//!
//! ```text
//!  made ─▶ (start ─▶ (begin ─▶ round)* ─▶ [reread] ─▶ stop)*
//! ```
//!
//! Invariants: the first line says what was made; a line is whole or not there (one that a crash tore is cut off when the
//! ledger is opened to be written); a round that has a `begin` and no `round` was cut off and is judged first when the soak
//! goes on.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chronos_history::Hash;
use serde::{Deserialize, Serialize};

use crate::sample::Summary;
use crate::settings::Settings;
use crate::verdict::Verdict;

/// What the ledger of a soak is called in its directory.
pub const FILE: &str = "ledger.jsonl";
/// Of each partition, the last position and the hash of what a round wrote.
pub type Ends = BTreeMap<u8, (u64, Hash)>;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// The soak was made.
    Made {
        /// The version of the ledger: 1.
        v: u32,
        /// With what.
        settings: Settings,
        /// When, in UTC.
        at: String,
    },
    /// Somebody has it run.
    Start {
        /// When.
        at: String,
        /// Which build of the product.
        commit: String,
        /// What it runs on, in words.
        machine: String,
    },
    /// A round begins.
    Begin {
        /// Which, from 0.
        round: u16,
        /// When.
        at: String,
        /// Which start of the machine that is in.
        boot: String,
    },
    /// A round was judged.
    Round(Box<Round>),
    /// Everything that was ever stored was read again.
    Reread {
        /// When.
        at: String,
        /// How many events were read, of all replicas.
        events: u64,
        /// What is no longer as it was.
        failure: Option<String>,
    },
    /// It does not run any more.
    Stop {
        /// When.
        at: String,
        /// Why.
        why: Why,
    },
}

/// Why a soak does not run any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// It has gone its whole length.
    Complete,
    /// Somebody wanted it to stop.
    Interrupted,
    /// A promise was broken, or a limit.
    Failed,
}

/// What a round came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// Which, from 0.
    pub round: u16,
    /// When it was judged.
    pub at: String,
    /// Whether it was cut off, and judged when the soak went on.
    #[serde(default)]
    pub was_cut: bool,
    /// Seconds under load.
    pub seconds: f64,
    /// Seconds until the verdict.
    pub wall_seconds: f64,
    /// Operations that began.
    pub operations: u64,
    /// Events that were acknowledged.
    pub acked: u64,
    /// Bytes of the requests in which they came.
    pub bytes: u64,
    /// Episodes of faults, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Faults that this machine cannot have, which were not run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub skipped: BTreeMap<String, String>,
    /// Why processes ended that nobody ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deaths: Vec<String>,
    /// Whether a promise was broken.
    pub verdict: Verdict,
    /// What the samples say.
    pub samples: Summary,
    /// Where it ended.
    pub ends: Ends,
}

/// How long a soak has run, in seconds under load, of rounds with a clean verdict only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// The longest stretch between a start and a stop.
    pub longest_uninterrupted: f64,
    /// All stretches, on whatever data directory.
    pub sum: f64,
    /// All stretches on the data directory that has seen the most.
    pub sum_on_one_data_directory: f64,
}

/// A ledger as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// What the soak was made with.
    pub settings: Settings,
    /// All lines, in order.
    pub entries: Vec<Entry>,
}

/// Why a ledger cannot be had.
#[derive(Debug)]
pub enum Error {
    /// There is none.
    NoSoak(PathBuf),
    /// One is there already.
    AlreadyOne(PathBuf),
    /// Somebody else has the soak run.
    Busy(PathBuf),
    /// It cannot be read or written.
    Io(PathBuf, io::Error),
    /// A line is none of a ledger.
    Line(PathBuf, usize, String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::NoSoak(dir) => write!(
                f,
                "{} is not the directory of a soak: it has no {FILE}; begin one with --out",
                dir.display()
            ),
            Error::AlreadyOne(dir) => {
                write!(
                    f,
                    "{} holds a soak already; go on with it by --resume, or name another --out",
                    dir.display()
                )
            }
            Error::Busy(dir) => write!(f, "the soak in {} runs already, in another process", dir.display()),
            Error::Io(file, error) => write!(f, "{}: {error}", file.display()),
            Error::Line(file, number, why) => write!(
                f,
                "{}, line {number} is no line of a ledger ({why}): it was changed by hand, or by another version",
                file.display()
            ),
        }
    }
}

impl std::error::Error for Error {}

impl Ledger {
    /// Reads the ledger of a soak. A last line without its end is not read: it was being written when everything stopped.
    ///
    /// # Errors
    /// There is none, or a whole line of it cannot be understood.
    pub fn read(dir: &Path) -> Result<Ledger, Error> {
        let file = dir.join(FILE);
        let text = match fs::read(&file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NoSoak(dir.into())),
            Err(error) => return Err(Error::Io(file, error)),
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let parse = |(number, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|why| Error::Line(file.clone(), number + 1, why.to_string()))
        };
        let entries: Vec<Entry> = whole.lines().enumerate().map(parse).collect::<Result<_, _>>()?;
        match entries.first() {
            Some(Entry::Made { v: 1, settings, .. }) => Ok(Ledger { settings: settings.clone(), entries }),
            Some(Entry::Made { v, .. }) => {
                Err(Error::Line(file, 1, format!("version {v}; this program knows version 1")))
            }
            Some(_) => Err(Error::Line(file, 1, "the first line does not say what was made".into())),
            None => Err(Error::NoSoak(dir.into())),
        }
    }

    /// All rounds that were judged, in order.
    pub fn rounds(&self) -> impl Iterator<Item = &Round> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Round(round) => Some(&**round),
            _ => None,
        })
    }

    /// The round that was cut off, if the last one was.
    #[must_use]
    pub fn cut_off(&self) -> Option<u16> {
        let last = self.entries.iter().rev().find(|e| matches!(e, Entry::Begin { .. } | Entry::Round(_)));
        match last {
            Some(Entry::Begin { round, .. }) => Some(*round),
            _ => None,
        }
    }

    /// The number of the next round, after the one that was cut off if there is one.
    #[must_use]
    pub fn next_round(&self) -> u16 {
        let begun = |entry: &Entry| match entry {
            Entry::Begin { round, .. } => Some(round + 1),
            _ => None,
        };
        self.entries.iter().filter_map(begun).max().unwrap_or(0)
    }

    /// Why the soak must not go on, if so.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.entries.iter().find_map(|entry| match entry {
            Entry::Round(round) if !round.verdict.is_clean() => {
                Some(format!("round {}: {}", round.round, round.verdict))
            }
            Entry::Reread { failure: Some(failure), .. } => Some(failure.clone()),
            _ => None,
        })
    }

    /// Seconds under load since the soak was last complete.
    #[must_use]
    pub fn seconds_of_this_length(&self) -> f64 {
        let since = self.entries.iter().rposition(|e| matches!(e, Entry::Stop { why: Why::Complete, .. }));
        let entries = &self.entries[since.map_or(0, |at| at + 1)..];
        entries.iter().map(seconds).sum()
    }

    /// How long several soaks have run.
    #[must_use]
    pub fn sums(ledgers: &[Ledger]) -> Sums {
        ledgers.iter().fold(Sums::default(), |sums, ledger| {
            let stretches = ledger.entries.split(|entry| matches!(entry, Entry::Start { .. }));
            let stretches: Vec<f64> = stretches.map(|s| s.iter().map(seconds).sum()).collect();
            let here: f64 = stretches.iter().sum();
            Sums {
                longest_uninterrupted: stretches.into_iter().fold(sums.longest_uninterrupted, f64::max),
                sum: sums.sum + here,
                sum_on_one_data_directory: sums.sum_on_one_data_directory.max(here),
            }
        })
    }
}

/// What a line adds to the sums. A round that was cut off was interrupted, and counts for neither stretch beside it.
fn seconds(entry: &Entry) -> f64 {
    match entry {
        Entry::Round(round) if round.verdict.is_clean() && !round.was_cut => round.seconds,
        _ => 0.0,
    }
}

/// Whoever writes a ledger, the only one as long as it lives.
#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    file: File,
}

impl Book {
    /// Begins the ledger of a new soak, with its directory.
    ///
    /// # Errors
    /// There is one already, or it cannot be written.
    pub fn make(dir: &Path, made: &Entry) -> Result<Book, Error> {
        let path = dir.join(FILE);
        fs::create_dir_all(dir).map_err(|error| Error::Io(dir.into(), error))?;
        let file = match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::AlreadyOne(dir.into()));
            }
            Err(error) => return Err(Error::Io(path, error)),
        };
        let mut book = Book { path, file };
        book.write(made)?;
        Ok(book)
    }

    /// Goes on with the ledger of a soak, after cutting off a line that a crash tore.
    ///
    /// # Errors
    /// There is none, somebody else has it open, or it cannot be read or written.
    pub fn open(dir: &Path) -> Result<(Book, Ledger), Error> {
        let ledger = Ledger::read(dir)?;
        let path = dir.join(FILE);
        let io = |error| Error::Io(path.clone(), error);
        let file = OpenOptions::new().append(true).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy(dir.into())),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let bytes = fs::read(&path).map_err(io)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64).map_err(io)?;
        Ok((Book { path, file }, ledger))
    }

    /// Adds a line; it is on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&mut self, entry: &Entry) -> Result<(), Error> {
        let mut line = serde_json::to_vec(entry).expect("an entry is plain data");
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        written.map_err(|error| Error::Io(self.path.clone(), error))
    }
}
