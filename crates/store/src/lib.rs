//! One partition at rest and in motion: its log on disk, and in memory everything apply and readers look up.
//!
//! ```text
//!              apply (one caller, log order)                        readers (many)
//!                       │                                               │
//!   log entry ─► entry::decode ─► ask parts what they know ─► domain apply   pick handles under the read lock,
//!                                 (no lock)                 (write lock)     read blocks and parts outside of it
//!                                                               │            │
//!   newest   active generation    ids, heads, postings, numbers ◄────────────┤
//!            sealed generations   the same, never changed      ──┐           │
//!   oldest   parts                *.parquet, *.index, MANIFEST ◄─┴ compact ──┘
//! ```
//!
//! Invariants:
//!
//! * **One way in.** What a partition holds changes only by [`Partition::apply`], and recovery calls the same function
//!   with the entries of the log behind the parts, so that a restart rebuilds exactly what was there.
//! * **Every position is in exactly one layer.** Compaction moves a whole generation at a time, in one step that apply
//!   does not see half of; no answer, number or digest depends on the layer.
//! * **No read passes the applied mark**, and neither a read nor apply waits for the disk while it holds the lock.
//! * **Gapless or nothing.** A log and parts that together do not give back every entry ([`Fault::Corrupt`]) close the
//!   partition; it is never opened with a hole.
//! * **Memory does not grow with the history.** Generations are bounded by cuts and compaction, blocks and pages by their
//!   caches; a part costs a few kilobytes. What stays for ever is one tombstone for each truncated entity.
//!
//! Reads of young events touch memory only. Older ones read a block from the log or some pages of a part: callers on an
//! async runtime run reads that may go far back on a blocking thread ([`Partition::reads_disk`]).
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
mod diagnosis;
mod digest;
pub mod entry;
mod exchange;
mod facts;
mod fault;
mod generation;
mod identity;
mod ids;
mod layers;
mod load;
mod lookup;
mod members;
mod names;
mod pages;
mod partition;
mod postings;
mod premature;
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
mod withheld;

pub use chronos_block::{Block, Direction, Filter, Page, Range, Recorded};
pub use chronos_parts::{FileMeta, Leftovers, Manifest, Notes, PartMeta};
pub use chronos_proof::Hash;
pub use compact::{Compaction, Done, Setback, Slice};
pub use cut::{Cut, CutLimits};
pub use debt::Debt;
pub use diagnosis::{Diagnosis, diagnose, make_mending, mend_part};
pub use digest::Digest;
pub use entry::{AppendCommand, Command, CutCommand, Entry, Outcome, TickCommand, TruncateCommand};
pub use exchange::{Settled, reset, settle};
pub use fault::Fault;
pub use identity::{
    DataDir, Disowned, Double, Identity, Neighbour, OpenError, Options, Origin, Seat, Sighting, Threshold,
    Whereabouts,
};
pub use members::Members;
pub use partition::{Config, PARTS, Partition};
pub use recover::Upto;
pub use scrub::{Finding, Nature, Scrub, Scrubbed};
pub use shelf::Shelf;
pub use stats::Stats;
pub use verify::{Damage, PartitionReport, Pending, Report, TornTail, Unfinished, verify};
pub use withheld::Withheld;

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
