//! What a replica needs of its leader before it is read.
//!
//! ```text
//!   here the leader:   callers ─► one round ─► heartbeats to a quorum ─► index ─► applied here ─► read
//!   anywhere else:     callers ─► one round ─► READ_INDEX to the leader ─► index ─► applied here ─► read
//!   no other node:     read
//! ```
//!
//! A read as of a time needs that time to have passed for everybody who may ever lead. That is so when an entry with a
//! later time is applied; when there is none yet, the leader writes one that says nothing else ([`Request::Tick`]). Until
//! such an entry is applied the past up to that time may still grow: what is in flight may carry an earlier time, and so
//! may what the next leader writes, whose clock is behind.
//!
//! * **No clock is believed.** A leader shows that it leads by the answers of a quorum to what it sent after it was asked.
//!   One that was deposed, cut off or stopped meanwhile gets no such answers, and says so instead of reading.
//! * **A round serves all who came before it began**, and nobody who came later: so a burst of reads costs two rounds.
//! * **Whoever is asked by another node answers or refuses**; it never asks a third.
//! * A leader that is being elected is waited for, within the caller's deadline.
//!
//! A replica that may be behind what it told before ([`Past`](crate::past::Past)) asks for itself, before anybody reads it.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_bugs::{Bug, is_seeded};
use chronos_domain::limits::CLOCK_OFFSET_MICROS_MAX;
use chronos_domain::{PartitionId, Timestamp};
use chronos_wal::Mark;
use futures::FutureExt;
use futures::future::{BoxFuture, select_ok};
use tokio::sync::mpsc;

use crate::compactor::no_room;
use crate::consensus::{Consensus, Phase};
use crate::groups::Groups;
use crate::node::NodeId;
use crate::peer::{CallError, Handler, Message, Refusal};
use crate::proposal::{Caller, Proposal, ProposeError};
use crate::raft::{Raft, Unconfirmed, WatchReceiver, confirm};
use crate::request::Request;
use crate::rounds::Rounds;

/// Asks the leader for its read index.
pub(crate) const READ_INDEX: u8 = 16;
/// Asks the leader to see to it that a time has passed.
pub(crate) const PASS: u8 = 17;
/// Asks the leader to cut, so that everything applied by then can be compacted.
pub(crate) const CUT: u8 = 18;

/// Refusals: this node does not lead that group; the time has not come for it; its disk is full.
const NOT_LEADER: u32 = 1;
const FUTURE: u32 = 2;
const NO_SPACE: u32 = 3;

/// How long one attempt may take: more than a busy quorum needs, less than an election takes to begin.
const ATTEMPT: Duration = Duration::from_millis(1000);
/// How long what the answer depends on may take to be written and applied.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// By how much the clock of a leader may be behind that of whoever asks; more is not waited for.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2);
// Whose clock is as good as it has to be gets an answer as of now: the one's may be ahead while the other's is behind.
const _: () = assert!(CLOCKS_DIFFER.as_micros() > 2 * CLOCK_OFFSET_MICROS_MAX as u128);
/// How long a leader is waited for, however long the caller would: several elections.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a leader that was heard of is asked how far it is, before the next word of one is waited for.
const ASKED_FOR: Duration = Duration::from_secs(2);
/// How long a replica that has to catch up may apply nothing at all, however long the caller would wait.
const STALLED: Duration = Duration::from_secs(30);

