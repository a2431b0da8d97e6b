//! How much a row becomes when its lists are laid out as rows.

use arrow::array::{Array, RecordBatch};
use datafusion::common::{Result, plan_err};

use super::ROW_BYTES_MAX;
use super::bytes::{VALUE_BYTES, items, of_value};
use super::stream::Duty;

/// Bytes laid out at once.
const BYTES_AT_ONCE: usize = 8 << 20;

/// Hands on as many rows at once as become a few mebibytes.
pub(super) struct Unnesting {
    /// Columns that are laid out, once per level.
    pub(super) lists: Vec<usize>,
}

impl Duty for Unnesting {
    fn meet(&mut self, _: &RecordBatch) -> Result<()> {
        Ok(())
    }

    fn next(&mut self, batch: &RecordBatch) -> Result<(usize, u64)> {
        let (mut rows, mut sum) = (0, 0_usize);
        while rows < batch.num_rows() {
            let bytes = self.bytes(batch, rows);
            if bytes > ROW_BYTES_MAX {
                return plan_err!(
                    "unnest would lay out one row as more than {ROW_BYTES_MAX} bytes; unnest a shorter list, or select \
                     fewer columns beside it"
                );
            }
            sum = sum.saturating_add(bytes);
            if rows > 0 && sum > BYTES_AT_ONCE {
                break;
            }
            rows += 1;
        }
        Ok((rows, sum as u64))
    }
}

impl Unnesting {
    /// At most: every value once per element.
    fn bytes(&self, batch: &RecordBatch, row: usize) -> usize {
        let elements = self.lists.iter().map(|list| elements(batch.column(*list).as_ref(), row).max(1));
        let rows = elements.fold(1, usize::saturating_mul);
        let bytes = batch.columns().iter().map(|column| of_value(column.as_ref(), row));
        rows.saturating_mul(bytes.fold(VALUE_BYTES, usize::saturating_add))
    }
}

/// How many elements a value has, on all levels together.
fn elements(array: &dyn Array, row: usize) -> usize {
    let Some(items) = items(array, row) else { return 1 };
    (0..items.len()).map(|item| elements(items.as_ref(), item)).sum::<usize>().max(items.len())
}
