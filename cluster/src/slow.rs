//! Whoever leads with a slow disk hands over.
//!
//! A leader syncs every entry before it counts its own disk. With a slow one the others carry it: commits wait for two
//! good disks of the other nodes, and everything that is asked of the leader itself waits for its own. So a node whose log
//! has been slow several times in a row gives the leadership of what lies in that lane to the follower that is furthest. A
//! disk that fails needs none of it: the node ends with its first failed sync, and the others elect.
//!
//! It is not asked whether the other disk is better. Where all of them are slow, leadership moves rarely enough
//! ([`REST`]) to cost nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use chronos_domain::PartitionId;
use chronos_env::Clock;
use chronos_wal::LogId;

use crate::consensus::Phase;
use crate::groups::{Groups, WeakGroups};
use crate::node::NodeId;
use crate::raft::{Metrics, WatchReceiver};

/// A sync that takes so long is slow.
const LIMIT: Duration = Duration::from_secs(1);
/// So many slow ones in a row are too many.
const RUN: u32 = 3;
/// The disk is looked at this often.
const LOOK: Duration = Duration::from_millis(500);
/// The same partition is handed over at most this often.
const REST: Duration = Duration::from_secs(60);

/// Watches the disk of a node until its groups are gone.
pub(crate) struct Watch {
    clock: Clock,
    groups: WeakGroups,
    handed_over: BTreeMap<PartitionId, Duration>,
}

impl Watch {
    pub(crate) fn new(groups: &Groups) -> Watch {
        Watch { clock: groups.env().clock.clone(), groups: groups.downgrade(), handed_over: BTreeMap::new() }
    }

    pub(crate) async fn run(mut self) {
        loop {
            self.clock.sleep(LOOK).await;
            let Some(groups) = self.groups.upgrade() else { return };
            let now = self.clock.monotonic();
            for id in groups.ids() {
                let rested = self.handed_over.get(&id).is_none_or(|last| now.saturating_sub(*last) >= REST);
                if rested
                    && groups.gauge().is_slow(LogId::new(id.get()), LIMIT, RUN, now)
                    && groups.hand_over_slow(id).await
                {
                    self.handed_over.insert(id, now);
                }
            }
        }
    }
}

impl Groups {
    /// Hands a partition over if this node leads it and there is somebody to take it.
    async fn hand_over_slow(&self, id: PartitionId) -> bool {
        let Ok(group) = self.group(id) else { return false };
        let Phase::Serving(running) = group.consensus.phase_now() else { return false };
        let to = successor(&running.raft.metrics().borrow_watched(), self.node());
        let Some(to) = to else { return false };
        chronos_env::sometimes!("group.slow_disk_handed_over");
        tracing::warn!(partition = id.get(), %to, "this node's disk is slow: leadership is handed over");
        running.raft.trigger().transfer_leader(to).await.is_ok()
    }
}

/// The voter besides `me` whose log reaches furthest, if `me` leads.
fn successor(metrics: &Metrics, me: NodeId) -> Option<NodeId> {
    let reached = metrics.replication.as_ref()?;
    let voters = metrics.membership_config.voter_ids().filter(|voter| *voter != me);
    voters.max_by_key(|voter| (reached.get(voter).cloned().flatten(), std::cmp::Reverse(*voter)))
}
