//! The wire: `chronos.v1`, its generated code, and the only mapping between it and the domain.
//!
//! | question | module |
//! |---|---|
//! | what do the messages look like? | [`v1`], generated from `proto/chronos/v1/event_store.proto` |
//! | how does a message become a domain value, and back? | [`convert`] |
//! | how does a failure travel? | [`error`] |
//! | what does an event look like as JSON? | [`json`] |
//!
//! Invariants:
//!
//! * nothing is guessed: an unset `oneof` that means something, an unknown enum value or a malformed name is an
//!   [`Invalid`](chronos_domain::Invalid) that names the field, for an event also its place in the request;
//! * a value that went through the wire and back is the value that was sent.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

/// Version 1 of the protocol, as generated.
#[expect(missing_docs, reason = "every message is documented in the .proto file")]
#[allow(clippy::all, unreachable_pub, unused_qualifications, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("chronos.v1");

    /// The encoded descriptors of this package, for server reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/chronos.v1.bin"));
}
