//! Which node.

use std::fmt;

/// A node of a cluster. Given once and never again: a node whose disk was lost comes back as another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u64);

impl NodeId {
    /// The node that founds a cluster.
    pub const FIRST: NodeId = NodeId(1);

    /// The node of this number.
    pub const fn new(number: u64) -> NodeId {
        NodeId(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<u64> for NodeId {
    fn from(number: u64) -> NodeId {
        NodeId(number)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}
