//! Rows in the order of the part, batch by batch.

use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

use super::source::Source;
use crate::cache::{Cache, PageKind};
use crate::fault::Fault;

/// Reads selected rows of some columns. Ends at the first fault.
pub(crate) struct Batches {
    reader: Option<ParquetRecordBatchReader>,
    source: Source,
    cache: Cache,
    counted: u64,
}

impl Batches {
    pub(crate) fn new(reader: ParquetRecordBatchReader, source: Source, cache: Cache) -> Batches {
        Batches { reader: Some(reader), source, cache, counted: 0 }
    }

    /// Parquet pages decoded since this was last asked.
    pub(crate) fn newly_decoded(&mut self) -> u64 {
        let before = std::mem::replace(&mut self.counted, self.source.fetched());
        self.counted - before
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, Fault>;

    fn next(&mut self) -> Option<Result<RecordBatch, Fault>> {
        let before = self.source.fetched();
        let next = self.reader.as_mut()?.next();
        self.cache.count_decoded(PageKind::Parquet(0), self.source.fetched() - before);
        match next {
            Some(Ok(batch)) => Some(Ok(batch)),
            Some(Err(error)) => {
                self.reader = None;
                Some(Err(self.source.fault(error)))
            }
            None => {
                self.reader = None;
                None
            }
        }
    }
}
