//! Randomness, as a tree of named generators: every purpose asks for a child of its own, so that one more draw
//! here changes nothing there, and a simulation stays comparable from one version of the code to the next.
//!
//! In the real world every draw comes from the operating system's generator (good enough for secrets), fetched in
//! blocks so that a draw costs nanoseconds.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// A generator. Clones draw from the same stream; use [`Entropy::child`] for a stream of one's own.
#[derive(Clone)]
pub struct Entropy(Source);

#[derive(Clone)]
enum Source {
    Os(Arc<Mutex<OsPool>>),
    Seeded(Arc<Mutex<Seeded>>),
}

impl Entropy {
    pub(crate) fn real() -> Entropy {
        Entropy(Source::Os(Arc::new(Mutex::new(OsPool::empty()))))
    }

    /// A generator that follows from a seed, for whoever draws plans of simulations.
    pub fn seeded(seed: u64) -> Entropy {
        Entropy(Source::Seeded(Arc::new(Mutex::new(Seeded::new(seed)))))
    }

    /// A generator of its own for the purpose `name`. In a simulation its stream follows from this generator's
    /// seed, the name, and how often a child of that name was asked for before (so a node that restarts does not
    /// draw its old numbers again), and from nothing else.
    pub fn child(&self, name: &str) -> Entropy {
        match &self.0 {
            Source::Os(_) => Entropy::real(),
            Source::Seeded(seeded) => Entropy::seeded(seeded.lock().child_seed(name)),
        }
    }

    /// 64 random bits.
    pub fn u64(&self) -> u64 {
        match &self.0 {
            Source::Os(pool) => {
                let mut bytes = [0; 8];
                pool.lock().fill(&mut bytes);
                u64::from_le_bytes(bytes)
            }
            Source::Seeded(seeded) => seeded.lock().next(),
        }
    }

    /// Fills `buf` with random bytes.
    pub fn fill(&self, buf: &mut [u8]) {
        match &self.0 {
            Source::Os(pool) => pool.lock().fill(buf),
            Source::Seeded(seeded) => {
                let mut seeded = seeded.lock();
                for chunk in buf.chunks_mut(8) {
                    chunk.copy_from_slice(&seeded.next().to_le_bytes()[..chunk.len()]);
                }
            }
        }
    }

    /// A number from 0 up to but not including `n`, each equally likely.
    ///
    /// # Panics
    /// If `n` is 0: there is no such number.
    pub fn below(&self, n: u64) -> u64 {
        assert!(n > 0, "there is no number below 0 to draw");
        // The top `excess` values would make the low results likelier: draw again.
        let excess = (u64::MAX % n + 1) % n;
        loop {
            let drawn = self.u64();
            if drawn <= u64::MAX - excess {
                return drawn % n;
            }
        }
    }
}

const POOL_BYTES: usize = 1024;

/// Bytes from the operating system that nobody has drawn yet: `bytes[next..]`.
struct OsPool {
    bytes: [u8; POOL_BYTES],
    next: usize,
}

impl OsPool {
    fn empty() -> OsPool {
        OsPool { bytes: [0; POOL_BYTES], next: POOL_BYTES }
    }

    fn fill(&mut self, mut buf: &mut [u8]) {
        while !buf.is_empty() {
            if self.next == POOL_BYTES {
                getrandom::fill(&mut self.bytes).expect("the operating system always has random bytes");
                self.next = 0;
            }
            let take = buf.len().min(POOL_BYTES - self.next);
            let drawn = &mut self.bytes[self.next..self.next + take];
            buf[..take].copy_from_slice(drawn);
            // A drawn byte may be a secret by now.
            drawn.fill(0);
            self.next += take;
            buf = &mut buf[take..];
        }
    }
}

/// xoshiro256++ (Blackman and Vigna, 2019): small, fast, with far more state than a simulation can walk through.
struct Seeded {
    seed: u64,
    state: [u64; 4],
    children: BTreeMap<String, u64>,
}

impl Seeded {
    fn new(seed: u64) -> Seeded {
        let mut walk = seed;
        let state = std::array::from_fn(|_| split_mix(&mut walk));
        Seeded { seed, state, children: BTreeMap::new() }
    }

    fn next(&mut self) -> u64 {
        let s = &mut self.state;
        let drawn = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        drawn
    }

    fn child_seed(&mut self, name: &str) -> u64 {
        let nth = self.children.entry(name.to_owned()).or_default();
        *nth += 1;
        let mut seed = self.seed;
        for word in name.bytes().map(u64::from).chain([u64::MAX, *nth]) {
            seed ^= word;
            seed = split_mix(&mut seed);
        }
        seed
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood, 2014), the usual way to turn a small seed into a large state.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_draws(entropy: &Entropy) -> Vec<u64> {
        (0..8).map(|_| entropy.u64()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_stream_and_another_seed_another() {
        assert_eq!(first_draws(&Entropy::seeded(1)), first_draws(&Entropy::seeded(1)));
        assert_ne!(first_draws(&Entropy::seeded(1)), first_draws(&Entropy::seeded(2)));
    }

    #[test]
    fn a_draw_by_one_purpose_moves_no_other() {
        let calm = Entropy::seeded(9);
        let busy = Entropy::seeded(9);
        busy.u64();
        busy.child("noise").u64();
        assert_eq!(first_draws(&calm.child("ids")), first_draws(&busy.child("ids")));
    }

    #[test]
    fn children_of_one_name_differ_from_each_other_and_from_their_parent() {
        let root = Entropy::seeded(3);
        let streams =
            [first_draws(&root.child("a")), first_draws(&root.child("a")), first_draws(&root.child("b"))];
        assert_ne!(streams[0], streams[1]);
        assert_ne!(streams[0], streams[2]);
        assert!(!streams.contains(&first_draws(&root)), "a child repeats its parent");
    }

    #[test]
    fn below_stays_below_and_reaches_everything() {
        for entropy in [Entropy::seeded(5), Entropy::real()] {
            let mut seen = [0; 7];
            for _ in 0..2000 {
                seen[entropy.below(7) as usize] += 1;
            }
            assert!(seen.iter().all(|count| *count > 100), "uneven draws: {seen:?}");
        }
    }

    #[test]
    fn the_systems_bytes_are_never_handed_out_twice() {
        let entropy = Entropy::real();
        let mut long = vec![0; POOL_BYTES * 3 + 5];
        entropy.fill(&mut long);
        let mut words: Vec<_> = long.chunks_exact(8).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), (POOL_BYTES * 3 + 5) / 8, "a word came twice");
        assert_ne!(first_draws(&entropy), first_draws(&entropy.child("x")));
    }
}
