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
use futures::future::BoxFuture;
use openraft::OptionalSend;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use parking_lot::RwLock;

use super::Raft;
use super::codec::{self, Malformed, Offer};
use super::machine::SnapshotData;
use super::types::{Snapshot, Types, Vote};
use crate::node::NodeId;
use crate::peer::{CallError, Cause, Handler, Link, Message, Refusal};

const APPEND: u8 = 1;
const VOTE: u8 = 2;
const PRE_VOTE: u8 = 3;
const TRANSFER: u8 = 4;
const OFFER: u8 = 5;

/// How long a message with entries may take: the other side syncs them before it answers.
const ENTRIES_WITHIN: Duration = Duration::from_secs(2);

/// The way to nobody.
pub(crate) struct Alone;

impl Link for Alone {
    fn call(&self, to: NodeId, _: Message, _: Duration) -> BoxFuture<'static, Result<Bytes, CallError>> {
        Box::pin(async move { Err(CallError::Unreachable { to, cause: Cause::NotAPeer }) })
    }
}

/// Where a group's messages go out.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) link: Arc<dyn Link>,
    pub(crate) group: u8,
}

impl RaftNetworkFactory<Types> for Wire {
    type Network = Client;

    async fn new_client(&mut self, to: NodeId, (): &()) -> Client {
        Client { wire: self.clone(), to }
    }
}

/// One node, as a group sends to it.
pub(crate) struct Client {
    wire: Wire,
    to: NodeId,
}

impl Client {
    async fn call<T>(
        &self,
        kind: u8,
        body: Bytes,
        within: Duration,
        read: fn(&Bytes) -> Result<T, Malformed>,
    ) -> Result<T, Unreachable<Types>> {
        let message = Message { group: self.wire.group, kind, body };
        let answer = self.wire.link.call(self.to, message, within).await;
        let answer = answer.map_err(|error| Unreachable::new(&error))?;
        read(&answer).map_err(|malformed| Unreachable::new(&malformed))
    }
}

impl RaftNetworkV2<Types> for Client {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let within = if request.entries.is_empty() { option.soft_ttl() } else { ENTRIES_WITHIN };
        let body = codec::encode_append(&request);
        Ok(self.call(APPEND, body, within, codec::decode_append_answer).await?)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let body = codec::encode_vote_request(&request);
        Ok(self.call(VOTE, body, option.soft_ttl(), codec::decode_vote_answer).await?)
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
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let manifest = Bytes::from(snapshot.snapshot.0.manifest.encode());
        let body = codec::encode_offer(&Offer { vote, meta: snapshot.meta, manifest });
        let within = option.hard_ttl().max(ENTRIES_WITHIN);
        tokio::select! {
            biased; // who no longer leads no longer offers
            closed = cancel => Err(closed.into()),
            answer = self.call(OFFER, body, within, codec::decode_offer_answer) => Ok(answer?),
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

/// Where messages of other nodes come in: hands each to its group. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Post(Arc<RwLock<BTreeMap<u8, Raft>>>);

impl Post {
    /// Messages for a group go to this one from now on; to nobody without one.
    pub(crate) fn deliver(&self, group: u8, raft: Option<Raft>) {
        let mut groups = self.0.write();
        match raft {
            Some(raft) => drop(groups.insert(group, raft)),
            None => drop(groups.remove(&group)),
        }
    }
}

impl Handler for Post {
    /// Who asks is not looked at: what a message claims, openraft checks against terms and members.
    fn handle(&self, _: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let raft = self.0.read().get(&message.group).cloned();
        Box::pin(async move {
            let absent =
                || Refusal::new(Refusal::ABSENT, format!("group {} does not run here", message.group));
            answer(&raft.ok_or_else(absent)?, message.kind, &message.body).await
        })
    }
}

async fn answer(raft: &Raft, kind: u8, body: &Bytes) -> Result<Bytes, Refusal> {
    match kind {
        APPEND => {
            let answer = raft.append_entries(codec::decode_append(body)?).await;
            Ok(codec::encode_append_answer(&answer.map_err(refusal)?))
        }
        VOTE => {
            let answer = raft.vote(codec::decode_vote_request(body)?).await;
            Ok(codec::encode_vote_answer(&answer.map_err(refusal)?))
        }
        PRE_VOTE => {
            let answer = raft.pre_vote(codec::decode_vote_request(body)?).await;
            Ok(codec::encode_vote_answer(&answer.map_err(refusal)?))
        }
        TRANSFER => {
            let answer = raft.handle_transfer_leader(codec::decode_transfer(body)?).await;
            Ok(codec::encode_transfer_answer(&answer.map_err(refusal)?))
        }
        OFFER => {
            let offer = codec::decode_offer(body)?;
            let text = format!("taking over parts up to {} is not supported yet", offer.meta);
            Err(Refusal::new(Refusal::ABSENT, text))
        }
        other => Err(Refusal::new(Refusal::MALFORMED, format!("there is no message of kind {other}"))),
    }
}

impl From<Malformed> for Refusal {
    fn from(malformed: Malformed) -> Refusal {
        Refusal::new(Refusal::MALFORMED, malformed.to_string())
    }
}

fn refusal(error: impl std::error::Error) -> Refusal {
    Refusal::new(Refusal::FAILED, error.to_string())
}
