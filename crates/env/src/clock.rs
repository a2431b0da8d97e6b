//! Time. Two readings that must never be mixed: the *wall* clock says what time it is and may jump; the *monotonic*
//! clock only moves forward and says how long something took.
//!
//! Waiting goes through tokio's timer in both worlds. In a simulation that timer is paused and jumps to the next
//! deadline whenever every task is idle.

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::sim::VirtualTime;

/// A handle to the world's clock. Clones read the same clock.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    Real { start: Instant },
    Sim(VirtualTime),
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock the rest of the workspace asks")]
    pub(crate) fn real() -> Clock {
        Clock(Source::Real { start: Instant::now() })
    }

    pub(crate) fn sim(time: VirtualTime) -> Clock {
        Clock(Source::Sim(time))
    }

    /// Microseconds since 1970-01-01 UTC, without leap seconds; negative before it. May jump either way: order
    /// and safety must never rest on it.
    #[expect(clippy::disallowed_methods, reason = "this is the clock the rest of the workspace asks")]
    pub fn wall_micros(&self) -> i64 {
        match &self.0 {
            Source::Real { .. } => micros_since_epoch(SystemTime::now()),
            Source::Sim(time) => time.wall_micros(),
        }
    }

    /// Time since an arbitrary start that stays fixed while the process lives. Never goes back.
    pub fn monotonic(&self) -> Duration {
        match &self.0 {
            Source::Real { start } => start.elapsed(),
            Source::Sim(time) => time.elapsed(),
        }
    }

    /// Waits for at least `d`. Cancel-safe. Must be awaited inside a tokio runtime with a timer.
    #[expect(clippy::disallowed_methods, reason = "this is the clock the rest of the workspace asks")]
    pub async fn sleep(&self, d: Duration) {
        tokio::time::sleep(d).await;
    }

    /// Holds up the calling thread for `d`: for work that blocks anyway, on a thread of its own, and must not go too
    /// fast. Gives back what is still to be waited: nothing, or all of it in a simulation, whose one thread cannot wait;
    /// sleep that off as soon as there is a place to await.
    #[expect(clippy::disallowed_methods, reason = "this is the clock the rest of the workspace asks")]
    #[must_use = "what is still to be waited must be slept off"]
    pub fn hold(&self, d: Duration) -> Duration {
        match &self.0 {
            Source::Real { .. } => {
                std::thread::sleep(d);
                Duration::ZERO
            }
            Source::Sim(_) => d,
        }
    }

    /// Drives `f` for at most `d`; a future that is ready wins over a deadline that has passed.
    ///
    /// # Errors
    /// [`Elapsed`] when the time is up. `f` is dropped then: whatever it had begun may or may not have happened.
    #[expect(clippy::disallowed_methods, reason = "this is the clock the rest of the workspace asks")]
    pub async fn timeout<F: Future>(&self, d: Duration, f: F) -> Result<F::Output, Elapsed> {
        tokio::time::timeout(d, f).await.map_err(|_| Elapsed { after: d })
    }
}

/// The time given to [`Clock::timeout`] ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    /// The time that was given.
    pub after: Duration,
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not done after {:?}", self.after)
    }
}

impl std::error::Error for Elapsed {}

fn micros_since_epoch(at: SystemTime) -> i64 {
    match at.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_before_the_epoch_is_negative() {
        assert_eq!(micros_since_epoch(UNIX_EPOCH + Duration::from_micros(7)), 7);
        assert_eq!(micros_since_epoch(UNIX_EPOCH - Duration::from_micros(7)), -7);
    }

    #[test]
    fn a_hold_waits_on_a_real_clock_and_is_owed_on_a_simulated_one() {
        let (clock, d) = (Clock::real(), Duration::from_millis(2));
        let before = clock.monotonic();
        assert_eq!(clock.hold(d), Duration::ZERO);
        assert!(clock.monotonic() - before >= d, "it came back too early");
        assert_eq!(Clock::sim(VirtualTime::new()).hold(d), d);
    }

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let clock = Clock::real();
        let readings: Vec<_> = (0..1000).map(|_| clock.monotonic()).collect();
        assert!(readings.is_sorted(), "a later reading was smaller");
    }
}