/// Why a read cannot be as fresh as it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// This node does not serve the partition.
    #[error("{0}")]
    Refused(Arc<str>),
    /// The partition's group has ended on this node.
    #[error("{0}")]
    Ended(Arc<str>),
    /// No node leads the partition, as far as can be found out from here.
    #[error(
        "no leader of the partition was found in time; one is perhaps being elected: ask again, ask another node, or \
         read with consistency local or at_least a token"
    )]
    NoLeader,
    /// A node is believed to lead, and could not show it in time.
    #[error(
        "{leader} is believed to lead the partition but did not confirm it in time ({why}); ask again, ask another \
         node, or read with consistency local or at_least a token"
    )]
    Unconfirmed {
        /// Which node.
        leader: NodeId,
        /// What it said, or what was in its way.
        why: Arc<str>,
    },
    /// What was acknowledged before is not applied on this node yet.
    #[error(
        "this replica had not caught up with what is acknowledged by the deadline; ask again or ask another node"
    )]
    Behind,
    /// What is applied on this node is not what the leader acknowledges.
    #[error(
        "this replica has applied entry {index} of a history in which the leader's entries of term {leaders} are missing; \
         ask another node"
    )]
    Apart {
        /// The last entry that is applied here.
        index: u64,
        /// The term of the last entry that the leader has acknowledged.
        leaders: u64,
    },
    /// The time that is asked about has not come for the leader.
    #[error("{0}; ask about an earlier time, and have the nodes' clocks synchronised")]
    Future(Arc<str>),
    /// That the time has passed cannot be written down.
    #[error(
        "the leader's disk is full, so it cannot write down what the answer depends on: free space in its data \
         directory, or ask about an earlier time or a token"
    )]
    NoSpace,
    /// The leader did not write what it was asked for in time; nothing is lost by asking again.
    #[error("the leader did not write down in time what the answer depends on: {0}")]
    Unwritten(Arc<str>),
}

impl ReadError {
    /// Whether asking again, a moment later, may help.
    const fn may_pass(&self) -> bool {
        matches!(self, ReadError::NoLeader | ReadError::Unconfirmed { .. } | ReadError::Unwritten(_))
    }
}

/// One replica, as its readers see it.
pub(crate) struct Freshness {
    consensus: Arc<Consensus>,
    queue: mpsc::WeakSender<Proposal>,
    /// In which this node shows that it leads.
    confirming: Rounds<Result<Mark, Unconfirmed>>,
    /// In which it asks who does.
    asking: Rounds<Result<Mark, ReadError>>,
    /// In which it writes down that time has passed.
    ticking: Rounds<Result<Mark, ReadError>>,
    /// In which it cuts.
    cutting: Rounds<Result<Mark, ReadError>>,
}

impl Freshness {
    pub(crate) fn new(consensus: Arc<Consensus>, queue: mpsc::WeakSender<Proposal>) -> Freshness {
        let (confirming, asking) = (Rounds::new(), Rounds::new());
        Freshness { consensus, queue, confirming, asking, ticking: Rounds::new(), cutting: Rounds::new() }
    }

    /// Returns once everything that was acknowledged before the call is applied here: up to the entry that is given back.
    pub(crate) async fn linearize(&self, deadline: Duration) -> Result<Mark, ReadError> {
        if self.consensus.common.alone {
            // Nobody else acknowledges anything, and this node only what it has applied.
            return Ok(self.consensus.partition.applied_mark());
        }
        // Boxed here and below: the futures of callers nest deep enough without it.
        let last = self.persist(deadline, || self.read_index()).boxed().await?;
        self.hold(last, deadline).await
    }

    /// Makes up for what the replica may have lost of its past, each time; never returns.
    pub(crate) async fn catch_up_with_the_past(&self) -> Infallible {
        let Consensus { past, env, .. } = &*self.consensus;
        loop {
            let loss = past.next_loss().await;
            self.consensus.led().await;
            let until = env.clock.monotonic() + ASKED_FOR;
            let Ok(last) = self.persist(until, || self.read_index()).boxed().await else { continue };
            // However far behind it is: asked again it would have to come further.
            match self.hold(last, Duration::MAX).await {
                Ok(_) => past.regain(loss),
                // What it has is of another history, or nothing comes: others see to that.
                Err(_) => env.clock.sleep(ATTEMPT).await,
            }
        }
    }

    /// Returns once no event can be recorded at `t` or before any more, whoever leads and whatever clock it has, and all
    /// that was is applied here. Where something later is recorded already, that costs nothing; else the leader writes one
    /// entry for all who ask at once. Gives back the entry up to which that is so.
    pub(crate) async fn pass(&self, t: Timestamp, deadline: Duration) -> Result<Mark, ReadError> {
        if self.has_passed(t) {
            return Ok(self.consensus.partition.applied_mark());
        }
        let body = Bytes::copy_from_slice(&t.get().to_le_bytes());
        let last =
            self.persist(deadline, || self.at_leader(self.tick_until(t), PASS, body.clone())).boxed().await?;
        self.hold(last, deadline).await
    }

