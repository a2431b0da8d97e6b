//! The port for other nodes: who arrives there, and how strangers are sent away.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chronos_env::{Connection, Listener, Task};
use chronos_proto::peer::v1::peer_server::PeerServer;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::http2;
use super::inbound::{Inbound, Visitor};
use super::security::{Certificate, told};
use super::stats::count;
use super::wire::Begun;

/// What the paths of our calls begin with.
const OURS: &str = "/chronos.peer.v1.Peer/";
/// When nobody can be accepted (no file handles, say) it is tried again after this.
pub(super) const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The connections that are open at our port, in the order in which they came; they end with it.
#[derive(Default)]
pub(super) struct Guests(Mutex<BTreeMap<u64, Guest>>);

struct Guest {
    task: Task<()>,
    /// Set when its greeting was welcome.
    is_welcome: Arc<AtomicBool>,
}

impl Drop for Guests {
    fn drop(&mut self) {
        self.0.get_mut().values().for_each(|guest| guest.task.abort());
    }
}

/// Whether one more may come in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Free,
    /// A stranger had to leave for it.
    Made,
    /// All that are inside are nodes.
    None,
}

impl Guests {
    /// Makes room for one more, if there may be: whoever was not welcomed leaves, the oldest first, so that strangers keep no
    /// node out.
    fn make_room(&self, max: usize) -> Room {
        let mut open = self.0.lock();
        open.retain(|_, guest| !guest.task.is_finished());
        if open.len() < max {
            return Room::Free;
        }
        let is_stranger = |guest: &Guest| !guest.is_welcome.load(Ordering::Relaxed);
        let stranger = open.iter().find_map(|(number, guest)| is_stranger(guest).then_some(*number));
        let Some(stranger) = stranger.and_then(|number| open.remove(&number)) else { return Room::None };
        stranger.task.abort();
        Room::Made
    }
}

impl Inbound {
    /// Takes connections until the task is aborted, which ends those that are open, too.
    pub(super) async fn listen(self, listener: Listener) {
        let guests = Guests::default();
        let mut number = 0;
        loop {
            match listener.accept().await {
                Ok(connection) => {
                    number += 1;
                    self.admit(connection, &guests, number);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection of another node");
                    self.env.clock.sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }

    fn admit(&self, connection: Connection, guests: &Guests, number: u64) {
        count(&self.counters.connections_accepted, 1);
        let (address, room) = (connection.peer_addr(), guests.make_room(self.limits.connections_max));
        if room != Room::Free {
            count(&self.counters.connections_too_many, 1);
        }
        match room {
            Room::Free => {}
            Room::Made => tracing::debug!(%address, "a stranger at the port for other nodes makes room"),
            Room::None => {
                tracing::warn!(%address, "turned away: too many connections at the port for other nodes");
                return;
            }
        }
        let is_welcome = Arc::new(AtomicBool::new(false));
        let hosted = self.clone().host(connection, Arc::clone(&is_welcome));
        let task = self.env.tasks.spawn("peer connection", hosted);
        guests.0.lock().insert(number, Guest { task, is_welcome });
    }

    /// One connection, from its first byte to its end.
    async fn host(self, connection: Connection, is_welcome: Arc<AtomicBool>) {
        let address = connection.peer_addr();
        let begun = self.env.clock.timeout(self.limits.connect_timeout, self.begin(connection)).await;
        match begun {
            Ok(Some((wire, certificate))) => {
                let is_joining = Arc::default();
                self.serve(wire, Visitor { address, certificate, is_welcome, is_joining }).await;
            }
            Ok(None) => {}
            Err(_) => self.silent(address),
        }
    }

    /// TLS and the first bytes; a stranger is counted and logged.
    async fn begin(&self, connection: Connection) -> Option<(Begun, Option<Certificate>)> {
        let address = connection.peer_addr();
        let (wire, certificate) = match self.guard.accept(connection).await {
            Ok(secured) => secured,
            Err(error) => {
                count(&self.counters.strangers_tls, 1);
                let error = told(&error);
                tracing::warn!(%address, error, "turned away: no TLS of this cluster's nodes");
                return None;
            }
        };
        match wire.begin().await {
            Ok(begun) => Some((begun, certificate)),
            // A probe whether anybody listens here, and not worth a line each time.
            Err(garbage) if garbage.is_nothing() => {
                count(&self.counters.strangers_silent, 1);
                tracing::debug!(%address, "somebody connected and said nothing");
                None
            }
            Err(garbage) => {
                count(&self.counters.strangers_garbage, 1);
                tracing::warn!(%address, "turned away: it sent {}", garbage.describe());
                garbage.answer(NOT_FOR_CLIENTS).await;
                None
            }
        }
    }

    async fn serve(self, wire: Begun, visitor: Visitor) {
        let address = visitor.address;
        let (is_welcome, is_joining) = (Arc::clone(&visitor.is_welcome), Arc::clone(&visitor.is_joining));
        let max = self.limits.wire_bytes_max();
        let server =
            PeerServer::new(self.clone()).max_decoding_message_size(max).max_encoding_message_size(max);
        let counters = Arc::clone(&self.counters);
        let answer = move |mut request: http::Request<Incoming>| {
            let (mut server, visitor, counters) = (server.clone(), visitor.clone(), Arc::clone(&counters));
            async move {
                if !request.uri().path().starts_with(OURS) {
                    count(&counters.strangers_other_service, 1);
                    let (address, path) = (visitor.address, request.uri().path());
                    tracing::warn!(%address, path, "turned away: this port is for the nodes of the cluster");
                    return Ok::<_, Infallible>(not_for_clients());
                }
                request.extensions_mut().insert(visitor);
                server.call(request).await
            }
        };
        let served = http2::serve(&self.env, &self.limits, wire, answer);
        tokio::pin!(served);
        let ended = tokio::select! {
            biased;
            ended = &mut served => Some(ended),
            () = self.env.clock.sleep(self.limits.connect_timeout) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None if is_welcome.load(Ordering::Relaxed) => served.await,
            // It has asked; after the answer there is nothing more to wait for.
            None if is_joining.load(Ordering::Relaxed) => {
                let answered = self.env.clock.timeout(self.limits.join_patience, served).await;
                answered.unwrap_or(Ok(()))
            }
            None => return self.silent(address),
        };
        if let Err(error) = ended {
            tracing::debug!(%address, %error, "a connection of another node ended");
        }
    }

    fn silent(&self, address: SocketAddr) {
        count(&self.counters.strangers_silent, 1);
        tracing::warn!(%address, "turned away: no greeting within {:?}", self.limits.connect_timeout);
    }
}

fn not_for_clients() -> http::Response<Body> {
    Status::unimplemented(NOT_FOR_CLIENTS).into_http()
}

/// What a client is told that has come to the wrong port.
const NOT_FOR_CLIENTS: &str = "this port is for the nodes of a Chronos cluster among themselves; clients use the address a \
                               node listens on for clients (--listen), operators that for operators (--admin-listen)";
