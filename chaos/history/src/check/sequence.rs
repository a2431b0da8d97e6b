//! Some events of a log in order, with the hash of any range of them at hand.

use crate::hash::{Power, RangeHash};
use crate::{Hash, Word};

/// The powers of the hash's base, as far as anybody needed them.
pub(super) struct Powers(Vec<Power>);

impl Powers {
    /// For ranges of up to `longest` events.
    pub(super) fn up_to(longest: usize) -> Powers {
        let powers = std::iter::successors(Some(Power::ZEROTH), |power| Some(power.next()));
        Powers(powers.take(longest + 1).collect())
    }
}

/// Events in the order of their positions: all of a log, or some.
pub(super) struct Sequence {
    /// Where they are; none when they are all events from position 1.
    positions: Option<Vec<u64>>,
    /// `sums[n]` is the hash of the first n.
    sums: Vec<RangeHash>,
}

impl Sequence {
    pub(super) fn whole() -> Sequence {
        Sequence { positions: None, sums: vec![RangeHash::EMPTY] }
    }

    pub(super) fn some() -> Sequence {
        Sequence { positions: Some(Vec::new()), sums: vec![RangeHash::EMPTY] }
    }

    pub(super) fn push(&mut self, position: u64, word: Word) {
        if let Some(positions) = &mut self.positions {
            positions.push(position);
        }
        let mut sum = *self.sums.last().expect("there is always the hash of no event");
        sum.push(word);
        self.sums.push(sum);
    }

    pub(super) fn len(&self) -> u64 {
        self.sums.len() as u64 - 1
    }

    /// How many of them lie at or before this position.
    pub(super) fn count_to(&self, position: u64) -> u64 {
        match &self.positions {
            None => position.min(self.len()),
            Some(positions) => positions.partition_point(|at| *at <= position) as u64,
        }
    }

    /// Where number `nth` of them lies, from 1; position 0 for the zeroth.
    pub(super) fn position(&self, nth: u64) -> u64 {
        match &self.positions {
            _ if nth == 0 => 0,
            None => nth,
            Some(positions) => positions[nth as usize - 1],
        }
    }

    /// The hash of those after the first `before` up to number `to`.
    pub(super) fn hash(&self, before: u64, to: u64, powers: &Powers) -> Hash {
        let (before, to) = (before as usize, to as usize);
        self.sums[to].after(self.sums[before], powers.0[to - before])
    }
}