    /// Returns once everything that was applied before the call, by whichever node, belongs to a generation that has
    /// ended here, so that it can be compacted.
    pub(crate) async fn cut(&self, deadline: Duration) -> Result<(), ReadError> {
        let cut = || self.write(Request::Cut { settle: true });
        let last = self
            .persist(deadline, || self.at_leader(self.cutting.join(cut()), CUT, Bytes::new()))
            .boxed()
            .await?;
        self.hold(last, deadline).await.map(drop)
    }

    /// Whatever is applied from now on is recorded later: time only moves forward in the log.
    fn has_passed(&self, t: Timestamp) -> bool {
        self.consensus.partition.recorded_at() > t
    }

    /// Does something if this node leads, and else asks the leader to.
    async fn at_leader(
        &self,
        here: impl Future<Output = Result<Mark, ReadError>>,
        kind: u8,
        body: Bytes,
    ) -> Result<Mark, ReadError> {
        if self.leads() {
            return here.await;
        }
        self.ask_leader(|| self.message(kind, body.clone()), WRITTEN_WITHIN).await
    }

    fn leads(&self) -> bool {
        let common = &self.consensus.common;
        common.alone
            || match self.consensus.phase_now() {
                Phase::Serving(running) => leader_of(&running.raft) == Some(common.node),
                Phase::Full => self.consensus.decides_alone(),
                Phase::Starting | Phase::Ended(_) => false,
            }
    }

    /// Where this node leads: has an entry later than `t` applied, and gives the last one that is.
    async fn tick_until(&self, t: Timestamp) -> Result<Mark, ReadError> {
        while !self.has_passed(t) {
            let now = self.consensus.common.clocks.now();
            let behind = t.get().saturating_add(1).saturating_sub(now.get());
            let Ok(behind @ 1..) = u64::try_from(behind) else {
                self.ticking.join(self.write(Request::Tick)).await?;
                continue;
            };
            if Duration::from_micros(behind) > CLOCKS_DIFFER {
                let why = format!("{t} has not come where the partition is led: it is {now} there");
                return Err(ReadError::Future(why.into()));
            }
            self.consensus.env.clock.sleep(Duration::from_micros(behind)).await;
        }
        Ok(self.consensus.partition.applied_mark())
    }

    /// Has a command written and applied, and gives the last entry that is.
    async fn write(&self, request: Request) -> Result<Mark, ReadError> {
        let clock = &self.consensus.env.clock;
        let unwritten = |why: &str| ReadError::Unwritten(why.into());
        let (caller, answer) = Caller::new(no_room());
        let deadline = clock.monotonic() + WRITTEN_WITHIN;
        let proposal = Proposal { command: request.into_command(), deadline, caller };
        let queue =
            self.queue.upgrade().ok_or_else(|| ReadError::Ended("this node is shutting down".into()))?;
        let written = async {
            queue.send(proposal).await.map_err(|_| unwritten("its proposer has stopped"))?;
            drop(queue);
            answer
                .await
                .unwrap_or_else(|_| Err(ProposeError::Unknown("its proposer has stopped".into())))
                .map_err(of_proposal)
        };
        clock.timeout(WRITTEN_WITHIN, written).await.map_err(|_| unwritten("the deadline passed"))??;
        Ok(self.consensus.partition.applied_mark())
    }

    /// Answers another node's question about this group.
    pub(crate) async fn answer(&self, message: Message) -> Result<Bytes, Refusal> {
        match message.kind {
            READ_INDEX => Ok(encode(self.confirm().await.map_err(unconfirmed)?)),
            PASS | CUT if !self.leads() => Err(unconfirmed(Unconfirmed::NotLeader)),
            PASS => {
                let t = <[u8; 8]>::try_from(message.body.as_ref()).map_err(|_| {
                    Refusal::new(
                        Refusal::MALFORMED,
                        format!("a time has 8 bytes, not {}", message.body.len()),
                    )
                })?;
                let ticked = self.tick_until(Timestamp::new(i64::from_le_bytes(t)));
                Ok(encode(ticked.await.map_err(refusal)?))
            }
            CUT => {
                let cut = self.cutting.join(self.write(Request::Cut { settle: true }));
                Ok(encode(cut.await.map_err(refusal)?))
            }
            other => Err(Refusal::new(Refusal::MALFORMED, format!("there is no read of kind {other}"))),
        }
    }

