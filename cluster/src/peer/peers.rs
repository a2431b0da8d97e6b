//! A node's connections to all others, both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_env::{Entropy, Env, Task};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use super::bulk::{Bulk, BulkItem};
use super::call;
use super::dial::Dialer;
use super::doorman::Doorman;
use super::doubts::Doubts;
use super::error::{CallError, Cause, StartError};
use super::hello::{Identity, Turned};
use super::inbound::Inbound;
use super::link::Link;
use super::outbox::{Hope, Outbox};
use super::pace::Pace;
use super::security::Guard;
use super::stats::{Counters, LinkStatus, PeerStats};
use super::stream::{self, Receiver, Sender};
use super::{BulkSource, Config, Handler, Limits, Link as Way, Message, Port, Registrar, Sighting};
use crate::NodeId;

/// The other nodes, as far as talking to them goes. Clones are handles to the same connections; when the last one is
/// dropped, all of them end. A handler that holds one keeps it from being the last: [`Peers::stop`] ends them anyway.
#[derive(Clone)]
pub struct Peers(Arc<Inner>);

struct Inner {
    me: NodeId,
    address: SocketAddr,
    dialer: Arc<Dialer>,
    dice: Entropy,
    book: Mutex<Book>,
    listening: Task<()>,
    /// How fast files are sent.
    pace: Arc<Pace>,
}

#[derive(Default)]
struct Book {
    is_closed: bool,
    peers: BTreeMap<NodeId, Peer>,
}

struct Peer {
    address: String,
    outbox: Arc<Outbox>,
    state: Arc<Mutex<Option<Result<(), String>>>>,
    task: Task<()>,
}

impl Peer {
    fn end(&self) {
        self.task.abort();
        self.outbox.down(&Cause::Stopping, Hope::No);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.listening.abort();
        self.book.get_mut().peers.values().for_each(Peer::end);
    }
}

impl Way for Peers {
    fn call(
        &self,
        to: NodeId,
        message: Message,
        within: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>> {
        Box::pin(Peers::call(self, to, message, within))
    }

    fn others(&self) -> Vec<NodeId> {
        self.status().into_iter().map(|link| link.node).collect()
    }
}

impl Peers {
    /// Listens for other nodes, and answers them with `handler` and `source`, and those who want to become one with
    /// `registrar`. To call others, name them with
    /// [`Peers::set_peer`].
    ///
    /// # Errors
    /// [`StartError`]: nothing was begun.
    pub async fn start(
        env: &Env,
        config: Config,
        handler: Arc<dyn Handler>,
        source: Arc<dyn BulkSource>,
        registrar: Arc<dyn Registrar>,
    ) -> Result<Peers, StartError> {
        let port = Port::open(env, &config.listen, &config.security).await?;
        Peers::start_at(env, config, port, handler, source, registrar)
    }

    /// As [`Peers::start`], at a port that was taken before; what the configuration says about listening is ignored.
    ///
    /// # Errors
    /// [`StartError`]: nothing was begun.
    pub fn start_at(
        env: &Env,
        config: Config,
        port: Port,
        handler: Arc<dyn Handler>,
        source: Arc<dyn BulkSource>,
        registrar: Arc<dyn Registrar>,
    ) -> Result<Peers, StartError> {
        check(&config.limits)?;
        let guard = Guard::new(&config.security, env)?;
        let entropy = env.entropy.child("peers");
        let me = Identity {
            cluster: config.cluster,
            node: config.node,
            incarnation: config.incarnation,
            process: config.starts.first().copied().unwrap_or_else(|| entropy.child("process").u64()),
            machine: config.machine,
        };
        let earlier = config.starts.into_iter().skip(1).collect();
        let doorman = Doorman::new(me, config.versions, config.release, env.clock.clone())
            .remembering(earlier, config.seen);
        config.machines.iter().for_each(|(node, machine)| doorman.know_machine(*node, *machine));
        for node in config.removed {
            doorman.ban(node);
        }
        let doorman = Arc::new(doorman);
        let (counters, limits) = (Arc::new(Counters::default()), config.limits);
        let pace = Arc::new(Pace::new(env.clock.clone(), limits.bulk_bytes_per_second));
        let inbound = Inbound {
            env: env.clone(),
            limits: limits.clone(),
            guard: guard.clone(),
            doorman: Arc::clone(&doorman),
            counters: Arc::clone(&counters),
            handler,
            source,
            registrar,
            pace: Arc::clone(&pace),
            bulk_streams: Arc::new(Semaphore::new(limits.bulk_streams_max)),
        };
        let address = port.address();
        tracing::info!(node = %config.node, %address, incarnation = config.incarnation, "listening for other nodes");
        let listening = env.tasks.spawn("peer port", inbound.listen(port.listener));
        let dialer = Arc::new(Dialer {
            env: env.clone(),
            limits,
            guard,
            doorman,
            counters,
            doubts: Doubts::default(),
            deaths: watch::Sender::default(),
        });
        let (dice, book) = (entropy.child("backoff"), Mutex::default());
        Ok(Peers(Arc::new(Inner { me: config.node, address, dialer, dice, book, listening, pace })))
    }

