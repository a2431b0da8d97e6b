//! What clients do while a cluster is attacked.
//!
//! Invariants: everything that is sent is in the history before it is sent, and everything that comes back after it came;
//! what a client draws follows from its own generator; an event's content names its id, so that an answer with other
//! bytes than were sent is seen wherever it comes from.

mod client;
mod content;
mod doubts;
mod fence;
mod knowledge;
mod origin;
mod recorder;
mod reread;
mod seen;

pub(crate) use client::{Bearings, live};
pub(crate) use content::{busy_partition, logged, word};
pub(crate) use fence::{fence, fence_one, touch_all};
pub use origin::Origin;
pub(crate) use recorder::Recorder;
pub(crate) use reread::{reread, reread_from, reread_one};

/// How operations ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Operations that began.
    pub operations: u64,
    /// Events that were acknowledged.
    pub acknowledged: u64,
    /// Bytes of the requests whose events were acknowledged for the first time, headers and all.
    pub bytes: u64,
    /// Appends that were refused by a rule.
    pub refused: u64,
    /// Operations that certainly did nothing.
    pub undone: u64,
    /// Appends of which it was not known, when they ended, whether they had happened.
    pub unknown: u64,
    /// Reads that were answered.
    pub read: u64,
}
