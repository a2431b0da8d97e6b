//! A node that is going to stop hands over what it leads, so that nobody waits for an election.

use std::collections::BTreeMap;
use std::time::Duration;

use chronos_domain::PartitionId;

use super::Cluster;
use crate::groups::every_group;
use crate::node::NodeId;
use crate::status::{DOWN_AFTER, Report};
use crate::view::Role;

/// Who leads is looked at so often.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A transfer that has not happened by then is tried again, with somebody else if there is one.
const TRY_AGAIN: Duration = Duration::from_millis(1500);

impl Cluster {
    /// Gives the leadership of every group that this node leads to another voter that is up and up to date, as far as
    /// there is one. Returns when nothing is left to hand over, or after `within`.
    pub async fn hand_over(&self, within: Duration) {
        let clock = &self.inner.env.clock;
        let over = async {
            let mut asked = BTreeMap::<PartitionId, Vec<NodeId>>::new();
            loop {
                let pending = self.ask_successors(&mut asked).await;
                if !pending {
                    return;
                }
                let gone = clock.timeout(TRY_AGAIN, async {
                    while every_group().any(|id| self.leads(id) && asked.contains_key(&id)) {
                        clock.sleep(LOOK_AGAIN).await;
                    }
                });
                let _ = gone.await;
            }
        };
        if clock.timeout(within, over).await.is_err() {
            tracing::warn!(?within, "not everything that this node leads was handed over in time");
        }
    }

    fn leads(&self, id: PartitionId) -> bool {
        self.inner.groups.leader(id) == Some(self.inner.me)
    }

    /// Asks a successor for each group that is led here, one that was not asked before; false when there is nobody
    /// left to ask.
    async fn ask_successors(&self, asked: &mut BTreeMap<PartitionId, Vec<NodeId>>) -> bool {
        let report = self.inner.report();
        let mut pending = false;
        for group in report.groups.iter().filter(|group| group.replica.role == Role::Leader) {
            let before = asked.entry(group.id).or_default();
            let Some(to) = self.successor(group, before) else { continue };
            before.push(to);
            match self.inner.groups.transfer(group.id, to).await {
                Ok(()) => pending = true,
                Err(error) => tracing::warn!(%error, %to, "leadership was not handed over"),
            }
        }
        pending
    }

    /// The voter that has the most of a group's log, of those that were heard of lately and not asked before.
    fn successor(&self, group: &Report, asked: &[NodeId]) -> Option<NodeId> {
        let now = self.inner.env.clock.monotonic();
        let is_up =
            |node: NodeId| self.inner.board.heard(node).is_some_and(|at| now.saturating_sub(at) < DOWN_AFTER);
        let others = group.members.voters().into_iter().filter(|node| *node != self.inner.me);
        let able = others.filter(|node| is_up(*node) && !asked.contains(node));
        able.max_by_key(|node| group.matched.get(node).copied().unwrap_or(0))
    }
}
