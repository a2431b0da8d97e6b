//! What the use cases about whole histories need of a node.

use std::future::Future;
use std::time::Duration;

use chronos_domain::{EntityId, EventId, ForkId, PartitionId, Position, TenantId, Timestamp, Version};
use chronos_proof::{Hash, Proof};

use crate::error::Error;
use crate::port::Node;

/// A node that keeps its history in files it can compact, hash and check.
///
/// Errors are classed as those of [`Node`]; `truncate` and `cut` alone may answer `Class::Unknown`. Nothing waits
/// beyond the deadline it is given, on the node's clock.
pub trait Archive: Node {
    /// Makes one truncation durable on a quorum and applies it.
    fn truncate(
        &self,
        partition: PartitionId,
        tenant: &TenantId,
        entity: &EntityId,
        before: Version,
        deadline: Duration,
    ) -> impl Future<Output = Result<Truncation, Error>> + Send;

    /// Asks for everything that is applied by then to be compacted; returns its end, perhaps before any of it is.
    fn cut(
        &self,
        partition: PartitionId,
        deadline: Duration,
    ) -> impl Future<Output = Result<Position, Error>> + Send;

    /// Asks the same, and returns once all of it is compacted and the log behind it is gone.
    fn compact(
        &self,
        partition: PartitionId,
        deadline: Duration,
    ) -> impl Future<Output = Result<Position, Error>> + Send;

    /// The digest of the partition's first events up to `at`, which are applied.
    fn digest(
        &self,
        partition: PartitionId,
        at: Position,
        deadline: Duration,
    ) -> impl Future<Output = Result<Digest, Error>> + Send;

    /// That the event of that id is one of the partition's first events up to `at`, which are applied; `None` when it is
    /// not.
    fn prove(
        &self,
        partition: PartitionId,
        space: (&TenantId, ForkId),
        event: EventId,
        at: Position,
        deadline: Duration,
    ) -> impl Future<Output = Result<Option<Proof>, Error>> + Send;

    /// Reads everything that the partition has on disk and compares it with what was written. It takes as long as that
    /// takes.
    fn verify(&self, partition: PartitionId) -> impl Future<Output = Result<Verified, Error>> + Send;

    /// What the partition holds, from what is noted anyway.
    fn holdings(&self, partition: PartitionId) -> impl Future<Output = Result<Holdings, Error>> + Send;
}

/// How far an entity is truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncation {
    /// The version before which its events have been erased.
    pub before: Version,
    /// The entity's version.
    pub version: Version,
}

/// The digest of a partition's first events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// How many events it covers.
    pub position: Position,
    /// The digest, which covers the other two.
    pub digest: Hash,
    /// The running hash chain.
    pub chain: Hash,
    /// The root of the Merkle tree.
    pub root: Hash,
}

/// What a partition has on disk, read in full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Parts that are whole, each of them two files.
    pub parts: u64,
    /// Events in them.
    pub events: u64,
    /// Entries of the log that are whole.
    pub log_entries: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Everything that is not as it was written, or could not be read, each with its place.
    pub findings: Vec<String>,
}

/// What a partition holds, over all tenants and forks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Events.
    pub events: u64,
    /// Entities with at least one event.
    pub entities: u64,
    /// When the first and the last event were recorded.
    pub recorded: Option<(Timestamp, Timestamp)>,
    /// Parquet parts.
    pub parts: u64,
    /// Bytes of the parts.
    pub part_bytes: u64,
    /// Those of them that are bloom filters and page indexes.
    pub lookup_bytes: u64,
    /// Bytes of the parts' indexes.
    pub index_bytes: u64,
    /// Events that are in no part yet.
    pub uncompacted: u64,
    /// Entities that have been truncated.
    pub truncated_entities: u64,
    /// Events in parts whose content has been erased.
    pub erased: u64,
    /// The events by their type, by its name: those in parts, and the others while they are few.
    pub types: Vec<TypeHoldings>,
}

/// The events of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeHoldings {
    /// Which type.
    pub event_type: String,
    /// Events.
    pub events: u64,
    /// Bytes of the events as their writers gave them, before compression.
    pub raw_bytes: u64,
}
