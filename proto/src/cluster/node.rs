//! One node, as the others know it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chronos_domain::{Invalid, Timestamp};

use super::enums::travels;
use super::{small, uuid, v1};

/// A node of a cluster, as people call it: `n2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u64);

impl NodeId {
    /// The node of this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("n{}", self.0))
    }
}

impl FromStr for NodeId {
    type Err = Invalid;

    /// Reads `n2` or `2`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.strip_prefix('n').unwrap_or(text);
        let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_plain.then(|| digits.parse::<u64>().ok()).flatten().filter(|number| *number > 0);
        let reason = || format!("is {text:?}; give a node's name or number, such as n2 or 2");
        number.map(Self).ok_or_else(|| Invalid::new("node", reason()))
    }
}

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
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_known_by_its_name_and_by_its_number() {
        assert_eq!("n2".parse(), Ok(NodeId::new(2)));
        assert_eq!("17".parse(), Ok(NodeId::new(17)));
        assert_eq!(NodeId::new(2).to_string(), "n2");
        for text in ["", "n", "n0", "0", "nn2", "+2", "two", "n-1", "99999999999999999999"] {
            let refused = NodeId::from_str(text).unwrap_err();
            assert!(refused.to_string().contains("n2 or 2"), "{refused}");
        }
    }
}
