//! All groups of a node.

use std::sync::Arc;
use std::time::Duration;

use chronos_domain::PartitionId;
use chronos_env::{Env, Task};
use chronos_store::Partition;
use chronos_store::entry::Outcome;
use chronos_wal::{LogId, Wal};
use futures::future::join_all;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};

use crate::backlog::Backlog;
use crate::compaction::{CompactionConfig, CompactionStats, Counters};
use crate::compactor::{Compactor, Reached, Subject};
use crate::driver::{Driver, Progress};
use crate::proposal::{Proposal, ProposeError};
use crate::quarantine::Quarantine;
use crate::request::Request;
use crate::scrubber::{ScrubConfig, Scrubber};
use crate::wish::{CompactError, Wishes};

/// Bounds of a node's groups.
#[derive(Clone, Debug)]
pub struct Config {
    /// Block bytes of all commands that wait or are in flight on this node; proposers wait for room.
    pub in_flight_bytes_max: u32,
    /// How each partition holds its data; its directory is the one above those of the partitions.
    pub store: chronos_store::Config,
    /// When and how fast what was written is compacted.
    pub compaction: CompactionConfig,
    /// When and how fast damage is looked for.
    pub scrub: ScrubConfig,
}

impl Config {
    /// The usual settings for partitions that hold their data so.
    pub fn new(store: chronos_store::Config) -> Self {
        let (compaction, scrub) = (CompactionConfig::default(), ScrubConfig::default());
        Self { in_flight_bytes_max: 256 << 20, store, compaction, scrub }
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
    compactor: Mutex<Option<Task<()>>>,
    scrubber: Scrubber,
    backlog: Arc<Backlog>,
    counters: Arc<Counters>,
    wishes: Wishes,
    stop: watch::Sender<bool>,
    fault: Fault,
}

/// The first reason why a group stopped for good.
type Fault = Arc<watch::Sender<Option<Arc<str>>>>;

struct Group {
    queue: std::sync::RwLock<Option<mpsc::Sender<Proposal>>>,
    progress: Arc<Progress>,
    subject: Arc<Subject>,
}

impl Groups {
    /// Recovers every partition from its parts and `wal`, side by side, and starts its driver; then starts to compact.
    ///
    /// A partition that cannot be recovered is refused, with the reason, while the others serve.
    pub async fn start(env: &Env, wal: &Wal, config: &Config) -> Self {
        let opening = PartitionId::all().map(|id| {
            let (world, log, config) = (env.clone(), wal.log(LogId::new(id.get())), config.store.of(id));
            env.tasks.blocking(move || (log.clone(), Partition::open(&world, id, log, config)))
        });
        let opened = join_all(opening).await;
        let backlog = Arc::new(Backlog::new(config.compaction.clone(), wal.gauge()));
        let mut drivers = Vec::new();
        let fault = Fault::default();
        let groups: Vec<Result<Group, Arc<str>>> = PartitionId::all()
            .zip(opened)
            .map(|(id, (log, partition))| {
                let partition = partition.map_err(|fault| refusal(id, &fault))?;
                say(id, partition.notes());
                let (queue, proposals) = mpsc::channel(QUEUE_COMMANDS_MAX);
                let progress = Progress::new();
                let driver = Driver::new(
                    env.clone(),
                    log.clone(),
                    partition.clone(),
                    proposals,
                    progress.clone(),
                    backlog.clone(),
                );
                drivers.push(env.tasks.spawn("group", supervise(id, driver, fault.clone())));
                let reached = watch::Sender::new(Reached { cut: partition.taken_in(), halted: None });
                let (weak, quarantine) = (queue.downgrade(), Arc::new(Quarantine::new(id)));
                let subject = Arc::new(Subject { id, partition, log, queue: weak, quarantine, reached });
                Ok(Group { queue: std::sync::RwLock::new(Some(queue)), progress, subject })
            })
            .collect();
        let subjects: Vec<_> = groups.iter().flatten().map(|group| group.subject.clone()).collect();
        let scrubber = Scrubber::start(env, &config.scrub, subjects.clone());
        let (wishes, stop, counters) =
            (Wishes::default(), watch::Sender::new(false), Arc::<Counters>::default());
        let compactor = Compactor {
            env: env.clone(),
            config: config.compaction.clone(),
            backlog: backlog.clone(),
            counters: counters.clone(),
            subjects,
            urgent: wishes.watch(),
            stop: stop.subscribe(),
            not_before: None,
        };
        let compactor = Mutex::new(Some(env.tasks.spawn("compactor", compactor.run())));
        let room_max = config.in_flight_bytes_max;
        let inner = Inner {
            env: env.clone(),
            groups,
            room: Arc::new(Semaphore::new(room_max as usize)),
            room_max,
            drivers: Mutex::new(drivers),
            compactor,
            scrubber,
            backlog,
            counters,
            wishes,
            stop,
            fault,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The partition's readable state, or why this node does not serve it.
    ///
    /// # Errors
    /// The reason this partition was refused at start.
    pub fn partition(&self, id: PartitionId) -> Result<&Partition, Arc<str>> {
        self.group(id).map(|group| &group.subject.partition)
    }

    /// Replicates one command and returns what apply said of it.
    ///
    /// When it returns `Ok` the command is on a quorum's disks and what it did is visible to readers here. Waits for
    /// room while the node has too many bytes in flight, and, before events are added, while too many wait for
    /// compaction; at most until `deadline` (since the start of `env`'s clock).
    ///
    /// # Errors
    /// See [`ProposeError`]: every variant but `Unknown` means that nothing was written.
    pub async fn propose(
        &self,
        id: PartitionId,
        request: Request,
        deadline: Duration,
    ) -> Result<Outcome, ProposeError> {
        let group = self.group(id).map_err(ProposeError::Unavailable)?;
        if request.adds_events() {
            let room = self.inner.env.clock.timeout(self.left(deadline)?, self.inner.backlog.room(id));
            room.await.map_err(|_| ProposeError::Behind)?;
        }
        let bytes = u32::try_from(request.bytes()).unwrap_or(u32::MAX).min(self.inner.room_max);
        let (reply, answer) = oneshot::channel();
        let enqueue = async {
            let room = self.inner.room.clone().acquire_many_owned(bytes).await.map_err(|_| stopping())?;
            let queue = group.queue.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            let proposal = Proposal { command: request.into_command(), deadline, reply, _room: room };
            queue.ok_or_else(stopping)?.send(proposal).await.map_err(|_| stopped(id))
        };
        let left = self.left(deadline)?;
        self.inner.env.clock.timeout(left, enqueue).await.map_err(|_| ProposeError::DeadlinePassed)??;
        // Once in the queue the driver answers; the caller's own deadline is the edge's concern.
        answer.await.unwrap_or_else(|_| Err(ProposeError::Unknown("the partition's driver stopped".into())))
    }

    fn left(&self, deadline: Duration) -> Result<Duration, ProposeError> {
        let now = self.inner.env.clock.monotonic();
        deadline.checked_sub(now).ok_or(ProposeError::DeadlinePassed)
    }

    /// Compacts these partitions now: everything applied before the call is in parts when it returns, packed as small
    /// as possible, and purged from their logs. Partitions of which that is true already are left alone. Gives up at
    /// `deadline` (since the start of `env`'s clock); what was begun goes on.
    ///
    /// # Errors
    /// See [`CompactError`], which names the first partition that is not compacted; others may be.
    pub async fn compact(&self, ids: &[PartitionId], deadline: Duration) -> Result<(), CompactError> {
        let _wish = self.inner.wishes.make();
        let compacting = ids.iter().map(|id| self.compact_one(*id, deadline));
        join_all(compacting).await.into_iter().collect()
    }

    async fn compact_one(&self, id: PartitionId, deadline: Duration) -> Result<(), CompactError> {
        let group = self.group(id).map_err(CompactError::Refused)?;
        let subject = &group.subject;
        if subject.partition.debt().log_index_behind > 0 {
            let proposed = self.propose(id, Request::Cut { settle: true }, deadline).await;
            proposed.map_err(|error| CompactError::NotCut { id, error })?;
        }
        let wanted = subject.partition.last_cut();
        let mut reached = subject.reached.subscribe();
        let done = reached.wait_for(|reached| reached.cut >= wanted || reached.halted.is_some());
        let left = deadline.saturating_sub(self.inner.env.clock.monotonic());
        let late = || CompactError::Late { id, why: self.compaction_stats().last_error };
        // The sender lives in the subject, so waiting cannot fail.
        let Ok(Ok(end)) = self.inner.env.clock.timeout(left, done).await else { return Err(late()) };
        match &end.halted {
            Some(reason) if end.cut < wanted => Err(CompactError::Halted { id, reason: reason.clone() }),
            _ => Ok(()),
        }
    }

    /// What compaction has done since the start, and what it has before it.
    pub fn compaction_stats(&self) -> CompactionStats {
        self.inner.counters.read(self.inner.backlog.now().total())
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
        if let Some(Ok(group)) = self.inner.groups.get(usize::from(id.get())) {
            group.subject.quarantine.set(reason);
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

    /// Stops compacting and taking proposals, lets the drivers finish what is in flight, and waits for them.
    pub async fn stop(&self) {
        self.inner.stop.send_replace(true);
        self.inner.scrubber.stop().await;
        let compactor = self.inner.compactor.lock().await.take();
        if let Some(compactor) = compactor
            && compactor.await.is_err()
        {
            tracing::error!("the compactor died before it could be stopped");
        }
        for group in self.inner.groups.iter().flatten() {
            group.queue.write().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        }
        for driver in self.inner.drivers.lock().await.drain(..) {
            if driver.await.is_err() {
                tracing::error!("a group's driver died before it could be stopped");
            }
        }
    }

    pub(crate) fn scrubber(&self) -> &Scrubber {
        &self.inner.scrubber
    }

    fn group(&self, id: PartitionId) -> Result<&Group, Arc<str>> {
        let slot = self.inner.groups.get(usize::from(id.get()));
        let group = slot.ok_or_else(|| Arc::from(format!("partition {id} holds no events")))?;
        let group = group.as_ref().map_err(Arc::clone)?;
        group.subject.quarantine.get().map_or(Ok(group), |reason| Err(reason.clone()))
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

/// What was not as the last life should have left it.
fn say(id: PartitionId, notes: &chronos_store::Notes) {
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
