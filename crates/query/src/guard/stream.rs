//! A stream that rests, stops, and does a duty for every batch.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Result, exec_err};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};

use super::{PAIRS_AT_ONCE, Watch};

/// What is done with the batches that pass.
pub(super) trait Duty: Send + Unpin {
    /// Looks at a batch before any of it is handed on.
    fn meet(&mut self, batch: &RecordBatch) -> Result<()>;

    /// How many rows from the beginning of `batch` may be handed on at once, at least one of them; and how much work
    /// they make, in pairs of rows.
    fn next(&mut self, batch: &RecordBatch) -> Result<(usize, u64)>;
}

/// Hands on what it reads, in pieces as its duty says.
pub(super) struct Watched<D> {
    input: SendableRecordBatchStream,
    watch: Watch,
    duty: D,
    /// What was read and not yet handed on.
    left: Option<RecordBatch>,
    /// Handed on since the thread was last given to others.
    work: u64,
}

impl<D: Duty> Watched<D> {
    pub(super) fn new(input: SendableRecordBatchStream, watch: Watch, duty: D) -> Watched<D> {
        Watched { input, watch, duty, left: None, work: 0 }
    }

    fn piece(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let (rows, work) = self.duty.next(batch)?;
        let rows = rows.clamp(1, batch.num_rows());
        self.work = self.work.saturating_add(work);
        self.left = (rows < batch.num_rows()).then(|| batch.slice(rows, batch.num_rows() - rows));
        Ok(batch.slice(0, rows))
    }
}

impl<D: Duty> Stream for Watched<D> {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.watch.is_given_up() {
            return Poll::Ready(Some(exec_err!("nobody waits for the answer any more")));
        }
        // Only a task that waits can be stopped, and lets others run.
        if self.work >= PAIRS_AT_ONCE {
            self.work = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let batch = match self.left.take() {
            Some(batch) => batch,
            None => match ready!(self.input.poll_next_unpin(cx)) {
                Some(Ok(batch)) => {
                    self.duty.meet(&batch)?;
                    batch
                }
                other => return Poll::Ready(other),
            },
        };
        if batch.num_rows() == 0 {
            return Poll::Ready(Some(Ok(batch)));
        }
        Poll::Ready(Some(self.piece(&batch)))
    }
}

impl<D: Duty> RecordBatchStream for Watched<D> {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
