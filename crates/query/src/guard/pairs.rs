//! How many pairs of rows a join compares.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use datafusion::common::{Result, plan_err};

use super::stream::Duty;
use super::{PAIRS_AT_ONCE, PAIRS_MAX, ROW_BYTES_MAX, bytes};

/// The fewest rows handed to a join that finds its pairs by an equality: smaller pieces cost more than they save.
const HASHED_ROWS_AT_ONCE: usize = 16;

/// What the streams around one join tell each other.
#[derive(Debug)]
pub(super) struct Join {
    /// Rows of the side that is read first, and held.
    held: AtomicU64,
    /// The longest of those rows, in bytes.
    longest: AtomicU64,
    /// Pairs compared so far.
    pairs: AtomicU64,
    /// Whether an equality says which rows are compared.
    is_hashed: bool,
}

impl Join {
    pub(super) fn new(is_hashed: bool) -> Arc<Join> {
        let zero = AtomicU64::default;
        Arc::new(Join { held: zero(), longest: zero(), pairs: zero(), is_hashed })
    }
}

/// Counts the side that is held.
pub(super) struct Held(pub(super) Arc<Join>);

impl Duty for Held {
    fn meet(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.held.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        if !self.0.is_hashed {
            let of_row =
                |row| batch.columns().iter().map(|column| bytes::of_value(column, row)).sum::<usize>();
            let longest = (0..batch.num_rows()).map(of_row).max().unwrap_or(0);
            self.0.longest.fetch_max(longest as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    fn next(&mut self, batch: &RecordBatch) -> Result<(usize, u64)> {
        Ok((batch.num_rows(), batch.num_rows() as u64))
    }
}

/// Hands on the other side in pieces small enough for one go.
pub(super) struct Streamed(pub(super) Arc<Join>);

impl Duty for Streamed {
    fn meet(&mut self, _: &RecordBatch) -> Result<()> {
        Ok(())
    }

    fn next(&mut self, batch: &RecordBatch) -> Result<(usize, u64)> {
        let join = &self.0;
        let held = join.held.load(Ordering::Relaxed).max(1);
        let mut rows = usize::try_from(PAIRS_AT_ONCE / held).unwrap_or(usize::MAX);
        match join.is_hashed {
            true => rows = rows.max(HASHED_ROWS_AT_ONCE),
            // A held row is written out once per row of the piece.
            false => rows = rows.min(ROW_BYTES_MAX / (join.longest.load(Ordering::Relaxed) as usize).max(1)),
        }
        let rows = rows.clamp(1, batch.num_rows());
        let work = held.saturating_mul(rows as u64);
        let pairs = join.pairs.fetch_add(work, Ordering::Relaxed).saturating_add(work);
        if pairs > PAIRS_MAX && !join.is_hashed {
            return plan_err!(
                "a join without an equality compares more than {PAIRS_MAX} pairs of rows; join by an equality such as \
                 a.entity_id = b.entity_id, or narrow both sides first"
            );
        }
        Ok((rows, work))
    }
}

/// Looks after what a join gives.
pub(super) struct Joined;

/// What handing on a batch counts for, so that many small ones are no way around a rest.
const BATCH_WORK: u64 = PAIRS_AT_ONCE / 64;

impl Duty for Joined {
    fn meet(&mut self, _: &RecordBatch) -> Result<()> {
        Ok(())
    }

    fn next(&mut self, batch: &RecordBatch) -> Result<(usize, u64)> {
        Ok((batch.num_rows(), BATCH_WORK))
    }
}
