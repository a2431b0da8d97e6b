//! All groups of a node.

mod care;
mod loans;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use chronos_domain::{PartitionId, Timestamp};
use chronos_env::{Env, Task};
use chronos_store::entry::Outcome;
use chronos_store::{Leftovers, Partition, Shelf};
use chronos_wal::{Log, LogId, Mark, Wal};
use futures::future::join_all;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Semaphore, mpsc};

use crate::backlog::Backlog;
use crate::clocks::Clocks;
use crate::compacting::Compacting;
use crate::compaction::{CompactionConfig, CompactionStats};
use crate::compactor::Subjects;
use crate::consensus::{Common, Phase};
use crate::freshness::{ReadError, Readers};
use crate::group::{self, Fault, Group};
use crate::node::NodeId;
use crate::peer::{Handler, Link, Peers};
use crate::proposal::{Caller, Proposal, ProposeError};
use crate::quarantine;
use crate::raft::{Alone, BEAT, Beat, Known, Post, Transfers};
use crate::repair::{Ballots, Repairs, Withheld, ballot};
use crate::request::Request;
use crate::scrubber::{ScrubConfig, Scrubber};
use crate::wish::CompactError;

pub(crate) use care::WeakGroups;
use loans::Loans;

/// Entries that stay in each log unless somebody says otherwise.
const ENTRIES_KEPT: u64 = 4096;

/// Bounds of a node's groups.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which node this is.
    pub node: NodeId,
    /// Block bytes of all commands that wait or are in flight on this node; proposers wait for room.
    pub in_flight_bytes_max: u32,
    /// Entries that stay in each log though parts have taken them in, where there are other nodes: a follower that is no
    /// further behind is sent entries, others parts.
    pub entries_kept: u64,
    /// From one moment to the next at which the groups look at their clocks: heartbeats and elections are so many of these
    /// long ([`BEAT`](crate::BEAT): a dead leader is missed after 1.3 to 1.8 seconds). Whole milliseconds, 50 to 1,000;
    /// the same on all nodes of a cluster.
    pub beat: Duration,
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
        Self {
            node: NodeId::FIRST,
            in_flight_bytes_max: 256 << 20,
            entries_kept: ENTRIES_KEPT,
            beat: BEAT,
            store,
            compaction,
            scrub,
        }
    }
}

/// The other nodes, as the groups of one need to know them.
pub struct Among {
    /// The way to them.
    pub link: Arc<dyn Link>,
    /// Whether groups of which nothing says who belongs to them begin on this node, with it as their only member. On
    /// any other node they wait until they hear from one that has them.
    pub founder: bool,
    /// Where parts come from when this node is too far behind for entries; `None` in a world without files.
    pub peers: Option<Peers>,
}

/// Why a replica was not discarded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the replica of partition {id} was not discarded: {why}")]
pub struct ResetError {
    /// Which partition.
    pub id: PartitionId,
    /// What stood in the way.
    pub why: String,
}

/// Why a group that was started is refused since, if it is.
type Refusal = Option<Arc<str>>;

/// A group, or why this node does not have it.
type Held = Result<Arc<Group>, Arc<str>>;

/// The groups of this node, one for each data partition and one for the system partition. Cheap to clone.
#[derive(Clone)]
pub struct Groups {
    inner: Arc<Inner>,
}

struct Inner {
    env: Env,
    slots: Vec<RwLock<Held>>,
    room: Arc<Semaphore>,
    room_max: u32,
    compacting: Compacting,
    scrubber: Scrubber,
    fault: Fault,
    lanes: u8,
    common: Common,
    subjects: Subjects,
    store: chronos_store::Config,
    logs: Vec<Log>,
    repairs: Arc<Repairs>,
    loans: Arc<Loans>,
    /// Watches the disk.
    watch: Mutex<Option<Task<()>>>,
    /// Opens what could not be read at the start.
    unread: Mutex<Option<Task<()>>>,
}

/// Why a partition was not opened.
enum Unopened {
    /// Its votes are withheld: it was being repaired when the node ended.
    Withheld,
    /// It is to be left as it is.
    Diverged(Withheld),
    Fault(chronos_store::Fault),
}

impl Unopened {
    /// Nothing is known to be damaged: the system would not read it.
    fn is_unread(&self) -> bool {
        matches!(self, Unopened::Fault(chronos_store::Fault::Io { .. }))
    }
}

