//! Backups: a copy of every partition's parts, and a data directory made of such a copy.
//!
//! ```text
//!  running node                    backup directory                         new data directory
//!  cut, parts, manifests ──────►   BACKUP            names all, last   ──►  NEW.restoring/   all steps
//!   (a Listing, then the           parts/p07/*.parquet, *.index            NEW/             the last step: a rename
//!    files it names)               parts/p07/*.partial  on their way
//! ```
//!
//! Invariants:
//!
//! * **`BACKUP` is the truth.** It names every file with its length and its SHA-256, and it is written when each of
//!   them is durable here and was hashed. Until then the one before it stands, and so does every file that it names.
//! * **Nothing counts without its hash.** What an earlier run has left, finished or not, is hashed again before it is
//!   kept; what arrives is hashed before it gets its name.
//! * **A restore is all or nothing.** The new directory has its name when everything in it is durable, and no server
//!   starts from one that has not ([`RESTORING`]).
//!
//! Layout of the directory:
#![doc = include_str!("../../BACKUP.md")]

mod codec;
mod dir;
mod error;
mod hashing;
mod history;
mod incoming;
mod listing;
mod moment;
mod restore;
mod source;
mod target;
mod verify;

pub use dir::{BackupDir, Committed, Plan, is_backup};
pub use error::Error;
pub use incoming::{Arrival, Incoming};
pub use listing::{Listing, NamedFile};
pub use moment::At;
pub use restore::{Restored, Stage, Whose, restore};
pub use source::{Share, Source, SourceFile};
pub use target::RESTORING;
pub(crate) use target::is_restoring;
pub use verify::{Verification, verify};

/// Every crash point of backups, in the order a run first passes them.
pub const CRASH_POINTS: [&str; 6] =
    [incoming::RECEIVING, incoming::RECEIVED, incoming::NAMED, dir::COMMIT, dir::COMMITTED, dir::REMOVED];

/// Those of them that are also passed where a part comes from another node.
pub const ARRIVAL_CRASH_POINTS: [&str; 3] = [incoming::RECEIVING, incoming::RECEIVED, incoming::NAMED];

/// Every crash point of restores, in the order a run first passes them; the second only one that finds what an earlier
/// run has left.
pub const RESTORE_CRASH_POINTS: [&str; 8] = [
    target::BEGUN,
    target::CLEARED,
    restore::COPIED,
    restore::REWRITTEN,
    restore::PARTITION,
    restore::LOGGED,
    restore::IDENTIFIED,
    target::NAMED,
];

#[cfg(test)]
mod tests;
