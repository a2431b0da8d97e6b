//! Thirty-two lanes, one per partition, each with one batch in flight.
//!
//! One in flight is what keeps a partition's order through failures: were two on the way and the first refused for
//! the moment (a full disk, a lost connection), the second would be numbered before it. Throughput comes from the
//! other lanes: their batches meet in the same group commits.

use std::sync::{Arc, Mutex, PoisonError};

use chronos_domain::PartitionId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::cut::Batch;
use super::settle::{Sink, Witness, settle};
use crate::failure::{Failure, Outcome};

/// Batches that may wait for their turn in one lane, so that a lane never idles while its next batch is ready.
const WAITING_MAX: usize = 2;

/// The lanes of one run. Dropping it unfinished stops them.
pub(crate) struct Pump {
    lanes: Vec<mpsc::Sender<Batch>>,
    tasks: Vec<JoinHandle<()>>,
    failed: FirstFailure,
}

#[derive(Clone, Default)]
struct FirstFailure(Arc<Mutex<Option<Failure>>>);

impl FirstFailure {
    fn note(&self, failure: Failure) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }

    fn check(&self) -> Outcome {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(failure) => Err(failure.clone()),
        }
    }
}

impl Pump {
    /// Starts the lanes; every batch goes to `sink`, every event's end to `witness`.
    pub(crate) fn start<S: Sink, W: Witness>(sink: &S, witness: &Arc<W>) -> Self {
        let failed = FirstFailure::default();
        let (mut lanes, mut tasks) = (Vec::new(), Vec::new());
        for _ in PartitionId::all() {
            let (sender, receiver) = mpsc::channel(WAITING_MAX);
            lanes.push(sender);
            tasks.push(tokio::spawn(run(sink.clone(), witness.clone(), receiver, failed.clone())));
        }
        Self { lanes, tasks, failed }
    }

    /// Queues a batch; waits while its lane is full.
    ///
    /// # Errors
    /// The first failure of any lane: the run is over.
    pub(crate) async fn push(&self, batch: Batch) -> Outcome {
        self.failed.check()?;
        match self.lanes[batch.partition.index()].send(batch).await {
            Ok(()) => Ok(()),
            Err(_) => {
                self.failed.check()?;
                Err(Failure::failed("a lane ended without a reason"))
            }
        }
    }

    /// Waits until everything queued is acknowledged.
    ///
    /// # Errors
    /// The first failure of any lane.
    pub(crate) async fn finish(mut self) -> Outcome {
        self.lanes.clear();
        for task in &mut self.tasks {
            if let Err(died) = task.await {
                self.failed.note(Failure::failed(format!("a lane died: {died}")));
            }
        }
        self.failed.check()
    }
}

impl Drop for Pump {
    /// A run that is given up must not write on behind the back of the next one.
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn run<S: Sink, W: Witness>(
    sink: S,
    witness: Arc<W>,
    mut batches: mpsc::Receiver<Batch>,
    failed: FirstFailure,
) {
    while let Some(batch) = batches.recv().await {
        if failed.check().is_err() {
            return;
        }
        if let Err(failure) = settle(&sink, &*witness, batch).await {
            failed.note(failure);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settle::Ack;
    use super::super::settle::tests::{Counts, Rows, batch};
    use super::*;
    use crate::failure::Exit;

    #[tokio::test]
    async fn a_lane_keeps_the_order_of_its_batches() {
        let (rows, counts) = (Rows::default(), Arc::new(Counts::default()));
        let pump = Pump::start(&rows, &counts);
        for first in (1..100).step_by(10) {
            pump.push(batch(first..first + 10, "1")).await.unwrap();
        }
        pump.finish().await.unwrap();
        assert_eq!(rows.ids(), (1..=100).collect::<Vec<u128>>());
        assert_eq!(counts.stored.lock().unwrap().len(), 100);
    }

    #[tokio::test]
    async fn after_a_failure_nothing_more_is_taken() {
        #[derive(Clone)]
        struct Broken;
        impl Sink for Broken {
            async fn append(&self, _: &chronos_block::Block) -> Outcome<Ack> {
                Err(Failure::failed("no server"))
            }
        }
        let pump = Pump::start(&Broken, &Arc::new(Counts::default()));
        let mut refused = false;
        for first in 1..100 {
            refused = refused || pump.push(batch([first], "1")).await.is_err();
        }
        assert!(refused, "a failed lane went on taking batches");
        assert_eq!(pump.finish().await.unwrap_err().exit(), Exit::Failed);
    }
}
