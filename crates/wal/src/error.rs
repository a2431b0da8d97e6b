//! What can go wrong, told apart by what a caller may conclude.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::LogId;

/// Why a queued operation was not done, or not provably done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No room for a new segment. Certainly not written, nothing numbered: safe to retry once space is free. Of an
    /// append this means that its entries, and all that were queued behind them, are not in the log any more.
    #[error("no space for a new log segment; free disk space and send it again")]
    NoSpace,
    /// A write or sync failed earlier, or the log is damaged; holds the first reason. Whether this operation
    /// reached the disk is unknown. Only a restart helps.
    #[error("log writer stopped for good: {0}; restart the node")]
    Poisoned(Arc<str>),
    /// The write-ahead log is closed. Certainly not written.
    #[error("log is closed; nothing was written")]
    Closed,
}

/// Something on disk is not what was written. Displays as a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what} (file {}, offset {offset}); restore the file or replace this copy of the log", self.whose(), file.display())]
pub struct Corrupt {
    /// The damaged or missing file, or the directory when no single file can be named.
    pub file: PathBuf,
    /// Where in the file, in bytes; 0 when the file as a whole is meant.
    pub offset: u64,
    /// The log that is hurt, if one is, and if that can be told.
    pub log: Option<LogId>,
    /// The entry that is hurt, if that can be told.
    pub index: Option<u64>,
    /// What is wrong: lower case, no full stop.
    pub what: String,
}

impl Corrupt {
    fn whose(&self) -> String {
        match (self.log, self.index) {
            (Some(log), Some(index)) => format!("{log}, entry {index}: "),
            (Some(log), None) => format!("{log}: "),
            (None, _) => String::new(),
        }
    }
}

/// Why an entry could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log does not hold that index: it was purged or truncated, or was never appended.
    #[error("log holds no entry {index}: it has {held}", held = range(*.first, *.last))]
    NotHere {
        /// What was asked for.
        index: u64,
        /// The first entry held, if any.
        first: Option<u64>,
        /// The last entry held, if any.
        last: Option<u64>,
    },
    /// The bytes on disk are not what was written. Nothing wrong was returned.
    #[error(transparent)]
    Corrupt(Corrupt),
    /// The disk refused.
    #[error("reading the log failed: {0}")]
    Io(#[from] io::Error),
}

fn range(first: Option<u64>, last: Option<u64>) -> String {
    match (first, last) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "none".to_owned(),
    }
}

/// Why a write-ahead log could not be opened. Nothing on disk was changed, except with [`OpenError::Io`].
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration is impossible.
    #[error("write-ahead log: {0}")]
    Config(String),
    /// The directory belongs to another cluster.
    #[error("{dir} holds the log of cluster {found:032x}, not of {expected:032x}; point the node at its own directory", dir = .dir.display())]
    OtherCluster {
        /// The directory.
        dir: PathBuf,
        /// Whose it is.
        found: u128,
        /// Whose it was said to be.
        expected: u128,
    },
    /// The directory was made for another number of logs, which can never change.
    #[error("{dir} was made for {found} logs, not {expected}; the number is fixed for life, so configure {found}", dir = .dir.display())]
    OtherLogs {
        /// The directory.
        dir: PathBuf,
        /// The number it was made for.
        found: u8,
        /// The number configured.
        expected: u8,
    },
    /// A file was written by a later release.
    #[error("{file} has format {found}, this release reads up to {supported}; start a release at least as new as the one that wrote it", file = .file.display())]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// Its format version.
        found: u16,
        /// The greatest this release reads.
        supported: u16,
    },
    /// The disk refused. Cutting a torn tail may have begun; opening again goes on with it.
    #[error("opening the write-ahead log failed: {0}")]
    Io(#[from] io::Error),
}

/// Whether a disk said no for want of space.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
