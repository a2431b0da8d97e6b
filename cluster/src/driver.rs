//! The driver of one group: proposals in, log entries out, outcomes back.
//!
//! ```text
//! proposals ─► coalesce ─► log.append ─► (group commit, fdatasync) ─► apply ─► answers
//!              one entry    up to IN_FLIGHT_MAX entries at once        in log order
//! ```
//!
//! Everything that waits when the driver looks becomes one entry, so the entry grows with the load and no
//! timer delays a lone command.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chronos_domain::{LogIndex, Timestamp};
use chronos_env::Env;
use chronos_store::{Command, Partition, entry};
use chronos_wal::{Entry, Fault, Log};
use tokio::sync::{mpsc, watch};

use crate::backlog::Backlog;
use crate::proposal::{Proposal, ProposeError};

/// Entries of one group between append and apply: enough to write the next while the last one syncs.
const IN_FLIGHT_MAX: usize = 4;
/// Block bytes coalesced into one entry, unless a single command is larger.
const ENTRY_BYTES_MAX: usize = 1 << 20;
/// Commands coalesced into one entry.
const ENTRY_COMMANDS_MAX: usize = 1024;
/// A quorum of one never changes leaders.
const TERM: u64 = 1;

type Synced = Result<(), Fault>;

/// How many entries a driver has begun, and how many of them are applied or certainly dropped.
pub(crate) struct Progress {
    begun: AtomicU64,
    settled: watch::Sender<u64>,
}

impl Progress {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { begun: AtomicU64::new(0), settled: watch::Sender::new(0) })
    }

    /// Returns once every entry that was begun before the call is settled.
    ///
    /// An entry is begun before its time is read from the clock, so afterwards no event can appear that carries
    /// a time before the call.
    pub(crate) async fn settle(&self) {
        let begun = self.begun.load(Ordering::SeqCst);
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.settled.subscribe().wait_for(|settled| *settled >= begun).await;
    }
}

pub(crate) struct Driver {
    env: Env,
    log: Log,
    partition: Partition,
    proposals: mpsc::Receiver<Proposal>,
    in_flight: VecDeque<InFlight>,
    progress: Arc<Progress>,
    backlog: Arc<Backlog>,
    synced_tx: mpsc::UnboundedSender<Synced>,
    synced_rx: mpsc::UnboundedReceiver<Synced>,
    next: u64,
    recorded_at: Timestamp,
    /// Set by a log without space: nothing is appended until what was in flight has failed too.
    draining: bool,
}

/// An entry handed to the log, and who waits for it.
struct InFlight {
    index: u64,
    proposals: Vec<Proposal>,
}

impl Driver {
    pub(crate) fn new(
        env: Env,
        log: Log,
        partition: Partition,
        proposals: mpsc::Receiver<Proposal>,
        progress: Arc<Progress>,
        backlog: Arc<Backlog>,
    ) -> Self {
        let (synced_tx, synced_rx) = mpsc::unbounded_channel();
        let next = partition.applied_index().get() + 1;
        let recorded_at = partition.recorded_at();
        let in_flight = VecDeque::new();
        Self {
            env,
            log,
            partition,
            proposals,
            in_flight,
            progress,
            backlog,
            synced_tx,
            synced_rx,
            next,
            recorded_at,
            draining: false,
        }
    }

    /// Runs until the proposers are gone and everything in flight is answered, or the group fails for good: then
    /// the error is why.
    pub(crate) async fn run(mut self) -> Result<(), String> {
        let mut open = true;
        while open || !self.in_flight.is_empty() {
            let may_append = open && !self.draining && self.in_flight.len() < IN_FLIGHT_MAX;
            tokio::select! {
                biased; // finish what is in flight before taking more
                Some(synced) = self.synced_rx.recv() => {
                    if let Err(reason) = self.finish(synced) {
                        self.fail(&reason);
                        return Err(reason);
                    }
                }
                proposal = self.proposals.recv(), if may_append => match proposal {
                    Some(first) => self.append(first),
                    None => open = false,
                },
            }
        }
        Ok(())
    }

