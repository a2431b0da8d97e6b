//! How well one direction of a link works, and what that means for each packet.

use std::time::Duration;

use crate::dice::Dice;

/// One direction of a link. The default is a perfect one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// How long each packet takes.
    pub delay: Duration,
    /// How much longer a packet may take; drawn evenly. Packets stay in order, so that a late one holds up those behind it,
    /// and a busy link is near the upper end.
    pub jitter: Duration,
    /// How many of 1,000 packets vanish.
    pub lose_per_mille: u16,
    /// How many of 1,000 packets arrive twice.
    pub duplicate_per_mille: u16,
    /// How much later than the first the second of two may arrive, drawn evenly: minutes make a replay.
    pub duplicate_lag: Duration,
    /// How many of 1,000 packets are overtaken by those behind them.
    pub reorder_per_mille: u16,
    /// How long a packet is held back that is to be overtaken.
    pub reorder_lag: Duration,
    /// How many of 1,000 packets have a bit flipped that no checksum of the network tells.
    pub corrupt_per_mille: u16,
}

/// What happens to one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    /// When it arrives; `None` when it is lost.
    pub(super) arrives: Option<Duration>,
    /// When a second one arrives.
    pub(super) again: Option<Duration>,
    pub(super) overtaken: bool,
    pub(super) corrupt: bool,
}

/// One direction of a link over time.
///
/// Each kind of decision has dice of its own and draws once for each packet, so that changing one chance moves no other
/// decision.
#[derive(Debug)]
pub(super) struct Direction {
    pub(super) quality: Quality,
    loss: Dice,
    jitter: Dice,
    duplicate: Dice,
    duplicate_lag: Dice,
    reorder: Dice,
    corrupt: Dice,
    /// Which bit: drawn only for packets that are corrupted.
    pub(super) bit: Dice,
    /// When the last packet arrives that was not to be overtaken.
    last: Duration,
}

impl Direction {
    pub(super) fn new(dice: &Dice) -> Direction {
        let child = |name| dice.child(name);
        Direction {
            quality: Quality::default(),
            loss: child("loss"),
            jitter: child("jitter"),
            duplicate: child("duplicate"),
            duplicate_lag: child("duplicate lag"),
            reorder: child("reorder"),
            corrupt: child("corrupt"),
            bit: child("bit"),
            last: Duration::ZERO,
        }
    }

    pub(super) fn is_worsened(&self) -> bool {
        self.quality != Quality::default()
    }

    /// Decides about a packet that is sent at `now`.
    pub(super) fn decide(&mut self, now: Duration) -> Fate {
        let Quality { delay, jitter, duplicate_lag, reorder_lag, .. } = self.quality;
        let lost = self.loss.chance(self.quality.lose_per_mille);
        let twice = self.duplicate.chance(self.quality.duplicate_per_mille);
        let overtaken = self.reorder.chance(self.quality.reorder_per_mille);
        let corrupt = self.corrupt.chance(self.quality.corrupt_per_mille);
        let arrives = now + delay + part_of(jitter, &mut self.jitter);
        let lag = part_of(duplicate_lag, &mut self.duplicate_lag);
        let arrives = if overtaken { arrives + reorder_lag } else { arrives.max(self.last) };
        if !overtaken && !lost {
            self.last = arrives;
        }
        let arrives = (!lost).then_some(arrives);
        Fate { arrives, again: arrives.filter(|_| twice).map(|first| first + lag), overtaken, corrupt }
    }
}

fn part_of(span: Duration, dice: &mut Dice) -> Duration {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX - 1);
    Duration::from_nanos(dice.below(nanos.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn fates(seed: u64, quality: Quality, packets: u32) -> Vec<Fate> {
        let mut direction = Direction::new(&Dice::new(seed));
        direction.quality = quality;
        (0..packets).map(|n| direction.decide(MS * n)).collect()
    }

    #[test]
    fn a_perfect_link_passes_every_packet_at_once() {
        let expected = |n| Fate { arrives: Some(MS * n), again: None, overtaken: false, corrupt: false };
        assert_eq!(fates(1, Quality::default(), 50), (0..50).map(expected).collect::<Vec<_>>());
    }

    #[test]
    fn jitter_delays_within_its_bounds_and_keeps_the_order() {
        let fates = fates(2, Quality { delay: 20 * MS, jitter: 10 * MS, ..Quality::default() }, 500);
        let arrivals: Vec<_> = fates.iter().map(|fate| fate.arrives.unwrap()).collect();
        assert!(arrivals.is_sorted());
        for (n, arrival) in (0..).zip(&arrivals) {
            let took = *arrival - MS * n;
            assert!((20 * MS..=30 * MS).contains(&took), "packet {n} took {took:?}");
        }
        assert!(arrivals.windows(2).any(|pair| pair[1] - pair[0] != MS), "nothing was drawn");
    }

    #[test]
    fn a_packet_that_is_to_be_overtaken_arrives_after_those_behind_it() {
        let quality = Quality { reorder_per_mille: 100, reorder_lag: 5 * MS, ..Quality::default() };
        let fates = fates(3, quality, 500);
        let held = fates.iter().position(|fate| fate.overtaken).unwrap();
        assert!(fates[held].arrives > fates[held + 1].arrives);
        let kept: Vec<_> = fates.iter().filter(|fate| !fate.overtaken).map(|fate| fate.arrives).collect();
        assert!(kept.is_sorted(), "the others stay in order");
    }

    #[test]
    fn a_duplicate_comes_later_and_a_lost_packet_has_none() {
        let quality = Quality {
            duplicate_per_mille: 500,
            duplicate_lag: 9 * MS,
            lose_per_mille: 500,
            ..Quality::default()
        };
        let fates = fates(4, quality, 500);
        assert!(fates.iter().any(|fate| fate.again.is_some()));
        for fate in fates {
            assert!(
                fate.again
                    .is_none_or(|again| again >= fate.arrives.expect("a lost packet does not arrive twice"))
            );
        }
    }

    #[test]
    fn decisions_follow_from_the_seed_and_one_chance_moves_no_other() {
        let lossy = Quality { lose_per_mille: 200, ..Quality::default() };
        let worse = Quality { lose_per_mille: 200, corrupt_per_mille: 300, jitter: MS, ..Quality::default() };
        let lost = |fates: Vec<Fate>| fates.iter().map(|fate| fate.arrives.is_none()).collect::<Vec<_>>();
        assert_eq!(fates(5, lossy, 200), fates(5, lossy, 200));
        assert_eq!(lost(fates(5, lossy, 200)), lost(fates(5, worse, 200)));
        assert_ne!(lost(fates(5, lossy, 200)), lost(fates(6, lossy, 200)));
    }
}
