//! All groups of a node.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chronos_domain::{ForkId, PartitionId, TenantId, Timestamp, Verdict};
use chronos_env::{Env, Task};
use chronos_store::{Command, Partition};
use chronos_wal::{LogId, Wal};
use futures::future::join_all;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};

use crate::driver::{Driver, Progress};
use crate::proposal::{Proposal, ProposeError};

/// Bounds of a node's groups.
#[derive(Clone, Debug)]
pub struct Config {
    /// Block bytes of all commands that wait or are in flight on this node; proposers wait for room.
    pub in_flight_bytes_max: u32,
    /// How each partition holds its data.
    pub store: chronos_store::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self { in_flight_bytes_max: 256 << 20, store: chronos_store::Config::default() }
    }
}

/// Commands that may wait for one group's driver before proposers do.
const QUEUE_COMMANDS_MAX: usize = 4096;

/// The groups of this node, one for each data partition. Cheap to clone.
#[derive(Clone)]
pub struct Groups {
    inner: Arc<Inner>,
}

struct Inner {
    env: Env,
    groups: Vec<Result<Group, Arc<str>>>,
    room: Arc<Semaphore>,
    room_max: u32,
    drivers: Mutex<Vec<Task<()>>>,
    fault: Fault,
}

/// The first reason why a group stopped for good.
type Fault = Arc<watch::Sender<Option<Arc<str>>>>;

struct Group {
    /// Set when its data is found damaged while it runs.
    quarantine: OnceLock<Arc<str>>,
    queue: std::sync::RwLock<Option<mpsc::Sender<Proposal>>>,
    partition: Partition,
    progress: Arc<Progress>,
}