/// Opens a partition, unless it was being repaired.
async fn open(
    env: &Env,
    id: PartitionId,
    log: &Log,
    store: chronos_store::Config,
    node: NodeId,
    known: Known,
    ballots: &Ballots,
) -> Result<Partition, Unopened> {
    if let Some(damage) = log.damage() {
        // Nothing it says of what its parts should be can be relied on.
        return Err(Unopened::Fault(chronos_store::Fault::corrupt(id, damage)));
    }
    match ballot::withheld(env, store.dir.clone()).await {
        Ok(Some(Withheld::Damaged | Withheld::CatchingUp { .. })) => Err(Unopened::Withheld),
        Ok(Some(diverged @ Withheld::Diverged { .. })) => Err(Unopened::Diverged(diverged)),
        Ok(withheld) => {
            if let Some(Withheld::Discarded { reach }) = withheld {
                ballots.withhold_until(id, reach);
            }
            group::open(env, id, log, store, node, known).await.map_err(Unopened::Fault)
        }
        Err(error) => {
            Err(Unopened::Fault(chronos_store::Fault::Io { partition: id, source: Arc::new(error) }))
        }
    }
}

impl Groups {
    /// Recovers every partition from its parts and `wal`, side by side, and starts its group; then starts to compact.
    /// Groups in which nobody else has a say take commands when it returns.
    ///
    /// A partition that cannot be recovered is refused, with the reason, while the others serve.
    pub async fn start(env: &Env, wal: &Wal, config: &Config) -> Self {
        let alone = Among { link: Arc::new(Alone), founder: true, peers: None };
        Self::begin(env, wal, config, alone, true).await
    }

    /// As [`Groups::start`], of a node that has others beside it. Messages that come from them go to
    /// [`Groups::handler`]. A group takes commands when it returns; whether this node leads it shows when it is asked.
    pub async fn start_among(env: &Env, wal: &Wal, config: &Config, among: Among) -> Self {
        Self::begin(env, wal, config, among, false).await
    }

    async fn begin(env: &Env, wal: &Wal, config: &Config, among: Among, alone: bool) -> Self {
        let known = if among.founder { Known::Founder(config.node) } else { Known::Nobody };
        let ballots = Ballots::default();
        let opening = every_group().map(|id| {
            let (world, log, store) = (env.clone(), wal.log(LogId::new(id.get())), config.store.of(id));
            let (node, ballots) = (config.node, ballots.clone());
            async move {
                let opened = open(&world, id, &log, store, node, known, &ballots).await;
                (log, opened)
            }
        });
        let opened = join_all(opening).await;
        let backlog = Arc::new(Backlog::new(config.compaction.clone(), wal.gauge()));
        let (alarm, alarms) = mpsc::unbounded_channel();
        let common = Common {
            env: env.clone(),
            node: config.node,
            clocks: Arc::new(Clocks::new(&env.clock, config.node)),
            beat: Beat::of(config.node, config.beat),
            cluster: config.store.cluster,
            link: among.link,
            known,
            alone,
            post: Post::default(),
            backlog: Arc::clone(&backlog),
            transfers: Transfers::new(&env.clock, among.peers),
            entries_kept: config.entries_kept,
            ballots,
            alarm,
        };
        let (fault, subjects, repairs) = (Fault::default(), Subjects::default(), Arc::new(Repairs::new()));
        let (mut wards, mut unread) = (Vec::new(), Vec::new());
        let start =
            |(id, (log, partition)): (PartitionId, (Log, Result<Partition, Unopened>))| match partition {
                Ok(partition) => Ok(Arc::new(Group::start(&common, log, partition, &fault))),
                Err(why) => {
                    unread.extend(why.is_unread().then_some(id));
                    let (told, ward) = refusal(id, why);
                    wards.extend(ward.map(|why| (id, why)));
                    Err(told)
                }
            };
        let groups: Vec<Held> = every_group().zip(opened).map(start).collect();
        join_all(groups.iter().flatten().map(|group| group.consensus.phase())).await;
        groups.iter().flatten().for_each(|group| subjects.put(&group.subject));
        let room_max = config.in_flight_bytes_max;
        let inner = Inner {
            env: env.clone(),
            slots: groups.into_iter().map(RwLock::new).collect(),
            room: Arc::new(Semaphore::new(room_max as usize)),
            room_max,
            scrubber: Scrubber::start(env, &config.scrub, subjects.clone()),
            compacting: Compacting::start(env, &config.compaction, backlog, subjects.clone()),
            fault,
            lanes: wal.lanes(),
            common,
            subjects,
            store: config.store.clone(),
            logs: every_group().map(|id| wal.log(LogId::new(id.get()))).collect(),
            repairs,
            loans: Loans::new(env.clock.clone()),
            watch: Mutex::default(),
            unread: Mutex::default(),
        };
        let groups = Self { inner: Arc::new(inner) };
        if !alone {
            groups.begin_repair(alarms, wards);
        }
        if !unread.is_empty() {
            let again = unread::open_again(groups.downgrade(), unread);
            *groups.inner.unread.lock() = Some(env.tasks.spawn("unread partitions", again));
        }
        groups
    }

