//! The write-ahead log: many logical logs of opaque frames, a few physical lanes of segment files, one sync per
//! group commit. It knows neither consensus nor events.
//!
//! # Promises
//!
//! * What was acknowledged with `Ok` was written and synced before, and is there after any crash, in order.
//! * Votes, truncations, purges and entries of a log go through one queue: their order on disk is the order of the
//!   calls, and completions fire in that order.
//! * Recovery never guesses. Of every log it says: clean; or a torn tail was cut, that had never been acknowledged;
//!   or corrupt, with the file and the offset. A corrupt log stays closed; the others work.
//! * After a failed write or sync a lane never writes, syncs or acknowledges again.
//! * Nothing is ever deleted or overwritten because it could not be read.
//!
//! # Where to look
//!
//! | question | module |
//! |---|---|
//! | what lies in which byte? | [`mod@format`], with all layouts |
//! | what does a caller do? | [`Log`] (one logical log), [`Wal`] (all of them) |
//! | what happens between an append and its acknowledgement? | `lane`, then `unit` |
//! | what is visible before it is durable? | `view`, over `index` |
//! | when may a segment be used again? | `shelf`, `keeper`; the rule is in `checkpoint` |
//! | what does a damaged directory mean? | `recovery`: scan, judge, replay, then repair |
//!
//! # What is deliberately absent
//!
//! No compression, no encryption, no read cache beyond the entries that are not yet flushed, no repair: a damaged
//! log is replaced by whoever has another copy.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod checkpoint;
mod config;
mod crash;
mod error;
pub mod format;
mod frame;
mod gauge;
#[cfg(test)]
mod golden;
mod index;
mod keeper;
mod lane;
mod log;
mod mark;
mod numbers;
mod queue;
mod reader;
mod recovery;
mod roster;
mod segment;
mod shelf;
mod stats;
mod unit;
mod verify;
mod view;
mod wal;

pub use config::Config;
pub use crash::CRASH_POINTS;
pub use error::{Corrupt, Fault, OpenError, ReadError};
pub use frame::rewritten as rewritten_frame;
pub use gauge::Gauge;
pub use index::Mark;
pub use log::{Completion, Entry, Log, LogState};
pub use numbers::LogId;
pub use recovery::{LogRecovery, Recovery, TornTail, Verdict};
pub use stats::Stats;
pub use verify::{LogReport, Place, VerifyReport, verify};
pub use wal::Wal;
