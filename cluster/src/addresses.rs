//! Where a node is reached.

/// Where a node is reached by others, each as `host:port`; empty where it does not listen.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Addresses {
    /// By clients.
    pub client: String,
    /// By the other nodes.
    pub peer: String,
    /// By operators.
    pub admin: String,
}
