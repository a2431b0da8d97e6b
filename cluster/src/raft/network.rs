//! From openraft's calls to messages and back.
//!
//! ```text
//!  openraft ─► Wire ─► Client ─► Link::call ═══ another node ═══ Post ─► openraft
//! ```
//!
//! Every call has a deadline. Whatever goes wrong on the way is [`Unreachable`] to openraft, which then waits before it
//! tries again; nothing is retried here. Pre-vote and transfers of leadership really ask the other side.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_env::Clock;
use futures::future::{self, BoxFuture};
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use openraft::OptionalSend;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use parking_lot::{Mutex, RwLock};

use super::Raft;
use super::anew::Anew;
use super::codec::{self, Malformed, Offer, OfferAnswer};
use super::ear::Ear;
use super::intake::Intake;
use super::log_store::LogStore;
use super::lost::Losses;
use super::machine::SnapshotData;
use super::offers::{Offered, Offers};
use super::pipeline::Pipeline;
use super::promises::{Meaning, Promises};
use super::types::{LogId, Snapshot, Types, Vote};
use crate::node::NodeId;
use crate::peer::{CallError, Cause, Handler, Link, Message, Refusal};

const APPEND: u8 = 1;
const VOTE: u8 = 2;
const PRE_VOTE: u8 = 3;
const TRANSFER: u8 = 4;
const OFFER: u8 = 5;
pub(super) const FORGET: u8 = 6;
const LOST: u8 = 7;
pub(super) const PROMISED: u8 = 8;
pub(super) const DIGEST: u8 = 9;

/// How long a message with entries may take: the other side syncs them before it answers.
const ENTRIES_WITHIN: Duration = Duration::from_secs(2);
/// How long a follower may take to withhold its votes.
const WITHHELD_WITHIN: Duration = Duration::from_secs(1);
/// How long an offer may wait for an answer: the other side gives one before, be it that parts are coming.
const OFFER_WITHIN: Duration = Duration::from_secs(6);
/// A follower that does not answer an offer is asked again after this long.
const OFFER_AGAIN: Duration = Duration::from_millis(500);
/// An offer stands for so long without a further answer. A follower that comes back before finds the parts it was
/// fetching.
const OFFER_STANDS: Duration = Duration::from_secs(120);
/// The same for one that was never answered: who is away is offered something newer then.
const OFFER_UNHEARD_STANDS: Duration = Duration::from_secs(3);

/// The way to nobody.
pub(crate) struct Alone;

impl Link for Alone {
    fn call(&self, to: NodeId, _: Message, _: Duration) -> BoxFuture<'static, Result<Bytes, CallError>> {
        Box::pin(async move { Err(CallError::Unreachable { to, cause: Cause::NotAPeer }) })
    }

    fn others(&self) -> Vec<NodeId> {
        Vec::new()
    }
}

/// Whether a message asks this node to vote, or to ask others for their votes.
pub(crate) const fn asks_for_a_vote(kind: u8) -> bool {
    matches!(kind, VOTE | PRE_VOTE | TRANSFER)
}

/// Where a group's messages go out.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) link: Arc<dyn Link>,
    pub(crate) group: u8,
    pub(crate) clock: Clock,
    pub(crate) offers: Offers,
    pub(crate) promises: Promises,
    /// The log that is sent, for saying how much of it is on disk.
    pub(crate) log: LogStore,
}

/// What a node promised counts for nothing that has begun anew since.
#[derive(Debug, thiserror::Error)]
#[error("it was started again before its answer was heard")]
struct Outlived;

/// A follower has lost what it acknowledged; to openraft it is not there.
#[derive(Debug, thiserror::Error)]
#[error("it does not have entry {entry} any more, which it acknowledged")]
struct Lost {
    entry: LogId,
}

impl RaftNetworkFactory<Types> for Wire {
    type Network = Client;

    async fn new_client(&mut self, to: NodeId, (): &()) -> Client {
        Client { wire: self.clone(), to, is_for_heartbeats: false }
    }

    async fn new_heartbeat_client(&mut self, to: NodeId, (): &()) -> Client {
        Client { wire: self.clone(), to, is_for_heartbeats: true }
    }
}

/// One node, as a group sends to it.
pub(crate) struct Client {
    wire: Wire,
    to: NodeId,
    is_for_heartbeats: bool,
}

