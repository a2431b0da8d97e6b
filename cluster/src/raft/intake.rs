//! A follower takes over the parts of its leader.
//!
//! ```text
//!  offer ─► is it news? ─► parts that are missing arrive in the background ─► openraft installs ─► taken
//!             │  no              │ not yet: "coming", and the leader asks again with the same offer
//!             └─ taken           └ they do not come: refused, with the reason
//! ```
//!
//! * Heartbeats and votes go on meanwhile: nothing here holds openraft up before everything has arrived.
//! * What has arrived stays, over repeated and newer offers, restarts and changes of leaders: it is found by its hash.
//! * The leader is asked for a part first, the other members after it. A part whose bytes are not what the manifest says is
//!   never put to use, whoever sent it; that it was sent is said aloud.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chronos_env::Env;
use chronos_store::{Manifest, PartMeta, Partition};
use futures::FutureExt;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use super::Raft;
use super::codec::{Offer, OfferAnswer};
use super::machine::SnapshotData;
use super::offers::{Taken, Transfers};
use super::types::{Snapshot, SnapshotMeta, Types, Vote, log_id_of};
use crate::node::NodeId;
use crate::parcel::{FetchError, fetch_part};
use crate::peer::{CallError, Peers, Refusal};
use openraft::async_runtime::WatchReceiver;
use openraft::raft::SnapshotResponse;

/// An offer that is made for the first time is answered within this: its leader has to know that it is heard.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_millis(100);
/// Later ones are answered within this, with what has come by then.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// The sources of a part are asked again after this long, then after twice as long, and so on.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// How often they are, before an offer is refused.
const ROUNDS_MAX: u32 = 7;
/// Parts that a node fetches at once.
pub(crate) const PARTS_AT_ONCE: usize = 4;
/// Space that is left free beyond the parts: whoever writes manifests and entries needs it more.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// Takes in parts for one group. Clones share it.
#[derive(Clone)]
pub(crate) struct Intake(Arc<Shared>);

struct Shared {
    env: Env,
    me: NodeId,
    partition: Partition,
    peers: Peers,
    turns: Arc<Semaphore>,
    taken: Taken,
    state: Mutex<State>,
    /// Changes whenever the state does.
    changed: watch::Sender<u64>,
    over: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    target: Option<Target>,
    /// How the last target went; `None` while it is on its way.
    outcome: Option<Result<(), Refusal>>,
    running: bool,
    had: u64,
    of: u64,
}

/// What is to be taken over.
#[derive(Clone)]
struct Target {
    manifest: Arc<Manifest>,
    /// The term of the leader that offers it.
    term: u64,
    sources: Vec<NodeId>,
}

impl Target {
    fn is(&self, other: &Target) -> bool {
        self.manifest == other.manifest
    }

    fn age(&self) -> (u64, u64) {
        (self.term, self.manifest.applied.get())
    }
}

/// How fetching has ended.
enum End {
    Arrived,
    /// Something else is to be fetched.
    Turned,
    Failed(Refusal),
}

impl Intake {
    pub(crate) fn new(
        env: &Env,
        me: NodeId,
        partition: &Partition,
        peers: &Peers,
        transfers: &Transfers,
    ) -> Intake {
        Intake(Arc::new(Shared {
            env: env.clone(),
            me,
            partition: partition.clone(),
            peers: peers.clone(),
            turns: Arc::clone(&transfers.turns),
            taken: transfers.taken.clone(),
            state: Mutex::default(),
            changed: watch::Sender::new(0),
            over: watch::Sender::new(false),
        }))
    }

    /// Fetches nothing more. What has arrived stays.
    pub(crate) fn end(&self) {
        self.0.over.send_replace(true);
    }

    /// Answers an offer of `from`.
    pub(crate) async fn offer(
        &self,
        raft: &Raft,
        from: NodeId,
        offer: Offer,
    ) -> Result<OfferAnswer, Refusal> {
        let vote = raft.metrics().borrow_watched().vote;
        if vote > offer.vote {
            return Ok(OfferAnswer::Took(SnapshotResponse::new(vote)));
        }
        let manifest = Arc::new(self.read(&offer)?);
        if self.0.partition.applied_index() < manifest.applied {
            let target = Target {
                manifest: Arc::clone(&manifest),
                term: term_of(&offer.vote),
                sources: self.sources(from, &offer.meta),
            };
            if !self.aim(target) {
                let text = "a newer manifest is being fetched already".to_owned();
                return Err(Refusal::new(Refusal::FAILED, text));
            }
            let within = if offer.again { ANSWER_WITHIN } else { FIRST_ANSWER_WITHIN };
            match self.outcome(&manifest, within).await {
                Some(Ok(())) => {}
                Some(Err(refusal)) => return Err(refusal),
                None => {
                    let state = self.0.state.lock();
                    return Ok(OfferAnswer::Coming { had: state.had, of: state.of });
                }
            }
        }
        self.install(raft, offer, manifest).await
    }

