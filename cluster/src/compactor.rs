//! Takes cuts into parts, one partition at a time, and lets go of the log behind them.
//!
//! ```text
//!  cuts wait ──► the partition with the most ──► slices, with pauses ──► swap ──► purge of its log
//!  log is long ──► whoever holds the oldest segment is cut ──┘
//! ```
//!
//! Invariants:
//!
//! * the log of a partition is purged up to what a durable manifest has taken in, and no further;
//! * what goes into parts is in this node's own log for good: parts never reach beyond the log they lie on, also where
//!   other nodes' disks were faster;
//! * nothing here delays an append, but for one whose partition has events waiting while more wait on this node than
//!   may ([`Backlog::room`]);
//! * a compaction that fails leaves its partition serving: the log still has everything. On a full disk it is tried
//!   again later; after any other failure of the disk not before the next start; damage closes the partition.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use chronos_domain::PartitionId;
use chronos_env::Env;
use chronos_store::{Compaction, Done, Partition, Setback, Slice};
use chronos_wal::Log;
use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::backlog::Backlog;
use crate::compaction::{CompactionConfig, Counters};
use crate::consensus::Consensus;
use crate::proposal::{Caller, Proposal};
use crate::quarantine::Quarantine;
use crate::rate::Rate;
use crate::request::Request;

pub(crate) const PURGE_BEFORE: &str = "cluster.purge.before";
pub(crate) const PURGE_DONE: &str = "cluster.purge.done";

/// After a refusal for want of space the disk is not asked again for this long.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// A log that has not yet synced what was cut is asked again after this long.
const SYNCED_SOON: Duration = Duration::from_millis(10);
/// A cut that was proposed because the log is long has this long to get there.
const CUT_WITHIN: Duration = Duration::from_secs(5);

/// One partition, as the compactor sees it.
pub(crate) struct Subject {
    pub(crate) id: PartitionId,
    pub(crate) partition: Partition,
    pub(crate) log: Log,
    /// Lets the log go behind the parts.
    pub(crate) consensus: Arc<Consensus>,
    /// Weak, so that the proposer ends when all proposers are gone.
    pub(crate) queue: mpsc::WeakSender<Proposal>,
    pub(crate) quarantine: Arc<Quarantine>,
    pub(crate) reached: watch::Sender<Reached>,
    /// Held while its parts are compacted.
    pub(crate) busy: tokio::sync::Mutex<()>,
}

/// The partitions that are compacted and read for damage; who is repaired leaves and comes back. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Subjects(Arc<RwLock<BTreeMap<PartitionId, Arc<Subject>>>>);

impl Subjects {
    /// Takes in a partition, in the place of an earlier one of its number.
    pub(crate) fn put(&self, subject: &Arc<Subject>) {
        self.0.write().insert(subject.id, Arc::clone(subject));
    }

    pub(crate) fn remove(&self, id: PartitionId) {
        self.0.write().remove(&id);
    }

    pub(crate) fn get(&self, id: PartitionId) -> Option<Arc<Subject>> {
        self.0.read().get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Subject>> {
        self.0.read().values().cloned().collect()
    }
}

/// How far the compaction of a partition has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reached {
    /// The last cut that is in parts and purged from the log.
    pub(crate) cut: u64,
    /// Why there will be no further one before the next start.
    pub(crate) halted: Option<Arc<str>>,
    /// What a full disk said since somebody last asked for compaction.
    pub(crate) full: Option<Arc<str>>,
}

pub(crate) struct Compactor {
    pub(crate) env: Env,
    pub(crate) config: CompactionConfig,
    /// Instead of the configured one: it can be changed.
    pub(crate) rate: Rate,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) subjects: Subjects,
    /// How many wait for compaction to be done now.
    pub(crate) urgent: watch::Receiver<usize>,
    pub(crate) stop: watch::Receiver<bool>,
    /// Set while the disk is full.
    pub(crate) not_before: Option<Duration>,
}

impl Compactor {
    /// Runs until it is told to stop, or nobody is left who could.
    pub(crate) async fn run(mut self) {
        let mut waiting = self.backlog.watch();
        for subject in self.subjects.all() {
            // A crash may have come between the last manifest and the purge.
            subject.consensus.purge(subject.partition.debt().purgeable).await;
            self.backlog.update(&subject.partition);
        }
        while !self.must_stop() {
            // From here on a change wakes up the rest below.
            waiting.borrow_and_update();
            self.urgent.borrow_and_update();
            if self.config.background && self.backlog.log_is_long() {
                self.cut_holders().await;
            }
            match self.next() {
                Some(subject) => self.compact(&subject).await,
                None => self.rest(&mut waiting).await,
            }
        }
    }

