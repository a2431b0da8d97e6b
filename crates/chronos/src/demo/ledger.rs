//! What was promised: for every event of a source, the numbers it was acknowledged with.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chronos_domain::{EntityId, EventId, PartitionId, Position, Token, Version};
use tokio::sync::watch;

use crate::failure::{Failure, Outcome};
use crate::ingest::cut::Batch;
use crate::ingest::progress::Progress;
use crate::ingest::settle::{Ack, Witness};

/// One acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    pub(crate) event_id: EventId,
    pub(crate) entity_id: EntityId,
    pub(crate) partition: PartitionId,
    pub(crate) position: Position,
    pub(crate) version: Version,
}

/// All acknowledgements of a run, by the ordinal of the event in its source.
pub(crate) struct Ledger {
    promises: Mutex<Vec<Option<Promise>>>,
    acknowledged: watch::Sender<u64>,
    progress: Progress,
}

impl Ledger {
    pub(crate) fn new(progress: Progress) -> Self {
        Self { promises: Mutex::default(), acknowledged: watch::Sender::new(0), progress }
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// How many events are acknowledged; changes as acknowledgements come in.
    pub(crate) fn acknowledged(&self) -> watch::Receiver<u64> {
        self.acknowledged.subscribe()
    }

    /// Whether the event with this ordinal is acknowledged.
    pub(crate) fn has(&self, ordinal: u64) -> bool {
        self.lock().get(slot(ordinal)).is_some_and(Option::is_some)
    }

    /// Every promise, in the order of the source.
    pub(crate) fn promises(&self) -> Vec<Promise> {
        self.lock().iter().flatten().cloned().collect()
    }

    /// How many events are acknowledged in each partition.
    pub(crate) fn weights(&self) -> Vec<u64> {
        let mut weights = vec![0; PartitionId::all().len()];
        self.lock().iter().flatten().for_each(|promise| weights[promise.partition.index()] += 1);
        weights
    }

    /// Covers every event that is acknowledged.
    pub(crate) fn token(&self) -> Token {
        let mut token = Token::new();
        self.lock().iter().flatten().for_each(|promise| token.advance(promise.partition, promise.position));
        token
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Promise>>> {
        self.promises.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slot(ordinal: u64) -> usize {
    usize::try_from(ordinal - 1).expect("events in memory are counted by a usize")
}

impl Witness for Ledger {
    fn acknowledged(&self, batch: &Batch, ack: &Ack) {
        let mut promises = self.lock();
        for (i, (line, version)) in batch.lines.iter().zip(&ack.versions).enumerate() {
            let event = batch.block.event(i);
            let at = slot(*line);
            if promises.len() <= at {
                promises.resize(at + 1, None);
            }
            promises[at] = Some(Promise {
                event_id: event.event_id,
                entity_id: EntityId::parse(event.entity_id).expect("names of a packed event are valid"),
                partition: batch.partition,
                position: ack.first.plus(i as u64),
                version: *version,
            });
        }
        drop(promises);
        let events = batch.lines.len() as u64;
        self.progress.add(events);
        self.acknowledged.send_modify(|acknowledged| *acknowledged += events);
    }

    fn refused(&self, line: u64, why: &Failure) -> Outcome {
        Err(Failure::new(why.exit(), format!("event {line} of the source was refused: {why}")))
    }
}
