//! Event ids: UUIDs of version 7.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chronos_domain::EventId;
use parking_lot::Mutex;

/// Makes event ids. Clones share one source.
#[derive(Clone)]
pub struct Ids {
    millis: Arc<dyn Fn() -> u64 + Send + Sync>,
    draws: Arc<Mutex<Draws>>,
}

impl Ids {
    /// Ids of the milliseconds that `millis` gives and of random bits that follow from `seed`: in a simulation, the
    /// same ids in every run.
    pub fn seeded(seed: u128, millis: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let draws = Draws { high: (seed >> 64) as u64, low: seed as u64 };
        Self { millis: Arc::new(millis), draws: Arc::new(Mutex::new(draws)) }
    }

    /// A new id.
    #[must_use]
    pub fn next(&self) -> EventId {
        let random = self.draws.lock().next();
        EventId::new_v7((self.millis)(), random)
    }
}

impl Default for Ids {
    /// Ids of this machine's clock, and of bits that follow from a seed of the operating system.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    fn default() -> Self {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).expect("the operating system gives randomness");
        Self::seeded(u128::from_le_bytes(seed), wall_millis)
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}

fn wall_millis() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "an SDK runs outside of a node; simulations give their own clock"
    )]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Two SplitMix64 generators (Steele, Lea, Flood 2014) side by side: a draw per event must not cost a system call.
struct Draws {
    high: u64,
    low: u64,
}

impl Draws {
    fn next(&mut self) -> u128 {
        u128::from(split_mix(&mut self.high)) << 64 | u128::from(split_mix(&mut self.low))
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids_and_no_id_twice() {
        let draw = |seed| {
            let ids = Ids::seeded(seed, || 7);
            (0..1000).map(|_| ids.next()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_eq!(draw(1).into_iter().collect::<BTreeSet<_>>().len(), 1000);
    }

    #[test]
    fn clones_never_give_the_same_id() {
        let one = Ids::seeded(1, || 7);
        let other = one.clone();
        assert_ne!(one.next(), other.next());
    }
}
