//! Where a node is reached.

use serde::{Deserialize, Serialize};

/// Where a node is reached by others, each as `host:port`; empty where it does not listen.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Addresses {
    /// By clients.
    pub client: String,
    /// By the other nodes.
    pub peer: String,
    /// By operators.
    pub admin: String,
}
