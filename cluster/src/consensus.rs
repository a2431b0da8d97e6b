//! The life of one group's consensus: started, watched, ended, and started again.
//!
//! ```text
//!  has it lost what it promised? ── yes ─► out of service, to be repaired
//!     │ no     ┌────────────────── room again ───────────────┐
//!     ▼        ▼                                             │
//!  Starting ─► Serving ── the log has no room ─► Full ───────┘
//!     │          ├── told to stop ─► (gone)
//!     │          ├── told to begin anew ─► Starting, with nothing
//!     └──────────┴── anything else ─► Ended: the node's fault
//! ```
//!
//! **A full disk is no failure.** The log takes nothing of an append it has no room for, nor of what came behind it. So a
//! group whose log is full lets what was written be applied, ends, answers the rest with *certainly not done*, and begins
//! anew, in a new term, once the log says that there is room. Readers notice nothing: the partition stays. That answer is
//! true where this node is the only voter; with others, who may hold what this node could not write, it is *unknown*.
//!
//! With others, what this node's log refused may also be committed and applied already: an entry is applied when a majority
//! has it on disk, whoever that is, because a slow disk must not hold up the others. What is in memory is then ahead of what
//! this node can prove after a crash. So memory goes back to the disk, and hears the rest from the leader again.
//!
//! **Anything else ends the group for good**: a failed write or sync, an entry that cannot be read or applied, a core
//! that panicked. The first reason is kept, and the node should end.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use chronos_domain::{LogIndex, PartitionId};
use chronos_env::Env;
use chronos_store::{Leftovers, Partition};
use chronos_wal::{Fault, Log, Mark};
use tokio::sync::{Mutex, Notify, mpsc, oneshot, watch};

use crate::backlog::Backlog;
use crate::clocks::Clocks;
use crate::flight::Flight;
use crate::node::NodeId;
use crate::past::Past;
use crate::peer::Link;
use crate::proposal::ProposeError;
use crate::quarantine::Quarantine;
use crate::raft::{
    Anew, Beat, Chance, Ear, Ill, Intake, Known, LogStore, Losses, MESSAGE_BYTES_MAX, Machine, Member,
    Metrics, Post, Promises, Raft, Replica, Transfers, Trouble, WatchReceiver, Wire, bereave, found,
    is_heard_by_quorum, mark_of, settings, theirs,
};
use crate::repair::{Ballots, Withheld, set_withheld};
use crate::retained::Retained;

/// While the log is full it is asked for room this often.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How long a group whose log is full may take to apply what was written before.
const APPLIED_WITHIN: Duration = Duration::from_secs(5);
/// Entries that stay in the log for followers that fetch parts.
const HELD_MAX: u64 = 1 << 20;

/// Where a group is in its life.
#[derive(Clone)]
pub(crate) enum Phase {
    /// It cannot take commands yet.
    Starting,
    /// It takes commands.
    Serving(Running),
    /// There is no room in the log.
    Full,
    /// It takes no commands any more, for this reason.
    Ended(Arc<str>),
}

/// A running group.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) raft: Raft,
    log: LogStore,
    trouble: Trouble,
}

/// What all groups of a node have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) env: Env,
    pub(crate) node: NodeId,
    /// What time it is, for what is written.
    pub(crate) clocks: Arc<Clocks>,
    /// When all of them look at their clocks.
    pub(crate) beat: Beat,
    pub(crate) cluster: u128,
    pub(crate) link: Arc<dyn Link>,
    /// Who the members of a group are when no entry has named any.
    pub(crate) known: Known,
    /// Whether there is no other node: then nobody's silence means anything, and no clock is needed.
    pub(crate) alone: bool,
    pub(crate) post: Post,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) transfers: Transfers,
    /// Entries behind the parts that stay in the log for followers that are a little behind.
    pub(crate) entries_kept: u64,
    /// Groups that cast no vote and ask for none.
    pub(crate) ballots: Ballots,
    /// Told of partitions in which damage was found.
    pub(crate) alarm: mpsc::UnboundedSender<PartitionId>,
}