    fn must_stop(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    /// Waits for work, or for the disk to be asked again.
    async fn rest(&mut self, waiting: &mut watch::Receiver<crate::backlog::Waiting>) {
        let now = self.env.clock.monotonic();
        let pause = self.not_before.map(|at| at.saturating_sub(now));
        let asked_again = async {
            match pause {
                Some(pause) => self.env.clock.sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased; // whoever wants an end gets it first
            _ = self.stop.changed() => {}
            // The backlog lives in `self`, so only a change ends this wait.
            _ = waiting.changed(), if pause.is_none() => {}
            // Without anybody who could ask, the one who says stop is gone as well.
            _ = self.urgent.changed() => if *self.urgent.borrow() > 0 {
                self.not_before = None;
            },
            () = asked_again => self.not_before = None,
        }
    }

    /// The partition that is compacted next: of those that keep the log long, or else of all, the one with the most.
    fn next(&self) -> Option<Arc<Subject>> {
        let is_full = self.not_before.is_some_and(|at| self.env.clock.monotonic() < at);
        if is_full || !self.config.background && *self.urgent.borrow() == 0 {
            return None;
        }
        let waiting = self.backlog.now();
        let holders = if waiting.log_is_long { self.backlog.gauge().holders() } else { Vec::new() };
        let due = waiting.partitions().filter_map(|(id, held)| {
            let subject = self.subjects.get(id)?;
            let holds = holders.contains(&subject.log.id());
            subject.is_sound().then_some(((holds, held.bytes, held.cuts, Reverse(id)), subject))
        });
        due.max_by_key(|(rank, _)| *rank).map(|(_, subject)| subject)
    }

    /// Cuts the partitions that keep the oldest segment of the log, unless cuts of theirs wait already.
    async fn cut_holders(&self) {
        for log in self.backlog.gauge().holders() {
            let Some(subject) = PartitionId::of_group(log.get()).and_then(|id| self.subjects.get(id)) else {
                continue;
            };
            let debt = subject.partition.debt();
            let holds = subject.partition.applied_index() > debt.purgeable;
            if subject.is_sound() && debt.sealed_generations == 0 && holds {
                chronos_env::sometimes!("compact.long_log_cut");
                self.cut(&subject).await;
            }
        }
    }

    /// Proposes a cut and waits until it is applied. Without an answer there will be another occasion.
    async fn cut(&self, subject: &Subject) {
        let Some(queue) = subject.queue.upgrade() else { return };
        let (caller, answer) = Caller::new(no_room());
        let deadline = self.env.clock.monotonic() + CUT_WITHIN;
        let command = Request::Cut { settle: false }.into_command();
        let proposal = Proposal { command, deadline, caller };
        if queue.try_send(proposal).is_err() {
            return;
        }
        drop(queue);
        let _ = self.env.clock.timeout(CUT_WITHIN, answer).await;
    }

    /// Takes in the oldest cut of a partition.
    async fn compact(&mut self, subject: &Subject) {
        let _busy = subject.busy.lock().await;
        if !subject.is_sound() {
            return;
        }
        self.synced(subject).await;
        let began = self.env.clock.monotonic();
        let Some(mut compaction) = subject.partition.begin_compaction() else {
            return self.note_taken_in(subject);
        };
        loop {
            let slice_began = self.env.clock.monotonic();
            let (stepped, back) = self.step(compaction).await;
            compaction = back;
            match stepped {
                Ok(Slice::More { bytes }) => self.pause(bytes, slice_began).await,
                Ok(Slice::Over(done)) => return self.finish(subject, &done, began).await,
                Err(Setback::Superseded(_)) => {
                    chronos_env::sometimes!("compact.superseded");
                    return self.note_taken_in(subject);
                }
                Err(setback) => return self.set_back(subject, &setback),
            }
            if self.must_stop() || !subject.is_sound() {
                chronos_env::sometimes!("compact.abandoned");
                return self.env.tasks.blocking(move || compaction.abandon()).await;
            }
        }
    }

    /// Waits until the log has the oldest cut on disk; alone it always has. Where it has no room for it, the cut goes, and
    /// comes again ([`Consensus`]).
    async fn synced(&self, subject: &Subject) {
        let is_ahead = || {
            let cut = subject.partition.oldest_cut();
            cut.is_some_and(|cut| cut.get() > subject.log.state().flushed)
        };
        while is_ahead() && !self.must_stop() && subject.is_sound() {
            self.env.clock.sleep(SYNCED_SOON).await;
        }
    }

    /// A panic inside ends the compaction of the partition and nothing else: everything is in the log, and the node
    /// would only run into it again after a restart.
    async fn step(&self, mut compaction: Compaction) -> (Result<Slice, Setback>, Compaction) {
        let step = move || {
            let stepped = catch_unwind(AssertUnwindSafe(|| compaction.step()));
            let stepped = stepped.unwrap_or_else(|_| {
                let what = "compaction panicked; see the standard error of this process".to_owned();
                Err(Setback::Failed(chronos_store::Fault::Stopped(what)))
            });
            (stepped, compaction)
        };
        self.env.tasks.blocking(step).await
    }

    /// Waits as long as a slice of so many bytes should have taken, unless something presses.
    async fn pause(&mut self, bytes: u64, began: Duration) {
        if *self.urgent.borrow() > 0 || self.backlog.presses() || self.backlog.log_is_long() {
            return;
        }
        let due = Duration::from_secs_f64(bytes as f64 / self.rate.get() as f64);
        let left = (began + due).saturating_sub(self.env.clock.monotonic());
        tokio::select! {
            biased; // whoever wants an end gets it first
            _ = self.stop.changed() => {}
            () = self.env.clock.sleep(left) => {}
        }
    }

    async fn finish(&mut self, subject: &Subject, done: &Done, began: Duration) {
        let took = self.env.clock.monotonic().saturating_sub(began);
        self.counters.done(done, took);
        chronos_env::sometimes!("compact.parts_merged", done.merged > 0);
        // Whoever waits for room need not wait for the purge.
        self.backlog.update(&subject.partition);
        self.env.crash.hit(PURGE_BEFORE);
        subject.consensus.purge(done.purge_to).await;
        self.env.crash.hit(PURGE_DONE);
        self.backlog.update(&subject.partition);
        subject.reached.send_modify(|reached| reached.cut = done.cut);
        let (partition, cut, took_ms) = (subject.id.get(), done.cut, took.as_millis());
        let Done { events, merged, erased, bytes_in, bytes_out, .. } = *done;
        tracing::debug!(
            partition,
            cut,
            events,
            merged,
            erased,
            bytes_in,
            bytes_out,
            took_ms,
            "cut compacted"
        );
    }

    /// There is nothing to take in, or no longer: a follower may have got parts that go further.
    fn note_taken_in(&self, subject: &Subject) {
        self.backlog.update(&subject.partition);
        let cut = subject.partition.taken_in();
        subject.reached.send_if_modified(|reached| std::mem::replace(&mut reached.cut, cut) != cut);
    }

    fn set_back(&mut self, subject: &Subject, setback: &Setback) {
        let (partition, reason) = (subject.id.get(), Arc::<str>::from(setback.to_string()));
        self.counters.set_back(reason.clone());
        match setback {
            Setback::NoSpace(_) => {
                chronos_env::sometimes!("compact.disk_full");
                self.not_before = Some(self.env.clock.monotonic() + ASK_AGAIN);
                self.tell_full(&reason);
                tracing::warn!(partition, %reason, "compaction waits for space: the disk is full");
            }
            Setback::Failed(_) => {
                chronos_env::sometimes!("compact.halted");
                tracing::error!(partition, %reason, "compaction of this partition stops until the next start");
                self.halt(subject, reason);
            }
            Setback::Superseded(_) => {}
            Setback::Damaged(_) => {
                chronos_env::sometimes!("compact.found_damage");
                subject.quarantine.set(&reason);
                self.halt(subject, reason);
            }
        }
        self.backlog.update(&subject.partition);
    }

    /// Tells whoever waits for compaction, of any partition, that the disk is full.
    fn tell_full(&self, reason: &Arc<str>) {
        for subject in self.subjects.all() {
            subject.reached.send_modify(|reached| reached.full = Some(Arc::clone(reason)));
        }
    }

    fn halt(&self, subject: &Subject, reason: Arc<str>) {
        self.counters.halted(subject.id);
        subject.reached.send_modify(|reached| reached.halted = Some(reason));
    }
}

impl Subject {
    /// What the disk said is old news.
    pub(crate) fn forget_full(&self) {
        self.reached.send_if_modified(|reached| reached.full.take().is_some());
    }

    fn is_sound(&self) -> bool {
        self.reached.borrow().halted.is_none() && self.quarantine.get().is_none()
    }
}

/// A command without a block takes no memory worth counting.
pub(crate) fn no_room() -> OwnedSemaphorePermit {
    let empty = Arc::new(Semaphore::new(0));
    empty.try_acquire_many_owned(0).expect("nothing was asked for")
}