    /// The partition's readable state, or why this node does not serve it.
    ///
    /// # Errors
    /// The reason this partition was refused at start.
    pub fn partition(&self, id: PartitionId) -> Result<Partition, Arc<str>> {
        self.group(id).map(|group| group.subject.partition.clone())
    }

    /// Whether the log of the partition on this node has no room, so that it takes nothing in.
    pub fn is_full(&self, id: PartitionId) -> bool {
        self.group(id).is_ok_and(|group| matches!(group.consensus.phase_now(), Phase::Full))
    }

    /// What time it is, as far as this node may say: what its wall clock says, but not much later than what a majority's
    /// clocks say. What this node writes now carries this time, or that of what was written before where that is later.
    pub fn now(&self) -> Timestamp {
        self.inner.common.clocks.now()
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
            let room =
                self.inner.env.clock.timeout(self.left(deadline)?, self.inner.compacting.backlog().room(id));
            room.await.map_err(|_| ProposeError::Behind)?;
        }
        let bytes = u32::try_from(request.bytes()).unwrap_or(u32::MAX).min(self.inner.room_max);
        let enqueue = async {
            let room = self.inner.room.clone().acquire_many_owned(bytes).await.map_err(|_| stopping())?;
            let (caller, answer) = Caller::new(room);
            let proposal = Proposal { command: request.into_command(), deadline, caller };
            group.queue().ok_or_else(stopping)?.send(proposal).await.map_err(|_| stopped(id))?;
            Ok(answer)
        };
        let left = self.left(deadline)?;
        let enqueued = self.inner.env.clock.timeout(left, enqueue).await;
        let answer = enqueued.map_err(|_| ProposeError::DeadlinePassed)??;
        // Once in the queue the proposer answers; the caller's own deadline is the edge's concern.
        answer.await.unwrap_or_else(|_| Err(ProposeError::Unknown("the partition's proposer stopped".into())))
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
        // Perhaps there is space by now: what the disk said before is not held against this call.
        ids.iter().filter_map(|id| self.group(*id).ok()).for_each(|group| group.subject.forget_full());
        let _hurry = self.inner.compacting.hurry();
        let compacting = ids.iter().map(|id| self.compact_one(*id, deadline));
        join_all(compacting).await.into_iter().collect()
    }

    async fn compact_one(&self, id: PartitionId, deadline: Duration) -> Result<(), CompactError> {
        let group = self.group(id).map_err(CompactError::Refused)?;
        let subject = &group.subject;
        if subject.partition.debt().uncut_entries > 0 {
            group.freshness.cut(deadline).await.map_err(|error| CompactError::NotCut { id, error })?;
        }
        self.inner.compacting.finished(subject, deadline).await
    }

    /// How many bytes of events compaction goes through in a second while nothing presses, from its next slice on.
    pub fn set_compaction_rate(&self, bytes_per_second: u64) {
        self.inner.compacting.set_rate(bytes_per_second);
    }

    /// What compaction has done since the start, and what it has before it.
    pub fn compaction_stats(&self) -> CompactionStats {
        self.inner.compacting.stats()
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
        if let Some(group) = self.held(id).and_then(Result::ok) {
            group.subject.quarantine.set(reason);
        }
    }

    /// Returns once everything that was acknowledged before the call, by whichever node, is applied here. Asks the
    /// leader where this node is not it; costs nothing where there is no other node. Waits, also for a leader to be
    /// elected, at most until `deadline` (since the start of `env`'s clock). Gives back the entry up to which that is so:
    /// whoever reads afterwards has to see that the replica is still that far, because it may be discarded in between.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn linearize(&self, id: PartitionId, deadline: Duration) -> Result<Mark, ReadError> {
        self.group(id).map_err(ReadError::Refused)?.freshness.linearize(deadline).await
    }

    /// Returns once no event can be recorded at `t` or before any more, by whichever node, and all that was is applied here:
    /// the past up to `t` is then the same for ever, on every replica. `t` must have passed. Costs nothing where something
    /// later is recorded; otherwise one small entry, which all who ask at the same time share. Waits at most until
    /// `deadline` (since the start of `env`'s clock). Gives back the entry up to which that is so.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn pass(&self, id: PartitionId, t: Timestamp, deadline: Duration) -> Result<Mark, ReadError> {
        self.group(id).map_err(ReadError::Refused)?.freshness.pass(t, deadline).await
    }

    /// Returns once everything that is applied by then, on whichever node, belongs to a generation that has ended here,
    /// so that it is going to be compacted.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn cut(&self, id: PartitionId, deadline: Duration) -> Result<(), ReadError> {
        self.group(id).map_err(ReadError::Refused)?.freshness.cut(deadline).await
    }

    /// Returns once an entry that was applied somewhere, or one of a later term, is applied here. Waits at most until
    /// `deadline` (since the start of `env`'s clock).
    ///
    /// # Errors
    /// See [`ReadError`]; that what is applied here is of another history, at once.
    pub async fn reach(&self, id: PartitionId, last: Mark, deadline: Duration) -> Result<(), ReadError> {
        self.group(id).map_err(ReadError::Refused)?.freshness.reach(last, deadline).await
    }

    /// The entry by which this node is a member of a partition's group, going by what it has applied and serves; `None`
    /// when it is none. Of a member that no entry names, the beginning.
    pub(crate) fn named_member(&self, id: PartitionId) -> Option<Mark> {
        self.group(id).ok()?.consensus.named_member()
    }

    /// Whether the replica here is at least as far as it ever told anybody, also before this process began: one that is not
    /// serves nobody yet.
    pub fn is_caught_up(&self, id: PartitionId) -> bool {
        self.group(id).is_ok_and(|group| group.consensus.is_caught_up())
    }

    /// Answers what other nodes ask about how fresh reads are.
    pub(crate) fn readers(&self) -> Arc<dyn Handler> {
        Arc::new(Readers(self.clone()))
    }

    /// Returns once every command that carries a time before the call is applied here or certainly dropped, so
    /// that what was recorded up to now no longer changes.
    ///
    /// # Errors
    /// When this node does not serve the partition.
    pub async fn settle(&self, id: PartitionId) -> Result<(), ProposeError> {
        self.group(id).map_err(ProposeError::Unavailable)?.consensus.flight.settle().await;
        Ok(())
    }

    /// Discards everything that this node's replica of a partition holds: its parts and every entry of its log; the vote
    /// stays. The group then starts with nothing, as that of a node that was never a member, and gets everything from its
    /// leader, if that still counts it among the members: parts first, of which those that are left over and still sound
    /// are not sent again (with [`Leftovers::Reuse`]), then entries. It never begins the partition's history by itself
    /// any more, also on the founder.
    ///
    /// When this returns everything is discarded, for good. A crash before leaves the replica as it was or discards it at
    /// the next start; there is nothing in between. What was proposed and not answered is answered as unknown, and
    /// readers of this replica find nothing: whoever asks for this sees to it that nobody is served by it meanwhile. The
    /// replica grants no vote and asks for none before it has applied everything again that its log held: its vote for
    /// entries that are gone has counted.
    ///
    /// For a partition that was refused at the start there is [`chronos_store::reset`].
    ///
    /// # Errors
    /// When this node does not serve the partition, or it ends meanwhile.
    pub async fn reset(&self, id: PartitionId, leftovers: Leftovers) -> Result<(), ResetError> {
        let refused = |why: String| ResetError { id, why };
        let group = self.held(id).ok_or_else(|| refused("this node has no such group".to_owned()))?;
        let group = group.map_err(|why| refused(why.to_string()))?;
        group.consensus.reset(leftovers).await.map_err(refused)
    }

    /// Stops compacting and taking proposals, lets the groups finish what is in flight, and waits for them.
    pub async fn stop(&self) {
        self.inner.scrubber.stop().await;
        self.inner.compacting.stop().await;
        self.inner.watch.lock().take().inspect(Task::abort);
        let unread = self.inner.unread.lock().take();
        if let Some(unread) = unread {
            unread.abort();
            // It was aborted, which is no news; it puts no group into service any more once this returns.
            let _ = unread.await;
        }
        self.inner.loans.end();
        let withheld = self.inner.repairs.stop().await;
        let served = self.inner.slots.iter().filter_map(|slot| slot.read().clone().ok());
        let groups: Vec<_> = served.chain(withheld).collect();
        groups.iter().for_each(|group| group.close());
        join_all(groups.iter().map(|group| group.stop())).await;
    }

    pub(crate) fn clocks(&self) -> &Arc<Clocks> {
        &self.inner.common.clocks
    }

    pub(crate) fn post(&self) -> &Post {
        &self.inner.common.post
    }

    /// The parts of a partition that others may ask for: those it has, whether it serves or not, and those that were
    /// offered or lent. None of its own when it was refused at start.
    pub(crate) fn shelves(&self, id: PartitionId) -> Vec<Arc<Shelf>> {
        let group = self.held(id).and_then(Result::ok);
        let own = group.map(|group| group.subject.partition.shelf());
        let offered = self.inner.common.transfers.offers.shelves(id.get());
        own.into_iter().chain(offered).chain(self.inner.loans.shelves(id)).collect()
    }

    pub(crate) fn scrubber(&self) -> &Scrubber {
        &self.inner.scrubber
    }

    /// A group that serves.
    pub(crate) fn group(&self, id: PartitionId) -> Result<Arc<Group>, Arc<str>> {
        let (group, quarantined) = self.any_group(id)?;
        quarantined.map_or(Ok(group), Err)
    }

    /// A group that was started, and why it is refused since, if it is.
    pub(crate) fn any_group(&self, id: PartitionId) -> Result<(Arc<Group>, Refusal), Arc<str>> {
        let group = self.held(id).ok_or_else(|| Arc::from(format!("there is no partition {id}")))?;
        let group = group.map_err(|why| self.inner.repairs.refusal(id).unwrap_or(why))?;
        let quarantined = group.subject.quarantine.get().cloned();
        Ok((group, quarantined))
    }

    fn held(&self, id: PartitionId) -> Option<Held> {
        self.inner.slots.get(id.index()).map(|slot| slot.read().clone())
    }

    /// Lanes of the write-ahead log below.
    pub(crate) fn lanes(&self) -> u8 {
        self.inner.lanes
    }
}