/// The consensus of one group.
pub(crate) struct Consensus {
    pub(crate) env: Env,
    pub(crate) partition: Partition,
    pub(crate) flight: Flight,
    pub(crate) common: Common,
    /// The last entry that is applied; changes after what it did can be read.
    pub(crate) reached: Arc<watch::Sender<LogIndex>>,
    /// Whether that is as far as it ever was.
    pub(crate) past: Past,
    log: Log,
    phase: watch::Sender<Phase>,
    /// Held while the group is started or ended, and by whoever needs it not to be.
    changing: Mutex<()>,
    /// How much of the log stays for followers.
    retained: parking_lot::Mutex<Retained>,
    /// Whoever wants everything discarded.
    wish: parking_lot::Mutex<Option<Wish>>,
    wished: Notify,
    /// When its leader was last heard of.
    ear: Ear,
    /// Told when the leader says that this replica has lost something.
    losses: Losses,
}

/// Why a group no longer serves.
enum End {
    Stop,
    Full {
        bytes: usize,
    },
    Died(String),
    /// Everything is to be discarded.
    Reset,
}

/// Somebody wants everything discarded, and waits for it.
struct Wish {
    leftovers: Leftovers,
    done: oneshot::Sender<()>,
}

impl Consensus {
    pub(crate) fn new(
        common: Common,
        log: Log,
        partition: Partition,
        quarantine: Arc<Quarantine>,
    ) -> Consensus {
        let (env, ballots) = (common.env.clone(), common.ballots.clone());
        let (partition_too, log_too, link) = (partition.clone(), log.clone(), Arc::clone(&common.link));
        let replica = Replica {
            env,
            partition: partition_too,
            log: log_too,
            ballots,
            quarantine,
            link,
            confirmed: parking_lot::Mutex::default(),
        };
        Consensus {
            env: common.env.clone(),
            ear: Ear::new(common.env.clock.clone(), common.beat.pace()),
            reached: Arc::new(watch::Sender::new(partition.applied_index())),
            partition,
            flight: Flight::new(),
            past: Past::new(),
            common,
            log,
            phase: watch::Sender::new(Phase::Starting),
            changing: Mutex::default(),
            retained: parking_lot::Mutex::default(),
            wish: parking_lot::Mutex::default(),
            wished: Notify::new(),
            losses: Losses(Arc::new(replica)),
        }
    }

    fn id(&self) -> PartitionId {
        self.partition.id()
    }

    /// What other nodes have promised to this one, in whichever life of its group.
    fn promises(&self) -> Promises {
        self.common.post.promises(self.id().get())
    }