impl Groups {
    /// Recovers every partition from `wal`, side by side, and starts its driver.
    ///
    /// A partition that cannot be recovered is refused, with the reason, while the others serve.
    pub async fn start(env: &Env, wal: &Wal, config: &Config) -> Self {
        let opening = PartitionId::all().map(|id| {
            let (log, crash, config) =
                (wal.log(LogId::new(id.get())), env.crash.clone(), config.store.clone());
            env.tasks.blocking(move || (log.clone(), Partition::open(id, log, crash, config)))
        });
        let opened = join_all(opening).await;
        let mut drivers = Vec::new();
        let fault = Fault::default();
        let groups = PartitionId::all()
            .zip(opened)
            .map(|(id, (log, partition))| {
                let partition = partition.map_err(|fault| refusal(id, &fault))?;
                let (queue, proposals) = mpsc::channel(QUEUE_COMMANDS_MAX);
                let progress = Progress::new();
                let driver = Driver::new(env.clone(), log, partition.clone(), proposals, progress.clone());
                drivers.push(env.tasks.spawn("group", supervise(id, driver, fault.clone())));
                let queue = std::sync::RwLock::new(Some(queue));
                Ok(Group { quarantine: OnceLock::new(), queue, partition, progress })
            })
            .collect();
        let room_max = config.in_flight_bytes_max;
        let inner = Inner {
            env: env.clone(),
            groups,
            room: Arc::new(Semaphore::new(room_max as usize)),
            room_max,
            drivers: Mutex::new(drivers),
            fault,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The partition's readable state, or why this node does not serve it.
    ///
    /// # Errors
    /// The reason this partition was refused at start.
    pub fn partition(&self, id: PartitionId) -> Result<&Partition, Arc<str>> {
        self.group(id).map(|group| &group.partition)
    }

    /// Replicates one command and returns what apply said of it.
    ///
    /// When it returns `Ok(Stored)` the events are on a quorum's disks and visible to readers here.
    /// Waits for room while the node has too many bytes in flight, at most until `deadline` (since the start of
    /// `env`'s clock).
    ///
    /// # Errors
    /// See [`ProposeError`]: every variant but `Unknown` means that nothing was written.
    pub async fn propose(
        &self,
        id: PartitionId,
        command: (TenantId, ForkId, chronos_store::Block),
        deadline: Duration,
    ) -> Result<Verdict, ProposeError> {
        let group = self.group(id).map_err(ProposeError::Unavailable)?;
        let (tenant, fork, block) = command;
        let bytes = u32::try_from(block.memory()).unwrap_or(u32::MAX).min(self.inner.room_max);
        let now = self.inner.env.clock.monotonic();
        let left = deadline.checked_sub(now).ok_or(ProposeError::DeadlinePassed)?;
        let (reply, answer) = oneshot::channel();
        let enqueue = async {
            let room = self.inner.room.clone().acquire_many_owned(bytes).await.map_err(|_| stopping())?;
            let queue = group.queue.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            // The driver stamps the time when it writes, so that time follows log order.
            let command = Command { tenant, fork, recorded_at: Timestamp::new(0), block };
            let proposal = Proposal { command, deadline, reply, _room: room };
            queue.ok_or_else(stopping)?.send(proposal).await.map_err(|_| stopped(id))
        };
        self.inner.env.clock.timeout(left, enqueue).await.map_err(|_| ProposeError::DeadlinePassed)??;
        // Once in the queue the driver answers; the caller's own deadline is the edge's concern.
        answer.await.unwrap_or_else(|_| Err(ProposeError::Unknown("the partition's driver stopped".into())))
    }

    /// Resolves when a group has stopped for good, with the first reason. The node should then end: what is on disk
    /// is recovered at the next start.
    pub async fn faulted(&self) -> Arc<str> {
        let mut fault = self.inner.fault.subscribe();
        match fault.wait_for(Option::is_some).await.map(|fault| fault.clone()) {
            Ok(Some(reason)) => reason,
            // The sender lives in `self`, and the wait was for a reason.
            _ => std::future::pending().await,
        }
    }

    /// Refuses a partition from now on, because its data was found damaged: it neither answers nor accepts anything
    /// until somebody has looked at it. The first reason is kept. What was accepted before is answered.
    pub fn quarantine(&self, id: PartitionId, reason: &str) {
        let Some(Ok(group)) = self.inner.groups.get(usize::from(id.get())) else { return };
        let refusal = Arc::from(format!("partition {id} is refused on this node: {reason}"));
        if group.quarantine.set(refusal).is_ok() {
            tracing::error!(partition = id.get(), reason, "damage found by a read: partition refused");
        }
    }

    /// Returns once every command that carries a time before the call is applied here or certainly dropped, so
    /// that what was recorded up to now no longer changes.
    ///
    /// # Errors
    /// When this node does not serve the partition.
    pub async fn settle(&self, id: PartitionId) -> Result<(), ProposeError> {
        self.group(id).map_err(ProposeError::Unavailable)?.progress.settle().await;
        Ok(())
    }

    /// Stops taking proposals, lets the drivers finish what is in flight, and waits for them.
    pub async fn stop(&self) {
        for group in self.inner.groups.iter().flatten() {
            group.queue.write().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        }
        for driver in self.inner.drivers.lock().await.drain(..) {
            if driver.await.is_err() {
                tracing::error!("a group's driver died before it could be stopped");
            }
        }
    }

    fn group(&self, id: PartitionId) -> Result<&Group, Arc<str>> {
        let slot = self.inner.groups.get(usize::from(id.get()));
        let group = slot.ok_or_else(|| Arc::from(format!("partition {id} holds no events")))?;
        let group = group.as_ref().map_err(Arc::clone)?;
        group.quarantine.get().map_or(Ok(group), |reason| Err(reason.clone()))
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

fn refusal(id: PartitionId, fault: &chronos_store::Fault) -> Arc<str> {
    tracing::error!(partition = id.get(), %fault, "partition refused");
    Arc::from(format!("partition {id} is refused on this node: {fault}"))
}

fn stopping() -> ProposeError {
    ProposeError::Unavailable("this node is shutting down; retry on another or later".into())
}

fn stopped(id: PartitionId) -> ProposeError {
    ProposeError::Unavailable(Arc::from(format!(
        "partition {id} has stopped after a fault; see the node's log"
    )))
}
