//! Which parts a cut rewrites. Pure: it sees the list of parts as the manifest has it, and nothing else, so that every
//! replica that has taken in the same cuts has the same list.
//!
//! A cut first writes the events since the one before as a part of level 0, at the end of the list. Then, from the
//! newest parts to the oldest: whenever [`FANOUT`] neighbours have one level, they become one part of the next. Each
//! event is therefore written once for each level, and the number of parts grows with the logarithm of the history,
//! until parts reach their greatest size; from there on with the history divided by that size.
//!
//! ```text
//!  level  2  1 1  0 0 0 0 0 0 0 + 0   eight parts of level 0 are complete: they become one of level 1
//!         2  1 1  1
//! ```
//!
//! Eight neighbours that together would exceed the greatest size give the longest row of them that does not, counted
//! from the oldest. A merge that completes another one is not written: the parts go straight to the last level.

use std::ops::Range;

/// Neighbours of one level that become one of the next.
pub(crate) const FANOUT: usize = 8;
/// The most bytes, before encoding, that a merge puts into one part.
pub(crate) const PART_RAW_BYTES_MAX: u64 = 512 << 20;
/// The most events that a merge puts into one part.
pub(crate) const PART_ROWS_MAX: u64 = 4 << 20;

/// A part, as far as the plan looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) rows: u64,
    pub(crate) raw_bytes: u64,
    pub(crate) level: u8,
}

/// The greatest part that a merge makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) rows: u64,
    pub(crate) raw_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { rows: PART_ROWS_MAX, raw_bytes: PART_RAW_BYTES_MAX }
    }
}

/// Neighbours in the list of parts that are replaced by one new part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rewrite {
    /// Where they stand in the list: one part that only loses what was erased in it, or several that are merged.
    pub(crate) parts: Range<usize>,
    /// The level of the part that takes their place.
    pub(crate) level: u8,
}

/// What is to be rewritten of these parts: first to last, each part at most once. `hit` says which of them hold events
/// that have been erased since they were written.
pub(crate) fn plan(parts: &[Shape], hit: &[bool], limits: Limits) -> Vec<Rewrite> {
    assert!(parts.len() == hit.len(), "{} parts, {} of them looked at", parts.len(), hit.len());
    let alone = |(number, shape): (usize, &Shape)| Row { parts: number..number + 1, shape: *shape };
    let mut rows: Vec<Row> = parts.iter().enumerate().map(alone).collect();
    while let Some(merged) = next_merge(&rows, limits) {
        let row = Row::of(&rows[merged.clone()]);
        rows.splice(merged, [row]);
    }
    let changed = rows.into_iter().filter(|row| row.parts.len() > 1 || hit[row.parts.start]);
    changed.map(|row| Rewrite { parts: row.parts, level: row.shape.level }).collect()
}

/// Neighbours that are one part by now, or will be.
struct Row {
    parts: Range<usize>,
    shape: Shape,
}

impl Row {
    fn of(rows: &[Row]) -> Row {
        let (first, last) = (&rows[0], &rows[rows.len() - 1]);
        let shape = Shape {
            rows: rows.iter().map(|row| row.shape.rows).sum(),
            raw_bytes: rows.iter().map(|row| row.shape.raw_bytes).sum(),
            level: last.shape.level.saturating_add(1),
        };
        Row { parts: first.parts.start..last.parts.end, shape }
    }
}

/// The newest neighbours that are due to be merged.
fn next_merge(rows: &[Row], limits: Limits) -> Option<Range<usize>> {
    let mut end = rows.len();
    while end > 0 {
        let level = rows[end - 1].shape.level;
        let start = rows[..end].iter().rposition(|row| row.shape.level != level).map_or(0, |other| other + 1);
        if end - start >= FANOUT {
            let oldest = end - FANOUT;
            let fitting = fitting(&rows[oldest..end], limits);
            if fitting >= 2 {
                return Some(oldest..oldest + fitting);
            }
        }
        end = start;
    }
    None
}

