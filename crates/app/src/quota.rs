//! How much a tenant may append: a token bucket of events.
//!
//! Only one tenant exists yet, so a node has one bucket, which the operator fills or leaves out. It is asked before
//! anything is proposed, so a refused append certainly did not happen.

use std::sync::Mutex;

use chronos_domain::{Rejection, Timestamp};

/// Events a second, on average; a burst may take what a second would give.
#[derive(Debug)]
pub struct Quota {
    events_per_second: u64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// Millionths of an event, so that a microsecond adds a whole number of them.
    left: u64,
    filled_at: Timestamp,
}

const MILLION: u64 = 1_000_000;

impl Quota {
    /// A full bucket.
    ///
    /// # Panics
    /// When it would never let anything through.
    #[must_use]
    pub const fn new(events_per_second: u64) -> Self {
        assert!(events_per_second > 0, "a quota of nothing is a closed door");
        let left = events_per_second.saturating_mul(MILLION);
        Self { events_per_second, bucket: Mutex::new(Bucket { left, filled_at: Timestamp::MIN }) }
    }

    /// Takes `events` out of the bucket, all or none.
    ///
    /// A request larger than the bucket passes when the bucket is full, and empties it: a quota must not refuse for
    /// ever what the limits allow.
    ///
    /// # Errors
    /// [`Rejection::QuotaExceeded`] with the time after which the same request would pass.
    pub(crate) fn take(&self, events: u64, now: Timestamp) -> Result<(), Rejection> {
        let mut bucket = self.bucket.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let full = self.events_per_second.saturating_mul(MILLION);
        let elapsed = u64::try_from(now.get().saturating_sub(bucket.filled_at.get())).unwrap_or(0);
        bucket.left = bucket.left.saturating_add(elapsed.saturating_mul(self.events_per_second)).min(full);
        bucket.filled_at = now;
        let wanted = events.saturating_mul(MILLION).min(full);
        if let Some(left) = bucket.left.checked_sub(wanted) {
            bucket.left = left;
            return Ok(());
        }
        let micros = (wanted - bucket.left).div_ceil(self.events_per_second);
        let quota = format!("{} events a second", self.events_per_second);
        Err(Rejection::QuotaExceeded { quota, retry_after_ms: micros.div_ceil(1000) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after(answer: Result<(), Rejection>) -> u64 {
        match answer {
            Err(Rejection::QuotaExceeded { retry_after_ms, .. }) => retry_after_ms,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn a_second_gives_what_was_agreed_and_the_refusal_says_when_there_is_more() {
        let quota = Quota::new(10);
        let at = |ms: i64| Timestamp::new(1_000_000 + ms * 1000);
        assert!(quota.take(10, at(0)).is_ok());
        assert_eq!(retry_after(quota.take(1, at(0))), 100);
        assert_eq!(retry_after(quota.take(5, at(100))), 400);
        assert!(quota.take(5, at(500)).is_ok());
        assert_eq!(retry_after(quota.take(1, at(500))), 100);
    }

    #[test]
    fn what_is_larger_than_the_bucket_passes_when_it_is_full() {
        let quota = Quota::new(2);
        assert!(quota.take(100, Timestamp::new(0)).is_ok());
        assert_eq!(retry_after(quota.take(100, Timestamp::new(0))), 1000);
        assert!(quota.take(100, Timestamp::new(1_000_000)).is_ok());
    }

    #[test]
    fn a_clock_that_runs_back_gives_nothing_away_and_takes_nothing() {
        let quota = Quota::new(1);
        assert!(quota.take(1, Timestamp::new(5_000_000)).is_ok());
        assert_eq!(retry_after(quota.take(1, Timestamp::new(0))), 1000);
        assert!(quota.take(1, Timestamp::new(1_000_000)).is_ok());
    }
}
