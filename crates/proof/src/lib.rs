//! Digests of a history, and proofs that an event belongs to it.
//!
//! A partition's history is a sequence of events, and everything here is a pure function of that sequence: equal on
//! every replica, and before and after any compaction, restart or restore.
//!
//! ```text
//!   event ──leaf()──► leaf hash ──┬─► running chain: one hash over all events in order, checked as a part is read
//!                                 └─► RFC 6962 tree: a root that a short path of hashes proves an event against
//!   (partition, size, chain, root) ──digest()──► the 32 bytes that operators compare and proofs are checked against
//! ```
//!
//! Invariants:
//! * The encoding of an event is injective: two events that differ in anything have different bytes.
//! * Every hash is over bytes that begin with a tag of its kind, so that no value of one kind passes as another.
//! * A [`Proof`] holds nothing that its check does not cover.
//!
//! The bytes are written down in `FORMAT.md`:
#![doc = include_str!("../FORMAT.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod chain;
mod digest;
mod event;
mod fields;
mod frontier;
mod hash;
mod leaves;
mod proof;
mod tag;
mod tree;

pub use chain::{chain_next, chain_start};
pub use digest::digest;
pub use event::Event;
pub use fields::{Fields, leaf};
pub use frontier::{BadFrontier, Frontier};
pub use hash::{BadHash, Hash};
pub use leaves::{CHUNK_HEIGHT, CHUNK_LEAVES, Leaves, audit_path, root_at};
pub use proof::{Evidence, Proof, Refused, Subject, Unreadable};
pub use tree::{root_of_path, subtree_root};
