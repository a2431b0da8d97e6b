//! One partition at rest and in motion: its log on disk, and in memory everything apply and readers look up.
//!
//! ```text
//!              apply (one caller, log order)                 readers (many)
//!                       │                                        │
//!   log entry ─► entry::decode ─► domain apply ─► tables ◄── copy handles under the read lock
//!                                   numbers         │            │
//!                                                   │            └─► evicted block? read it from the log,
//!                                                   ▼                outside the lock
//!                                     tail: blocks, newest in memory within a budget
//!                                     ledger: id, content, version of every position
//!                                     spaces: heads, ids, postings of each tenant and fork
//! ```
//!
//! Invariants:
//!
//! * **One way in.** A table changes only by [`Partition::apply`], and recovery calls the same function with the
//!   entries of the log, so that a restart rebuilds exactly what was there.
//! * **No read passes the applied mark**, and no read blocks on the disk while it holds the lock.
//! * **Gapless or nothing.** A log that does not give back every entry ([`Fault::Corrupt`]) closes the partition; it
//!   is never opened with a hole.
//!
//! Only block bodies are evicted from memory. Numbers, ids, heads and postings stay, so that verdicts and numbers
//! never wait for the disk. Read calls touch memory only, unless a block they return has been evicted: callers on an
//! async runtime run reads that may go far back on a blocking thread.
//!
//! The layouts of a log entry and of the identity file:
#![doc = include_str!("../FORMAT.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod apply;
pub mod backup;
mod blocks;
mod chunks;
mod compact;
mod cut;
mod debt;
mod digest;
pub mod entry;
mod facts;
mod fault;
mod generation;
mod identity;
mod ids;
mod layers;
mod load;
mod lookup;
mod names;
mod pages;
mod partition;
mod postings;
mod read;
mod recent;
mod recover;
mod scrub;
mod sealed;
mod shelf;
mod spaces;
mod state;
mod stats;
mod verify;

pub use chronos_block::{Block, Direction, Filter, Page, Range, Recorded};
pub use chronos_parts::Notes;
pub use compact::{Compaction, Done, Setback, Slice};
pub use cut::{Cut, CutLimits};
pub use debt::Debt;
pub use digest::Digest;
pub use entry::{AppendCommand, Command, CutCommand, Entry, Outcome, TruncateCommand};
pub use fault::Fault;
pub use identity::{DataDir, Identity, OpenError, Options};
pub use partition::{Config, PARTS, Partition};
pub use scrub::{Finding, Nature, Scrub, Scrubbed};
pub use shelf::Shelf;
pub use stats::Stats;
pub use verify::{Damage, PartitionReport, Report, TornTail, verify};

/// Every crash point of this crate, in the order a node first passes them.
pub const CRASH_POINTS: &[&str] = &[
    recover::MID,
    partition::APPLY_BEFORE,
    partition::APPLY_AFTER,
    compact::BEGUN,
    compact::WRITTEN,
    compact::REWRITTEN,
    compact::SWAPPED,
    compact::INSTALLED,
    compact::REMOVED,
];
