//! How far a replica of a partition has come: named marks on its line of positions.
//!
//! ```text
//!  1 ──────── purged ──────── compacted ──────── applied ──────── committed
//!                                indexed ───────────┘
//!  1 ───────────────────────────────────────────── flushed ──────── appended
//! ```
//!
//! Every mark only rises, each has one writer, and the chain `purged ≤ compacted ≤ applied ≤ committed`,
//! `flushed ≤ appended`, `indexed ≤ applied` holds at every moment: asserted wherever a mark moves.

use crate::invariants;
use crate::number::Position;

/// All marks of one partition on one replica, as published together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// In this replica's log.
    pub appended: Position,
    /// Durable on this replica's disk.
    pub flushed: Position,
    /// Durable on a quorum of voters.
    pub committed: Position,
    /// Visible to readers here. No read passes it.
    pub applied: Position,
    /// In verified parts.
    pub compacted: Position,
    /// Removed from the log.
    pub purged: Position,
    /// Searchable.
    pub indexed: Position,
}

macro_rules! raise {
    ($($(#[$doc:meta])* $method:ident $mark:ident;)*) => { $(
        $(#[$doc])*
        ///
        /// # Panics
        /// When the mark would fall or the chain would break: both mean that data is lost or not where it is said to be.
        pub fn $method(&mut self, to: Position) {
            assert!(
                invariants::mark_never_falls(self.$mark, to),
                concat!("I-04: the mark ", stringify!($mark), " would fall from {} to {}"),
                self.$mark,
                to,
            );
            let raised = Marks { $mark: to, ..*self };
            assert!(
                invariants::mark_chain(&raised),
                concat!("I-03: raising ", stringify!($mark), " to {} breaks the chain of {:?}"),
                to,
                self,
            );
            *self = raised;
        }
    )* };
}

impl Marks {
    raise! {
        /// The log has everything up to `to`.
        raise_appended appended;
        /// The disk has everything up to `to`.
        raise_flushed flushed;
        /// A quorum has everything up to `to`.
        raise_committed committed;
        /// Readers may see everything up to `to`.
        raise_applied applied;
        /// Verified parts hold everything up to `to`.
        raise_compacted compacted;
        /// The log has let go of everything up to `to`.
        raise_purged purged;
        /// Search finds everything up to `to`.
        raise_indexed indexed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Raise = fn(&mut Marks, Position);

    const RAISES: [Raise; 7] = [
        Marks::raise_appended,
        Marks::raise_flushed,
        Marks::raise_committed,
        Marks::raise_applied,
        Marks::raise_compacted,
        Marks::raise_purged,
        Marks::raise_indexed,
    ];

    fn all_at(n: u64) -> Marks {
        let at = Position::new(n);
        Marks {
            appended: at,
            flushed: at,
            committed: at,
            applied: at,
            compacted: at,
            purged: at,
            indexed: at,
        }
    }

    fn panics(marks: Marks, raise: Raise, to: u64) -> bool {
        extern crate std;
        std::panic::catch_unwind(move || raise(&mut { marks }, Position::new(to))).is_err()
    }

    #[test]
    fn marks_rise_in_the_order_of_the_chain() {
        let mut marks = Marks::default();
        for n in [1, 5, 5, 9] {
            RAISES.iter().for_each(|raise| raise(&mut marks, Position::new(n)));
            assert_eq!(marks, all_at(n));
        }
    }

    #[test]
    fn no_mark_ever_falls() {
        // The highest marks could fall without breaking the chain, so the chain alone would not see it.
        for (i, raise) in RAISES.into_iter().enumerate() {
            let marks = match i {
                0 => Marks { flushed: Position::ZERO, ..all_at(5) },
                2 => Marks { committed: Position::new(5), appended: Position::new(5), ..Marks::default() },
                _ => all_at(5),
            };
            assert!(panics(marks, raise, 4), "mark {i} fell");
        }
    }

    #[test]
    fn no_mark_passes_the_one_it_follows() {
        // appended and committed lead; the other five follow.
        for i in [1, 3, 4, 5, 6] {
            assert!(panics(all_at(5), RAISES[i], 6), "mark {i} passed its leader");
        }
        assert!(!panics(all_at(5), RAISES[0], 6));
        assert!(!panics(all_at(5), RAISES[2], 6));
    }
}
