//! What must always hold, each with an id, a sentence and a pure predicate.
//!
//! Code asserts the predicates where the numbers move, readers and offline checks evaluate the same ones, and a
//! message or a report names the id, so that there is one place that says what it means.

use crate::marks::Marks;
use crate::number::{Position, Version};
use crate::time::Timestamp;

/// One law.
#[derive(Clone, Copy, Debug)]
pub struct Invariant {
    /// Stable name, never reused.
    pub id: &'static str,
    /// The law in words.
    pub sentence: &'static str,
    /// The law in code.
    pub holds: Predicate,
}

/// A law in code, by what it is about.
#[derive(Clone, Copy, Debug)]
pub enum Predicate {
    /// The position of one event and of the next in the partition.
    Positions(fn(Position, Position) -> bool),
    /// The version of one event and of the next of the entity.
    Versions(fn(Version, Version) -> bool),
    /// The version before which an entity is erased, and the entity's version.
    Truncation(fn(Version, Version) -> bool),
    /// All marks of a replica of a partition.
    Chain(fn(&Marks) -> bool),
    /// A mark before and after it moved.
    Mark(fn(Position, Position) -> bool),
    /// The moments of one event and of the next in the partition.
    Moments(fn(Timestamp, Timestamp) -> bool),
}

/// Every law of this crate, by id.
pub const ALL: [Invariant; 7] = [
    Invariant {
        id: "I-01",
        sentence: "the positions of a partition are exactly 1 to its head: the next one follows without a gap",
        holds: Predicate::Positions(gapless_positions),
    },
    Invariant {
        id: "I-02",
        sentence: "the versions of an entity are exactly 1 to its version: the next one follows without a gap",
        holds: Predicate::Versions(gapless_versions),
    },
    Invariant {
        id: "I-03",
        sentence: "purged ≤ compacted ≤ applied ≤ committed, flushed ≤ appended, indexed ≤ applied",
        holds: Predicate::Chain(mark_chain),
    },
    Invariant { id: "I-04", sentence: "a mark never falls", holds: Predicate::Mark(mark_never_falls) },
    Invariant {
        id: "I-05",
        sentence: "recorded_at never decreases from one position of a partition to the next",
        holds: Predicate::Moments(recorded_at_never_decreases),
    },
    Invariant {
        id: "I-06",
        sentence: "nothing that apply looks up lies beyond the head",
        holds: Predicate::Positions(within_head),
    },
    Invariant {
        id: "I-07",
        sentence: "a truncation reaches no further than its entity's last event",
        holds: Predicate::Truncation(truncation_within_history),
    },
];

/// I-01: `next` follows `last`; the first position follows zero.
pub const fn gapless_positions(last: Position, next: Position) -> bool {
    next.get() > 0 && next.get() - 1 == last.get()
}

/// I-02: `next` follows `last`; the first version follows zero.
pub const fn gapless_versions(last: Version, next: Version) -> bool {
    next.get() > 0 && next.get() - 1 == last.get()
}

/// I-03: the chain of [`Marks`].
pub fn mark_chain(marks: &Marks) -> bool {
    marks.purged <= marks.compacted
        && marks.compacted <= marks.applied
        && marks.applied <= marks.committed
        && marks.flushed <= marks.appended
        && marks.indexed <= marks.applied
}

/// I-04: a mark moves from `from` to `to`.
pub const fn mark_never_falls(from: Position, to: Position) -> bool {
    from.get() <= to.get()
}

/// I-05: the event after one recorded at `last` is recorded at `next`.
pub const fn recorded_at_never_decreases(last: Timestamp, next: Timestamp) -> bool {
    last.get() <= next.get()
}

/// I-06: a looked-up event at `position` in a partition with this `head`.
pub const fn within_head(position: Position, head: Position) -> bool {
    position.get() >= 1 && position.get() <= head.get()
}

/// I-07: an entity at `version` whose events before `before` are erased. No command erases the last one; but where a
/// partition was restored to a moment before a truncation, all that the entity had by then may be erased.
pub const fn truncation_within_history(before: Version, version: Version) -> bool {
    before.get() <= version.get().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_consecutive_and_every_law_is_said() {
        for (i, invariant) in ALL.iter().enumerate() {
            assert_eq!(invariant.id, alloc::format!("I-{:02}", i + 1));
            assert!(!invariant.sentence.is_empty());
        }
    }

    #[test]
    fn every_law_can_be_broken() {
        let (p, v, t) = (Position::new, Version::new, Timestamp::new);
        for invariant in ALL {
            let (kept, broken) = match (invariant.id, invariant.holds) {
                ("I-06", Predicate::Positions(f)) => (f(p(3), p(3)), f(p(4), p(3)) || f(p(0), p(3))),
                (_, Predicate::Positions(f)) => {
                    (f(p(0), p(1)), f(p(1), p(1)) || f(p(1), p(3)) || f(p(0), p(0)))
                }
                (_, Predicate::Versions(f)) => {
                    (f(v(4), v(5)), f(v(4), v(4)) || f(v(4), v(6)) || f(v(0), v(0)))
                }
                (_, Predicate::Truncation(f)) => (f(v(0), v(1)) && f(v(5), v(4)), f(v(6), v(4))),
                (_, Predicate::Chain(f)) => {
                    (f(&Marks::default()), f(&Marks { indexed: p(1), ..Marks::default() }))
                }
                (_, Predicate::Mark(f)) => (f(p(1), p(1)), f(p(2), p(1))),
                (_, Predicate::Moments(f)) => (f(t(-1), t(-1)), f(t(0), t(-1))),
            };
            assert!(kept, "{} does not hold where it should", invariant.id);
            assert!(!broken, "{} holds where it should not", invariant.id);
        }
    }
}
