//! What the use cases need of a node.

use std::future::Future;
use std::time::Duration;

use chronos_block::{Block, Filter, Page, Range, Recorded};
use chronos_domain::{EventId, ForkId, Marks, PartitionId, Position, TenantId, Timestamp, Verdict, Version};

use crate::error::Error;

/// The node that serves the use cases: the engine in production, a plain one in memory in tests.
///
/// Reads never pass the applied mark, nor `Range::bound`. Errors of reads are `Class::Failed` or
/// `Class::NotApplied`; `propose` alone may answer `Class::Unknown`.
pub trait Node: Clone + Send + Sync + 'static {
    /// UTC wall clock.
    fn now(&self) -> Timestamp;

    /// Makes one command durable on a quorum and applies it.
    fn propose(
        &self,
        partition: PartitionId,
        tenant: &TenantId,
        block: Block,
        deadline: Duration,
    ) -> impl Future<Output = Result<Verdict, Error>> + Send;

    /// The partition's marks on the replica that answers for it.
    fn marks(&self, partition: PartitionId) -> impl Future<Output = Result<Marks, Error>> + Send;

    /// Returns once everything acknowledged before the call is applied here.
    fn linearize(
        &self,
        partition: PartitionId,
        deadline: Duration,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Returns once no event can be recorded at `t` or before any more, by any node of the cluster, and all that was is
    /// applied here: what the past up to `t` is then stands for ever. `t` has passed on this node's clock.
    fn settle(
        &self,
        partition: PartitionId,
        t: Timestamp,
        deadline: Duration,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Returns once `position` is applied here; `NOT_CAUGHT_UP` at the deadline.
    fn wait_applied(
        &self,
        partition: PartitionId,
        position: Position,
        deadline: Duration,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// The last position recorded at or before `t`.
    fn bound_at(
        &self,
        partition: PartitionId,
        t: Timestamp,
    ) -> impl Future<Output = Result<Position, Error>> + Send;

    /// The entity's version as of `bound`; 0 when it has no event.
    fn version(
        &self,
        partition: PartitionId,
        space: (&TenantId, ForkId),
        entity: &str,
        bound: Position,
    ) -> impl Future<Output = Result<Version, Error>> + Send;

    /// One page of an entity's events by version.
    fn entity(
        &self,
        partition: PartitionId,
        space: (&TenantId, ForkId),
        entity: &str,
        range: Range,
    ) -> impl Future<Output = Result<Page, Error>> + Send;

    /// One page of a partition's events by position.
    fn scan(
        &self,
        partition: PartitionId,
        space: (&TenantId, ForkId),
        range: Range,
        filter: &Filter,
    ) -> impl Future<Output = Result<Page, Error>> + Send;

    /// The event of that id in the partition.
    fn event(
        &self,
        partition: PartitionId,
        space: (&TenantId, ForkId),
        id: EventId,
    ) -> impl Future<Output = Result<Option<Recorded>, Error>> + Send;
}