/// How many of these, from the first on, fit into one part.
fn fitting(rows: &[Row], limits: Limits) -> usize {
    let (mut events, mut raw_bytes) = (0_u64, 0_u64);
    let fits = |row: &&Row| {
        events += row.shape.rows;
        raw_bytes += row.shape.raw_bytes;
        events <= limits.rows && raw_bytes <= limits.raw_bytes
    };
    rows.iter().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { rows: 4096, raw_bytes: 10_000 };

    /// A part as the test knows it: which events it holds, and its shape.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct Part {
        events: Range<u64>,
        shape: Shape,
    }

    /// A replica's list of parts.
    #[derive(Clone, Debug, Default)]
    struct Replica {
        parts: Vec<Part>,
        cuts: usize,
        written_bytes: u64,
    }

    impl Replica {
        /// Takes in the next cut: so many events of so many bytes, and parts hit by truncations.
        fn take_in(&mut self, events: u64, raw_bytes: u64, hits: &[usize], limits: Limits) {
            self.cuts += 1;
            let first = self.parts.last().map_or(0, |part| part.events.end);
            if events > 0 {
                let shape = Shape { rows: events, raw_bytes, level: 0 };
                self.parts.push(Part { events: first..first + events, shape });
                self.written_bytes += raw_bytes;
            }
            let hit: Vec<bool> = (0..self.parts.len()).map(|part| hits.contains(&part)).collect();
            let shapes: Vec<Shape> = self.parts.iter().map(|part| part.shape).collect();
            let plan = plan(&shapes, &hit, limits);
            for rewrite in plan.iter().rev() {
                let taken = &self.parts[rewrite.parts.clone()];
                // What is erased no longer counts.
                let kept = |(part, hit): (&Part, &bool)| part.shape.raw_bytes / if *hit { 2 } else { 1 };
                let raw_bytes = taken.iter().zip(&hit[rewrite.parts.clone()]).map(kept).sum();
                let events = taken[0].events.start..taken[taken.len() - 1].events.end;
                let shape = Shape { rows: events.end - events.start, raw_bytes, level: rewrite.level };
                self.written_bytes += raw_bytes;
                self.parts.splice(rewrite.parts.clone(), [Part { events, shape }]);
            }
        }

        fn total(&self) -> u64 {
            self.parts.iter().map(|part| part.shape.raw_bytes).sum()
        }
    }

    fn cuts() -> impl Strategy<Value = Vec<(u64, u64, Vec<usize>)>> {
        let hits = prop::collection::vec(0_usize..40, 0..3);
        prop::collection::vec((0_u64..20, 1_u64..3000, hits), 0..300)
    }

    proptest! {
        #[test]
        fn every_event_is_in_exactly_one_part_and_no_merge_exceeds_its_limits(cuts in cuts()) {
            let mut replica = Replica::default();
            for (events, raw_bytes, hits) in &cuts {
                replica.take_in(*events, *raw_bytes, hits, LIMITS);
                let mut next = 0;
                for part in &replica.parts {
                    prop_assert_eq!(part.events.start, next);
                    prop_assert!(part.shape.level == 0 || part.shape.raw_bytes <= LIMITS.raw_bytes);
                    prop_assert!(part.shape.level == 0 || part.shape.rows <= LIMITS.rows);
                    next = part.events.end;
                }
            }
            let all: u64 = cuts.iter().map(|(events, ..)| events).sum();
            prop_assert_eq!(replica.parts.last().map_or(0, |part| part.events.end), all);
        }

        #[test]
        fn the_list_depends_on_the_cuts_and_not_on_when_they_are_taken_in(cuts in cuts(), pauses in prop::collection::vec(1_usize..50, 1..10)) {
            // One replica takes in each cut as it happens; the other sleeps, then takes in all that have gathered.
            let mut prompt = Replica::default();
            let mut late = Replica::default();
            let mut pauses = pauses.iter().cycle();
            let mut wakes = *pauses.next().expect("at least one");
            for (n, (events, raw_bytes, hits)) in (1..).zip(&cuts) {
                prompt.take_in(*events, *raw_bytes, hits, LIMITS);
                if n < wakes && n < cuts.len() {
                    continue;
                }
                for (events, raw_bytes, hits) in &cuts[late.cuts..n] {
                    late.take_in(*events, *raw_bytes, hits, LIMITS);
                }
                wakes += pauses.next().expect("a cycle never ends");
                prop_assert_eq!(&late.parts, &prompt.parts);
            }
        }

        #[test]
        fn no_work_is_left_over(cuts in cuts()) {
            let mut replica = Replica::default();
            for (events, raw_bytes, _) in &cuts {
                replica.take_in(*events, *raw_bytes, &[], LIMITS);
            }
            let shapes: Vec<Shape> = replica.parts.iter().map(|part| part.shape).collect();
            prop_assert_eq!(plan(&shapes, &vec![false; shapes.len()], LIMITS), []);
        }

        #[test]
        fn parts_are_few(sizes in prop::collection::vec(1_u64..3000, 1..1500)) {
            let mut replica = Replica::default();
            for raw_bytes in &sizes {
                replica.take_in(1, *raw_bytes, &[], LIMITS);
            }
            let levels = u64::from(replica.parts.iter().map(|part| part.shape.level).max().unwrap_or(0)) + 1;
            let full = 2 * replica.total() / LIMITS.raw_bytes;
            let parts = replica.parts.len() as u64;
            prop_assert!(parts <= full + FANOUT as u64 * levels, "{parts} parts, {full} full ones, {levels} levels");
        }
    }

    #[test]
    fn equal_cuts_count_like_digits_of_base_eight() {
        let limits = Limits::default();
        let mut replica = Replica::default();
        for n in 1..=4096_u64 {
            replica.take_in(1, 100, &[], limits);
            let digits: u64 = (0..5).map(|digit| n >> (3 * digit) & 7).sum();
            assert_eq!(replica.parts.len() as u64, digits, "after {n} cuts");
        }
        // Once as level 0, once for a merge: a merge that completes another one is not written itself.
        assert!(replica.written_bytes <= 5 * 4096 * 100, "{} bytes", replica.written_bytes);
    }

    #[test]
    fn a_completed_merge_that_completes_another_is_skipped() {
        let level = |level| Shape { rows: 1, raw_bytes: 1, level };
        let parts: Vec<Shape> = [level(1); 7].into_iter().chain([level(0); 8]).collect();
        assert_eq!(plan(&parts, &[false; 15], Limits::default()), [Rewrite { parts: 0..15, level: 2 }]);
    }

    #[test]
    fn what_is_hit_is_rewritten_once_and_keeps_its_level() {
        let shape = |level| Shape { rows: 1, raw_bytes: 1, level };
        let parts: Vec<Shape> = [shape(2), shape(1)].into_iter().chain([shape(0); 8]).collect();
        let mut hit = vec![false; 10];
        (hit[0], hit[5]) = (true, true);
        let wanted = [Rewrite { parts: 0..1, level: 2 }, Rewrite { parts: 2..10, level: 1 }];
        assert_eq!(plan(&parts, &hit, Limits::default()), wanted);
    }

    #[test]
    fn eight_that_are_too_big_together_give_the_longest_row_that_is_not() {
        let shape = Shape { rows: 1, raw_bytes: 3000, level: 0 };
        assert_eq!(plan(&[shape; 8], &[false; 8], LIMITS), [Rewrite { parts: 0..3, level: 1 }]);
        let big = Shape { rows: 1, raw_bytes: 6000, level: 0 };
        assert_eq!(plan(&[big; 20], &[false; 20], LIMITS), []);
    }
}
