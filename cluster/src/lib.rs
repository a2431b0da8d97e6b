//! The replicated part of Chronos: how a command becomes a committed log entry and then numbers.
//!
//! Every partition is a *group*: one log, one state, one driver. Today a group is a quorum of one: an entry is
//! committed when this node's fdatasync covers it. The driver talks to the log through the same calls a
//! consensus log store makes (append with a completion, in order; a completion fires only after the sync), so
//! that a Raft implementation can take its place without touching the log, the store or the callers.
//!
//! Invariants:
//!
//! * entries of one group are applied in log order, each exactly once, and only after their sync succeeded;
//! * a proposal is answered exactly once, with one of three outcomes: a verdict of apply, *certainly not done*,
//!   or *unknown*;
//! * after the first failed sync nothing is acknowledged any more.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod driver;
mod groups;
mod proposal;

pub use groups::{Config, Groups};
pub use proposal::ProposeError;
