//! One node, as the others know it.

use std::time::Duration;

use chronos_domain::{Invalid, NodeId, Timestamp};

use super::enums::travels;
use super::{nodes, numbers, small, uuid, v1};

/// Where a node is reached; a text is empty where it is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// By clients.
    pub client: String,
    /// By other nodes.
    pub peer: String,
    /// By operators.
    pub admin: String,
}

/// How a node belongs to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// It takes replicas.
    Active,
    /// What it has moves to others.
    Draining,
    /// It belongs no more, and never will again.
    Removed,
}

travels!(NodeState as v1::node::State, "state", Active, Draining, Removed);

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Which one.
    pub node: NodeId,
    /// What its operator calls it; may be empty.
    pub name: String,
    /// The data directory it was admitted with.
    pub machine: u128,
    /// Where it is reached.
    pub addresses: Addresses,
    /// How it belongs to the cluster.
    pub state: NodeState,
    /// Since when in that way.
    pub since: Timestamp,
    /// Whether it was heard of just now.
    pub is_up: bool,
    /// How long ago, in whole milliseconds; `None` when never since the answering node was started.
    pub heard: Option<Duration>,
    /// The version of its program.
    pub release: String,
    /// Grows with each of its starts.
    pub incarnation: u64,
    /// Partitions that it leads.
    pub leads: u8,
    /// Partitions that it has a replica of.
    pub replicas: u8,
    /// Whether it was asked just now and did not answer in time.
    pub is_silent: bool,
    /// By how many microseconds its wall clock is at least ahead of what a majority's clocks say, or behind it when negative;
    /// `None` when that is not known.
    pub clock_offset_micros: Option<i64>,
    /// Other nodes that are up, without the answering one, that hear it.
    pub heard_by: Vec<NodeId>,
    /// Those that have not for so long that they take it to be down.
    pub missed_by: Vec<NodeId>,
}

impl From<Node> for v1::Node {
    fn from(of: Node) -> Self {
        Self {
            node: of.node.get(),
            name: of.name,
            machine: of.machine.to_be_bytes().to_vec().into(),
            client_address: of.addresses.client,
            peer_address: of.addresses.peer,
            admin_address: of.addresses.admin,
            state: of.state.to_wire(),
            since: of.since.get(),
            up: of.is_up,
            heard_ms: of.heard.map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
            release: of.release,
            incarnation: of.incarnation,
            leads: of.leads.into(),
            replicas: of.replicas.into(),
            silent: of.is_silent,
            clock_offset_micros: of.clock_offset_micros,
            heard_by: numbers(of.heard_by),
            missed_by: numbers(of.missed_by),
        }
    }
}

impl TryFrom<v1::Node> for Node {
    type Error = Invalid;

    fn try_from(message: v1::Node) -> Result<Self, Invalid> {
        Ok(Self {
            node: NodeId::new(message.node),
            name: message.name,
            machine: uuid("machine", &message.machine)?,
            addresses: Addresses {
                client: message.client_address,
                peer: message.peer_address,
                admin: message.admin_address,
            },
            state: NodeState::from_wire(message.state)?,
            since: Timestamp::new(message.since),
            is_up: message.up,
            heard: message.heard_ms.map(Duration::from_millis),
            release: message.release,
            incarnation: message.incarnation,
            leads: small("leads", message.leads)?,
            replicas: small("replicas", message.replicas)?,
            is_silent: message.silent,
            clock_offset_micros: message.clock_offset_micros,
            heard_by: nodes(message.heard_by),
            missed_by: nodes(message.missed_by),
        })
    }
}
