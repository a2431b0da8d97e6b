//! What the manifest says of one part: enough to find it, to know that it is the one that was written, and to open it
//! without reading it.

use chronos_domain::{Position, Timestamp};
use chronos_proof::Hash;

/// One immutable part: a Parquet file and its index, `<stem>.parquet` and `<stem>.index`.
///
/// Every field is a function of the partition's history and its cuts, so that two replicas that have made the same
/// cuts hold equal ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartMeta {
    /// Position of its first event, from 1.
    pub first: Position,
    /// Position of its last event; never before `first`.
    pub last: Position,
    /// Number of the cut that wrote it, from 1.
    pub cut: u64,
    /// How many merges lie behind it: 0 when written from the log.
    pub level: u8,
    /// Bytes of its events before encoding and compression; those of erased events no longer count.
    pub raw_bytes: u64,
    /// How many of its events are erased.
    pub erased: u64,
    /// The Parquet file.
    pub parquet: FileMeta,
    /// The index file.
    pub index: FileMeta,
    /// When its first and its last event were recorded.
    pub recorded: (Timestamp, Timestamp),
    /// The partition's hash chain before its first event.
    pub chain_before: Hash,
    /// The partition's hash chain after its last event.
    pub chain_after: Hash,
    /// Where the index file's footer lies, and its checksum: the anchor of every check of both files.
    pub index_tail: IndexTail,
}

/// Length and content of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMeta {
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of all of it.
    pub sha256: Hash,
}

/// The footer of an index file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexTail {
    /// Byte at which it starts; it ends with the file.
    pub offset: u64,
    /// xxh64 of its bytes, seed 0.
    pub xxh64: u64,
}

impl PartMeta {
    /// The name of its files without extension: first and last position and the cut. Sorts by position, and no two
    /// parts of a partition's life share one.
    pub fn stem(&self) -> String {
        stem(self.first, self.last, self.cut)
    }

    /// The name of its Parquet file.
    pub fn parquet_name(&self) -> String {
        format!("{}.parquet", self.stem())
    }

    /// The name of its index file.
    pub fn index_name(&self) -> String {
        format!("{}.index", self.stem())
    }

    /// How many events it holds.
    pub fn rows(&self) -> u64 {
        self.last.get() - self.first.get() + 1
    }

    /// Bytes of both files; the greatest number there is where they are said to have more.
    pub fn bytes(&self) -> u64 {
        self.parquet.bytes.saturating_add(self.index.bytes)
    }
}

/// The name of a part's files without extension.
pub(crate) fn stem(first: Position, last: Position, cut: u64) -> String {
    format!("{:012}-{:012}-{cut:06}", first.get(), last.get())
}
