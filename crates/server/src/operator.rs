//! What operators see of the cluster and do to it, as use cases of one node.
//!
//! Any node can be asked about all of them. What only another node can do (read its disk, compute a digest of its replica,
//! change a setting of its process) travels to it as a message between nodes, and not over its operators' port: that link
//! is there whenever the node is of any use, knows for certain who is at the other end, and is protected as the operator
//! decided; the operators' port of a node is usually open to its own machine only.
//!
//! ```text
//!  operator ─► grpc::cluster_admin ─► Operators ─┬─ permit: may that be? ─► Cluster::steer
//!                                                ├─ seen: Cluster::view in the words of the wire
//!                                                └─ ask ─┬─ here
//!                                                        └─ a message ─► here, on another node
//! ```

mod answers;
mod ask;
mod change;
mod digest;
mod here;
mod permit;
mod repair;
#[cfg(test)]
mod sample;
mod seen;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chronos_app::authority::{Action, authorize};
use chronos_app::{Class, Error, Node as _, Reason};
use chronos_cluster::{Cluster, OrderError};
use chronos_proto::cluster::{NodeId, Partition, Plan, PlannedStep, Status};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::watch;

use crate::edge::Edge;
use change::changes;

pub(crate) use answers::Which;
pub(crate) use here::{Here, Room};
pub(crate) use permit::Wish;
pub(crate) use settings::{LOG_FILTER, Settings};

/// What operators may ask of this node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Operators {
    edge: Arc<Edge>,
    cluster: Cluster,
    here: Arc<Here>,
}

