//! How the nodes of a cluster talk to each other. Knows nothing of consensus: it moves opaque messages.
//!
//! Each node listens on one port and keeps one *link* to every other node: an HTTP/2 connection with one bidirectional
//! gRPC call on it, on which the requests of all groups go one way and their answers the other. What waits when the
//! connection can take more goes out as one message, so a busy link costs a fraction of a call for each request. Files
//! travel on connections of their own, at a limited rate, so that they never delay a heartbeat.
//!
//! ```text
//!   call ─┐                                                        ┌─ Handler::handle
//!   call ─┤  Outbox ── pulled by flow control ──▶ link ──▶ begun   ├─ Handler::handle
//! stream ─┘  bounded    (coalesced)                      in order  └─ …
//!            └── pending: id → who waits  ◀── answers ◀── any order ──┘
//! ```
//!
//! Invariants:
//!
//! * *Nothing is sent twice.* A request is put on at most one connection, once. Whoever wants it again asks again.
//! * *Nothing is guessed.* [`CallError::Unreachable`] says that the request has certainly not arrived,
//!   [`CallError::Unknown`] that it may have.
//! * *Order.* On one link handlers are begun in the order in which the requests were enqueued: the future that
//!   [`Handler::handle`] returns is polled a first time before the next request's. When a [`stream`](Peers::stream)
//!   fails at one request, none of its later ones that had not been sent is sent.
//! * *Every wait ends*: each request has a deadline, at the caller and at the handler; a silent connection is noticed by
//!   HTTP/2 pings and torn down; so is one that never greets.
//! * *Memory is bounded* for each peer, however slow: requests and bytes wait for room before they enter the outbox, and a
//!   handler's side stops reading when too many requests are unanswered.
//! * *Both sides know who they talk to.* Before anything else they exchange cluster, node, incarnation and version, and
//!   either turns the other away, with the reason, when something is wrong: see [`Why`].
//! * *Nothing is taken for what was not said.* Every byte between two nodes is under a checksum, that of TLS or, in the clear,
//!   one of our own: what is damaged on its way past TCP's is the end of the connection, and its requests are unknown.
//! * *Strangers learn nothing.* Without a certificate of the cluster's authority nobody gets as far as a greeting; without
//!   certificates the port is for loopback only, unless that is switched off by name.

mod answers;
mod bulk;
mod call;
mod config;
mod dial;
mod doorman;
mod doubts;
mod error;
mod hello;
mod http2;
mod inbound;
mod join;
mod known;
mod link;
mod look;
mod outbox;
mod pace;
mod peers;
mod port;
mod reception;
mod registrar;
mod sealed;
mod security;
mod serve;
mod stats;
mod stream;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::NodeId;

pub use bulk::{Bulk, BulkFile, BulkItem, BulkSource, NoBulk};
pub use chronos_store::{Double, Sighting};
pub use config::{Config, Limits, PROTOCOL};
pub use error::{CallError, Cause, Refusal, StartError};
pub use hello::{Turned, Why};
pub use join::{JoinConfig, JoinError, Joined, join};
pub use look::look;
pub use peers::Peers;
pub use port::Port;
pub use registrar::{Admission, Admitted, Denial, Denied, NoRegistrar, Registrar};
pub use security::{Names, Security, TlsFiles, certificate_name};
pub use stats::{LinkStatus, PeerStats};
pub use stream::{Receiver, Sender};

/// A request to a group on another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The group it is for.
    pub group: u8,
    /// What it is: the consensus layer's business.
    pub kind: u8,
    /// The rest, opaque.
    pub body: Bytes,
}

/// What becomes of requests from other nodes; implemented by the consensus layer.
pub trait Handler: Send + Sync + 'static {
    /// Answers `message`, which came from `from`, whose identity is checked.
    ///
    /// Called in the order in which the requests of one peer were enqueued, and the returned future is polled a first time
    /// before the next call; what must happen in order has to happen before it first waits. After that futures run side by
    /// side. A future is dropped when nobody waits for its answer any more. A panic in it answers its own request
    /// with a refusal and nothing else.
    fn handle(&self, from: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>>;
}

/// The way to the other nodes, as those see it who have something to say. [`Peers`] is the one of production.
pub trait Link: Send + Sync + 'static {
    /// Sends a request and waits for its answer for at most `within`. Requests to one node arrive in the order in which
    /// the calls were made, as far as they arrive.
    fn call(
        &self,
        to: NodeId,
        message: Message,
        within: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>>;

    /// The other nodes that are known, reachable or not.
    fn others(&self) -> Vec<NodeId>;
}
