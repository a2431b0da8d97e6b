//! Whether all ranges that anybody saw can be of one line of events, although nobody knows all of its events.
//!
//! Each range says by its hash how far apart the *levels* ([`Level`]) of its two ends are. Ends that are tied, directly or
//! over others, form a group, in which each knows its distance to the group's root (union-find with distances). A range
//! between two ends of one group is determined already: it fits, or somebody was told what is not so. So every contradiction
//! between any number of overlapping ranges is found with the range that completes it, and none is claimed that is none.

use crate::hash::{Level, Power};
use crate::{Hash, RangeHash, Word};

/// A line of events of which some ranges are known. Point n lies behind its first n events.
#[derive(Default)]
pub(super) struct Ties {
    points: Vec<Point>,
    /// By point, the power of the inverse base.
    powers: Vec<Power>,
}

#[derive(Clone, Copy)]
struct Point {
    towards_root: usize,
    /// From there to here.
    distance: Level,
}

impl Ties {
    /// Ties the ends of a range by the hash of what is between them; whether that fits all that was tied before.
    pub(super) fn tie(&mut self, after: u64, last: u64, hash: Hash) -> bool {
        let (after, last) = (after as usize, last as usize);
        self.reach(last);
        let length = Level::of(hash, self.powers[last]);
        let (one, other) = (self.root(after), self.root(last));
        let to_last = self.points[after].distance.plus(length);
        if one == other {
            return self.points[last].distance == to_last;
        }
        let distance = to_last.minus(self.points[last].distance);
        self.points[other] = Point { towards_root: one, distance };
        true
    }

    /// The same for one event.
    pub(super) fn tie_one(&mut self, position: u64, word: Word) -> bool {
        let mut hash = RangeHash::EMPTY;
        hash.push(word);
        self.tie(position - 1, position, hash.get())
    }

    fn reach(&mut self, last: usize) {
        for point in self.points.len()..=last {
            self.points.push(Point { towards_root: point, distance: Level::default() });
            self.powers.push(self.powers.last().map_or(Power::ZEROTH, |power| power.next_of_inverse()));
        }
    }

    /// The root of a point's group; afterwards the point, and all on the way, point to it.
    fn root(&mut self, point: usize) -> usize {
        let mut way = vec![point];
        while self.points[way[way.len() - 1]].towards_root != way[way.len() - 1] {
            way.push(self.points[way[way.len() - 1]].towards_root);
        }
        let root = way.pop().expect("there is at least the point");
        let mut distance = Level::default();
        for point in way.into_iter().rev() {
            distance = distance.plus(self.points[point].distance);
            self.points[point] = Point { towards_root: root, distance };
        }
        root
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntityId, EventId, Tenant, Version};

    fn word(n: u64) -> Word {
        Word::new(EventId(n), EntityId(1), Version(n), Tenant(0), Hash(n * 77))
    }

    fn hash(after: u64, last: u64) -> Hash {
        let mut hash = RangeHash::EMPTY;
        (after + 1..=last).for_each(|n| hash.push(word(n)));
        hash.get()
    }

    #[test]
    fn whatever_is_of_one_line_fits_in_any_order() {
        let ranges: Vec<(u64, u64)> = (0..12).flat_map(|a| (a..12).map(move |b| (a, b))).collect();
        for step in [1, 5, 7, 11, 25, 29] {
            let mut ties = Ties::default();
            for at in 0..ranges.len() {
                let (after, last) = ranges[at * step % ranges.len()];
                assert!(ties.tie(after, last, hash(after, last)), "{after} to {last}");
            }
        }
    }

    #[test]
    fn an_event_that_nobody_was_told_follows_from_the_ranges_around_it() {
        let mut ties = Ties::default();
        assert!(ties.tie(0, 9, hash(0, 9)));
        assert!(ties.tie(0, 4, hash(0, 4)));
        assert!(ties.tie(5, 9, hash(5, 9)));
        assert!(ties.tie_one(5, word(5)));
        assert!(!ties.tie_one(5, word(55)));
    }

    #[test]
    fn ranges_that_no_line_has_are_told_by_the_last_of_them() {
        let mut ties = Ties::default();
        assert!(ties.tie(2, 6, hash(2, 6)));
        assert!(ties.tie(6, 8, hash(6, 8)));
        assert!(ties.tie(0, 8, hash(1, 9)), "nothing is known of what is before");
        assert!(!ties.tie(0, 2, hash(0, 2)), "it follows from the three before");
        assert!(!ties.tie(2, 8, hash(3, 9)));
        assert!(!ties.tie(3, 3, hash(0, 1)), "what is empty has the hash of nothing");
    }
}