/// How often a watcher looks. What is known of other nodes is a second old anyway.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long other nodes are waited for before a status is told. Who is late shows with what it said last, and as silent.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// For how long a partition without a leader is looked at again before that is told, and how often: while one leader hands over
/// to the next there is none for some 100 ms at most.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Operators {
    pub(crate) fn new(edge: Arc<Edge>, cluster: Cluster, here: Arc<Here>) -> Self {
        Self { edge, cluster, here }
    }

    /// When an answer must be there that somebody waits for so long.
    pub(crate) fn deadline(&self, asked: Option<Duration>) -> Duration {
        self.edge.deadline(asked)
    }

    /// Until when all of an answer must be there that comes in pieces, where somebody has said how long he waits for it.
    pub(crate) fn until(&self, asked: Option<Duration>) -> Option<Duration> {
        asked.map(|asked| self.edge.env.clock.monotonic().saturating_add(asked))
    }

    /// Everything at one glance.
    ///
    /// # Errors
    /// When the caller may not observe, or the node knows of no member yet.
    pub(crate) async fn status(&self) -> Result<Status, Error> {
        authorize(self.edge.principal(), Action::Observe)?;
        telling(self.look_now().await)
    }

    /// A look for which the others were asked, as far as they answer soon. A partition that is being handed over is looked at
    /// again until it has its next leader.
    async fn look_now(&self) -> Status {
        let clock = &self.edge.env.clock;
        let until = clock.monotonic() + HANDED_OVER_WITHIN;
        loop {
            let silent = self.cluster.look_around(ANSWERED_WITHIN).await;
            let status = self.told(&silent);
            let is_handed_over = status.partitions.iter().any(|of| may_be_handed_over(&status, of));
            if !is_handed_over || clock.monotonic() >= until {
                return status;
            }
            clock.sleep(LOOK_AGAIN).await;
        }
    }

    fn look(&self) -> Status {
        self.told(&BTreeSet::new())
    }

    fn told(&self, silent: &BTreeSet<NodeId>) -> Status {
        seen::status(self.cluster.view(), silent, self.edge.app.node().now())
    }

    /// What the placement driver would do, and what stays undone.
    ///
    /// # Errors
    /// When the caller may not observe.
    pub(crate) async fn plan(&self) -> Result<Plan, Error> {
        authorize(self.edge.principal(), Action::Observe)?;
        let silent = self.cluster.look_around(ANSWERED_WITHIN).await;
        let chronos_cluster::Plan { steps, waits } = self.cluster.plan(&silent);
        let steps = steps.into_iter().map(|step| PlannedStep {
            what: step.what,
            why: step.why,
            partition: step.partition,
            node: None,
        });
        Ok(Plan { is_paused: self.cluster.view().is_paused, steps: steps.collect(), waits })
    }

    /// What changes from now on; ends when the node stops.
    ///
    /// # Errors
    /// When the caller may not observe.
    pub(crate) fn watch(&self) -> Result<BoxStream<'static, chronos_proto::cluster::Change>, Error> {
        authorize(self.edge.principal(), Action::Observe)?;
        let watcher = (self.clone(), self.cluster.watch_epoch(), self.look());
        let looks = futures::stream::unfold(watcher, |(operators, mut epoch, before)| async move {
            if !operators.is_due(&mut epoch).await {
                return None;
            }
            let after = operators.look();
            let seen = changes(&before, &after);
            Some((futures::stream::iter(seen), (operators, epoch, after)))
        });
        Ok(looks.flatten().boxed())
    }

    /// Waits until it is time to look again: at once when the cluster's own data has changed, lest two changes be seen as
    /// one. `false` when the node stops.
    async fn is_due(&self, epoch: &mut watch::Receiver<u64>) -> bool {
        let mut stopping = self.edge.stopping();
        tokio::select! {
            biased; // a node that stops is not watched to its end
            _ = stopping.wait_for(|is_stopping| *is_stopping) => false,
            Ok(()) = epoch.changed() => true,
            () = self.edge.env.clock.sleep(LOOK_EVERY) => true,
        }
    }

    /// Carries out an order if it makes sense as the cluster is now, and returns the epoch.
    ///
    /// # Errors
    /// What speaks against it, and what to do next.
    pub(crate) async fn steer(&self, wish: Wish, deadline: Duration) -> Result<u64, Error> {
        authorize(self.edge.principal(), Action::Administer)?;
        let order = match permit::permit(&self.look_now().await, wish)? {
            permit::Permit::Order(order) => order,
            permit::Permit::Done => return Ok(self.cluster.epoch()),
        };
        let told = format!("{order:?}");
        let done = self.cluster.steer(order, deadline).await;
        match &done {
            Ok(()) => tracing::info!(order = told, "an operator's order was carried out"),
            Err(error) => tracing::warn!(order = told, %error, "an operator's order was not carried out"),
        }
        done.map_err(not_ordered)?;
        Ok(self.cluster.epoch())
    }
}

/// Whether nobody leads a partition, though enough of its voters answer for somebody to do so any moment.
fn may_be_handed_over(status: &Status, partition: &Partition) -> bool {
    let answers = |node: &&NodeId| status.node(**node).is_some_and(|node| node.is_up && !node.is_silent);
    partition.leader.is_none() && partition.voters.iter().filter(answers).count() * 2 > partition.voters.len()
}

/// A status in which anything is to be seen.
///
/// # Errors
/// When the node knows of no member yet.
fn telling(status: Status) -> Result<Status, Error> {
    if status.nodes.is_empty() {
        let text =
            "this node has not read its cluster's own data yet; ask again in a moment, or ask another node";
        return Err(Error::new(Class::Failed, Reason::Unavailable, text));
    }
    Ok(status)
}

fn not_ordered(error: OrderError) -> Error {
    let text = error.to_string();
    match error {
        OrderError::Refused(_) => Error::new(Class::Rejected, Reason::Invalid, text),
        OrderError::Unavailable(_) => Error::new(Class::NotApplied, Reason::Unavailable, text),
        // Not `UNAVAILABLE`, upon which callers ask again by themselves.
        OrderError::Unknown(_) => Error::new(Class::Unknown, Reason::DeadlineExceeded, text),
    }
}
