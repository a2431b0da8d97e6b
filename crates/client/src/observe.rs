//! Telling whoever watches what a client does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chronos_domain::PartitionId;
use chronos_proto::{Class, NodeId};

/// Told what a client does, to count it or to show it; see [`Options::observer`](crate::Options::observer).
///
/// Every method does nothing unless it is written anew. They are called in the middle of the work: they must be quick
/// and must not block. `node` is `None` where it is not certain which node it was: the servers that the caller named may
/// be any.
pub trait Observer: Send + Sync {
    /// An attempt begins: the first of an operation, or a later one after `failed` that did not succeed.
    fn attempt(&self, operation: Operation, node: Option<NodeId>, failed: u32) {
        let _ = (operation, node, failed);
    }

    /// A node said that it does not lead the partition, and the client goes to the one it named.
    fn redirect(&self, partition: Option<PartitionId>, from: Option<NodeId>, to: NodeId) {
        let _ = (partition, from, to);
    }

    /// The client asked where everything is: the epoch it learned, or `None` when nobody could tell.
    fn refresh(&self, epoch: Option<u64>) {
        let _ = epoch;
    }

    /// A node took so long to answer a question that it could answer by itself.
    fn round_trip(&self, node: Option<NodeId>, time: Duration) {
        let _ = (node, time);
    }

    /// A server could not be reached.
    fn unreachable(&self, node: Option<NodeId>) {
        let _ = node;
    }

    /// A server belongs to another cluster than this client, the one that is given (or is another node than was meant), and
    /// is not used.
    fn stranger(&self, node: Option<NodeId>, cluster: &str) {
        let _ = (node, cluster);
    }

    /// A read whose connection broke goes on elsewhere where it stood.
    fn resumed(&self) {}

    /// An operation ended: `None` when it succeeded, else as what.
    fn outcome(&self, operation: Operation, class: Option<Class>) {
        let _ = (operation, class);
    }
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// One append request.
    Append,
    /// A question: for events, a state, or about a node.
    Read,
}

/// An [`Observer`] that counts.
#[derive(Debug, Default)]
pub struct Counters {
    attempts: AtomicU64,
    retries: AtomicU64,
    redirects: AtomicU64,
    refreshes: AtomicU64,
    unreachable: AtomicU64,
    strangers: AtomicU64,
    resumed: AtomicU64,
    failed: AtomicU64,
}

/// What was counted up to some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Attempts, the first ones included.
    pub attempts: u64,
    /// Attempts after one that failed.
    pub retries: u64,
    /// How often a node named another one as the leader, and the client went there.
    pub redirects: u64,
    /// How often the client asked where everything is.
    pub refreshes: u64,
    /// How often a server could not be reached.
    pub unreachable: u64,
    /// How often a server of another cluster, or another node than was meant, answered or refused.
    pub strangers: u64,
    /// How often a read went on elsewhere.
    pub resumed: u64,
    /// Operations that did not succeed.
    pub failed: u64,
}

impl Counters {
    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            attempts: read(&self.attempts),
            retries: read(&self.retries),
            redirects: read(&self.redirects),
            refreshes: read(&self.refreshes),
            unreachable: read(&self.unreachable),
            strangers: read(&self.strangers),
            resumed: read(&self.resumed),
            failed: read(&self.failed),
        }
    }
}

fn count(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl Observer for Counters {
    fn attempt(&self, _: Operation, _: Option<NodeId>, failed: u32) {
        count(&self.attempts);
        if failed > 0 {
            count(&self.retries);
        }
    }

    fn redirect(&self, _: Option<PartitionId>, _: Option<NodeId>, _: NodeId) {
        count(&self.redirects);
    }

    fn refresh(&self, _: Option<u64>) {
        count(&self.refreshes);
    }

    fn unreachable(&self, _: Option<NodeId>) {
        count(&self.unreachable);
    }

    fn stranger(&self, _: Option<NodeId>, _: &str) {
        count(&self.strangers);
    }

    fn resumed(&self) {
        count(&self.resumed);
    }

    fn outcome(&self, _: Operation, class: Option<Class>) {
        if class.is_some() {
            count(&self.failed);
        }
    }
}

/// The observer of a client, or nobody.
#[derive(Clone)]
pub(crate) struct Watcher(Option<Arc<dyn Observer>>);

impl Watcher {
    pub(crate) const fn new(observer: Option<Arc<dyn Observer>>) -> Self {
        Self(observer)
    }

    fn tell(&self, what: impl FnOnce(&dyn Observer)) {
        if let Some(observer) = &self.0 {
            what(&**observer);
        }
    }

    pub(crate) fn attempt(&self, operation: Operation, node: Option<NodeId>, failed: u32) {
        self.tell(|observer| observer.attempt(operation, node, failed));
    }

    pub(crate) fn redirect(&self, partition: Option<PartitionId>, from: Option<NodeId>, to: NodeId) {
        self.tell(|observer| observer.redirect(partition, from, to));
    }

    pub(crate) fn refresh(&self, epoch: Option<u64>) {
        self.tell(|observer| observer.refresh(epoch));
    }

    pub(crate) fn round_trip(&self, node: Option<NodeId>, time: Duration) {
        self.tell(|observer| observer.round_trip(node, time));
    }

    pub(crate) fn unreachable(&self, node: Option<NodeId>) {
        self.tell(|observer| observer.unreachable(node));
    }

    pub(crate) fn stranger(&self, node: Option<NodeId>, cluster: &str) {
        self.tell(|observer| observer.stranger(node, cluster));
    }

    pub(crate) fn resumed(&self) {
        self.tell(|observer| observer.resumed());
    }

    pub(crate) fn outcome(&self, operation: Operation, class: Option<Class>) {
        self.tell(|observer| observer.outcome(operation, class));
    }
}
