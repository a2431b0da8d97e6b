//! Who we are to other nodes, and bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Security, Sighting};
use crate::NodeId;

/// The versions of the protocol between nodes that this release speaks. Since 2 everything that is not under TLS is under
/// checksums.
pub const PROTOCOL: RangeInclusive<u32> = 2..=2;

/// What a node needs to talk to others.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub node: NodeId,
    /// The cluster's id, as in the store's identity.
    pub cluster: u128,
    /// Must grow with every start of this node; others turn an older one away once they have seen a newer.
    pub incarnation: u64,
    /// The processes of this directory, the latest first: the one that begins now, then as many of the starts before it, each
    /// in the incarnation before, as are known. All of it durable already. Empty: one is drawn, and nothing is said of others.
    pub starts: Vec<u64>,
    /// What was seen of other nodes in this directory's earlier lives: see [`Peers::watch_seen`](super::Peers::watch_seen).
    pub seen: BTreeMap<NodeId, Sighting>,
    /// The UUID of this node's data directory, as the cluster admitted it; 0 says nothing. Who comes as a node that the
    /// others know with another one is turned away.
    pub machine: u128,
    /// The machines of other nodes, as far as they are known already: see [`Peers::know_machine`](super::Peers::know_machine).
    pub machines: BTreeMap<NodeId, u128>,
    /// Nodes that were removed from the cluster, as far as that is known already: see [`Peers::ban`](super::Peers::ban).
    pub removed: BTreeSet<NodeId>,
    /// For the log of others.
    pub release: String,
    /// Where to listen for other nodes, as `host:port`; port 0 takes a free one.
    pub listen: String,
    /// How connections are protected.
    pub security: Security,
    /// The versions of the protocol to speak; [`PROTOCOL`] unless a test pretends to be another release.
    pub versions: RangeInclusive<u32>,
    /// Bounds.
    pub limits: Limits,
}

impl Config {
    /// A node with the usual bounds.
    pub fn new(
        node: NodeId,
        cluster: u128,
        incarnation: u64,
        listen: impl Into<String>,
        security: Security,
    ) -> Self {
        Self {
            node,
            cluster,
            incarnation,
            starts: Vec::new(),
            seen: BTreeMap::new(),
            machine: 0,
            machines: BTreeMap::new(),
            removed: BTreeSet::new(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            listen: listen.into(),
            security,
            versions: PROTOCOL,
            limits: Limits::default(),
        }
    }
}

/// Bounds of the transport. Bytes are those of message bodies; what surrounds them is small.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one request or answer.
    pub message_bytes_max: usize,
    /// Requests that wait are coalesced into one frame up to so many bytes; a bigger one travels alone.
    pub frame_bytes: usize,
    /// Requests to one peer that are enqueued or unanswered. More wait, within their deadlines. Also bounds what one
    /// peer may have running here.
    pub requests_max: usize,
    /// Bytes that wait to be sent to one peer. More wait outside, within their deadlines. While so many bytes of answers
    /// wait for one peer to take them, nothing more of it is begun.
    pub waiting_bytes_max: usize,
    /// Connecting, with TLS and greeting, may take so long.
    pub connect_timeout: Duration,
    /// Whether a machine becomes a member is decided within so long.
    pub join_patience: Duration,
    /// A connection is probed so often, idle or not.
    pub keepalive_interval: Duration,
    /// A connection whose probe is unanswered for so long is torn down.
    pub keepalive_timeout: Duration,
    /// The first pause after a failed connection; it doubles up to `backoff_max`. Each pause is shortened at random by up
    /// to a half.
    pub backoff_min: Duration,
    /// The longest pause between two attempts to connect.
    pub backoff_max: Duration,
    /// Connections that may be open at our port at once, from whomever.
    pub connections_max: usize,
    /// Bytes of files that this node sends per second, to all peers together: so few that those it serves do not feel it,
    /// also where they share two cores with whoever receives.
    pub bulk_bytes_per_second: u64,
    /// Bytes of a file that are read and sent at once.
    pub bulk_chunk_bytes: usize,
    /// Files that this node sends at once, to all peers together; more are refused.
    pub bulk_streams_max: usize,
    /// The next chunk of a file must come within so long.
    pub bulk_patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: 32 << 20,
            frame_bytes: 256 << 10,
            requests_max: 4096,
            waiting_bytes_max: 64 << 20,
            connect_timeout: Duration::from_secs(2),
            join_patience: Duration::from_secs(10),
            keepalive_interval: Duration::from_secs(1),
            keepalive_timeout: Duration::from_secs(2),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            connections_max: 1024,
            bulk_bytes_per_second: 16 << 20,
            bulk_chunk_bytes: 256 << 10,
            bulk_streams_max: 16,
            bulk_patience: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// Bytes of the biggest message on the wire: a full frame and a last request that came on top, with room for what
    /// surrounds each of them.
    pub(super) fn wire_bytes_max(&self) -> usize {
        self.frame_bytes + self.message_bytes_max + self.requests_max * 64 + 4096
    }
}