impl Client {
    /// Enqueues a message, and gives what awaits the answer.
    fn call<T>(
        &self,
        kind: u8,
        body: Bytes,
        within: Duration,
        read: fn(&Bytes) -> Result<T, Malformed>,
    ) -> impl Future<Output = Result<T, Unreachable<Types>>> + Send + use<T> {
        let message = Message { group: self.wire.group, kind, body };
        let answer = self.wire.link.call(self.to, message, within);
        async move {
            let answer = answer.await.map_err(|error| Unreachable::new(&error))?;
            read(&answer).map_err(|malformed| Unreachable::new(&malformed))
        }
    }

    /// The same for entries, or a heartbeat. A message that only says what is committed may find entries before it that
    /// are still being synced, and is given as long as they are.
    fn append(
        &self,
        request: &AppendEntriesRequest<Types>,
        heartbeat_within: Duration,
    ) -> impl Future<Output = Result<AppendEntriesResponse<Types>, Unreachable<Types>>> + Send + use<> {
        let within = if self.is_for_heartbeats { heartbeat_within } else { ENTRIES_WITHIN };
        let (to, vote, prev) = (self.to, request.vote, request.prev_log_id);
        let last = request.entries.last().map(|entry| entry.log_id).or(prev);
        let known = self.wire.promises.known(to, &vote);
        let body = codec::encode_append(request, self.wire.log.flushed().as_ref());
        let answer = self.call(APPEND, body, within, codec::decode_append_answer);
        let wire = self.wire.clone();
        async move {
            let answer = answer.await?;
            match wire.promises.heard(to, known, (prev, last), &answer) {
                Meaning::AsItSays => Ok(answer),
                Meaning::Outlived => {
                    chronos_env::sometimes!("raft.answer_outlived");
                    Err(Unreachable::new(&Outlived))
                }
                Meaning::Lost(entry) => Err(wire.tell_lost(to, &vote, entry).await),
            }
        }
    }
}

impl Wire {
    /// Tells a follower that it has lost an entry; gives what openraft is told instead of its answer, which would be
    /// impossible.
    async fn tell_lost(&self, to: NodeId, vote: &Vote, entry: LogId) -> Unreachable<Types> {
        let message = Message { group: self.group, kind: LOST, body: codec::encode_lost(vote, entry) };
        match self.link.call(to, message, WITHHELD_WITHIN).await {
            Ok(_) => {
                chronos_env::sometimes!("raft.acknowledged_entry_lost");
                tracing::error!(%to, group = self.group, %entry, "a follower has lost what it acknowledged");
            }
            Err(error) => {
                tracing::warn!(%to, group = self.group, %entry, %error, "a follower seems to have lost entries");
            }
        }
        Unreachable::new(&Lost { entry })
    }
}

impl Client {
    /// Makes the same offer until the other side has taken it, or refuses it, or has not been heard of for long.
    async fn offer(
        &self,
        mut offer: Offer,
        offered: &Offered,
    ) -> Result<SnapshotResponse<Types>, Unreachable<Types>> {
        let clock = &self.wire.clock;
        let (mut since, mut stands) = (clock.monotonic(), OFFER_UNHEARD_STANDS);
        loop {
            let body = codec::encode_offer(&offer);
            let message = Message { group: self.wire.group, kind: OFFER, body };
            let error = match self.wire.link.call(self.to, message, OFFER_WITHIN).await {
                Ok(answer) => match codec::decode_offer_answer(&answer) {
                    Ok(OfferAnswer::Took(response)) => {
                        offered.is_heard();
                        return Ok(response);
                    }
                    Ok(OfferAnswer::Coming { had, of }) => {
                        tracing::debug!(to = %self.to, group = self.wire.group, had, of, "parts are on their way");
                        offered.is_heard();
                        (since, stands, offer.again) = (clock.monotonic(), OFFER_STANDS, true);
                        continue;
                    }
                    Err(malformed) => return Err(Unreachable::new(&malformed)),
                },
                // Its group may not run yet.
                Err(CallError::Refused { refusal, .. }) if refusal.code != Refusal::ABSENT => {
                    tracing::warn!(to = %self.to, group = self.wire.group, %refusal, "an offer of parts was refused");
                    return Err(Unreachable::new(&CallError::Refused { from: self.to, refusal }));
                }
                Err(error) => error,
            };
            if clock.monotonic() - since > stands {
                return Err(Unreachable::new(&error));
            }
            clock.sleep(OFFER_AGAIN).await;
        }
    }
}

