//! The network of a ground: a namespace for each node, wires between them, and what goes wrong on the wires.
//!
//! ```text
//!   host (the harness)      node 1              node 2
//!   .254 on the wire        eth0 = .1           eth0 = .2        one /24 that the machine does not use
//!        │                    │ nft, tbf          │ nft, tbf     faults sit in the receiver's namespace
//!        └──────── bridge, or userspace switch ───┘
//! ```
//!
//! Partitions, loss, resets and slow links work on either wire; delay, jitter, duplicates, reordering and corruption need
//! the [switch](crate::switch).

mod bridge;
mod connections;
mod links;
mod namespace;
mod rules;
mod subnet;
mod swizzle;

use std::fmt;

pub(crate) use bridge::lay_bridge;
pub use links::Links;
pub use namespace::Namespace;
pub(crate) use subnet::{NODES_MAX, Subnet};
pub use swizzle::Swizzle;

/// Who is at one end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// A node, counted from 1.
    Node(u8),
    /// The machine itself, where the harness and its clients run.
    Host,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Node(number) => write!(f, "node {number}"),
            Peer::Host => f.write_str("the host"),
        }
    }
}
