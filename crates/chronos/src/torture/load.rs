//! Events that go in at a pace while something is done to the cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::steady::Steady;
use crate::demo::ledger::Ledger;
use crate::demo::script::Script;
use crate::failure::Outcome;
use crate::ingest::cut::Size;
use crate::ingest::intake::Intake;
use crate::ingest::settle::Sink;

/// Events of one request: a campaign wants many acknowledgements, not much throughput.
const BATCH: Size = Size { events: 16, ..Size::DEFAULT };

/// What goes in.
pub(crate) struct Load<'a> {
    pub(crate) script: &'a Script,
    /// So many events go in as fast as they can, before the pace begins.
    pub(crate) at_once: u64,
    /// Events a second.
    pub(crate) rate: u64,
    /// Whether what is left when the work is over goes in, too, as fast as it can.
    pub(crate) to_the_end: bool,
    /// Whether the source is at its end.
    pub(crate) fed: watch::Sender<bool>,
}

impl<'a> Load<'a> {
    pub(crate) fn new(script: &'a Script, at_once: u64, rate: u64) -> Self {
        let to_the_end = script.events != u64::MAX;
        Self { script, at_once, rate, to_the_end, fed: watch::Sender::new(false) }
    }

    /// Brings events in while `work` goes on, of a source that ends all of them; returns when all that was sent is
    /// acknowledged.
    ///
    /// # Errors
    /// The first of either.
    pub(crate) async fn during<S: Sink, T>(
        &self,
        (sink, ledger): (&Steady<S>, &Arc<Ledger>),
        work: impl Future<Output = Outcome<T>>,
    ) -> Outcome<T> {
        let done = watch::Sender::new(false);
        let mut intake = Intake::start(sink, ledger, BATCH);
        let feeding = async {
            let ended = self.feed(&mut intake, done.subscribe()).await;
            self.fed.send_replace(true);
            ended?;
            intake.finish().await
        };
        let working = async {
            let ended = work.await;
            done.send_replace(true);
            ended
        };
        let ((), ended) = tokio::try_join!(Box::pin(feeding), Box::pin(working))?;
        Ok(ended)
    }

    async fn feed(&self, intake: &mut Intake<Ledger>, done: watch::Receiver<bool>) -> Outcome {
        let mut items = self.script.items(self.script.events, |_| false);
        let (mut start, mut sent) = (Instant::now(), 0_u64);
        while let Some(handful) = items.recv().await {
            for item in handful? {
                let is_over = *done.borrow();
                match (sent.checked_sub(self.at_once), is_over) {
                    (_, true) if self.to_the_end => {}
                    (_, true) => return Ok(()),
                    (None, false) => start = Instant::now(),
                    (Some(paced), false) => self.keep_pace(start, paced).await,
                }
                intake.take(item).await?;
                sent += 1;
            }
        }
        Ok(())
    }

    /// Waits until the next event is due, so many after the pace began.
    async fn keep_pace(&self, start: Instant, sent: u64) {
        let due = start + Duration::from_secs_f64(sent as f64 / self.rate as f64);
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
    }
}
