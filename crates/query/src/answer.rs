//! An answer on its way: batches as the caller takes them.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::guard::Watch;
use crate::stats::{Counters, Stats};

/// Resolves when a question's time is up.
pub(crate) type Expiry = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The rows of an answer, made as fast as they are taken. Dropping it stops the question.
pub struct Answer {
    schema: SchemaRef,
    batches: mpsc::Receiver<RecordBatch>,
    work: Work,
    counters: Arc<Counters>,
}

impl Answer {
    pub(crate) fn new(
        schema: SchemaRef,
        batches: mpsc::Receiver<RecordBatch>,
        work: Work,
        counters: Arc<Counters>,
    ) -> Answer {
        Answer { schema, batches, work, counters }
    }

    /// The columns of every batch.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next rows; `None` when the answer is whole. Cancel-safe.
    ///
    /// # Errors
    /// See [`Error`]. After one, what was received before is only a beginning of the answer.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        let batch = tokio::select! {
            biased; // rows that are there are given before the time is looked at
            batch = self.batches.recv() => batch,
            () = &mut self.work.expiry => return Err(self.late()),
        };
        match batch {
            Some(batch) => Ok(Some(batch)),
            None => self.work.end(&self.counters).await.map(|()| None),
        }
    }

    /// What answering has cost so far; final once [`next`](Self::next) has given `None` or an error.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    fn late(&self) -> Error {
        self.work.give_up();
        out_of_time(&self.counters)
    }
}

/// The task behind an answer. A task that ends without saying that its answer is whole has failed.
pub(crate) struct Work {
    task: JoinHandle<Result<(), Error>>,
    watch: Watch,
    expiry: Expiry,
    ended: Option<Result<(), Error>>,
}

impl Work {
    pub(crate) fn new(task: JoinHandle<Result<(), Error>>, watch: Watch, expiry: Expiry) -> Work {
        Work { task, watch, expiry, ended: None }
    }

    /// Stops the task, also where it does not wait.
    fn give_up(&self) {
        self.watch.give_up();
        self.task.abort();
    }

    /// Waits for the first value of the task, or for why there is none.
    pub(crate) async fn first<T>(
        &mut self,
        value: tokio::sync::oneshot::Receiver<T>,
        counters: &Counters,
    ) -> Result<T, Error> {
        let value = tokio::select! {
            biased; // an answer that has begun is given before the time is looked at
            value = value => value,
            () = &mut self.expiry => return Err(out_of_time(counters)),
        };
        match value {
            Ok(value) => Ok(value),
            Err(_) => Err(match self.end(counters).await {
                Err(error) => error,
                Ok(()) => Error::Internal { text: "the answer ended before it began".to_owned() },
            }),
        }
    }

    /// How the task ended, once it has.
    async fn end(&mut self, counters: &Counters) -> Result<(), Error> {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let ended = tokio::select! {
            biased; // an answer that is whole counts, however late
            ended = &mut self.task => ended,
            () = &mut self.expiry => return Err(out_of_time(counters)),
        };
        let ended = ended.unwrap_or_else(|died| Err(Error::Internal { text: died.to_string() }));
        self.ended = Some(ended.clone());
        ended
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.give_up();
    }
}

fn out_of_time(counters: &Counters) -> Error {
    Error::OutOfTime { rows: counters.read().rows_read() }
}