    /// The entry to wait for, however it is to be had.
    async fn read_index(&self) -> Result<Mark, ReadError> {
        if let Phase::Ended(why) = self.consensus.phase_now() {
            return Err(ReadError::Ended(why));
        }
        match self.confirm().await {
            Ok(last) => Ok(last),
            Err(Unconfirmed::NotLeader) => {
                let (message, limit) = (|| self.message(READ_INDEX, Bytes::new()), ATTEMPT);
                self.asking.join(self.ask_leader(message, limit)).await
            }
            Err(Unconfirmed::Silent(why)) => {
                Err(ReadError::Unconfirmed { leader: self.consensus.common.node, why: why.into() })
            }
        }
    }

    /// The entry to wait for, if this node leads.
    async fn confirm(&self) -> Result<Mark, Unconfirmed> {
        match self.consensus.phase().await {
            Phase::Serving(running) => {
                // Who does not lead says so at once, without a round.
                if leader_of(&running.raft) != Some(self.consensus.common.node) {
                    return Err(Unconfirmed::NotLeader);
                }
                if is_seeded(Bug::M5) {
                    return Ok(self.consensus.partition.applied_mark());
                }
                self.confirming.join(confirm(&running.raft, ATTEMPT)).await
            }
            // What it acknowledged it has applied, and nobody else may acknowledge anything.
            Phase::Full if self.consensus.decides_alone() => Ok(self.consensus.partition.applied_mark()),
            Phase::Full => Err(Unconfirmed::NotLeader),
            Phase::Starting => Err(Unconfirmed::Silent("its group is being started".to_owned())),
            Phase::Ended(why) => Err(Unconfirmed::Silent(why.as_ref().to_owned())),
        }
    }

    /// Asks the leader; or, while none is known here, all who might be.
    async fn ask_leader(&self, message: impl Fn() -> Message, within: Duration) -> Result<Mark, ReadError> {
        let leader = match self.consensus.phase_now() {
            Phase::Serving(running) => leader_of(&running.raft),
            _ => None,
        };
        let me = self.consensus.common.node;
        if let Some(leader) = leader.filter(|leader| *leader != me) {
            return self.ask(leader, message(), within).await;
        }
        let others = self.consensus.voters().into_iter().filter(|voter| *voter != me);
        let asked: Vec<_> = others.map(|other| Box::pin(self.ask(other, message(), within))).collect();
        if asked.is_empty() {
            return Err(ReadError::NoLeader);
        }
        chronos_env::sometimes!("read.asked_everybody");
        select_ok(asked).await.map(|(last, _)| last).map_err(|_| ReadError::NoLeader)
    }

    async fn ask(&self, node: NodeId, message: Message, within: Duration) -> Result<Mark, ReadError> {
        let answer = self.consensus.common.link.call(node, message, within).await;
        let unconfirmed = |why: String| ReadError::Unconfirmed { leader: node, why: why.into() };
        match answer {
            Ok(body) => decode(&body).ok_or_else(|| unconfirmed("its answer makes no sense".to_owned())),
            Err(CallError::Refused { refusal, .. }) if refusal.code == NOT_LEADER => Err(ReadError::NoLeader),
            Err(CallError::Refused { refusal, .. }) if refusal.code == FUTURE => {
                Err(ReadError::Future(refusal.text.into()))
            }
            Err(CallError::Refused { refusal, .. }) if refusal.code == NO_SPACE => Err(ReadError::NoSpace),
            Err(error) => Err(unconfirmed(error.to_string())),
        }
    }

    fn message(&self, kind: u8, body: Bytes) -> Message {
        Message { group: self.consensus.partition.id().get(), kind, body }
    }

    /// Tries again until it works, within the deadline: who leads may change meanwhile.
    async fn persist<T, F>(&self, deadline: Duration, attempt: impl Fn() -> F) -> Result<T, ReadError>
    where
        F: Future<Output = Result<T, ReadError>>,
    {
        let clock = &self.consensus.env.clock;
        let until = deadline.min(clock.monotonic().saturating_add(PATIENCE));
        let mut last = ReadError::NoLeader;
        loop {
            let left = until.saturating_sub(clock.monotonic());
            match clock.timeout(left, attempt()).await {
                Ok(Err(error)) if error.may_pass() => {
                    chronos_env::sometimes!("read.tried_again");
                    last = error;
                }
                Ok(answer) => return answer,
                Err(_) => return Err(last),
            }
            // Whoever is known to be gone is refused at once, and what is ready wins over a deadline that has passed: so
            // the attempts alone never end this.
            if until.saturating_sub(clock.monotonic()) <= PAUSE {
                return Err(last);
            }
            clock.sleep(PAUSE).await;
        }
    }

