//! How a power cut treats what was not synced. Uniform dice alone would almost never show the two clean extremes
//! (all lost, all kept), and those find bugs of their own: so a cut first draws its mood.

use crate::Entropy;

pub(super) struct Mercy {
    mood: Mood,
    dice: Entropy,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    LosesAll,
    KeepsAll,
    Mixed,
}

impl Mercy {
    pub(super) fn draw(dice: Entropy) -> Mercy {
        let mood = match dice.below(8) {
            0 => Mood::LosesAll,
            1 => Mood::KeepsAll,
            _ => Mood::Mixed,
        };
        Mercy { mood, dice }
    }

    /// That of a cut that is none for the disk: only a process has died.
    pub(super) fn sparing_all(dice: Entropy) -> Mercy {
        Mercy { mood: Mood::KeepsAll, dice }
    }

    /// How many of `n` steps, taken in order, were made durable.
    pub(super) fn how_many(&self, n: usize) -> usize {
        match self.mood {
            Mood::LosesAll => 0,
            Mood::KeepsAll => n,
            Mood::Mixed => self.dice.below(n as u64 + 1) as usize,
        }
    }

    /// Whether one thing survives that may be lost on its own.
    pub(super) fn spares(&self) -> bool {
        self.how_many(1) == 1
    }

    /// Which of `n` versions a block has as a whole (0: the durable one); `None` when it was torn.
    pub(super) fn whole_block(&self, n: usize) -> Option<usize> {
        let torn = self.mood == Mood::Mixed && n > 0 && self.dice.below(2) == 0;
        (!torn).then(|| self.how_many(n))
    }
}
