//! A node that is held up between any two steps of a use case: by a scheduler, by a slow disk, for as long as it takes.

use std::sync::Arc;
use std::time::Duration;

use chronos_app::Error;
use chronos_block::{Block, Filter, Page, Range, Recorded};
use chronos_domain::{EventId, ForkId, Marks, PartitionId, Position, TenantId, Timestamp, Verdict, Version};
use chronos_server::Engine;
use futures::future::BoxFuture;

/// What happens before a step.
type Between = dyn Fn() -> BoxFuture<'static, ()> + Send + Sync;

/// Does every step as the node does it, after something else has happened.
#[derive(Clone)]
pub(crate) struct Halting {
    node: Engine,
    between: Arc<Between>,
}

impl Halting {
    pub(crate) fn new(
        node: Engine,
        between: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Halting {
        Halting { node, between: Arc::new(between) }
    }

    async fn next(&self) -> &Engine {
        (self.between)().await;
        &self.node
    }
}

impl chronos_app::Node for Halting {
    fn now(&self) -> Timestamp {
        self.node.now()
    }

    async fn propose(
        &self,
        partition: PartitionId,
        tenant: &TenantId,
        block: Block,
        deadline: Duration,
    ) -> Result<Verdict, Error> {
        self.next().await.propose(partition, tenant, block, deadline).await
    }

    async fn marks(&self, partition: PartitionId) -> Result<Marks, Error> {
        self.next().await.marks(partition).await
    }

    async fn linearize(&self, partition: PartitionId, deadline: Duration) -> Result<(), Error> {
        self.next().await.linearize(partition, deadline).await
    }

    async fn settle(&self, partition: PartitionId, t: Timestamp, deadline: Duration) -> Result<(), Error> {
        self.next().await.settle(partition, t, deadline).await
    }

    async fn wait_applied(
        &self,
        partition: PartitionId,
        position: Position,
        deadline: Duration,
    ) -> Result<(), Error> {
        self.next().await.wait_applied(partition, position, deadline).await
    }

    async fn bound_at(&self, partition: PartitionId, t: Timestamp) -> Result<Position, Error> {
        self.next().await.bound_at(partition, t).await
    }

    async fn version(
        &self,
        partition: PartitionId,
        space: (&TenantId, ForkId),
        entity: &str,
        bound: Position,
    ) -> Result<Version, Error> {
        self.next().await.version(partition, space, entity, bound).await
    }

    async fn entity(
        &self,
        partition: PartitionId,
        space: (&TenantId, ForkId),
        entity: &str,
        range: Range,
    ) -> Result<Page, Error> {
        self.next().await.entity(partition, space, entity, range).await
    }

    async fn scan(
        &self,
        partition: PartitionId,
        space: (&TenantId, ForkId),
        range: Range,
        filter: &Filter,
    ) -> Result<Page, Error> {
        self.next().await.scan(partition, space, range, filter).await
    }

    async fn event(
        &self,
        partition: PartitionId,
        space: (&TenantId, ForkId),
        event: EventId,
    ) -> Result<Option<Recorded>, Error> {
        self.next().await.event(partition, space, event).await
    }
}
