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
//! * a proposal is answered exactly once, with one of three outcomes: what apply said, *certainly not done*, or
//!   *unknown*;
//! * after the first failed sync nothing is acknowledged any more.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod backlog;
mod compacting;
mod compaction;
mod compactor;
mod driver;
mod group;
mod groups;
mod node;
pub mod peer;
mod proposal;
mod quarantine;
mod request;
mod scrubber;
mod wish;

pub use chronos_store::entry::Outcome;
pub use compaction::{CompactionConfig, CompactionStats};
pub use groups::{Config, Groups};
pub use node::NodeId;
pub use proposal::ProposeError;
pub use request::Request;
pub use scrubber::{ScrubConfig, ScrubPass, ScrubProgress, ScrubStats};
pub use wish::CompactError;

/// Every crash point of this crate, in the order a node first passes them.
pub const CRASH_POINTS: &[&str] = &[compactor::PURGE_BEFORE, compactor::PURGE_DONE];
