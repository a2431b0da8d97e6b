//! Seeded decisions: which node, which order, which packet. The same seed and the same questions give the same answers
//! on every machine.
//!
//! A tree, as chronos-env's generator is: every purpose asks for a child of its own, so that one more draw here changes
//! nothing there. It is not that generator because this crate knows nothing of the store and stays light.

/// A stream of decisions.
#[derive(Clone, Debug)]
pub struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    /// The stream that follows from `seed`.
    pub fn new(seed: u64) -> Dice {
        Dice { seed, state: seed }
    }

    /// A stream of its own for the purpose `name`: it follows from the seed of this one and the name, and not from what
    /// was drawn before.
    pub fn child(&self, name: &str) -> Dice {
        let mixed = name
            .bytes()
            .fold(self.seed ^ FNV_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        Dice::new(mix(mixed))
    }

    /// 64 random bits (SplitMix64: Steele, Lea, Flood, OOPSLA 2014).
    pub fn u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// A number from 0 up to but not including `n`. The bias is below n in 2⁶⁴.
    ///
    /// # Panics
    /// If `n` is 0: there is no such number.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "there is no number below 0 to draw");
        let wide = u128::from(self.u64()) * u128::from(n);
        u64::try_from(wide >> 64).expect("the upper half of a product of two 64-bit numbers has 64 bits")
    }

    /// True in `per_mille` of 1,000 cases. Always draws, so that a change of one chance moves nothing else.
    pub fn chance(&mut self, per_mille: u16) -> bool {
        self.below(1000) < u64::from(per_mille)
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for unplaced in (1..items.len()).rev() {
            let chosen =
                usize::try_from(self.below(unplaced as u64 + 1)).expect("it is an index of the slice");
            items.swap(unplaced, chosen);
        }
    }

    /// One of `items`.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[usize::try_from(self.below(items.len() as u64)).expect("it is an index of the slice")]
    }
}

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_never_changes() {
        let mut dice = Dice::new(1_234_567);
        let drawn = [dice.u64(), dice.u64(), dice.u64()];
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn a_child_does_not_depend_on_what_was_drawn_before() {
        let mut dice = Dice::new(7);
        let before = dice.child("loss").u64();
        dice.u64();
        assert_eq!(dice.child("loss").u64(), before);
        assert_ne!(dice.child("delay").u64(), before);
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_follows_from_the_seed() {
        let shuffled = |seed| {
            let mut items: Vec<_> = (0..10).collect();
            Dice::new(seed).shuffle(&mut items);
            items
        };
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let mut sorted = shuffled(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_chance_of_a_thousand_per_mille_is_certain_and_of_none_never_comes() {
        let mut dice = Dice::new(3);
        assert!((0..1000).all(|_| dice.chance(1000)));
        assert!((0..1000).all(|_| !dice.chance(0)));
        let hits = (0..10_000).filter(|_| dice.chance(300)).count();
        assert!((2_800..3_200).contains(&hits), "{hits} of 10,000 at 300 per mille");
    }
}
