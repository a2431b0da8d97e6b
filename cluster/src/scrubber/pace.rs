//! Not faster than wanted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chronos_env::Clock;

/// A wait is looked up from so often, to see whether it is still wanted.
const NAP: Duration = Duration::from_millis(100);
/// What was not used is not saved up: after a stall nothing goes faster than before for longer than this.
const SLACK: Duration = Duration::from_millis(100);

/// A rate that is kept by waiting after each piece of work.
pub(super) struct Pace {
    clock: Clock,
    bytes_per_second: u64,
    /// Before this moment nothing more may be done.
    due: Duration,
}

impl Pace {
    pub(super) fn new(clock: Clock, bytes_per_second: u64) -> Pace {
        let due = clock.monotonic();
        Pace { clock, bytes_per_second: bytes_per_second.max(1), due }
    }

    /// The rate from now on.
    pub(super) fn set(&mut self, bytes_per_second: u64) {
        self.bytes_per_second = bytes_per_second.max(1);
    }

    /// So many bytes were gone through: holds up the thread until they are paid for, unless somebody is `stopping`. In a
    /// simulation they are paid for by [`Pace::settle`].
    pub(super) fn hold(&mut self, bytes: u64, stopping: &AtomicBool) {
        let cost = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        self.due = self.due.max(self.clock.monotonic().saturating_sub(SLACK)) + cost;
        while !stopping.load(Ordering::Acquire) {
            let left = self.due.saturating_sub(self.clock.monotonic());
            if left.is_zero() || !self.clock.hold(left.min(NAP)).is_zero() {
                return;
            }
        }
    }

    /// Waits for what could not be waited for before. Cancel-safe.
    pub(super) async fn settle(&self) {
        let left = self.due.saturating_sub(self.clock.monotonic());
        if !left.is_zero() {
            self.clock.sleep(left).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronos_env::Env;
    use chronos_env::sim::World;

    #[test]
    fn a_rate_that_is_changed_on_the_way_holds_for_what_comes() {
        let world = World::new(1);
        world.run(async {
            let clock = world.env().clock;
            let mut pace = Pace::new(clock.clone(), 1000);
            let began = clock.monotonic();
            pace.hold(2000, &AtomicBool::new(false));
            pace.settle().await;
            pace.set(100);
            pace.hold(200, &AtomicBool::new(false));
            pace.settle().await;
            let took = clock.monotonic() - began;
            assert!((3900..4100).contains(&took.as_millis()), "2 s and 2 s, not {took:?}");
        });
    }

    #[test]
    fn a_simulated_pass_takes_the_time_its_bytes_cost() {
        let world = World::new(1);
        world.run(async {
            let clock = world.env().clock;
            let mut pace = Pace::new(clock.clone(), 1000);
            let began = clock.monotonic();
            for _ in 0..10 {
                pace.hold(500, &AtomicBool::new(false));
                pace.hold(1500, &AtomicBool::new(false));
                pace.settle().await;
            }
            let took = clock.monotonic() - began;
            assert_eq!(took.as_millis(), 20_000, "{took:?}");
        });
    }

    #[test]
    fn time_that_was_not_used_is_not_saved_up() {
        let world = World::new(1);
        world.run(async {
            let clock = world.env().clock;
            let mut pace = Pace::new(clock.clone(), 1000);
            clock.sleep(Duration::from_secs(60)).await;
            let began = clock.monotonic();
            pace.hold(5000, &AtomicBool::new(false));
            pace.settle().await;
            assert!(clock.monotonic() - began >= Duration::from_millis(4900));
        });
    }

    #[test]
    fn a_real_thread_is_held_up_unless_it_is_to_stop() {
        let clock = Env::real().clock;
        let mut pace = Pace::new(clock.clone(), 1 << 20);
        let began = clock.monotonic();
        pace.hold(1 << 30, &AtomicBool::new(true));
        assert!(
            clock.monotonic() - began < Duration::from_secs(1000),
            "it did not wait a quarter of an hour"
        );
        let began = clock.monotonic();
        Pace::new(clock.clone(), 1 << 20).hold(1 << 14, &AtomicBool::new(false));
        assert!(clock.monotonic() - began >= Duration::from_millis(15), "it went on too early");
    }
}