/// The data partitions in order, then the system partition: each at the place of its number.
pub(crate) fn every_group() -> impl Iterator<Item = PartitionId> + Clone {
    PartitionId::all().chain([PartitionId::SYSTEM])
}

/// Says why a partition is not served, and, where that is for the repair to look after, what it is told.
fn refusal(id: PartitionId, why: Unopened) -> (Arc<str>, Option<Arc<str>>) {
    let is_unread = why.is_unread();
    let is_ward =
        !matches!(&why, Unopened::Fault(fault) if !matches!(fault, chronos_store::Fault::Corrupt(_)));
    let why = match why {
        Unopened::Fault(fault) if is_unread => format!("{fault}; it is tried again every few seconds"),
        Unopened::Fault(fault) => fault.to_string(),
        Unopened::Diverged(diverged) => quarantine::told(diverged),
        Unopened::Withheld => {
            "its log was damaged, and its repair from other nodes had not come to its end; start the node among them"
                .to_owned()
        }
    };
    tracing::error!(partition = id.get(), why, "partition refused");
    let told = Arc::from(format!("partition {id} is refused on this node: {why}"));
    (told, is_ward.then(|| Arc::from(why)))
}

fn stopping() -> ProposeError {
    ProposeError::Unavailable("this node is shutting down; retry on another or later".into())
}

fn stopped(id: PartitionId) -> ProposeError {
    ProposeError::Unavailable(Arc::from(format!(
        "partition {id} has stopped after a fault; see the node's log"
    )))
}
