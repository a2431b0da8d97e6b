//! Changes to inputs that follow from a seed alone: what a test tries where nothing leads it.

use chronos_env::Entropy;

/// An endless row of inputs, each a seed of `corpus` with a few changes, none longer than `bytes_max`.
pub fn of(corpus: &[Vec<u8>], bytes_max: usize, seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let dice = Entropy::seeded(seed);
    std::iter::repeat_with(move || {
        let mut input = pick(corpus, &dice).to_vec();
        for _ in 0..=dice.below(4) {
            change(&mut input, corpus, &dice);
        }
        input.truncate(bytes_max);
        input
    })
}

fn pick<'a>(corpus: &'a [Vec<u8>], dice: &Entropy) -> &'a [u8] {
    match corpus.len() as u64 {
        0 => &[],
        seeds => &corpus[dice.below(seeds) as usize],
    }
}

/// Values at which arithmetic likes to go wrong.
const EDGES: [u64; 10] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, i64::MAX as u64, u64::MAX];

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &Entropy) {
    let at = dice.below(input.len() as u64 + 1) as usize;
    let len = (dice.below(32) as usize + 1).min(input.len() - at);
    match dice.below(8) {
        0 if len > 0 => input[at] ^= 1 << dice.below(8),
        1 if len > 0 => input[at] = dice.u64() as u8,
        2 => drop(input.drain(at..at + len)),
        3 => drop(input.splice(at..at, dice.u64().to_le_bytes().into_iter().take(len + 1))),
        4 => {
            let again = input[at..at + len].to_vec();
            drop(input.splice(at..at, again));
        }
        5 => {
            let edge = EDGES[dice.below(EDGES.len() as u64) as usize].to_le_bytes();
            let width = (1 << dice.below(4)).min(input.len() - at);
            input[at..at + width].copy_from_slice(&edge[..width]);
        }
        6 => {
            let other = pick(corpus, dice);
            let from = dice.below(other.len() as u64 + 1) as usize;
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        _ => input.truncate(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_inputs_and_all_are_short_enough() {
        let corpus = [b"one seed".to_vec(), vec![7; 100]];
        let some = |seed| of(&corpus, 64, seed).take(500).collect::<Vec<_>>();
        assert_eq!(some(3), some(3));
        assert_ne!(some(3), some(4));
        assert!(some(3).iter().all(|input| input.len() <= 64));
        assert!(some(3).iter().any(|input| !corpus.contains(input)));
    }

    #[test]
    fn without_a_corpus_there_are_inputs_too() {
        assert!(of(&[], 8, 1).take(100).any(|input| !input.is_empty()));
    }
}
