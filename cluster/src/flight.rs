//! The entries of one group between proposal and answer, and who waits for them.
//!
//! Every entry is answered exactly once: when it is applied, when consensus says what else became of it, or when the
//! group ends and nobody will say any more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use chronos_store::entry::Outcome;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::proposal::{Caller, ProposeError};

/// Names an entry until it has an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// What is on its way.
pub(crate) struct Flight {
    /// How many entries have been begun.
    begun: AtomicU64,
    waiting: Mutex<BTreeMap<Ticket, Vec<Caller>>>,
    /// How many entries have been answered.
    settled: watch::Sender<u64>,
}

/// Only a process that dies drops what nobody has answered.
impl Drop for Flight {
    fn drop(&mut self) {
        chronos_env::sometimes!("propose.leader_died_with_append", !self.waiting.lock().is_empty());
    }
}

impl Flight {
    pub(crate) fn new() -> Flight {
        Flight { begun: AtomicU64::new(0), waiting: Mutex::default(), settled: watch::Sender::new(0) }
    }

    /// Begins an entry. Its time is to be read from the clock after this: see [`Flight::settle`].
    pub(crate) fn begin(&self, callers: Vec<Caller>) -> Ticket {
        let ticket = Ticket(self.begun.fetch_add(1, Ordering::SeqCst) + 1);
        self.waiting.lock().insert(ticket, callers);
        ticket
    }

    /// Returns once fewer than `most` entries are on their way.
    pub(crate) async fn fewer_than(&self, most: usize) {
        if self.waiting.lock().len() >= most {
            // The sender lives in `self`, so waiting cannot fail.
            let _ = self.settled.subscribe().wait_for(|_| self.waiting.lock().len() < most).await;
        }
    }

    /// Returns once every entry that was begun before the call is settled.
    ///
    /// An entry is begun before its time is read from the clock, so afterwards no event can appear that carries
    /// a time before the call.
    pub(crate) async fn settle(&self) {
        let begun = self.begun.load(Ordering::SeqCst);
        let all_before =
            |_: &u64| self.waiting.lock().first_key_value().is_none_or(|(first, _)| first.0 > begun);
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.settled.subscribe().wait_for(all_before).await;
    }

    /// An entry was applied, with one outcome for each of its commands; or it has none. Nothing happens when it was
    /// answered before.
    pub(crate) fn land(&self, ticket: Ticket, landed: Result<Vec<Outcome>, ProposeError>) {
        let Some(callers) = self.waiting.lock().remove(&ticket) else { return };
        match landed {
            Ok(outcomes) => {
                assert_eq!(callers.len(), outcomes.len(), "apply gives one outcome for each command");
                for (caller, outcome) in callers.into_iter().zip(outcomes) {
                    caller.answer(Ok(outcome));
                }
            }
            Err(error) => callers.into_iter().for_each(|caller| caller.answer(Err(error.clone()))),
        }
        self.settled.send_modify(|settled| *settled += 1);
    }

    /// Nobody will say any more what becomes of the entries on their way.
    pub(crate) fn end(&self, error: &ProposeError) {
        let left: Vec<Ticket> = self.waiting.lock().keys().copied().collect();
        chronos_env::sometimes!("propose.ended_in_flight", !left.is_empty());
        left.into_iter().for_each(|ticket| self.land(ticket, Err(error.clone())));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chronos_env::sim::World;
    use futures::FutureExt;
    use tokio::sync::Semaphore;

    use super::*;

    fn caller() -> (Caller, tokio::sync::oneshot::Receiver<Result<Outcome, ProposeError>>) {
        Caller::new(Arc::new(Semaphore::new(0)).try_acquire_many_owned(0).unwrap())
    }

    #[test]
    fn settling_waits_for_what_was_begun_before_and_for_nothing_after() {
        World::new(1).run(async {
            let flight = Flight::new();
            let (first, second) = (flight.begin(vec![caller().0]), flight.begin(vec![]));
            let mut settle = Box::pin(flight.settle());
            assert!(settle.as_mut().now_or_never().is_none());
            let _later = flight.begin(vec![]);
            flight.land(second, Ok(vec![]));
            assert!(settle.as_mut().now_or_never().is_none());
            flight.land(first, Err(ProposeError::NoSpace));
            settle.await;
        });
    }

    #[test]
    fn every_entry_is_answered_once_and_the_end_answers_the_rest() {
        World::new(1).run(async {
            let flight = Flight::new();
            let ((a, a_told), (b, b_told)) = (caller(), caller());
            let (first, _) = (flight.begin(vec![a]), flight.begin(vec![b]));
            flight.land(first, Err(ProposeError::NoSpace));
            flight.land(first, Err(ProposeError::DeadlinePassed));
            flight.end(&ProposeError::Unknown("gone".into()));
            assert!(matches!(a_told.await, Ok(Err(ProposeError::NoSpace))));
            assert!(matches!(b_told.await, Ok(Err(ProposeError::Unknown(_)))));
            flight.fewer_than(1).await;
        });
    }
}
