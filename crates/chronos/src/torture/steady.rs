//! A caller who does what the SDK's answers tell him to do, and counts them.
//!
//! The SDK tries every append again until its deadline. What it cannot settle by then it gives back: *certainly not done*
//! (a definite error) or *unknown*. In both cases the caller repeats the append with the same event ids, so that one
//! error does not end a campaign, and so that the proof in the end covers repetition, too: an event that an unknown append
//! had stored after all must not be there twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chronos_block::Block;
use serde::Serialize;

use crate::failure::{Exit, Failure, Outcome};
use crate::ingest::settle::{Ack, Sink};

/// An append that cannot be settled for so long ends the campaign.
const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

/// Between two appends of the same events by the caller.
const PAUSE: Duration = Duration::from_millis(100);

/// So many errors are kept in their own words.
const WORDS_MAX: usize = 5;

/// What a caller has met with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Experience {
    /// Appends that the SDK gave back as certainly not done.
    pub(crate) definite_errors: u64,
    /// Appends that the SDK gave back as unknown.
    pub(crate) unknown_outcomes: u64,
    /// The first of these in the words of the SDK.
    pub(crate) errors: Vec<String>,
    /// From the first attempt of an append to its acknowledgement, at most.
    pub(crate) slowest_append_ms: u64,
    /// The longest time in which nothing was acknowledged anywhere.
    pub(crate) longest_silence_ms: u64,
}

/// Counts for any number of callers.
#[derive(Default)]
pub(crate) struct Diary(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    so_far: Experience,
    last: Option<Instant>,
}

impl Diary {
    /// What was met with since the last time, until now.
    pub(crate) fn take(&self) -> Experience {
        let mut pages = self.lock();
        pages.hear(Instant::now());
        std::mem::take(&mut pages.so_far)
    }

    /// The silence begins to count now.
    pub(crate) fn listen(&self) {
        self.lock().last = Some(Instant::now());
    }

    /// The silence does not count any more.
    pub(crate) fn rest(&self) {
        let mut pages = self.lock();
        pages.hear(Instant::now());
        pages.last = None;
    }

    fn acknowledged(&self, begun: Instant) {
        let (mut pages, now) = (self.lock(), Instant::now());
        pages.hear(now);
        let slowest = &mut pages.so_far.slowest_append_ms;
        *slowest = (*slowest).max(ms(now - begun));
    }

    fn failed(&self, why: &Failure) {
        let mut pages = self.lock();
        let count = match why.exit() {
            Exit::Unknown => &mut pages.so_far.unknown_outcomes,
            _ => &mut pages.so_far.definite_errors,
        };
        *count += 1;
        if pages.so_far.errors.len() < WORDS_MAX {
            pages.so_far.errors.push(why.to_string());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn hear(&mut self, now: Instant) {
        if let Some(last) = &mut self.last {
            let longest = &mut self.so_far.longest_silence_ms;
            *longest = (*longest).max(ms(now - *last));
            *last = now;
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A sink that goes on.
#[derive(Clone)]
pub(crate) struct Steady<S> {
    pub(crate) sink: S,
    pub(crate) diary: Arc<Diary>,
}

impl<S: Sink> Sink for Steady<S> {
    async fn append(&self, block: &Block) -> Outcome<Ack> {
        let begun = Instant::now();
        loop {
            let why = match self.sink.append(block).await {
                Ok(ack) => {
                    self.diary.acknowledged(begun);
                    return Ok(ack);
                }
                Err(why) => why,
            };
            if !matches!(why.exit(), Exit::Failed | Exit::Unknown) {
                return Err(why);
            }
            self.diary.failed(&why);
            if begun.elapsed() > GIVE_UP_AFTER {
                return Err(why);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::ingest::settle::tests::{Rows, batch};

    /// Stores the block, but does not say so at first.
    #[derive(Clone)]
    struct Shy {
        rows: Rows,
        says: Arc<Vec<Exit>>,
        asked: Arc<AtomicUsize>,
    }

    impl Sink for Shy {
        async fn append(&self, block: &Block) -> Outcome<Ack> {
            let said = self.says.get(self.asked.fetch_add(1, Ordering::Relaxed));
            match said {
                Some(exit) => Err(Failure::new(*exit, "not now")),
                None => self.rows.append(block).await,
            }
        }
    }

    fn steady(says: &[Exit]) -> Steady<Shy> {
        let shy = Shy { rows: Rows::default(), says: Arc::new(says.to_vec()), asked: Arc::default() };
        Steady { sink: shy, diary: Arc::default() }
    }

    #[tokio::test]
    async fn what_the_sdk_gives_back_is_counted_and_repeated_until_it_is_settled() {
        let steady = steady(&[Exit::Failed, Exit::Unknown, Exit::Unknown]);
        steady.append(&batch([1, 2], "1").block).await.unwrap();
        let met = steady.diary.take();
        assert_eq!((met.definite_errors, met.unknown_outcomes, met.errors.len()), (1, 2, 3));
        assert_eq!(steady.sink.rows.ids(), [1, 2]);
        let nothing = steady.diary.take();
        assert_eq!(nothing, Experience::default());
    }

    #[tokio::test]
    async fn what_a_rule_refuses_is_not_repeated() {
        let steady = steady(&[Exit::Rejected]);
        let refused = steady.append(&batch([1], "1").block).await.unwrap_err();
        assert_eq!(refused.exit(), Exit::Rejected);
        assert_eq!(steady.diary.take(), Experience::default());
    }
}
