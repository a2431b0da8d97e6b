//! Everything that is measured, from the disk up to the caller.

mod append;
mod apply;
mod big;
mod block;
mod caller;
mod cluster;
mod compaction;
mod filled;
mod floor;
mod history;
mod ingest;
mod kept;
mod over_floor;
mod past;
mod point;
mod read;
mod recovery;
mod remote_read;
mod sql;
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
    ("parts.compaction", compaction::measure),
    ("parts.point_read", point::measure),
    ("parts.proof", past::measure),
    ("state.as_of", history::measure),
    ("sql", sql::measure),
    ("cluster.append", cluster::measure),
    ("big", big::measure),
];

/// Works that are run only when they are asked for by name: they take many minutes.
pub(crate) const ONLY_IF_NAMED: &[&str] = &["big"];
