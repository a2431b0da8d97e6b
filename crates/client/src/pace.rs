//! Waiting: deadlines, and the pauses between attempts.

use std::future::Future;
use std::time::Duration;

use chronos_domain::EventId;
use chronos_domain::xxh64::xxh64;
use chronos_proto::{Class, Failure};
use tokio::time::Instant;

use crate::options::Options;
use crate::routing::Way;

/// The end of an operation's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    #[expect(
        clippy::disallowed_methods,
        reason = "an SDK runs outside of a node; tokio's clock can be paused in tests"
    )]
    pub(crate) fn after(time: Duration) -> Self {
        let now = Instant::now();
        // A caller who means "for ever" may say so with the longest duration there is.
        Self(now.checked_add(time).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 3600)))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "an SDK runs outside of a node; tokio's clock can be paused in tests"
    )]
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The sooner of this and the end of that time from now on.
    pub(crate) fn within(self, time: Duration) -> Self {
        Self(self.0.min(Self::after(time).0))
    }

    /// The future's output, or the failure that says that the time was over before `what` was there.
    ///
    /// # Errors
    /// That failure.
    pub(crate) async fn wait<F: Future>(self, what: &str, future: F) -> Result<F::Output, Failure> {
        self.bound(future).await.ok_or_else(|| out_of_time(what))
    }

    /// The future's output, or `None` when the time is over before.
    pub(crate) async fn bound<F: Future>(self, future: F) -> Option<F::Output> {
        tokio::time::timeout_at(self.0, future).await.ok()
    }
}

/// As [`Deadline::wait`], where there is a deadline.
///
/// # Errors
/// That failure.
pub(crate) async fn wait_until<F: Future>(
    until: Option<Deadline>,
    what: &str,
    future: F,
) -> Result<F::Output, Failure> {
    match until {
        Some(until) => until.wait(what, future).await,
        None => Ok(future.await),
    }
}

/// That something was not there in time, of which no server has said why.
pub(crate) fn out_of_time(what: &str) -> Failure {
    let text = format!(
        "{what} in time: a server may be gone, paused or cut off, or its cluster without a majority; see `chronos cluster \
         status`, or give it more time"
    );
    Failure::new(Class::Failed, "DEADLINE_EXCEEDED", text)
}

/// Time since some moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "an SDK runs outside of a node; tokio's clock can be paused in tests"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "an SDK runs outside of a node; tokio's clock can be paused in tests"
    )]
    pub(crate) fn elapsed(self) -> Duration {
        Instant::now().saturating_duration_since(self.0)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an SDK runs outside of a node; tokio's clock can be paused in tests"
)]
pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// The pauses between the attempts of one operation: doubling, bounded, and different for different operations, so
/// that callers who failed together do not come back together. They follow from the operation's first event id
/// alone, so that a simulated run repeats itself.
pub(crate) struct Backoff {
    key: u128,
    attempt: u32,
    min: Duration,
    max: Duration,
}

impl Backoff {
    pub(crate) fn new(options: &Options, key: EventId) -> Self {
        Self { key: key.as_u128(), attempt: 0, min: options.backoff_min, max: options.backoff_max }
    }

    /// The next pause: at least half and at most all of the doubled minimum, and at least what the server asked for.
    pub(crate) fn next(&mut self, asked_ms: Option<u64>) -> Duration {
        let full = self.min.saturating_mul(1 << self.attempt.min(16)).min(self.max);
        let draw = xxh64(&self.key.to_le_bytes(), u64::from(self.attempt));
        let half = full / 2;
        let jitter = half.mul_f64((draw >> 11) as f64 / (1u64 << 53) as f64);
        self.attempt = self.attempt.saturating_add(1);
        (half + jitter).max(asked_ms.map_or(Duration::ZERO, Duration::from_millis))
    }
}

/// How long each attempt of one operation waits for its answer: a server that is silent may be paused or cut off, and
/// another may lead by now. One that was silent before gets twice the time, so that a server that is only slow gets what
/// it needs and not ever more copies; whoever has not been silent yet gets no more than the first time.
pub(crate) struct Patience {
    first: Duration,
    /// Who was silent, once for each time.
    silent: Vec<Way>,
}

impl Patience {
    pub(crate) const fn new(options: &Options) -> Self {
        Self { first: options.attempt_timeout, silent: Vec::new() }
    }

    /// When the attempt that begins now with that server is given up.
    pub(crate) fn with(&self, way: Way, deadline: Deadline) -> Deadline {
        deadline.within(self.time(way))
    }

    fn time(&self, way: Way) -> Duration {
        let times = self.silent.iter().filter(|silent| **silent == way).count();
        self.first.saturating_mul(1 << times.min(16))
    }

    /// Takes in that a server did not answer in the time that it had.
    pub(crate) fn was_silent(&mut self, way: Way) {
        self.silent.push(way);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_differ_between_operations() {
        let options = Options::default();
        let pauses = |key| {
            let mut backoff = Backoff::new(&options, EventId::from_u128(key));
            (0..20).map(|_| backoff.next(None)).collect::<Vec<_>>()
        };
        for (i, pause) in pauses(1).into_iter().enumerate() {
            let full = options.backoff_min.saturating_mul(1 << i).min(options.backoff_max);
            assert!(pause >= full / 2 && pause <= full, "pause {i} is {pause:?}");
        }
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }

    #[test]
    fn a_server_may_ask_for_a_longer_pause() {
        let mut backoff = Backoff::new(&Options::default(), EventId::from_u128(1));
        assert_eq!(backoff.next(Some(60_000)), Duration::from_secs(60));
    }

    #[test]
    fn only_a_server_that_was_silent_before_gets_more_time() {
        let options = Options { attempt_timeout: Duration::from_secs(3), ..Options::default() };
        let mut patience = Patience::new(&options);
        let (slow, other) = (Way::Seed(0), Way::Seed(1));
        let times = |patience: &Patience| [slow, other].map(|way| patience.time(way).as_secs());
        assert_eq!(times(&patience), [3, 3]);
        patience.was_silent(slow);
        assert_eq!(times(&patience), [6, 3]);
        patience.was_silent(slow);
        assert_eq!(times(&patience), [12, 3]);
    }
}