impl RaftNetworkV2<Types> for Client {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        Ok(self.append(&request, option.soft_ttl()).await?)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        requests: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let (client, within) = (&*self, option.soft_ttl());
        let send = move |request: &AppendEntriesRequest<Types>| client.append(request, within).boxed();
        let clock = client.wire.clock.clone();
        let wait = move |wait| {
            let clock = clock.clone();
            async move { clock.sleep(wait).await }.boxed()
        };
        Box::pin(future::ready(Ok(Pipeline::new(requests, send, wait).boxed())))
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let known = self.wire.promises.known(self.to, &request.vote);
        let body = codec::encode_vote_request(&request);
        let answer = self.call(VOTE, body, option.soft_ttl(), codec::decode_vote_answer).await?;
        if answer.vote_granted && !self.wire.promises.granted(self.to, known) {
            return Err(Unreachable::new(&Outlived).into());
        }
        Ok(answer)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let body = codec::encode_vote_request(&request);
        Ok(self.call(PRE_VOTE, body, option.soft_ttl(), codec::decode_vote_answer).await?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let SnapshotData::Held(shelf) = &snapshot.snapshot else {
            unreachable!("what is sent was read from this node's own state machine")
        };
        let offered = self.wire.offers.stand(self.wire.group, shelf);
        let (known, last) = (self.wire.promises.known(self.to, &vote), snapshot.meta.last_log_id);
        let manifest = Bytes::from(shelf.manifest.encode());
        let offer = Offer { vote, meta: snapshot.meta, again: false, manifest };
        tokio::select! {
            biased; // who no longer leads no longer offers
            closed = cancel => Err(closed.into()),
            answer = self.offer(offer, &offered) => {
                let answer = answer?;
                if answer.vote == vote && !self.wire.promises.acknowledged(self.to, known, last) {
                    return Err(Unreachable::new(&Outlived).into());
                }
                Ok(answer)
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let body = codec::encode_transfer(&request);
        Ok(self.call(TRANSFER, body, option.soft_ttl(), codec::decode_transfer_answer).await?)
    }
}

/// A group as others reach it.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) raft: Raft,
    /// Takes over parts; `None` where there is nobody to have them from.
    pub(crate) intake: Option<Intake>,
    /// Where everything was discarded once.
    pub(crate) anew: Option<Anew>,
    /// Notes when a leader is heard of.
    pub(crate) ear: Ear,
    /// What the others have promised.
    pub(crate) promises: Promises,
    /// What is done when it is told that it has lost something.
    pub(crate) losses: Losses,
}

/// Where messages of other nodes come in: hands each to its group. Knows besides what was promised to each group, whether
/// it runs or not, as long as this process lives. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Post {
    groups: Arc<RwLock<BTreeMap<u8, Member>>>,
    promises: Arc<Mutex<BTreeMap<u8, Promises>>>,
}

impl Post {
    /// What was promised to a group of this node.
    pub(crate) fn promises(&self, group: u8) -> Promises {
        self.promises.lock().entry(group).or_default().clone()
    }

    /// Messages for a group go to this one from now on; to nobody without one.
    pub(crate) fn deliver(&self, group: u8, member: Option<Member>) {
        let mut groups = self.groups.write();
        let before = match member {
            Some(member) => groups.insert(group, member),
            None => groups.remove(&group),
        };
        if let Some(intake) = before.and_then(|before| before.intake) {
            intake.end();
        }
    }
}

impl Handler for Post {
    /// Who asks is not looked at: what a message claims, openraft checks against terms and members.
    fn handle(&self, from: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        if message.kind == PROMISED {
            let promise = self.promises(message.group).asked_by(from);
            return future::ready(Ok(codec::encode_promise(promise.term, promise.reached))).boxed();
        }
        let member = self.groups.read().get(&message.group).cloned();
        Box::pin(async move {
            let absent =
                || Refusal::new(Refusal::ABSENT, format!("group {} does not run here", message.group));
            answer(&member.ok_or_else(absent)?, from, message.kind, &message.body).await
        })
    }
}

