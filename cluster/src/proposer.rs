//! The proposer of one group: commands in, entries out.
//!
//! ```text
//! commands ─► coalesce ─► stamp, encode ─► openraft ─► (log, quorum, apply) ─► answers
//!             one entry    up to IN_FLIGHT_MAX entries at once                in log order
//! ```
//!
//! Everything that waits when the proposer looks becomes one entry, so the entry grows with the load and no timer delays
//! a lone command. While the log is full every command is refused at once; while the group is being started commands
//! wait.

use std::sync::Arc;

use chronos_bugs::{Bug, is_seeded};
use chronos_domain::Timestamp;
use chronos_store::Command;
use chronos_store::entry::{self, Outcome};
use tokio::sync::mpsc;

use crate::consensus::{Consensus, Phase};
use crate::flight::Ticket;
use crate::proposal::{Caller, Proposal, ProposeError};
use crate::raft::{Answer, Batch, Raft, outcome_of};

/// Entries of one group between proposal and answer, of a node that is alone: enough to write the next while the last
/// one syncs.
const IN_FLIGHT_MAX: usize = 4;
/// The same where there are other nodes: an entry costs each of them much more than a command in it, so it is better to
/// let some wait and to write them as one.
const IN_FLIGHT_AMONG_MAX: usize = 2;
/// Block bytes coalesced into one entry, unless a single command is larger.
const ENTRY_BYTES_MAX: usize = 1 << 20;
/// Commands coalesced into one entry.
const ENTRY_COMMANDS_MAX: usize = 1024;

pub(crate) struct Proposer {
    consensus: Arc<Consensus>,
    proposals: mpsc::Receiver<Proposal>,
    recorded_at: Timestamp,
}

impl Proposer {
    pub(crate) fn new(consensus: Arc<Consensus>, proposals: mpsc::Receiver<Proposal>) -> Proposer {
        Proposer { consensus, proposals, recorded_at: Timestamp::MIN }
    }

    /// Runs until those who could propose are gone and everything is answered.
    pub(crate) async fn run(mut self) {
        loop {
            self.consensus.flight.fewer_than(self.in_flight_max()).await;
            let Some(first) = self.proposals.recv().await else { break };
            if !self.consensus.common.alone {
                // Whoever else has something to propose at this moment has the time to say so. It is not waited for:
                // when nobody has, this takes no time.
                tokio::task::yield_now().await;
            }
            match self.consensus.phase().await {
                Phase::Serving(running) => self.propose(first, &running.raft).await,
                Phase::Full => first.caller.answer(Err(self.no_space())),
                Phase::Ended(reason) => first.caller.answer(Err(ProposeError::Unavailable(reason))),
                Phase::Starting => unreachable!("it was waited for"),
            }
        }
        self.consensus.flight.fewer_than(1).await;
    }

    fn in_flight_max(&self) -> usize {
        if self.consensus.common.alone { IN_FLIGHT_MAX } else { IN_FLIGHT_AMONG_MAX }
    }

    /// Coalesces `first` with everything that waits and proposes it as one entry.
    async fn propose(&mut self, first: Proposal, raft: &Raft) {
        let (mut commands, callers) = self.take_waiting(first);
        if commands.is_empty() {
            return;
        }
        let consensus = Arc::clone(&self.consensus);
        let ticket = consensus.flight.begin(callers);
        self.stamp(&mut commands);
        let payload = entry::encode(&commands, consensus.partition.head());
        let batch = Batch { payload, commands: Some(commands.into()) };
        let landing = Arc::clone(&consensus);
        let answer = Answer::new(move |result| landing.flight.land(ticket, outcome_of(result)));
        if raft.client_write_ff(batch, Some(answer)).await.is_err() {
            self.not_taken(ticket);
        }
    }

    /// Time never goes back: not behind what was stamped before, nor behind what another leader has recorded. That is for
    /// good, and why a clock that is ahead is not believed: see [`crate::clocks`].
    fn stamp(&mut self, commands: &mut [Command]) {
        let now = self.consensus.common.clocks.now();
        chronos_env::sometimes!(
            "clock.leader_behind_its_stamps",
            now < self.consensus.partition.recorded_at()
        );
        self.recorded_at = self.recorded_at.max(now).max(self.consensus.partition.recorded_at());
        commands.iter_mut().for_each(|command| command.stamp(self.recorded_at));
    }

    /// The group ended before it took the entry, which is therefore certainly not done.
    fn not_taken(&self, ticket: Ticket) {
        chronos_env::sometimes!("propose.not_taken");
        let error = match self.consensus.phase_now() {
            Phase::Full => self.no_space(),
            Phase::Ended(reason) => ProposeError::Unavailable(reason),
            Phase::Starting | Phase::Serving(_) => {
                ProposeError::Unavailable("this partition is being started again; retry".into())
            }
        };
        self.consensus.flight.land(ticket, Err(error));
    }

    /// Where others may have room, one of them leads, or will.
    fn no_space(&self) -> ProposeError {
        match self.consensus.decides_alone() {
            true => ProposeError::NoSpace,
            false => ProposeError::NotLeader { leader: None },
        }
    }

    /// `first` and what else waits, within the bounds of one entry, less what is past its deadline.
    fn take_waiting(&mut self, first: Proposal) -> (Vec<Command>, Vec<Caller>) {
        let now = self.consensus.env.clock.monotonic();
        let (mut commands, mut callers) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(Proposal { command, deadline, caller }) = next {
            if deadline <= now {
                chronos_env::sometimes!("propose.deadline_passed_in_queue");
                caller.answer(Err(ProposeError::DeadlinePassed));
            } else if let Some(refused) = self.refused_early(&command) {
                caller.answer(Ok(refused));
            } else {
                bytes += command.len();
                commands.push(command);
                callers.push(caller);
            }
            let full = bytes >= ENTRY_BYTES_MAX || commands.len() >= ENTRY_COMMANDS_MAX;
            next = if full { None } else { self.proposals.try_recv().ok() };
        }
        chronos_env::sometimes!("propose.entry_of_several", commands.len() > 1);
        (commands, callers)
    }

    /// What apply will say is said by apply alone: others may come first.
    fn refused_early(&self, command: &Command) -> Option<Outcome> {
        is_seeded(Bug::M7).then(|| self.consensus.partition.foresee(command)).flatten()
    }
}