    /// Where other nodes are listened for, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// From now on `node` is looked for at `address` (`host:port`), and a link to it is kept. With a new address, what was
    /// on its way to the old one fails. Our own id is ignored, and so is everybody after [`Peers::stop`].
    pub fn set_peer(&self, node: NodeId, address: &str) {
        let mut book = self.0.book.lock();
        let is_known = book.peers.get(&node).is_some_and(|peer| peer.address == address);
        if node == self.0.me || book.is_closed || is_known || self.is_banned(node) {
            return;
        }
        if let Some(before) = book.peers.insert(node, self.begin(node, address)) {
            before.end();
        }
    }

    /// From now on `node` is not talked to any more; what was on its way to it fails. It may still call us.
    pub fn remove_peer(&self, node: NodeId) {
        if let Some(peer) = self.0.book.lock().peers.remove(&node) {
            peer.end();
        }
    }

    /// As [`Peers::remove_peer`], and for good: the node was removed from the cluster. From now on it is turned away at the
    /// greeting, with that reason, and its link to us is over. False if that was so before.
    pub fn ban(&self, node: NodeId) -> bool {
        let is_new = self.0.dialer.doorman.ban(node);
        self.remove_peer(node);
        is_new
    }

    /// Whether a node was banned.
    pub fn is_banned(&self, node: NodeId) -> bool {
        self.0.dialer.doorman.is_banned(node)
    }

    /// Follows who was banned.
    pub fn watch_banned(&self) -> watch::Receiver<BTreeSet<NodeId>> {
        self.0.dialer.doorman.watch_banned()
    }

    /// Follows what was seen of other nodes: who each of them was last, and who is not. It is to be kept and given to the next
    /// life of this node ([`Config::seen`]): else whoever comes then is measured by nothing.
    pub fn watch_seen(&self) -> watch::Receiver<BTreeMap<NodeId, Sighting>> {
        self.0.dialer.doorman.watch_seen()
    }

    /// How many bytes of files this node sends in a second from now on, to all peers together.
    pub fn set_bulk_rate(&self, bytes_per_second: u64) {
        self.0.pace.set(bytes_per_second);
    }

    /// From now on only that data directory is believed to be `node`: one that was restored from a backup, or copied and made
    /// anew, is not. Zero says nothing.
    pub fn know_machine(&self, node: NodeId, machine: u128) {
        self.0.dialer.doorman.know_machine(node, machine);
    }

    /// Asks `to`, and waits for its answer for at most `deadline` from now. Calls made one after the other arrive in that
    /// order, as far as they arrive, unless too many are on their way already. When the returned future is dropped, nobody
    /// waits any more, and the handler is told.
    ///
    /// # Errors
    /// [`CallError`], whose class says whether the request may have been handled.
    pub fn call(
        &self,
        to: NodeId,
        message: Message,
        deadline: Duration,
    ) -> impl Future<Output = Result<Bytes, CallError>> + Send + use<> {
        call::ask(self.outbox(to), self.0.dialer.env.clock.clone(), message, deadline)
    }

    /// A row of requests of one kind to one group on `to`, pipelined: they are begun there in the order they were sent,
    /// and their answers come out in that order, too. The stream is over with its first failure; open another one then.
    pub fn stream(&self, to: NodeId, group: u8, kind: u8) -> (Sender, Receiver) {
        stream::open(self.outbox(to), self.0.dialer.env.clock.clone(), group, kind)
    }

