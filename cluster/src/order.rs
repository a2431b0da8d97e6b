//! What an operator can tell a cluster to do, and what is answered.

use std::time::Duration;

use chronos_domain::PartitionId;

use crate::node::NodeId;

/// An order to the cluster. Any node takes it, and sees that it gets to whom it concerns.
#[derive(Clone, PartialEq, Eq)]
pub enum Order {
    /// Move everything off a node, and give it nothing more.
    Drain(NodeId),
    /// Take a drained node into service again.
    Undrain(NodeId),
    /// Move everything off a node, or replace what it held if it is dead, and never admit it again.
    Remove(NodeId),
    /// Have another replica of a partition lead.
    Transfer {
        /// Which partition.
        partition: PartitionId,
        /// Who shall lead: a voter of it that is up to date.
        to: NodeId,
    },
    /// Let the placement driver hold still.
    Pause,
    /// Let it go on.
    Resume,
    /// How many replicas a partition shall have: 1, 3 or 5.
    Replication(u8),
    /// After what silence the replicas of a node are made anew elsewhere. At least ten seconds.
    ReplaceAfter(Duration),
    /// The secret that a joining node must show; `None` lets in who asks. Only a hash of it is kept.
    Token(Option<String>),
}

impl std::fmt::Debug for Order {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Order::Drain(node) => write!(f, "Drain({node})"),
            Order::Undrain(node) => write!(f, "Undrain({node})"),
            Order::Remove(node) => write!(f, "Remove({node})"),
            Order::Transfer { partition, to } => write!(f, "Transfer({partition} to {to})"),
            Order::Pause => f.write_str("Pause"),
            Order::Resume => f.write_str("Resume"),
            Order::Replication(replicas) => write!(f, "Replication({replicas})"),
            Order::ReplaceAfter(silence) => write!(f, "ReplaceAfter({silence:?})"),
            Order::Token(Some(_)) => f.write_str("Token(set)"),
            Order::Token(None) => f.write_str("Token(none)"),
        }
    }
}

/// Why an order was not carried out, or perhaps was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// A rule says no. Nothing has changed.
    #[error("{0}")]
    Refused(String),
    /// It did not reach whoever could carry it out. Nothing has changed.
    #[error("{0}")]
    Unavailable(String),
    /// It was handed over and nothing came back: look whether it was carried out.
    #[error("{0}; it may have been carried out: look, and repeat it if not")]
    Unknown(String),
}

/// What the placement is going to do, told to people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps in order, if nothing else happens.
    pub steps: Vec<Planned>,
    /// What is not as it should be even then, and what it waits for. Empty, as the steps are, when everything is where it
    /// should be, as far as this node can see.
    pub waits: Vec<String>,
}

/// One step of the placement, told to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The partition it is about, if it is about one.
    pub partition: Option<PartitionId>,
    /// What is going to be done, as in `add n4 as a learner`.
    pub what: String,
    /// Why.
    pub why: String,
}
