//! Planted bugs, and the hunt for them: that a harness finds nothing says something only if it finds what is there.
//!
//! A bug is *caught* by a seed when the run with it fails (a violated invariant, an undecided history, a cluster that does not
//! become whole, a panic of the product) and the run of the same plan without it does not. Each run has a process of its
//! own: a bug is planted for the life of one, and so nothing of an earlier run is left.

mod attempt;
mod hunt;
mod plans;
mod quarries;

pub use attempt::{Ending, attempt};
pub use hunt::{Catch, Hunt, Hunted};
pub use quarries::{Plant, Quarry, Sought, quarries, quarry};