    /// Coalesces `first` with everything that waits and hands it to the log as one entry.
    fn append(&mut self, first: Proposal) {
        let mut proposals = self.take_waiting(first);
        if proposals.is_empty() {
            return;
        }
        self.progress.begun.fetch_add(1, Ordering::SeqCst);
        self.recorded_at = self.recorded_at.max(Timestamp::new(self.env.clock.wall_micros()));
        for proposal in &mut proposals {
            proposal.command.stamp(self.recorded_at);
        }
        let commands: Vec<&Command> = proposals.iter().map(|proposal| &proposal.command).collect();
        let payload = entry::encode(&commands, self.partition.head());
        let entry = Entry { index: self.next, term: TERM, payload };
        let synced = self.synced_tx.clone();
        self.in_flight.push_back(InFlight { index: self.next, proposals });
        self.next += 1;
        // The receiver lives as long as the driver; after that nobody needs the news.
        self.log.append(vec![entry], Box::new(move |result| drop(synced.send(result))));
    }

    /// `first` and what else waits, within the bounds of one entry, less what is past its deadline.
    fn take_waiting(&mut self, first: Proposal) -> Vec<Proposal> {
        let now = self.env.clock.monotonic();
        let mut taken = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(proposal) = next {
            if proposal.deadline <= now {
                proposal.answer(Err(ProposeError::DeadlinePassed));
            } else {
                bytes += proposal.command.len();
                taken.push(proposal);
            }
            let full = bytes >= ENTRY_BYTES_MAX || taken.len() >= ENTRY_COMMANDS_MAX;
            next = if full { None } else { self.proposals.try_recv().ok() };
        }
        taken
    }

    /// The oldest entry in flight has been synced, or will never be. `Err` is the reason to stop for good.
    fn finish(&mut self, synced: Synced) -> Result<(), String> {
        let entry = self.in_flight.pop_front().expect("a completion fires once for each entry, in order");
        let finished = match synced {
            Ok(()) => self.apply(entry),
            Err(Fault::NoSpace) => {
                self.refuse(entry, &ProposeError::NoSpace);
                Ok(())
            }
            Err(fault) => {
                let reason = format!("the log stopped: {fault}");
                self.refuse(entry, &ProposeError::Unknown(reason.as_str().into()));
                Err(reason)
            }
        };
        self.progress.settled.send_modify(|settled| *settled += 1);
        finished
    }

    fn apply(&mut self, entry: InFlight) -> Result<(), String> {
        let commands: Vec<&Command> = entry.proposals.iter().map(|proposal| &proposal.command).collect();
        match self.partition.apply(LogIndex::new(entry.index), &commands) {
            Ok(outcomes) => {
                self.log.commit(entry.index);
                self.backlog.update(&self.partition);
                for (proposal, outcome) in entry.proposals.into_iter().zip(outcomes) {
                    proposal.answer(Ok(outcome));
                }
                Ok(())
            }
            Err(fault) => {
                let reason = format!("apply failed: {fault}");
                self.refuse(entry, &ProposeError::Unknown(reason.as_str().into()));
                Err(reason)
            }
        }
    }

    /// The log took nothing of this entry. All later ones in flight fail the same way before a new one may
    /// be appended under this index.
    fn refuse(&mut self, entry: InFlight, error: &ProposeError) {
        self.draining = !self.in_flight.is_empty();
        if !self.draining {
            self.next = self.log.state().last.map_or(0, |last| last.index) + 1;
        }
        for proposal in entry.proposals {
            proposal.answer(Err(error.clone()));
        }
    }

    /// Answers everybody and stops: what reached the log is unknown, what only waited is certainly not done.
    fn fail(mut self, reason: &str) {
        tracing::error!(partition = self.partition.id().get(), reason, "group stopped");
        for entry in std::mem::take(&mut self.in_flight) {
            for proposal in entry.proposals {
                proposal.answer(Err(ProposeError::Unknown(reason.into())));
            }
        }
        self.progress.settled.send_replace(u64::MAX);
        self.proposals.close();
        while let Ok(proposal) = self.proposals.try_recv() {
            proposal.answer(Err(ProposeError::Unavailable(reason.into())));
        }
    }
}
