//! The wire: `chronos.v1`, its generated code, and the only mapping between it and the domain.
//!
//! | question | module |
//! |---|---|
//! | what do the messages look like? | [`v1`], generated from the files in `proto/chronos/v1` |
//! | what is asked of an append, and what comes back? | [`append`] |
//! | what is asked of a read? | [`read`] |
//! | what is asked about a whole history? | [`admin`] |
//! | what do operators see of a cluster, and do to it? | [`cluster`], over what is generated from `proto/chronos/admin` |
//! | what is a stored event outside of its block? | [`event`] |
//! | how does a failure travel? | [`error`] |
//! | which node holds what? | [`placement`] |
//! | what does an event look like as JSON? | [`json`] |
//! | how do people write a moment? | [`text`] |
//! | what do the nodes of a cluster say to each other? | [`peer`], generated from `proto/chronos/peer` |
//!
//! Invariants:
//!
//! * nothing is guessed: an unset `oneof` that means something, an unknown enum value or a malformed name is an
//!   [`Invalid`](chronos_domain::Invalid) that names the field, and for an event its place in the request;
//! * a value that went through the wire and back is the value that was sent.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod admin;
pub mod append;
pub mod cluster;
pub mod error;
pub mod event;
pub mod json;
pub mod node;
pub mod placement;
pub mod read;
pub mod text;

pub use append::Appended;
pub use error::{Class, Failure};
pub use event::Event;
pub use node::{Info, LogStats, PartitionMarks, PartitionStats, Stats};
pub use placement::{NodeId, PlacedNode, PlacedPartition, Placement};
pub use read::{Consistency, Moment, Reducer};

/// Version 1 of the protocol, as generated.
#[expect(missing_docs, reason = "every message is documented in the .proto file")]
#[allow(clippy::all, unreachable_pub, unused_qualifications, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("chronos.v1");

    /// The encoded descriptors of this package, for server reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/chronos.v1.bin"));
}

/// The protocol between the nodes of one cluster.
///
/// Generated only: its meaning (who may speak, what a message is for) is the cluster's own, and nothing in it is the
/// domain's.
pub mod peer {
    /// Version 1 of the protocol, as generated.
    #[expect(missing_docs, reason = "every message is documented in the .proto file")]
    #[allow(clippy::all, unreachable_pub, unused_qualifications, reason = "generated")]
    pub mod v1 {
        tonic::include_proto!("chronos.peer.v1");
    }
}

/// A partition as the wire numbers it.
///
/// # Errors
/// [`Invalid`](chronos_domain::Invalid) for a number that no partition has.
pub fn partition(number: u32) -> Result<chronos_domain::PartitionId, chronos_domain::Invalid> {
    u8::try_from(number).ok().and_then(chronos_domain::PartitionId::new).ok_or_else(|| {
        let reason = format!("is {number}; give 0 to {}", chronos_domain::limits::PARTITIONS - 1);
        chronos_domain::Invalid::new("partition", reason)
    })
}
