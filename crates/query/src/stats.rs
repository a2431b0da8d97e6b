//! What answering a question cost.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was looked at for one answer. Read after the last batch, it is final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Partitions whose events the question could not rule out, over all its tables.
    pub partitions_read: u64,
    /// Files (parts) that these and the other partitions consist of, once per table of the question.
    pub files: u64,
    /// Files of which at least one row was read.
    pub files_read: u64,
    /// Rows read from files, whether they were wanted or not.
    pub file_rows_read: u64,
    /// Pages of those files that were unpacked.
    pub pages_read: u64,
    /// Rows read from what is not in files yet.
    pub tail_rows_read: u64,
    /// Rows found one by one, by the event ids that the question names.
    pub id_rows_read: u64,
    /// Rows of the answer so far.
    pub rows_returned: u64,
}

impl Stats {
    /// Rows read, from wherever.
    pub fn rows_read(&self) -> u64 {
        self.file_rows_read + self.tail_rows_read + self.id_rows_read
    }
}

/// The counters behind [`Stats`], shared by every stream of one question.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) partitions_read: Counter,
    pub(crate) files: Counter,
    pub(crate) files_read: Counter,
    pub(crate) file_rows_read: Counter,
    pub(crate) pages_read: Counter,
    pub(crate) tail_rows_read: Counter,
    pub(crate) id_rows_read: Counter,
    pub(crate) rows_returned: Counter,
}

impl Counters {
    pub(crate) fn read(&self) -> Stats {
        Stats {
            partitions_read: self.partitions_read.get(),
            files: self.files.get(),
            files_read: self.files_read.get(),
            file_rows_read: self.file_rows_read.get(),
            pages_read: self.pages_read.get(),
            tail_rows_read: self.tail_rows_read.get(),
            id_rows_read: self.id_rows_read.get(),
            rows_returned: self.rows_returned.get(),
        }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds, and gives the new sum.
    pub(crate) fn add(&self, n: usize) -> u64 {
        self.0.fetch_add(n as u64, Ordering::Relaxed) + n as u64
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
