//! A network in memory: hosts, links between them with seeded latencies, and everything that can go wrong on a link.
//!
//! # Why not turmoil
//!
//! turmoil owns the simulation: one tokio runtime for each host, stepped in ticks, with a clock of its own. A
//! [`World`](super::World) is one runtime whose time jumps from deadline to deadline, and all its nodes, disks and the
//! trace live on that one clock; two schedulers that both believe they own time cannot be joined soundly. Besides,
//! turmoil's connections lose what a partition swallows and stay silent for ever after, which is one thing TCP can do
//! ([`SimNet::wedge`]) but not the usual one: real TCP sends again once the link is whole.
//!
//! # What it models
//!
//! Connections as TCP gives them. What is written travels as one segment, arrives after the link's latency, in order,
//! exactly once; a sender waits when [`WINDOW_BYTES`] are unread. A partition (one way or both) holds segments up, and
//! they are sent again some time after it heals; so are the first packets of a connection, so connecting through a
//! partition waits. A killed process resets its connections, its peers learn that after the latency, and nobody
//! listens at its ports. A link can be slow, too, and lose or spoil what passes. What is delivered goes into the world's trace: connection, direction,
//! length and checksum of each segment, and its time.
//!
//! # What it does not model
//!
//! Segments split and joined in odd places beyond what reading in small pieces does; packets that arrive twice or overtake
//! each other (TCP hides it, but for some latency); a host that vanishes without resetting (partition it); exhausted ports. tokio's timer has steps of a
//! millisecond, so latencies end on whole ones.
//!
//! Invariant: everything follows from the seed and the calls; nothing here reads a real clock.

mod fabric;
mod link;
mod pipe;
mod stream;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub(super) use fabric::{Fabric, HostId};
pub use link::Link;
pub(crate) use stream::SimStream;

use super::{Trace, VirtualTime};
use crate::Entropy;

/// Bytes a sender may be ahead of the reader in one direction of a connection.
pub const WINDOW_BYTES: usize = 256 << 10;

/// A handle to the network of one world, for whoever tortures it. Hosts are named as in
/// [`World::host`](super::World::host). Clones are handles to the same network.
#[derive(Clone)]
pub struct SimNet(Fabric);

impl SimNet {
    pub(crate) fn in_world(entropy: Entropy, time: VirtualTime, trace: Trace) -> SimNet {
        SimNet(Fabric::new(entropy, time, trace))
    }

    pub(crate) fn fabric(&self) -> &Fabric {
        &self.0
    }

    /// From now on nothing passes between the two, either way. Nothing is lost: see [`SimNet::heal`].
    pub fn partition(&self, a: &str, b: &str) {
        self.partition_one_way(a, b);
        self.partition_one_way(b, a);
    }

    /// From now on nothing passes from `from` to `to`; the other way stays as it is.
    pub fn partition_one_way(&self, from: &str, to: &str) {
        self.0.block(from, to);
    }

    /// Cuts `host` off from everybody else, both ways.
    pub fn isolate(&self, host: &str) {
        for other in self.0.names() {
            if other != host {
                self.partition(host, &other);
            }
        }
    }

    /// Both directions work again. What was written meanwhile is sent again after up to 200 ms, in order.
    pub fn heal(&self, a: &str, b: &str) {
        self.0.unblock(a, b);
        self.0.unblock(b, a);
    }

    /// What `from` sends arrives at `to` again; the other way stays as it is.
    pub fn heal_one_way(&self, from: &str, to: &str) {
        self.0.unblock(from, to);
    }

    /// The names of all machines, ascending.
    pub fn hosts(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.names();
        names.sort_unstable();
        names
    }

    /// Every link works again.
    pub fn heal_all(&self) {
        self.0.unblock_all();
    }

    /// Ends every connection between the two, as a firewall does that lost its state and says so: both sides get
    /// `ConnectionReset` at once, bytes under way are lost.
    pub fn reset(&self, a: &str, b: &str) {
        self.0.each_between(a, b, pipe::Pipe::reset);
    }

    /// Every present connection between the two goes silent for ever and nobody is told, as behind a firewall that lost
    /// its state and says nothing. New connections work.
    pub fn wedge(&self, a: &str, b: &str) {
        self.0.each_between(a, b, pipe::Pipe::wedge);
    }

    /// How the link from `from` to `to` behaves from now on, for what is not under way yet.
    pub fn set_link(&self, from: &str, to: &str, link: Link) {
        self.0.set_link(from, to, link);
    }

    /// From now on whoever connects from `from` to `to` reaches `instead`, as when an address has come to belong to somebody
    /// else. Connections that are there stay.
    pub fn mislead(&self, from: &str, to: &str, instead: &str) {
        self.0.mislead(from, to, instead);
    }

    /// Whoever connects from `from` to `to` reaches it again.
    pub fn lead_right(&self, from: &str, to: &str) {
        self.0.mislead(from, to, to);
    }

    /// From now on nobody on `host` may begin a connection or accept one (`EMFILE`), until that is taken back.
    pub fn no_more_connections(&self, host: &str, is_so: bool) {
        self.0.no_more_connections(host, is_so);
    }

    /// Connections that are open on at least one side.
    pub fn connections(&self) -> usize {
        self.0.connections()
    }
}

/// The network as one process on one host sees it. After the process was killed every call fails.
#[derive(Clone)]
pub(crate) struct SimPort {
    fabric: Fabric,
    host: HostId,
    life: u64,
}

impl SimPort {
    pub(crate) fn new(fabric: &Fabric, host: HostId) -> SimPort {
        SimPort { fabric: fabric.clone(), host, life: fabric.life(host) }
    }

    pub(crate) fn listen(&self, on: &str) -> io::Result<SimListener> {
        let address = self.fabric.listen(self.host, self.life, on)?;
        Ok(SimListener { port: self.clone(), address })
    }

    #[expect(clippy::disallowed_methods, reason = "inside the runtime of a world this is virtual time")]
    pub(crate) async fn connect(&self, to: &str, timeout: Duration) -> io::Result<SimStream> {
        match tokio::time::timeout(timeout, self.fabric.connect(self.host, self.life, to)).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer for {timeout:?}"))),
        }
    }
}

pub(crate) struct SimListener {
    port: SimPort,
    address: SocketAddr,
}

impl SimListener {
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn accept(&self) -> io::Result<SimStream> {
        let SimPort { fabric, host, life } = &self.port;
        std::future::poll_fn(|cx| fabric.poll_accept(*host, *life, self.address.port(), cx)).await
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let SimPort { fabric, host, life } = &self.port;
        fabric.stop_listening(*host, *life, self.address.port());
    }
}
