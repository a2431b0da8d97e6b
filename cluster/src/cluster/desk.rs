//! What other nodes, and machines that want to be nodes, ask about the cluster itself; and what this one asks them.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use chronos_domain::PartitionId;
use chronos_store::Neighbour;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::Inner;
use crate::exchange::kinds;
use crate::node::NodeId;
use crate::peer::{Admission, Admitted, CallError, Denial, Denied, Handler, Message, Refusal, Registrar};
use crate::placement::Steer;
use crate::status;
use crate::system::{Ask, Decided, Newcomer, NotWritten, State, decode_done, encode_done};
use crate::view::{Member, MemberState};

/// A machine that asks to become a node is answered within so long.
const ADMITTED_WITHIN: Duration = Duration::from_secs(10);
/// How often a wish is passed on to whoever is said to lead by now.
const HOPS_MAX: usize = 3;
/// Within so long whoever was asked decides, so that the answer is there before nobody waits for it.
const DECIDED_WITHIN: Duration = Duration::from_secs(5);

/// Where what is asked comes in. It knows nobody until the node has started, and then does not keep it alive.
#[derive(Clone, Default)]
pub(super) struct Desk(Arc<OnceLock<Weak<Inner>>>);

impl Desk {
    /// From now on questions are answered.
    pub(super) fn open(&self, inner: &Arc<Inner>) {
        assert!(self.0.set(Arc::downgrade(inner)).is_ok(), "a desk is opened once");
    }

    fn inner(&self) -> Option<Arc<Inner>> {
        self.0.get()?.upgrade()
    }
}

impl Handler for Desk {
    fn handle(&self, from: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        let inner = self.inner();
        async move {
            let gone = || Refusal::new(Refusal::ABSENT, "this node is starting or stopping".to_owned());
            inner.ok_or_else(gone)?.answer(from, &message).await
        }
        .boxed()
    }
}

impl Registrar for Desk {
    fn admit(&self, admission: Admission) -> BoxFuture<'static, Result<Admitted, Denied>> {
        let inner = self.inner();
        async move {
            let starting = || Denied::new(Denial::NotNow, "this node is starting; ask again in a moment");
            inner.ok_or_else(starting)?.admit(admission).await
        }
        .boxed()
    }
}

impl Inner {
    async fn answer(&self, from: NodeId, message: &Message) -> Result<Bytes, Refusal> {
        let is_removed = self.ledger.state().state_of(from) == Some(MemberState::Removed);
        match message.kind {
            // Also a removed node is asked how it does, and asks, for as long as it has something to give up.
            kinds::STATUS => Ok(status::encode(&self.report())),
            _ if is_removed => {
                Err(Refusal::new(Refusal::FAILED, format!("{from} was removed from the cluster")))
            }
            kinds::STEER => {
                let steer = Steer::decode(&message.body, self.me)?;
                let taken = self.take(steer).await;
                Ok(encode_done(taken.map(|()| 0)))
            }
            kinds::ADMIT | kinds::ANNOUNCE | kinds::ORDER => {
                let ask = Ask::decode(message.kind, &message.body)?;
                Ok(encode_done(self.grant(&ask, DECIDED_WITHIN).await))
            }
            other => Err(Refusal::new(Refusal::MALFORMED, format!("there is no message of kind {other}"))),
        }
    }

    /// Grants a wish, or says who can.
    async fn grant(&self, ask: &Ask, within: Duration) -> Result<u64, NotWritten> {
        let decide = |state: &State| match ask {
            Ask::Admit(who) => state.admit(who).map(|decided| decided.map(NodeId::get)),
            Ask::Announce { node, name, addresses } => {
                state.announce(*node, name, addresses).map(|decided| decided.map(|()| 0))
            }
            Ask::Order(order) => state.order(order).map(|decided| decided.map(|()| 0)),
        };
        self.ledger.change(within, decide).await
    }

    /// Has a wish granted by whoever can, here or elsewhere.
    pub(super) async fn ask(&self, ask: &Ask, within: Duration) -> Result<u64, NotWritten> {
        let deadline = self.env.clock.monotonic() + within;
        let left = || deadline.saturating_sub(self.env.clock.monotonic());
        let mut outcome = self.grant(ask, left()).await;
        for _ in 0..HOPS_MAX {
            let leader = match outcome {
                Err(NotWritten::Elsewhere(leader)) => leader.or_else(|| self.leader(PartitionId::SYSTEM)),
                done => return done,
            };
            let Some(leader) = leader.filter(|leader| *leader != self.me) else { break };
            outcome = self.ask_one(leader, ask.kind(), ask.encode(), left()).await;
        }
        outcome
    }

    /// Asks one node.
    pub(super) async fn ask_one(
        &self,
        node: NodeId,
        kind: u8,
        body: Bytes,
        within: Duration,
    ) -> Result<u64, NotWritten> {
        let Some(peers) = &self.peers else {
            return Err(NotWritten::Unavailable(format!(
                "{node} is another node, and this one has no port for others"
            )));
        };
        match peers.call(node, Message { group: PartitionId::SYSTEM.get(), kind, body }, within).await {
            Ok(answer) => decode_done(&answer),
            Err(error @ CallError::Unknown { .. }) => Err(NotWritten::Unknown(error.to_string())),
            Err(error) => Err(NotWritten::Unavailable(error.to_string())),
        }
    }

    async fn admit(&self, admission: Admission) -> Result<Admitted, Denied> {
        let Admission { machine, token, name, addresses, release } = admission;
        let newcomer = Newcomer { token, name, machine, addresses };
        match self.ask(&Ask::Admit(newcomer), ADMITTED_WITHIN).await {
            Ok(number) => {
                let node = NodeId::new(number);
                tracing::info!(%node, release, "a node was admitted to the cluster");
                Ok(Admitted { node, members: self.others_than(node) })
            }
            Err(NotWritten::Refused(denied)) => {
                // Whoever was asked logs and counts it.
                Err(denied)
            }
            Err(NotWritten::Elsewhere(_)) => Err(Denied::new(
                Denial::NotNow,
                "the system partition has no leader now; ask again in a few seconds",
            )),
            Err(NotWritten::Unavailable(why) | NotWritten::Unknown(why)) => {
                Err(Denied::new(Denial::NotNow, why))
            }
        }
    }

    /// The members but one, as far as other nodes reach them.
    pub(super) fn others_than(&self, node: NodeId) -> Vec<Neighbour> {
        let state = self.ledger.state();
        let others = state.members.values().filter(|member| {
            member.node != node && member.state != MemberState::Removed && !member.addresses.peer.is_empty()
        });
        others.map(Member::neighbour).collect()
    }
}

impl<T> Decided<T> {
    fn map<U>(self, to: impl FnOnce(T) -> U) -> Decided<U> {
        match self {
            Decided::Already(so) => Decided::Already(to(so)),
            Decided::Write(change, so) => Decided::Write(change, to(so)),
        }
    }
}