async fn answer(member: &Member, from: NodeId, kind: u8, body: &Bytes) -> Result<Bytes, Refusal> {
    let raft = &member.raft;
    match kind {
        APPEND => {
            let (request, flushed) = codec::decode_append(body)?;
            // Before it is handled: a disk that is slow here is not the leader's silence.
            member.ear.hear(request.vote.leader_id.term);
            chronos_env::sometimes!("raft.two_leaders", leads_in_an_earlier_term(raft, &request.vote));
            member.losses.compare_entries(raft, from, &request).await?;
            if request.vote.is_committed() && request.vote.leader_id.voted_for == from {
                member.promises.leads(from, request.vote.leader_id.term, flushed);
            }
            if let Some(anew) = &member.anew {
                anew.agree(from, request.vote.leader_id.term).await?;
            }
            let answer = raft.append_entries(request).await;
            Ok(codec::encode_append_answer(&answer.map_err(refusal)?))
        }
        VOTE => {
            let request = codec::decode_vote_request(body)?;
            let asked = request.vote;
            let answer = raft.vote(request).await.map_err(refusal)?;
            mark_vote(&asked, &answer);
            Ok(codec::encode_vote_answer(&answer))
        }
        PRE_VOTE => {
            let answer = raft.pre_vote(codec::decode_vote_request(body)?).await.map_err(refusal)?;
            chronos_env::sometimes!("raft.pre_vote_refused", !answer.vote_granted);
            Ok(codec::encode_vote_answer(&answer))
        }
        TRANSFER => {
            let answer = raft.handle_transfer_leader(codec::decode_transfer(body)?).await;
            chronos_env::sometimes!("raft.leadership_offered");
            Ok(codec::encode_transfer_answer(&answer.map_err(refusal)?))
        }
        OFFER => {
            let offer = codec::decode_offer(body)?;
            member.ear.hear(offer.vote.leader_id.term);
            let nobody = || Refusal::new(Refusal::FAILED, "this node has no way to fetch parts");
            let intake = member.intake.as_ref().ok_or_else(nobody)?;
            member.losses.compare_offer(raft, from, &offer).await?;
            Ok(codec::encode_offer_answer(&intake.offer(raft, from, offer).await?))
        }
        FORGET => {
            let allowed = raft.trigger().allow_next_revert(&from, true).await;
            // Who does not lead, or does not count it among the members, expects nothing of it.
            allowed.map_err(refusal)?.map_err(refusal)?;
            member.promises.forget(from);
            chronos_env::sometimes!("raft.follower_begins_anew");
            Ok(Bytes::new())
        }
        LOST => {
            let (vote, entry) = codec::decode_lost(body)?;
            member.losses.told(raft, vote, entry).await.map(|()| Bytes::new())
        }
        DIGEST => {
            let (position, _) = codec::decode_digest(body)?;
            let (position, digest) = member.losses.digest_at(position).await?;
            Ok(codec::encode_digest(position, digest))
        }
        other => Err(Refusal::new(Refusal::MALFORMED, format!("there is no message of kind {other}"))),
    }
}

/// Whether this node still takes itself for the leader, and another one with a later term has been elected.
fn leads_in_an_earlier_term(raft: &Raft, theirs: &Vote) -> bool {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    metrics.state.is_leader() && metrics.current_term < theirs.leader_id.term
}

/// What is rare about an answer to who asked for a vote.
fn mark_vote(asked: &Vote, answer: &VoteResponse<Types>) {
    let of_that_term = answer.vote.leader_id.term == asked.leader_id.term;
    let is_anothers = of_that_term && answer.vote.leader_id != asked.leader_id;
    chronos_env::sometimes!("raft.vote_refused", !answer.vote_granted);
    chronos_env::sometimes!("raft.vote_split", is_anothers && !answer.vote.is_committed());
    chronos_env::sometimes!("raft.term_over_50", asked.leader_id.term > 50);
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Refusal {
        Refusal::new(Refusal::MALFORMED, malformed.to_string())
    }
}

fn refusal(error: impl std::error::Error) -> Refusal {
    Refusal::new(Refusal::FAILED, error.to_string())
}
