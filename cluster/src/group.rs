//! One group: a partition that is served, its proposer and its consensus, and the reason why it may no longer be.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chronos_domain::{LogIndex, PartitionId};
use chronos_env::{Env, Task};
use chronos_store::{Config, Fault as StoreFault, Notes, Partition, Settled, Upto};
use chronos_wal::Log;
use tokio::sync::{mpsc, watch};

use crate::compactor::{Reached, Subject};
use crate::consensus::{Common, Consensus};
use crate::freshness::Freshness;
use crate::node::NodeId;
use crate::proposal::Proposal;
use crate::proposer::Proposer;
use crate::quarantine::Quarantine;
use crate::raft::Known;

/// Commands that may wait for one group's proposer before callers do.
const QUEUE_COMMANDS_MAX: usize = 4096;

/// How long a group that stops waits for what is in flight.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// The first reason why a group stopped for good.
pub(crate) type Fault = Arc<watch::Sender<Option<Arc<str>>>>;

pub(crate) struct Group {
    env: Env,
    queue: RwLock<Option<mpsc::Sender<Proposal>>>,
    stop: watch::Sender<bool>,
    /// Until the group is stopped.
    runners: Mutex<Option<Runners>>,
    pub(crate) consensus: Arc<Consensus>,
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) subject: Arc<Subject>,
}

/// What runs for a group. They end in this order.
struct Runners {
    proposer: Task<()>,
    consensus: Task<()>,
    /// Sees to it that the replica is as far as it ever was.
    catching_up: Task<()>,
}

impl Group {
    /// Starts the proposer and the consensus of a partition that was opened.
    pub(crate) fn start(common: &Common, log: Log, partition: Partition, fault: &Fault) -> Group {
        let id = partition.id();
        say(id, partition.notes());
        let (queue, proposals) = mpsc::channel(QUEUE_COMMANDS_MAX);
        let quarantine = Arc::new(Quarantine::new(id, common.alarm.clone()));
        let noted = Arc::clone(&quarantine);
        let consensus = Arc::new(Consensus::new(common.clone(), log.clone(), partition.clone(), noted));
        let (stop, stopping) = watch::channel(false);
        let tasks = &common.env.tasks;
        let proposer = Proposer::new(Arc::clone(&consensus), proposals);
        let freshness = Arc::new(Freshness::new(Arc::clone(&consensus), queue.downgrade()));
        let asking = Arc::clone(&freshness);
        let runners = Runners {
            proposer: tasks.spawn("proposer", watched(id, proposer.run(), fault.clone())),
            consensus: tasks.spawn("group", supervise(Arc::clone(&consensus), stopping, fault.clone())),
            catching_up: tasks
                .spawn("catching up", async move { match asking.catch_up_with_the_past().await {} }),
        };
        let reached = watch::Sender::new(Reached { cut: partition.taken_in(), ..Reached::default() });
        let weak = queue.downgrade();
        let (purging, busy) = (Arc::clone(&consensus), tokio::sync::Mutex::default());
        let subject = Arc::new(Subject {
            id,
            partition,
            log,
            queue: weak,
            quarantine,
            reached,
            consensus: purging,
            busy,
        });
        let (env, runners) = (common.env.clone(), Mutex::new(Some(runners)));
        Group { env, queue: RwLock::new(Some(queue)), stop, runners, consensus, freshness, subject }
    }

    /// Where proposals go; `None` while the node is shutting down.
    pub(crate) fn queue(&self) -> Option<mpsc::Sender<Proposal>> {
        self.queue.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes no further proposals. The proposer ends when those it has are answered.
    pub(crate) fn close(&self) {
        self.queue.write().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Ends the consensus, once the proposer has ended. Does nothing the second time.
    pub(crate) async fn stop(&self) {
        let runners = self.runners.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Runners { mut proposer, consensus, catching_up }) = runners else { return };
        catching_up.abort();
        // What cannot be decided, because the others are out of reach, is not waited for any longer.
        let answered = self.env.clock.timeout(ANSWERED_WITHIN, &mut proposer).await;
        if matches!(answered, Ok(Err(_))) {
            tracing::error!("a group's proposer died before it could be stopped");
        }
        self.stop.send_replace(true);
        if consensus.await.is_err() {
            tracing::error!("a group died before it could be stopped");
        }
        // It was aborted, which is no news; what it held is free when this returns.
        let _ = catching_up.await;
        if answered.is_err() {
            // Now that the group has ended, everybody has an answer.
            let _ = proposer.await;
        }
    }
}

/// Opens a partition as far as its log is known to be committed, after what an earlier life has begun to exchange is
/// finished.
///
/// Where the log says that this node is the only voter, that is its end: nobody else can have decided otherwise, and
/// nobody else will.
///
/// # Errors
/// As [`Partition::open`].
pub(crate) async fn open(
    env: &Env,
    id: PartitionId,
    log: &Log,
    config: Config,
    node: NodeId,
    known: Known,
) -> Result<Partition, StoreFault> {
    let settled = chronos_store::settle(env, id, log, &config).await?;
    if settled != Settled::Nothing {
        tracing::warn!(partition = id.get(), ?settled, "finished what was begun before this start");
    }
    let (world, log) = (env.clone(), log.clone());
    env.tasks.blocking(move || open_settled(&world, id, &log, config, node, known)).await
}

fn open_settled(
    env: &Env,
    id: PartitionId,
    log: &Log,
    config: Config,
    node: NodeId,
    known: Known,
) -> Result<Partition, StoreFault> {
    let partition = Partition::open_to(env, id, log.clone(), config, Upto::Committed)?;
    let known = if partition.has_begun_elsewhere() { Known::Nobody } else { known };
    let last = log.state().last.map_or(LogIndex::ZERO, |last| LogIndex::new(last.index));
    let named = partition.last_members_named()?;
    let members = known.or_named(named).map_err(|error| StoreFault::corrupt(id, error.to_string()))?;
    if members.voter_ids().eq([node]) {
        partition.catch_up(last)?;
        log.commit(last.get());
    }
    Ok(partition)
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

/// Lets a group live; however it ends, other than in order, is noted as a fault.
async fn supervise(consensus: Arc<Consensus>, stop: watch::Receiver<bool>, fault: Fault) {
    let mut sentinel = Sentinel { id: consensus.partition.id(), fault, armed: true };
    if let Err(reason) = consensus.live(stop).await {
        sentinel.note(&reason);
    }
    sentinel.armed = false;
}

/// Runs what must not die.
async fn watched(id: PartitionId, runs: impl Future<Output = ()>, fault: Fault) {
    let mut sentinel = Sentinel { id, fault, armed: true };
    runs.await;
    sentinel.armed = false;
}

/// Notices a task that panics.
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
            self.note("one of its tasks died");
        }
    }
}