    /// Returns once the last entry of the leader is applied here, and gives it back.
    async fn hold(&self, last: Mark, deadline: Duration) -> Result<Mark, ReadError> {
        let applied = self.until(|applied| applied.index >= last.index, deadline).await?;
        is_along(applied, last).map(|()| last)
    }

    /// Returns once an entry that was applied somewhere is applied here, or one of a later term is: that stands for all that
    /// was applied in earlier ones, and of a history that ended in an earlier one nothing else is waited for.
    pub(crate) async fn reach(&self, last: Mark, deadline: Duration) -> Result<(), ReadError> {
        let is_there = |applied: Mark| applied.term > last.term || applied.index >= last.index;
        is_along(self.until(is_there, deadline).await?, last)
    }

    /// Waits for what is applied here, and gives it; gives up at the deadline, or when nothing was applied for [`STALLED`].
    async fn until(&self, is_there: impl Fn(Mark) -> bool, deadline: Duration) -> Result<Mark, ReadError> {
        let clock = &self.consensus.env.clock;
        let mut reached = self.consensus.reached.subscribe();
        loop {
            let applied = self.consensus.partition.applied_mark();
            if is_there(applied) {
                return Ok(applied);
            }
            chronos_env::sometimes!("read.waited_for_apply");
            let left = deadline.saturating_sub(clock.monotonic()).min(STALLED);
            // The sender lives in `consensus`, so only the time ends the wait early.
            if clock.timeout(left, reached.changed()).await.is_err() {
                return Err(ReadError::Behind);
            }
        }
    }
}

/// Terms do not fall along a log: who has applied an entry has applied nothing of an earlier term behind it. Who has, and
/// does not know yet that its history is another one, must not be read.
fn is_along(applied: Mark, last: Mark) -> Result<(), ReadError> {
    if applied < last {
        return Err(ReadError::Apart { index: applied.index, leaders: last.term });
    }
    Ok(())
}

/// Answers other nodes, for all groups.
pub(crate) struct Readers(pub(crate) Groups);

impl Handler for Readers {
    fn handle(&self, _: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let absent = |why: Arc<str>| Refusal::new(Refusal::ABSENT, why.as_ref());
        let id = PartitionId::of_group(message.group).ok_or_else(|| absent("there is no such group".into()));
        let group = id.and_then(|id| Ok(Arc::clone(&self.0.group(id).map_err(absent)?.freshness)));
        Box::pin(async move { group?.answer(message).await })
    }
}

/// An entry, as one node tells it another one.
fn encode(last: Mark) -> Bytes {
    [last.index.to_le_bytes(), last.term.to_le_bytes()].concat().into()
}

fn decode(body: &Bytes) -> Option<Mark> {
    let (index, term) = body.split_first_chunk::<8>()?;
    let term = <[u8; 8]>::try_from(term).ok()?;
    Some(Mark { index: u64::from_le_bytes(*index), term: u64::from_le_bytes(term) })
}

fn leader_of(raft: &Raft) -> Option<NodeId> {
    raft.metrics().borrow_watched().current_leader
}

fn of_proposal(error: ProposeError) -> ReadError {
    match error {
        ProposeError::NotLeader { .. } => ReadError::NoLeader,
        ProposeError::NoSpace => ReadError::NoSpace,
        other => ReadError::Unwritten(other.to_string().into()),
    }
}

fn refusal(error: ReadError) -> Refusal {
    match error {
        ReadError::NoLeader => Refusal::new(NOT_LEADER, "this node does not lead the partition"),
        ReadError::Future(why) => Refusal::new(FUTURE, why.as_ref()),
        ReadError::NoSpace => Refusal::new(NO_SPACE, "the leader's disk is full"),
        other => Refusal::new(Refusal::FAILED, other.to_string()),
    }
}

fn unconfirmed(unconfirmed: Unconfirmed) -> Refusal {
    match unconfirmed {
        Unconfirmed::NotLeader => Refusal::new(NOT_LEADER, "this node does not lead the partition"),
        Unconfirmed::Silent(why) => Refusal::new(Refusal::FAILED, why),
    }
}
