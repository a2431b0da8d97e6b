//! Reserves what a window holds.

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::execution::memory_pool::MemoryReservation;

use super::bytes::of_column;
use super::stream::Duty;

/// A window keeps what it read, and makes one column of all of it.
const COPIES: usize = 2;

/// Reserves every batch until the stream is dropped, which the window does when it is done.
pub(super) struct Reserving(pub(super) MemoryReservation);

impl Duty for Reserving {
    fn meet(&mut self, batch: &RecordBatch) -> Result<()> {
        let bytes = batch.columns().iter().map(|column| of_column(column)).sum::<usize>();
        self.0.try_grow(COPIES * bytes)
    }

    fn next(&mut self, batch: &RecordBatch) -> Result<(usize, u64)> {
        Ok((batch.num_rows(), batch.num_rows() as u64))
    }
}
