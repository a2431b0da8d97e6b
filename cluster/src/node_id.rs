//! A node by number.

use std::fmt;

/// A node of a cluster. Given once and never again, not even when the node is gone for good: votes and membership are
/// kept under it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u64);

impl NodeId {
    /// The node of that number.
    pub const fn new(number: u64) -> NodeId {
        NodeId(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}
