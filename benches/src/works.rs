//! Everything that is measured, from the disk up to the caller.

mod append;
mod apply;
mod block;
mod caller;
mod filled;
mod floor;
mod ingest;
mod over_floor;
mod read;
mod recovery;
mod remote_read;
mod wal;

use crate::suite::Work;

/// By name, in the order they are run. A work may print several lines.
pub(crate) const WORKS: &[(&str, Work)] = &[
    ("floor.write_fdatasync_4k", floor::measure),
    ("block", block::measure),
    ("store.apply", apply::measure),
    ("store.point_read", read::point),
    ("store.entity_read", read::entity),
    ("wal.append", wal::measure),
    ("recovery", recovery::measure),
    ("append_over_floor", over_floor::measure),
    ("append", append::measure),
    ("ingest", ingest::measure),
    ("remote", remote_read::measure),
];