    /// Fetches `item` from `from`, starting at `offset`, on a connection of its own.
    ///
    /// # Errors
    /// [`CallError::Unreachable`] when there is no connection. Whether the item can be had is known with the first
    /// [`Bulk::next`].
    pub async fn bulk(&self, from: NodeId, item: BulkItem, offset: u64) -> Result<Bulk, CallError> {
        let address = self.0.book.lock().peers.get(&from).map(|peer| peer.address.clone());
        let address = address.ok_or(CallError::Unreachable { to: from, cause: Cause::NotAPeer })?;
        Bulk::open(Arc::clone(&self.0.dialer), from, &address, item, offset).await
    }

    /// The link to each peer, by node.
    pub fn status(&self) -> Vec<LinkStatus> {
        let book = self.0.book.lock();
        let status = |(node, peer): (&NodeId, &Peer)| {
            let (waiting, unanswered) = peer.outbox.load();
            let state = peer.state.lock().clone();
            LinkStatus { node: *node, address: peer.address.clone(), state, waiting, unanswered }
        };
        book.peers.iter().map(status).collect()
    }

    /// What was counted since the start.
    pub fn stats(&self) -> PeerStats {
        self.0.dialer.counters.read()
    }

    /// How often each node's process was found to be gone: the link to it broke, and nobody listened at its address when
    /// it was to be made again. A process that was only paused, and a machine that was cut off or switched off, are never
    /// counted.
    pub fn watch_deaths(&self) -> watch::Receiver<BTreeMap<NodeId, u64>> {
        self.0.dialer.deaths.subscribe()
    }

    /// Resolves when other nodes have made it certain that this process must not go on: another one is this node, or has been
    /// it and is not one that this one goes on from; or the node was removed from the cluster, and nothing that it holds is
    /// needed. With [`Why::Copy`](super::Why::Copy), and only then, its directory must never be started again. Cancel-safe.
    pub async fn disowned(&self) -> Turned {
        self.0.dialer.doubts.certain().await
    }

    /// Ends all connections and stops listening, for good. Whoever waits is told; later calls fail. No handler is begun any
    /// more; those that are running end at their next await point. Idempotent.
    pub fn stop(&self) {
        self.0.dialer.doorman.close();
        self.0.listening.abort();
        let mut book = self.0.book.lock();
        book.is_closed = true;
        book.peers.values().for_each(Peer::end);
    }

    /// What is on its way to `to`; one that takes nothing for somebody who was never introduced.
    fn outbox(&self, to: NodeId) -> Arc<Outbox> {
        let known = self.0.book.lock().peers.get(&to).map(|peer| Arc::clone(&peer.outbox));
        known.unwrap_or_else(|| {
            let nowhere = Outbox::new(to, self.0.dialer.limits.clone());
            nowhere.down(&Cause::NotAPeer, Hope::No);
            Arc::new(nowhere)
        })
    }

    fn begin(&self, node: NodeId, address: &str) -> Peer {
        let outbox = Arc::new(Outbox::new(node, self.0.dialer.limits.clone()));
        let state = Arc::default();
        let link = Link {
            dialer: Arc::clone(&self.0.dialer),
            outbox: Arc::clone(&outbox),
            address: address.to_owned(),
            state: Arc::clone(&state),
            dice: self.0.dice.child(&node.to_string()),
        };
        let task = self.0.dialer.env.tasks.spawn("peer link", link.run());
        Peer { address: address.to_owned(), outbox, state, task }
    }
}

fn check(limits: &Limits) -> Result<(), StartError> {
    let rules = [
        (limits.requests_max > 0, "requests_max must be positive"),
        (limits.frame_bytes > 0, "frame_bytes must be positive"),
        (limits.bulk_chunk_bytes > 0, "bulk_chunk_bytes must be positive"),
        (limits.message_bytes_max < 1 << 31, "message_bytes_max must be below 2 GiB"),
        (
            limits.bulk_chunk_bytes <= limits.message_bytes_max,
            "bulk_chunk_bytes must not exceed message_bytes_max",
        ),
        (
            limits.waiting_bytes_max >= limits.message_bytes_max,
            "waiting_bytes_max must not be below message_bytes_max: the biggest message would wait for ever",
        ),
        (limits.backoff_min <= limits.backoff_max, "backoff_min must not exceed backoff_max"),
    ];
    rules.iter().find(|(kept, _)| !kept).map_or(Ok(()), |(_, rule)| Err(StartError::Limits(rule)))
}
