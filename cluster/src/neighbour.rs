//! What is known of another node before the cluster's own data can be read.

use crate::node::NodeId;

/// Another node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Which one.
    pub node: NodeId,
    /// The UUID of its data directory, as the cluster admitted it; 0 when nobody said so.
    pub machine: u128,
    /// Where other nodes reach it (`host:port`).
    pub peer: String,
}
