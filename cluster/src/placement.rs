//! Where replicas and leaders belong, and how they get there: one safe step after the other.
//!
//! ```text
//!  State (who is a member, how many replicas) ─┐
//!                                              ├─► plan ─► Step ─► driver ─► the group's leader
//!  Observed (who belongs to each group, how    ┘
//!            far behind, who leads, who is up)
//! ```
//!
//! [`plan`] is pure: it looks at what is and names the next step, or nothing. It keeps no intention between two calls; a
//! replica on its way is a learner, and a learner is all it needs to see to go on with it. So whoever becomes the driver
//! goes on where the last one stopped, and whatever happens meanwhile is taken as it comes.
//!
//! What a plan keeps to:
//!
//! * a change of voters that was interrupted half-way is finished before anything else;
//! * a node votes only once it has caught up: it is a learner before;
//! * no change is begun that would leave a group without a majority of voters that are up and up to date, in the old set
//!   as well as in the new one; nor without its leader: who leads is moved first;
//! * data moves for a few groups at a time, and members change in one group at a time;
//! * every step is made on condition that the group's members are those that were seen.
//!
//! What no plan gets further with is told by [`waits`].

mod foresee;
mod leaders;
mod observed;
mod plan;
mod step;
mod targets;
mod waits;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use foresee::foresee;
pub(crate) use observed::{Group, Observed, Replica, Seen};
pub(crate) use plan::{gone, plan};
pub(crate) use step::{Action, Step};
pub(crate) use waits::{undecided, waits};
pub(crate) use wire::Steer;
