//! Where rows come from: one source per partition, each cut into pieces that are read one after the other.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use chronos_domain::PartitionId;

use crate::error::Unreadable;
use crate::stats::Counters;
use crate::wanted::{Extent, Wanted};

/// Rows as they are stored, a few at a time.
pub(crate) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, Unreadable>> + Send>;

/// What to read: a superset of what is needed of the rows, and exactly what is needed of the columns.
#[derive(Debug)]
pub(crate) struct Wish {
    /// Stored columns; never none.
    pub(crate) columns: Vec<&'static str>,
    /// Rows.
    pub(crate) wanted: Wanted,
}

/// One partition at one moment: however often it is read, it gives the same rows, those of the asker's tenant.
pub(crate) trait Source: Debug + Send + Sync {
    /// Which partition.
    fn partition(&self) -> PartitionId;

    /// How many files it consists of.
    fn files(&self) -> usize;

    /// What to read for a wish, the newest first. Nothing is read yet: only what the metadata rules out is left out.
    fn pieces(&self, wish: &Arc<Wish>) -> Vec<Arc<dyn Piece>>;
}

/// A stretch of a source that is read in one go. May be opened again, and gives the same rows then.
pub(crate) trait Piece: Debug + Send + Sync {
    /// Whether it is a file.
    fn is_file(&self) -> bool;

    /// Between which numbers its events lie.
    fn extent(&self) -> Extent;

    /// Reads it, and counts what it reads. Blocks the thread, here and in the iterator.
    fn open(&self, counters: &Arc<Counters>) -> Result<Batches, Unreadable>;
}
