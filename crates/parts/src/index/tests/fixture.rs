//! Rows in plain form, and indexes of them on a simulated disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronos_domain::{EventId, ForkId, PartitionId, Position, Space, Timestamp, Version};
use chronos_env::sim::SimDisk;
use chronos_env::{Disk, OpenMode};
use chronos_proof::Hash;

use super::super::{Built, Index, IndexBuilder, IndexRow};
use crate::cache::Cache;
use crate::checked::Sums;
use crate::fault::Fault;
use crate::meta::{FileMeta, PartMeta};

/// A row, owned.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    pub(crate) tenant: String,
    pub(crate) fork: u64,
    pub(crate) entity: String,
    pub(crate) version: u64,
    pub(crate) id: u128,
    pub(crate) event_type: String,
    pub(crate) content_type: String,
    pub(crate) tags: Vec<String>,
    pub(crate) occurred_at: Option<i64>,
    pub(crate) recorded_at: i64,
    pub(crate) erased: bool,
    pub(crate) raw_bytes: u64,
}

impl Plain {
    pub(crate) fn space(&self) -> Space<'_> {
        Space { tenant: &self.tenant, fork: ForkId::new(self.fork) }
    }
}

/// Rows of two spaces, enough for one whole chunk.
pub(crate) fn few() -> Vec<Plain> {
    (0..1_100_u64)
        .map(|i| Plain {
            tenant: "default".to_owned(),
            fork: i % 2,
            entity: format!("entity-{}", i % 6),
            version: i / 6 + 1,
            id: u128::from(i + 1),
            event_type: format!("type.{}", i % 3),
            content_type: "application/json".to_owned(),
            tags: vec![format!("tag:{}", i % 4)],
            occurred_at: Some(i as i64),
            recorded_at: i as i64,
            erased: false,
            raw_bytes: 10,
        })
        .collect()
}

pub(crate) fn partition() -> PartitionId {
    PartitionId::new(7).unwrap()
}

/// The leaf hash of the row at this index: any hash will do.
pub(crate) fn leaf(row: usize) -> Hash {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(row as u64).to_le_bytes());
    Hash(bytes)
}

/// What was taken down of a Parquet file that does not exist.
pub(crate) fn parquet() -> Sums {
    Sums { bytes: 70_000, sha256: Hash([3; 32]), blocks: vec![11, 22, 33] }
}

/// The bytes of an index of these rows.
pub(crate) fn build(first: u64, rows: &[Plain]) -> (Vec<u8>, Built) {
    builder(first, rows).finish(&parquet(), 512, Vec::new()).unwrap()
}

/// A builder that was told of these rows.
pub(crate) fn builder(first: u64, rows: &[Plain]) -> IndexBuilder {
    let mut builder = IndexBuilder::new(partition(), Position::new(first));
    for (i, row) in rows.iter().enumerate() {
        let tags: Vec<&str> = row.tags.iter().map(String::as_str).collect();
        builder.push(&IndexRow {
            space: row.space(),
            entity: &row.entity,
            version: Version::new(row.version),
            event_id: EventId::from_u128(row.id),
            event_type: &row.event_type,
            content_type: &row.content_type,
            tags: &tags,
            occurred_at: row.occurred_at.map(Timestamp::new),
            recorded_at: Timestamp::new(row.recorded_at),
            erased: row.erased,
            leaf: leaf(i),
            raw_bytes: row.raw_bytes,
        });
    }
    builder
}

/// What a manifest would say of the part.
pub(crate) fn meta(first: u64, rows: usize, built: &Built) -> PartMeta {
    PartMeta {
        first: Position::new(first),
        last: Position::new(first + rows as u64 - 1),
        cut: 1,
        level: 0,
        raw_bytes: 0,
        erased: 0,
        parquet: FileMeta { bytes: parquet().bytes, sha256: parquet().sha256 },
        index: built.file,
        recorded: (Timestamp::ZERO, Timestamp::ZERO),
        chain_before: Hash::default(),
        chain_after: Hash::default(),
        index_tail: built.tail,
    }
}

pub(crate) fn path() -> PathBuf {
    PathBuf::from("/part.index")
}

/// A disk that holds these bytes as the index file.
pub(crate) fn disk(bytes: &[u8]) -> Arc<SimDisk> {
    let disk = SimDisk::new(1);
    disk.open(&path(), OpenMode::CreateNew).unwrap().write_at(bytes, 0).unwrap();
    Arc::new(disk)
}

/// An open index of these rows.
pub(crate) fn index(first: u64, rows: &[Plain], cache: &Cache) -> Index {
    let (bytes, built) = build(first, rows);
    open(&bytes, &meta(first, rows.len(), &built), cache).unwrap()
}

pub(crate) fn open(bytes: &[u8], meta: &PartMeta, cache: &Cache) -> Result<Index, Fault> {
    Index::open(disk(bytes).as_ref(), Path::new(&path()), partition(), meta, cache)
}