    pub(crate) fn phase_now(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// Where the group is, once it is no longer being started.
    pub(crate) async fn phase(&self) -> Phase {
        let mut phase = self.phase.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        phase
            .wait_for(|phase| !matches!(phase, Phase::Starting))
            .await
            .map_or(Phase::Starting, |phase| phase.clone())
    }

    /// Lives until `stop` says so, or its sender is gone; or until the group fails for good: then the error is why.
    pub(crate) async fn live(&self, mut stop: watch::Receiver<bool>) -> Result<(), String> {
        let chance = Chance::new(self.env.entropy.child("raft"), self.common.beat);
        let lived = chance.scope(self.lives(&mut stop)).await;
        match &lived {
            Ok(()) => self.close(Arc::from("this node is shutting down; retry on another or later")),
            Err(reason) => {
                tracing::error!(partition = self.id().get(), reason, "group stopped");
                self.close(Arc::from(reason.as_str()));
            }
        }
        lived
    }

    fn close(&self, reason: Arc<str>) {
        self.phase.send_replace(Phase::Ended(reason.clone()));
        self.flight.end(&ProposeError::Unknown(reason));
    }

    async fn lives(&self, stop: &mut watch::Receiver<bool>) -> Result<(), String> {
        if !self.keeps_its_promises(stop).await? {
            return Ok(());
        }
        loop {
            let (alive_tx, mut alive) = mpsc::channel(1);
            let trouble = Trouble::default();
            let (running, end) = match self.start(alive_tx, &trouble, stop).await {
                Ok(running) => {
                    if self.decides_alone() {
                        // Nothing was ever committed that is not in its log, and all of that is applied.
                        self.past.regain(self.past.loss());
                    }
                    self.phase.send_replace(Phase::Serving(running.clone()));
                    let end = tokio::select! {
                        biased; // an end comes first
                        end = watch_over(&running, &mut alive, stop, &self.wished) => end,
                        never = self.free_votes(&running) => match never {},
                    };
                    (Some(running), end)
                }
                Err((running, end)) => (running, end),
            };
            match end {
                End::Stop => {
                    self.shut_down(running, alive).await;
                    return Ok(());
                }
                End::Died(reason) => {
                    self.common.post.deliver(self.id().get(), None);
                    return Err(reason);
                }
                End::Reset => {
                    self.phase.send_replace(Phase::Starting);
                    self.shut_down(running, alive).await;
                    self.flight.end(&ProposeError::Unknown("this replica begins anew".into()));
                    self.begin_anew().await?;
                }
                End::Full { bytes } => {
                    chronos_env::sometimes!("group.log_full");
                    self.phase.send_replace(Phase::Full);
                    tracing::warn!(partition = self.id().get(), "the disk is full: appends are refused");
                    self.finish_what_is_written(running.as_ref()).await;
                    self.shut_down(running, alive).await;
                    self.refuse_the_rest();
                    self.go_back_to_disk().await?;
                    if !self.room_again(bytes, stop).await? {
                        return Ok(());
                    }
                    self.phase.send_replace(Phase::Starting);
                }
            }
        }
    }

    /// Finds out whether everything is here that this replica has promised to others. If it is not, the partition has left
    /// service, and this ends when it is told to stop; then, and when it is told so before, the answer is no.
    async fn keeps_its_promises(&self, stop: &mut watch::Receiver<bool>) -> Result<bool, String> {
        if self.common.alone {
            return Ok(true);
        }
        let broken = tokio::select! {
            biased; // an end comes first
            () = stopped(stop) => return Ok(false),
            broken = self.losses.ask(self.common.node) => broken.map_err(|refusal| refusal.text)?,
        };
        let Some(why) = broken else { return Ok(true) };
        self.phase.send_replace(Phase::Ended(why.into()));
        stopped(stop).await;
        Ok(false)
    }

    /// Discards everything the replica holds, and has the group start with nothing; returns when it has been discarded,
    /// for good. What was proposed is answered, as unknown.
    ///
    /// # Errors
    /// Why the group does not serve; then nothing was done. When it ends meanwhile, what was done shows at the next start.
    pub(crate) async fn reset(&self, leftovers: Leftovers) -> Result<(), String> {
        match self.phase().await {
            Phase::Serving(_) => {}
            Phase::Full => return Err("the disk is full: free space in the data directory".to_owned()),
            Phase::Ended(reason) => return Err(reason.as_ref().to_owned()),
            Phase::Starting => return Err("its group is being started".to_owned()),
        }
        let (done, told) = oneshot::channel();
        *self.wish.lock() = Some(Wish { leftovers, done });
        self.wished.notify_one();
        let mut phase = self.phase.subscribe();
        tokio::select! {
            biased; // what is done is done
            told = told => told.map_err(|_| "somebody else had it begin anew, or it ended meanwhile".to_owned()),
            _ = phase.wait_for(|phase| matches!(phase, Phase::Ended(_))) => Err("its group ended meanwhile".to_owned()),
        }
    }

    async fn begin_anew(&self) -> Result<(), String> {
        let Some(wish) = self.wish.lock().take() else { return Ok(()) };
        self.withhold_votes().await?;
        self.past.lose();
        let reset = self.partition.reset(wish.leftovers).await;
        reset.map_err(|fault| format!("what the replica holds could not be discarded: {fault}"))?;
        self.common.backlog.update(&self.partition);
        tracing::warn!(
            partition = self.id().get(),
            "everything was discarded: the replica begins with nothing"
        );
        chronos_env::sometimes!("group.discarded");
        // Who no longer waits need not know.
        let _ = wish.done.send(());
        Ok(())
    }

    /// Sees to it that this replica casts no vote before it has everything again that its log holds now; durable when it
    /// returns. Why, is said in [`crate::repair`].
    async fn withhold_votes(&self) -> Result<(), String> {
        let (id, ballots) = (self.id(), &self.common.ballots);
        let last =
            self.log.state().last.map_or(0, |last| last.index).max(self.partition.applied_index().get());
        let reach = match ballots.reach(id) {
            Some(earlier) => earlier.max(last),
            // It is being repaired, which frees them at a later entry.
            None if ballots.are_withheld(id) => return Ok(()),
            None => last,
        };
        let withheld = Withheld::Discarded { reach };
        let noted = set_withheld(&self.env, self.partition.dir().to_path_buf(), Some(withheld)).await;
        noted.map_err(|error| format!("that its votes are withheld could not be written down: {error}"))?;
        ballots.withhold_until(id, reach);
        Ok(())
    }

    /// Frees the votes of a replica that was discarded as soon as it has everything again; never returns.
    async fn free_votes(&self, running: &Running) -> Infallible {
        let (id, ballots) = (self.id(), &self.common.ballots);
        let mut reached = self.reached.subscribe();
        while ballots.are_withheld(id) {
            let applied = self.partition.applied_index().get();
            if let Some(reach) = ballots.reach(id).filter(|reach| applied >= *reach) {
                match set_withheld(&self.env, self.partition.dir().to_path_buf(), None).await {
                    Ok(()) => {
                        chronos_env::sometimes!("group.votes_freed");
                        ballots.release(id);
                        running.raft.runtime_config().elect(true);
                        tracing::info!(
                            partition = id.get(),
                            reach,
                            "the replica has everything again, and votes"
                        );
                        break;
                    }
                    Err(error) => tracing::warn!(partition = id.get(), %error, "votes stay withheld"),
                }
            }
            // The sender lives in `self`, so waiting cannot fail.
            let _ = reached.changed().await;
        }
        pending().await
    }

    /// Who the members are when no entry has named any: nobody knows where everything was discarded.
    fn known(&self) -> Known {
        if self.partition.has_begun_elsewhere() { Known::Nobody } else { self.common.known }
    }

    /// Starts openraft; where this node alone decides, it leads and has applied everything when this returns.
    async fn start(
        &self,
        alive: mpsc::Sender<()>,
        trouble: &Trouble,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Running, (Option<Running>, End)> {
        let _changing = self.changing.lock().await;
        let raft = self.build(alive, trouble).await.map_err(|end| (None, end))?;
        let member = Member {
            raft: raft.raft.clone(),
            intake: self.intake(),
            anew: self.anew(),
            ear: self.ear.clone(),
            promises: self.promises(),
            losses: self.losses.clone(),
        };
        self.common.post.deliver(self.id().get(), Some(member));
        if !self.decides_alone() {
            return Ok(raft);
        }
        let leading = async {
            match self.lead(&raft.raft).await {
                Ok(()) => None,
                Err(reason) => Some(end_of(trouble, reason)),
            }
        };
        let end = tokio::select! {
            biased; // an end comes first
            () = stopped(stop) => Some(End::Stop),
            () = trouble.any() => Some(end_of(trouble, String::new())),
            end = leading => end,
        };
        match end {
            None => Ok(raft),
            Some(end) => Err((Some(raft), end)),
        }
    }

    /// Who leads, and in which term, as long as there is reason to take that one for alive: it was heard of lately, or, if
    /// it is this node, a quorum has heard of it.
    pub(crate) fn living_leader(&self) -> Option<(u64, NodeId)> {
        let Phase::Serving(running) = self.phase_now() else { return None };
        let metrics = running.raft.metrics();
        let metrics = metrics.borrow_watched();
        let is_alive = match metrics.state.is_leader() {
            true => self.common.alone || is_heard_by_quorum(&metrics, self.common.beat.pace()),
            false => self.ear.hears(metrics.current_term),
        };
        metrics.current_leader.filter(|_| is_alive).map(|leader| (metrics.current_term, leader))
    }

    /// Whether the replica is at least as far as it ever told anybody: see [`crate::past`].
    pub(crate) fn is_caught_up(&self) -> bool {
        self.common.alone || self.past.is_whole()
    }

    /// Returns when a leader is heard of, or this node leads; waits for ever where the group has ended.
    pub(crate) async fn led(&self) {
        let mut phase = self.phase.subscribe();
        loop {
            let heard = self.ear.next_word();
            if self.living_leader().is_some() {
                return;
            }
            let running = match &*phase.borrow_and_update() {
                Phase::Serving(running) => Some(running.clone()),
                Phase::Starting | Phase::Full | Phase::Ended(_) => None,
            };
            let leads = async {
                let Some(running) = running else { return pending().await };
                let mut metrics = running.raft.metrics();
                drop(running);
                if metrics.wait_until(|metrics: &Metrics| metrics.state.is_leader()).await.is_err() {
                    // Its core has ended, which the phase will say.
                    pending::<()>().await;
                }
            };
            tokio::select! {
                biased; // the phase first: what has ended neither leads nor hears
                _ = phase.changed() => {}
                () = heard => return,
                () = leads => return,
            }
        }
    }

    /// The process of `node` has ended: if it led this group, it is not trusted any longer. Says whether it did.
    pub(crate) async fn bereave(&self, node: NodeId) -> bool {
        match self.phase_now() {
            Phase::Serving(running) => bereave(&running.raft, node).await,
            Phase::Starting | Phase::Full | Phase::Ended(_) => false,
        }
    }

    fn anew(&self) -> Option<Anew> {
        let anew = || Anew::new(self.id().get(), &self.common.link, &self.log);
        self.partition.has_begun_elsewhere().then(anew)
    }

    fn intake(&self) -> Option<Intake> {
        let Common { env, node, transfers, .. } = &self.common;
        let peers = transfers.peers.as_ref()?;
        Some(Intake::new(env, *node, &self.partition, peers, transfers))
    }

    async fn build(&self, alive: mpsc::Sender<()>, trouble: &Trouble) -> Result<Running, End> {
        let Common { env, node, cluster, link, alone, backlog, transfers, .. } = &self.common;
        found(&self.log, *node).await.map_err(|fault| match fault {
            Fault::NoSpace => End::Full { bytes: 0 },
            fault => End::Died(format!("the log stopped: {fault}")),
        })?;
        let log = LogStore::new(env, self.log.clone(), trouble.clone(), !alone);
        let (backlog, reached) = (Arc::clone(backlog), Arc::clone(&self.reached));
        let machine = Machine {
            env: env.clone(),
            partition: self.partition.clone(),
            log: log.clone(),
            trouble: trouble.clone(),
            applied: Arc::new(move |partition| {
                backlog.update(partition);
                reached.send_replace(partition.applied_index());
            }),
            members: self.known(),
            _alive: alive,
        };
        let (clock, offers, promises) = (env.clock.clone(), transfers.offers.clone(), self.promises());
        let (link, log_too) = (Arc::clone(link), log.clone());
        let wire = Wire { link, group: self.id().get(), clock, offers, promises, log: log_too };
        let settings = settings(*cluster, self.common.beat.pace(), !alone, !self.is_withheld());
        let raft = Raft::new(*node, settings, wire, log.clone(), machine).await;
        match raft {
            Ok(raft) => Ok(Running { raft, log, trouble: trouble.clone() }),
            Err(fatal) => Err(end_of(trouble, fatal.to_string())),
        }
    }

    fn is_withheld(&self) -> bool {
        self.common.ballots.are_withheld(self.id())
    }

    /// Who votes, going by what is applied here; nobody where nothing is known.
    pub(crate) fn voters(&self) -> BTreeSet<NodeId> {
        let members = self.known().or_named(self.partition.members());
        members.map(|members| members.voter_ids().collect()).unwrap_or_default()
    }

    /// The entry by which this node is a member, with or without a vote, going by what is applied here.
    pub(crate) fn named_member(&self) -> Option<Mark> {
        let members = self.known().or_named(self.partition.members()).ok()?;
        let is_one = members.nodes().any(|(node, ())| *node == self.common.node);
        is_one.then(|| mark_of(members.log_id().as_ref()))
    }

    /// Whether this node is the only voter, going by everything that its log says.
    pub(crate) fn decides_alone(&self) -> bool {
        if self.is_withheld() {
            return false;
        }
        let members = self.known().or_named(self.partition.members());
        members.is_ok_and(|members| members.voter_ids().eq([self.common.node]))
            && self.log.state().last.is_none_or(|last| last.index == self.partition.applied_index().get())
    }

    /// Has this node elected, at once, and waits until it has applied an entry of its own term, and with it everything
    /// before. Then says in the log who the members are, if nobody has.
    async fn lead(&self, raft: &Raft) -> Result<(), String> {
        raft.trigger().elect(false).await.map_err(|fatal| fatal.to_string())?;
        let mut metrics = raft.metrics();
        let leads = |metrics: &Metrics| {
            let applied = metrics.last_applied.as_ref().map(|id| id.leader_id.term);
            metrics.running_state.is_err()
                || metrics.state.is_leader() && applied == Some(metrics.current_term)
        };
        metrics.wait_until(leads).await.map_err(|_| "its core died".to_owned())?;
        if let Err(fatal) = &metrics.borrow_watched().running_state {
            return Err(fatal.to_string());
        }
        if self.partition.members().is_none() {
            let alone = BTreeSet::from([self.common.node]);
            raft.change_membership(alone, false).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Where nobody else decides, everything that was written is committed: waits until it is applied and answered.
    async fn finish_what_is_written(&self, running: Option<&Running>) {
        let Some(running) = running.filter(|_| self.common.alone) else { return };
        let written = self.log.state().last.map_or(0, |last| last.index);
        let mut metrics = running.raft.metrics();
        let applied = |metrics: &Metrics| {
            metrics.running_state.is_err() || mark_of(metrics.last_applied.as_ref()).index >= written
        };
        // Who does not get there says what is not known to be done.
        let _ = self.env.clock.timeout(APPLIED_WITHIN, metrics.wait_until(applied)).await;
    }

    /// Of what has not been answered by now nothing was written here.
    fn refuse_the_rest(&self) {
        let written = self.log.state().last.map_or(0, |last| last.index);
        let nothing_open = written == self.partition.applied_index().get();
        self.flight.end(&if self.common.alone && nothing_open {
            ProposeError::NoSpace
        } else {
            ProposeError::Unknown("the disk is full: free space in the data directory".into())
        });
    }

    /// Where other nodes decide too, something may have been applied here that this node's log refused.
    async fn go_back_to_disk(&self) -> Result<(), String> {
        // Nobody purges meanwhile.
        let _changing = self.changing.lock().await;
        let written = self.log.state().last.map_or(0, |last| last.index);
        let applied = self.partition.applied_index().get();
        if applied <= written {
            return Ok(());
        }
        self.past.lose();
        let partition = self.partition.clone();
        let gone_back = self.env.tasks.blocking(move || partition.go_back()).await;
        gone_back.map_err(|fault| format!("the disk is full, and what is on it cannot be read: {fault}"))?;
        self.reached.send_replace(self.partition.applied_index());
        self.common.backlog.update(&self.partition);
        chronos_env::sometimes!("group.went_back_to_disk");
        tracing::warn!(
            partition = self.id().get(),
            applied,
            written,
            "others have committed what this node's log has no room for: this replica is back at what its disk holds"
        );
        Ok(())
    }

    /// Ends openraft. When it returns nobody applies or appends any more.
    async fn shut_down(&self, running: Option<Running>, mut alive: mpsc::Receiver<()>) {
        let _changing = self.changing.lock().await;
        self.common.post.deliver(self.id().get(), None);
        let Some(Running { raft, log, trouble }) = running else { return };
        if raft.shutdown().await.is_err() {
            tracing::error!(partition = self.id().get(), "a group's core died before it could be stopped");
        }
        drop((raft, log, trouble));
        // The machine holds the other end.
        let _ = alive.recv().await;
    }

    /// Waits until the log has room for so many bytes, or for as many as a leader sends at a time to who is behind; false
    /// when it was told to stop before.
    async fn room_again(&self, bytes: usize, stop: &mut watch::Receiver<bool>) -> Result<bool, String> {
        let bytes = if self.common.alone { bytes } else { bytes.max(MESSAGE_BYTES_MAX) };
        loop {
            tokio::select! {
                biased; // an end comes first
                () = stopped(stop) => return Ok(false),
                () = self.env.clock.sleep(ASK_AGAIN) => {}
            }
            let (tell, told) = oneshot::channel();
            self.log.ask_for_room(bytes, Box::new(move |room| drop(tell.send(room))));
            match told.await.unwrap_or(Err(Fault::Closed)) {
                Ok(()) => {
                    chronos_env::sometimes!("group.room_again");
                    return Ok(true);
                }
                Err(Fault::NoSpace) => {}
                Err(fault) => return Err(format!("the log stopped: {fault}")),
            }
        }
    }

    /// Has the log purged up to an entry that is in parts, less what followers may still need; returns when that is so
    /// for good, or when the group ends before.
    pub(crate) async fn purge(&self, to: LogIndex) {
        let _changing = self.changing.lock().await;
        // What the parts had taken in may have been discarded meanwhile.
        let to = to.min(self.partition.debt().purgeable);
        let to = if self.common.alone { to.get() } else { self.spare_followers(to.get()) };
        if to <= self.log.state().purged.map_or(0, |mark| mark.index) {
            return;
        }
        match self.phase_now() {
            Phase::Serving(running) => running.purge(to).await,
            // Nobody else knows the log now.
            Phase::Full => self.purge_directly(to).await,
            Phase::Starting | Phase::Ended(_) => return,
        }
        chronos_env::sometimes!("group.log_purged");
        let purged = self.log.state().purged.map_or(0, |mark| mark.index);
        self.partition.raise_purged(LogIndex::new(purged));
    }

    /// Less than `to`, for followers that are a little behind, and for those that fetch parts and will need what comes
    /// behind them; but the log is not kept for ever, nor when it is too long already.
    fn spare_followers(&self, to: u64) -> u64 {
        let (position, is_long) =
            (self.partition.shelf().compacted().get(), self.common.backlog.log_is_long());
        let wanted = self.retained.lock().up_to(to, position, self.common.entries_kept, is_long);
        let Some(offered) = self.common.transfers.offers.purge_up_to(self.id().get()) else { return wanted };
        let is_bearable = !is_long && to.saturating_sub(offered) <= HELD_MAX;
        chronos_env::sometimes!("group.log_kept_for_offer", is_bearable && offered < wanted);
        if is_bearable { wanted.min(offered) } else { wanted }
    }

    async fn purge_directly(&self, to: u64) {
        let (tell, told) = oneshot::channel();
        self.log.purge(to, Box::new(move |purged| drop(tell.send(purged))));
        // After a failure the log has stopped, and everybody is told by it.
        let _ = told.await;
    }
}

impl Running {
    /// openraft must know that a snapshot covers what is purged, and keeps what replication is reading.
    async fn purge(&self, to: u64) {
        let Some(index) = theirs(to) else { return };
        let mut metrics = self.raft.metrics();
        if mark_of(metrics.borrow_watched().snapshot.as_ref()).index < to {
            if self.raft.trigger().snapshot().await.is_err() {
                return;
            }
            let built = |metrics: &Metrics| {
                metrics.running_state.is_err() || mark_of(metrics.snapshot.as_ref()).index >= to
            };
            let _ = metrics.wait_until(built).await;
        }
        if self.raft.trigger().purge_log(index).await.is_err() {
            return;
        }
        let mut purged = self.log.watch_purged();
        tokio::select! {
            biased; // what is done is done
            _ = purged.wait_for(|purged| *purged >= to) => {}
            _ = metrics.wait_until(|metrics: &Metrics| metrics.running_state.is_err()) => {}
            () = self.trouble.any() => {}
        }
    }
}

/// Resolves when a running group must end.
///
/// openraft's metrics say when its core has died, but they change several times with every append, and whoever waits for
/// them is woken each time. The state machine goes with the core, and says so once.
async fn watch_over(
    running: &Running,
    alive: &mut mpsc::Receiver<()>,
    stop: &mut watch::Receiver<bool>,
    wished: &Notify,
) -> End {
    tokio::select! {
        biased; // an end in order comes first
        () = stopped(stop) => End::Stop,
        () = wished.notified() => End::Reset,
        () = running.trouble.any() => end_of(&running.trouble, String::new()),
        _ = alive.recv() => {
            let state = running.raft.metrics().borrow_watched().running_state.clone();
            let reason = state.err().map_or_else(|| "its core died".to_owned(), |fatal| fatal.to_string());
            end_of(&running.trouble, reason)
        }
    }
}

/// What is wrong below the group says more than what openraft makes of it.
fn end_of(trouble: &Trouble, reason: String) -> End {
    match trouble.now() {
        Some(Ill::Failed(reason)) => End::Died(reason.as_ref().to_owned()),
        Some(Ill::Full { bytes }) => End::Full { bytes },
        None => End::Died(reason),
    }
}

/// Resolves when the group is to stop, or nobody is left who could say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
