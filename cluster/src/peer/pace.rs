//! Not faster than wanted, whoever asks.

use std::time::Duration;

use chronos_env::Clock;
use parking_lot::Mutex;

use crate::rate::Rate;

/// What was not used is saved up for no longer than this.
const SLACK: Duration = Duration::from_millis(50);

/// A rate that many share.
pub(super) struct Pace {
    clock: Clock,
    rate: Rate,
    /// Until then everything is spoken for.
    taken_until: Mutex<Duration>,
}

impl Pace {
    pub(super) fn new(clock: Clock, bytes_per_second: u64) -> Pace {
        Pace { clock, rate: Rate::new(bytes_per_second), taken_until: Mutex::new(Duration::ZERO) }
    }

    /// From the next payment on.
    pub(super) fn set(&self, bytes_per_second: u64) {
        self.rate.set(bytes_per_second);
    }

    /// Waits until it is the turn of `bytes` more; first come, first served.
    pub(super) async fn pay(&self, bytes: usize) {
        let cost = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / self.rate.get());
        let wait = {
            let now = self.clock.monotonic();
            let mut taken = self.taken_until.lock();
            *taken = (*taken).max(now.saturating_sub(SLACK)) + cost;
            taken.saturating_sub(now)
        };
        if !wait.is_zero() {
            self.clock.sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronos_env::sim::World;

    #[test]
    fn a_rate_that_is_changed_holds_from_then_on() {
        let world = World::new(2);
        world.run(async {
            let clock = world.env().clock;
            let pace = Pace::new(clock.clone(), 1000);
            clock.sleep(Duration::from_secs(60)).await;
            let took = async |bytes| {
                let began = clock.monotonic();
                pace.pay(bytes).await;
                (clock.monotonic() - began).as_millis()
            };
            assert!((900..=1000).contains(&took(1000).await));
            pace.set(100);
            assert!(
                (9_900..=10_000).contains(&took(1000).await),
                "a tenth of the rate takes ten times as long"
            );
        });
    }

    #[test]
    fn two_who_share_a_rate_do_not_exceed_it_together() {
        let world = World::new(1);
        world.run(async {
            let clock = world.env().clock;
            let pace = Pace::new(clock.clone(), 1000);
            clock.sleep(Duration::from_secs(60)).await;
            let began = clock.monotonic();
            let one = async {
                for _ in 0..50 {
                    pace.pay(100).await;
                }
            };
            let other = async {
                for _ in 0..10 {
                    pace.pay(500).await;
                }
            };
            tokio::join!(one, other);
            let took = clock.monotonic() - began;
            assert!((9_900..=10_010).contains(&took.as_millis()), "10,000 bytes took {took:?}");
        });
    }
}