    /// The manifest of an offer, if it is one and belongs to the entry that is named.
    fn read(&self, offer: &Offer) -> Result<Manifest, Refusal> {
        let malformed = |what: String| Refusal::new(Refusal::MALFORMED, what);
        let manifest = Manifest::decode(&offer.manifest).map_err(|why| malformed(why.to_string()))?;
        let mark = chronos_wal::Mark { index: manifest.applied.get(), term: manifest.applied_term };
        if log_id_of(mark) != offer.meta.last_log_id {
            return Err(malformed(format!(
                "the manifest ends with entry {} and not {}",
                mark.index, offer.meta
            )));
        }
        Ok(manifest)
    }

    /// Who may have the parts: whoever offers them, then the members at that time, then everybody else: who is a member by
    /// now, this replica cannot know.
    fn sources(&self, from: NodeId, meta: &SnapshotMeta) -> Vec<NodeId> {
        let members = meta.last_membership.nodes().map(|(node, ())| *node);
        let everybody = self.0.peers.status().into_iter().map(|link| link.node);
        let mut sources = vec![from];
        for node in members.chain(everybody) {
            if node != self.0.me && !sources.contains(&node) {
                sources.push(node);
            }
        }
        sources
    }

    /// Sees to it that `target` is fetched, unless something younger is.
    fn aim(&self, target: Target) -> bool {
        let mut state = self.0.state.lock();
        let same = state.target.as_ref().is_some_and(|now| now.is(&target));
        if !same {
            if state.running && state.target.as_ref().is_some_and(|now| now.age() > target.age()) {
                chronos_env::sometimes!("raft.older_snapshot_offered");
                return false;
            }
            chronos_env::sometimes!("raft.newer_snapshot_offered", state.running);
            state.target = Some(target);
            state.outcome = None;
        }
        if state.outcome.is_none() && !state.running {
            state.running = true;
            let shared = Arc::clone(&self.0);
            drop(self.0.env.tasks.spawn("intake", async move { shared.run().await }));
        }
        true
    }

    /// How fetching this manifest went; `None` when it is still on its way after a while. A failure is told once: the next
    /// offer begins anew.
    async fn outcome(&self, manifest: &Arc<Manifest>, within: Duration) -> Option<Result<(), Refusal>> {
        let mut changed = self.0.changed.subscribe();
        let told = async {
            loop {
                changed.borrow_and_update();
                if let Some(outcome) = self.told(manifest) {
                    return outcome;
                }
                // The sender lives in `self`.
                let _ = changed.changed().await;
            }
        };
        self.0.env.clock.timeout(within, told).await.ok()
    }

    fn told(&self, manifest: &Arc<Manifest>) -> Option<Result<(), Refusal>> {
        let mut state = self.0.state.lock();
        if state.target.as_ref().is_none_or(|target| target.manifest != *manifest) {
            return Some(Err(Refusal::new(Refusal::FAILED, "another manifest is being fetched now")));
        }
        match state.outcome.clone()? {
            Ok(()) => Some(Ok(())),
            Err(refusal) => {
                state.outcome = None;
                state.target = None;
                Some(Err(refusal))
            }
        }
    }

    /// Everything is here: openraft takes over, unless it has something better by now.
    async fn install(
        &self,
        raft: &Raft,
        offer: Offer,
        manifest: Arc<Manifest>,
    ) -> Result<OfferAnswer, Refusal> {
        let index = manifest.applied;
        let missing = self.0.partition.missing_of(&manifest);
        let snapshot = Snapshot { meta: offer.meta, snapshot: SnapshotData::Arrived(Arc::clone(&manifest)) };
        let response = raft.install_full_snapshot(offer.vote, snapshot).await;
        let response: SnapshotResponse<Types> =
            response.map_err(|fatal| Refusal::new(Refusal::FAILED, fatal.to_string()))?;
        let mut state = self.0.state.lock();
        let is_done = state.target.as_ref().is_some_and(|target| target.manifest.applied <= index);
        if is_done && self.0.partition.applied_index() >= index {
            state.target = None;
            state.outcome = None;
            self.0.taken.count(missing.len(), missing.iter().map(PartMeta::bytes).sum());
        }
        Ok(OfferAnswer::Took(response))
    }
}

fn term_of(vote: &Vote) -> u64 {
    vote.leader_id.term
}

impl Shared {
    /// Fetches whatever is the target until it has it, or fails.
    async fn run(self: Arc<Shared>) {
        let mut over = self.over.subscribe();
        loop {
            let Some(target) = self.state.lock().target.clone() else { break };
            let ended = tokio::select! {
                biased; // an end comes first
                _ = over.wait_for(|over| *over) => break,
                ended = self.fetch(&target) => ended,
            };
            let mut state = self.state.lock();
            let same = state.target.as_ref().is_some_and(|now| now.is(&target));
            match ended {
                _ if !same => continue,
                End::Turned => continue,
                End::Arrived => state.outcome = Some(Ok(())),
                End::Failed(refusal) => {
                    tracing::warn!(partition = self.partition.id().get(), %refusal, "parts of another node do not arrive");
                    state.outcome = Some(Err(refusal));
                }
            }
            state.running = false;
            drop(state);
            self.tell();
            return;
        }
        self.state.lock().running = false;
        self.tell();
    }

    fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    async fn fetch(&self, target: &Target) -> End {
        let (partition, manifest) = (self.partition.clone(), Arc::clone(&target.manifest));
        let (missing, incoming) = {
            let prepared = self
                .env
                .tasks
                .blocking(move || (partition.missing_of(&manifest), partition.incoming(&manifest)));
            match prepared.await {
                (missing, Ok(incoming)) => (missing, incoming),
                (_, Err(fault)) => return End::Failed(Refusal::new(Refusal::FAILED, fault.to_string())),
            }
        };
        if let Err(refusal) = self.room_for(&missing, &incoming) {
            return End::Failed(refusal);
        }
        let of = missing.iter().map(PartMeta::bytes).sum();
        self.progress(0, of);
        let mut had = 0;
        for part in &missing {
            if !self.state.lock().target.as_ref().is_some_and(|now| now.is(target)) {
                return End::Turned;
            }
            if let Err(refusal) = self.fetch_from_any(&target.sources, part, &incoming).await {
                return End::Failed(refusal);
            }
            had += part.bytes();
            self.progress(had, of);
        }
        let (partition, manifest) = (self.partition.clone(), Arc::clone(&target.manifest));
        match self.env.tasks.blocking(move || partition.check_arrived(&manifest)).await {
            Ok(()) => End::Arrived,
            Err(fault) => End::Failed(Refusal::new(Refusal::FAILED, fault.to_string())),
        }
    }

    fn progress(&self, had: u64, of: u64) {
        let mut state = self.state.lock();
        (state.had, state.of) = (had, of);
    }

    /// A disk that would be full afterwards is not filled.
    fn room_for(&self, missing: &[PartMeta], incoming: &Path) -> Result<(), Refusal> {
        let needed = missing.iter().map(PartMeta::bytes).sum::<u64>() + FREE_BYTES_MIN;
        match self.env.disk.free_bytes(incoming) {
            Ok(free) if free < needed => {
                let text = format!("{needed} bytes are needed for its parts, and {free} are free");
                Err(Refusal::new(Refusal::FAILED, text))
            }
            // What cannot be asked shows when it is written.
            _ => Ok(()),
        }
    }

    /// Asks one source after the other, and all of them again after a while.
    async fn fetch_from_any(&self, sources: &[NodeId], part: &PartMeta, into: &Path) -> Result<(), Refusal> {
        let mut pause = ASK_AGAIN;
        let mut reasons = Vec::new();
        for _ in 0..ROUNDS_MAX {
            reasons.clear();
            let mut later = false;
            for source in sources {
                match self.fetch_from(*source, part, into).await {
                    Ok(()) => {
                        chronos_env::sometimes!(
                            "raft.part_from_another_member",
                            Some(source) != sources.first()
                        );
                        return Ok(());
                    }
                    Err(error @ FetchError::Disk { .. }) => {
                        return Err(Refusal::new(Refusal::FAILED, error.to_string()));
                    }
                    Err(error) => {
                        self.say(&error);
                        later |= may_come_later(&error);
                        reasons.push(error.to_string());
                    }
                }
            }
            if !later {
                break;
            }
            self.env.clock.sleep(pause).await;
            pause *= 2;
        }
        let text = format!("part {} is not to be had: {}", part.stem(), reasons.join("; "));
        Err(Refusal::new(Refusal::FAILED, text))
    }

    async fn fetch_from(&self, source: NodeId, part: &PartMeta, into: &Path) -> Result<(), FetchError> {
        let id = self.partition.id();
        let _turn = self.turns.acquire().await.expect("nobody closes the turns");
        fetch_part(&self.peers, &self.env, source, id, part, into).boxed().await
    }

    fn say(&self, error: &FetchError) {
        let partition = self.partition.id().get();
        match error {
            FetchError::Damaged { .. } => {
                chronos_env::sometimes!("raft.part_arrived_damaged");
                tracing::error!(partition, %error, "a part arrived damaged and was thrown away");
            }
            _ => tracing::debug!(partition, %error, "a part was not had"),
        }
    }
}

/// Whether the same source may have it in a moment.
fn may_come_later(error: &FetchError) -> bool {
    match error {
        FetchError::Source { error: CallError::Refused { refusal, .. }, .. } => refusal.code == Refusal::BUSY,
        FetchError::Source { .. } => true,
        FetchError::Damaged { .. } | FetchError::Disk { .. } => false,
    }
}
