//! What operators do to a fleet: nodes are drained, taken out, given up.

use std::time::Instant;

use chronos_client::cluster::{NodeId, Status};
use chronos_client::{ClusterAdmin, Options, Placement};

use super::{ASK_MAX, ASK_STEP, Fleet, SETTLE_MAX};
use crate::failure::{Failure, Outcome};
use crate::operator::failed;

impl Fleet {
    /// The number that the cluster knows node `at` by.
    pub(crate) async fn number(&self, at: usize) -> Outcome<NodeId> {
        let placement = self.connection(ASK_MAX).await?.placement().await?;
        let address = self.address(at);
        let known = placement.nodes.iter().filter(|node| node.address == address);
        // Of two in one place the first was wiped.
        let last = known.map(|node| node.node.get()).max().map(NodeId::new);
        last.ok_or_else(|| Failure::failed(format!("the cluster does not know {}", self.name(at))))
    }

    /// Has everything moved away from node `at`, and waits until it holds nothing and the others hold all, evenly.
    pub(crate) async fn drain(&self, at: usize) -> Outcome<Placement> {
        let node = self.number(at).await?;
        self.operators()?.drain(node).await.map_err(failed)?;
        self.emptied(node).await?;
        let others: Vec<String> =
            self.members().filter(|other| *other != at).map(|other| self.address(other)).collect();
        self.settled_on(&others).await
    }

    /// Lets node `at` take its share again, and waits until it has.
    pub(crate) async fn undrain(&self, at: usize) -> Outcome<Placement> {
        let node = self.number(at).await?;
        self.operators()?.undrain(node).await.map_err(failed)?;
        self.settled().await
    }

    /// Takes node `at`, which was drained, out of the cluster, and waits until its server has ended, which it does by itself.
    pub(crate) async fn take_out(&mut self, at: usize) -> Outcome {
        let node = self.number(at).await?;
        self.operators()?.remove(node, false).await.map_err(failed)?;
        let is_out = |status: &Status| status.me != node && status.node(node).is_none();
        self.until(&format!("{node} is still a member"), is_out).await?;
        self.leave(at).await
    }

    /// Gives up a node that is dead, as soon as the cluster takes it for dead; what it held is made anew on others.
    pub(crate) async fn give_up(&self, node: NodeId) -> Outcome {
        let is_down = |status: &Status| status.node(node).is_none_or(|node| !node.is_up);
        self.until(&format!("{node} is still taken for alive"), is_down).await?;
        self.operators()?.replace(node).await.map(drop).map_err(failed)
    }

    /// Waits until nothing has to move away from a node any more.
    async fn emptied(&self, node: NodeId) -> Outcome {
        let is_empty = |status: &Status| !status.partitions.iter().any(|of| of.needs(node));
        self.until(&format!("{node} still holds replicas"), is_empty).await
    }

    async fn until(&self, otherwise: &str, wanted: impl Fn(&Status) -> bool) -> Outcome {
        let (admin, start) = (self.operators()?, Instant::now());
        loop {
            // A cluster that cannot tell is not there yet.
            let seen = admin.status().await;
            if seen.as_ref().is_ok_and(&wanted) {
                return Ok(());
            }
            if start.elapsed() > SETTLE_MAX {
                let patience = SETTLE_MAX.as_secs();
                return Err(Failure::failed(format!("after {patience} s {otherwise}")));
            }
            tokio::time::sleep(ASK_STEP).await;
        }
    }

    /// A way for operators to the nodes that run.
    fn operators(&self) -> Outcome<ClusterAdmin> {
        let up = self.members().filter(|at| self.runs(*at));
        let addresses: Vec<String> = up.map(|at| self.admin_address(at)).collect();
        ClusterAdmin::connect_with(&addresses.join(","), Options::default()).map_err(Failure::usage)
    }
}
