//! One group: a partition that is served, its driver, and the reason why it may no longer be.

use std::sync::{Arc, PoisonError, RwLock};

use chronos_domain::PartitionId;
use chronos_env::{Env, Task};
use chronos_store::{Notes, Partition};
use chronos_wal::Log;
use tokio::sync::{mpsc, watch};

use crate::backlog::Backlog;
use crate::compactor::{Reached, Subject};
use crate::driver::{Driver, Progress};
use crate::proposal::Proposal;
use crate::quarantine::Quarantine;

/// Commands that may wait for one group's driver before proposers do.
const QUEUE_COMMANDS_MAX: usize = 4096;

/// The first reason why a group stopped for good.
pub(crate) type Fault = Arc<watch::Sender<Option<Arc<str>>>>;

pub(crate) struct Group {
    queue: RwLock<Option<mpsc::Sender<Proposal>>>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) subject: Arc<Subject>,
}

impl Group {
    /// Starts the driver of a partition that was opened.
    pub(crate) fn start(
        env: &Env,
        log: Log,
        partition: Partition,
        backlog: &Arc<Backlog>,
        fault: &Fault,
    ) -> (Group, Task<()>) {
        let id = partition.id();
        say(id, partition.notes());
        let (queue, proposals) = mpsc::channel(QUEUE_COMMANDS_MAX);
        let progress = Progress::new();
        let (kept, of) = (partition.clone(), progress.clone());
        let driver = Driver::new(env.clone(), log.clone(), kept, proposals, of, backlog.clone());
        let driver = env.tasks.spawn("group", supervise(id, driver, fault.clone()));
        let reached = watch::Sender::new(Reached { cut: partition.taken_in(), ..Reached::default() });
        let (weak, quarantine) = (queue.downgrade(), Arc::new(Quarantine::new(id)));
        let subject = Arc::new(Subject { id, partition, log, queue: weak, quarantine, reached });
        (Group { queue: RwLock::new(Some(queue)), progress, subject }, driver)
    }

    /// Where proposals go; `None` while the node is shutting down.
    pub(crate) fn queue(&self) -> Option<mpsc::Sender<Proposal>> {
        self.queue.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes no further proposals. The driver ends when those it has are answered.
    pub(crate) fn close(&self) {
        self.queue.write().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// What was not as the last life should have left it.
fn say(id: PartitionId, notes: &Notes) {
    let partition = id.get();
    for (file, why) in &notes.quarantined {
        tracing::error!(partition, file = %file.display(), why, "unreadable file moved aside");
    }
    if notes.repaired {
        tracing::warn!(partition, "manifest written again: one of its two copies was lost or behind");
    }
    if !notes.removed.is_empty() {
        tracing::info!(partition, files = notes.removed.len(), "leftovers of a crash removed");
    }
}

/// Runs a driver; however it ends, other than in order, is noted as a fault.
async fn supervise(id: PartitionId, driver: Driver, fault: Fault) {
    let mut sentinel = Sentinel { id, fault, armed: true };
    if let Err(reason) = driver.run().await {
        sentinel.note(&reason);
    }
    sentinel.armed = false;
}

/// Notices a driver that panics.
struct Sentinel {
    id: PartitionId,
    fault: Fault,
    armed: bool,
}

impl Sentinel {
    fn note(&self, reason: &str) {
        let reason = Arc::from(format!("partition {}: {reason}", self.id));
        self.fault.send_if_modified(|first| first.is_none() && first.replace(reason).is_none());
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        if self.armed {
            self.note("its driver died");
        }
    }
}
