//! The groups as repair needs them: partitions leave service, begin anew, and come back.

use std::sync::{Arc, Weak};

use chronos_domain::{PartitionId, Timestamp};
use chronos_env::Env;
use chronos_store::{Fault, Partition};
use chronos_wal::{Gauge, Log};
use tokio::sync::mpsc;

use super::{Groups, Inner};
use crate::group::{self, Group};
use crate::node::NodeId;
use crate::peer::{Handler, Link, Peers};
use crate::raft::TransferStats;
use crate::repair::{Answers, Ballots, Repairs, Rounds, Withheld};
use crate::slow::Watch;

/// The groups, for somebody who does not keep them.
#[derive(Clone)]
pub(crate) struct WeakGroups(Weak<Inner>);

impl WeakGroups {
    pub(crate) fn upgrade(&self) -> Option<Groups> {
        self.0.upgrade().map(|inner| Groups { inner })
    }
}

impl Groups {
    /// Answers the questions of replicas on other nodes that are being repaired.
    pub fn repair_handler(&self) -> Arc<dyn Handler> {
        Arc::new(Answers(self.downgrade()))
    }

    /// What was offered to other nodes and taken over from them since the start.
    pub fn transfer_stats(&self) -> TransferStats {
        self.inner.common.transfers.stats()
    }

    /// How many bytes of parts this node sends to others in a second from now on, at most.
    pub fn set_transfer_rate(&self, bytes_per_second: u64) {
        if let Some(peers) = self.peers() {
            peers.set_bulk_rate(bytes_per_second);
        }
    }

    pub(crate) fn downgrade(&self) -> WeakGroups {
        WeakGroups(Arc::downgrade(&self.inner))
    }

    /// From now on repairs what is quarantined, and `wards`, which were not opened at the start.
    pub(super) fn begin_repair(
        &self,
        alarms: mpsc::UnboundedReceiver<PartitionId>,
        wards: Vec<(PartitionId, Arc<str>)>,
    ) {
        for (id, why) in wards {
            self.admit(id, why);
        }
        let task = self.env().tasks.spawn("repair", Rounds::new(self, alarms).run());
        self.repairs().run(task);
        let watch = self.env().tasks.spawn("slow disk", Watch::new(self).run());
        *self.inner.watch.lock() = Some(watch);
    }

    pub(super) fn admit(&self, id: PartitionId, why: Arc<str>) {
        let clock = &self.env().clock;
        self.repairs().admit(id, why, Timestamp::new(clock.wall_micros()), clock.monotonic());
    }

    /// Takes in a partition in which damage was found while it was served.
    pub(crate) fn admit_quarantined(&self, id: PartitionId) {
        let Some(Ok(group)) = self.held(id) else { return };
        if let Some(why) = group.subject.quarantine.get() {
            self.admit(id, Arc::clone(why));
        }
    }

    /// In what a partition that is in service, or was until now, has diverged from its leader, if it has.
    pub(crate) fn divergence(&self, id: PartitionId) -> Option<Withheld> {
        self.held(id)?.ok()?.subject.quarantine.divergence()
    }

    /// Takes a partition out of service, if it is in service: its group has ended when this returns.
    pub(crate) async fn take_out(&self, id: PartitionId) {
        let Some(slot) = self.inner.slots.get(usize::from(id.get())) else { return };
        let Ok(group) = slot.read().clone() else { return };
        *slot.write() = Err(Arc::from(format!("partition {id} is being repaired on this node")));
        self.end_group(id, &group).await;
    }

    /// Ends a group, and everything that is done with its files.
    pub(crate) async fn end_group(&self, id: PartitionId, group: &Group) {
        group.subject.quarantine.set("it is being repaired");
        self.inner.subjects.remove(id);
        group.close();
        group.stop().await;
        drop(group.subject.busy.lock().await);
        // Who still reads through the old handle would take for damage what is repaired below.
        group.subject.partition.retire();
    }

    /// Opens a partition that has no group.
    pub(crate) async fn open(&self, id: PartitionId) -> Result<Partition, Fault> {
        let common = &self.inner.common;
        group::open(&common.env, id, &self.log(id), self.store_config(id), common.node, common.known).await
    }

    /// Starts the group of a partition that was opened. It is compacted, and not in service yet.
    pub(crate) fn start_group(&self, id: PartitionId, partition: Partition) -> Arc<Group> {
        let inner = &self.inner;
        let group = Arc::new(Group::start(&inner.common, self.log(id), partition, &inner.fault));
        inner.subjects.put(&group.subject);
        group
    }

    /// Puts a group into service.
    pub(crate) fn put(&self, id: PartitionId, group: Arc<Group>) {
        if let Some(slot) = self.inner.slots.get(usize::from(id.get())) {
            *slot.write() = Ok(group);
        }
    }

    /// The process of another node has ended: groups that it led trust it no longer. Gives how many there are.
    pub(crate) async fn bereave(&self, node: NodeId) -> usize {
        let mut bereft = 0;
        for group in self.inner.slots.iter().filter_map(|slot| slot.read().clone().ok()).collect::<Vec<_>>() {
            bereft += usize::from(group.consensus.bereave(node).await);
        }
        bereft
    }

    /// The partitions this node may have a group of.
    pub(crate) fn ids(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.inner.slots.len()).filter_map(|slot| PartitionId::of_group(u8::try_from(slot).ok()?))
    }

    pub(crate) fn gauge(&self) -> &Gauge {
        self.inner.compacting.backlog().gauge()
    }

    pub(crate) fn repairs(&self) -> &Arc<Repairs> {
        &self.inner.repairs
    }

    pub(crate) fn ballots(&self) -> &Ballots {
        &self.inner.common.ballots
    }

    pub(crate) fn env(&self) -> &Env {
        &self.inner.env
    }

    pub(crate) fn node(&self) -> NodeId {
        self.inner.common.node
    }

    pub(crate) fn link(&self) -> &Arc<dyn Link> {
        &self.inner.common.link
    }

    pub(crate) fn peers(&self) -> Option<Peers> {
        self.inner.common.transfers.peers.clone()
    }

    /// The other nodes that are known.
    pub(crate) fn others(&self) -> Vec<NodeId> {
        let me = self.node();
        self.link().others().into_iter().filter(|node| *node != me).collect()
    }

    pub(crate) fn log(&self, id: PartitionId) -> Log {
        self.inner.logs[usize::from(id.get())].clone()
    }

    pub(crate) fn store_config(&self, id: PartitionId) -> chronos_store::Config {
        self.inner.store.of(id)
    }
}
