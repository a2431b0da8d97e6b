//! Immutable, verified Parquet parts of a partition, their indexes, and the manifest that names them.
//!
//! A *part* holds a range of positions of one partition, complete and in order, as two files: a Parquet file that any
//! tool can read, and an index that makes a point read a matter of a few pages. A part never changes: it is written
//! under a temporary name, read back and verified in full, and only then given its name; the manifest that lists
//! it is replaced atomically afterwards. The same rows and settings give the same bytes, so that replicas can compare
//! parts by hash.
//!
//! Nothing that was read from a part's files is believed before its checksum was: neither the Parquet reader nor the
//! index decoder ever sees a byte of a damaged block.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod cache;
mod checked;
mod columns;
mod dir;
mod erase;
mod fault;
mod index;
mod manifest;
mod meta;
mod part;
mod read;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod verify;
mod write;

pub use cache::{Cache, CacheStats};
pub use dir::{
    Copy, Inspection, Leftovers, LogStart, Notes, PartsDir, Unfinished, incoming, inspect, unfinished,
};
pub use erase::erase;
pub use fault::Fault;
pub use index::{Counts, TypeCount};
pub use manifest::{MEMBERS_BYTES_MAX, Malformed, Manifest, Tombstones};
pub use meta::{FileMeta, IndexTail, PartMeta};
pub use part::{Part, PartFile};
pub use read::{Scan, ScanCounters, Scanned};
pub use rows::{Rows, leaf_of, to_batch};
pub use schema::schema;
pub use verify::Verified;
pub use write::{Spec, Writer};

/// Every crash point of this crate, in the order a node first passes them.
pub const CRASH_POINTS: &[&str] = &[
    "parts.write.parquet",
    "parts.write.synced",
    "parts.write.verified",
    "parts.write.renamed",
    dir::SWAP_BEFORE,
    dir::SWAP_WRITTEN,
    dir::SWAP_RENAMED,
    dir::SWAP_DURABLE,
    dir::TWIN_WRITTEN,
    dir::TWIN_RENAMED,
    dir::SWAP_DONE,
    dir::REMOVE_BEFORE,
    dir::REMOVE_ONE,
    dir::REMOVE_DONE,
];

/// Those that are passed only where everything is exchanged for the parts of another replica, or discarded.
pub const EXCHANGE_CRASH_POINTS: &[&str] = &[
    dir::INSTALL_NOTED,
    dir::INSTALL_MOVED,
    dir::INSTALL_SWAPPED,
    dir::INSTALL_FORGOTTEN,
    dir::RESET_NOTED,
    dir::RESET_ONE,
    dir::RESET_DONE,
];
