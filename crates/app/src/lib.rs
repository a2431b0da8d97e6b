//! The front door: every surface (gRPC, HTTP, in-process callers) asks here, so that authority, limits, outcome
//! classes and time travel are decided once.
//!
//! ```text
//! edge ─► App::append ── authorize ─ placement ─ JSON ─► Node::propose ─► Appended
//!      ─► App::read_* ── authorize ─ barrier ─ as_of → position bound ─► Reader ─► pages
//!      ─► App::state ─── a Reader folded by a named reducer, from the last checkpoint on
//!      ─► App::truncate, compact, digests, prove, verify, holdings, sample ── authorize ─► Archive
//! ```
//!
//! Invariants:
//!
//! * a caller sees exactly one of the outcome classes of [`error::Class`]; they are never guessed between;
//! * `as_of` becomes position bounds once, before the first event is read; the same `as_of` gives the same
//!   events for ever;
//! * a checkpoint speeds up a fold and never changes it;
//! * the tenant comes from the principal, never from a request.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod append;
mod archive;
mod as_of;
pub mod authority;
pub mod error;
mod integrity;
mod json;
mod keeping;
mod merge;
mod port;
mod quota;
mod read;
mod sample;
mod snapshot;
mod state;

use std::sync::Arc;

use chronos_domain::limits::STATE_CHECKPOINTS_BYTES_MAX;

use crate::state::Checkpoints;

pub use append::{Appended, DURABILITY};
pub use archive::{Archive, Digest, Holdings, Truncation, TypeHoldings, Verified};
pub use as_of::{AsOf, Consistency};
pub use authority::Principal;
pub use error::{Class, Error, Reason};
pub use integrity::Digests;
pub use keeping::{EachPartition, Wait};
pub use merge::AllReader;
pub use port::Node;
pub use quota::Quota;
pub use read::{AllRequest, EntityRequest, PartitionRequest, Reader, View, Watermarks};
pub use sample::{Sample, SampleRequest};
pub use state::{Reducer, State, StateRequest};

/// The use cases over one node. Cheap to clone when the node is.
#[derive(Clone)]
pub struct App<N> {
    node: N,
    quota: Option<Arc<Quota>>,
    checkpoints: Arc<Checkpoints>,
}

impl<N: Node> App<N> {
    /// The use cases over `node`.
    pub fn new(node: N) -> Self {
        let checkpoints = Arc::new(Checkpoints::new(STATE_CHECKPOINTS_BYTES_MAX));
        Self { node, quota: None, checkpoints }
    }

    /// The same, with another bound on the memory that checkpoints of folds take; none are kept without room.
    #[must_use]
    pub fn with_checkpoint_bytes(self, bytes_max: usize) -> Self {
        Self { checkpoints: Arc::new(Checkpoints::new(bytes_max)), ..self }
    }

    /// The same, with a bound on how much may be appended.
    #[must_use]
    pub fn with_quota(self, quota: Quota) -> Self {
        Self { quota: Some(Arc::new(quota)), ..self }
    }

    /// The same over another node, or over the same one by another way: the bounds and the checkpoints are shared.
    #[must_use]
    pub fn over(&self, node: N) -> Self {
        Self { node, quota: self.quota.clone(), checkpoints: self.checkpoints.clone() }
    }

    /// The node behind the use cases.
    pub const fn node(&self) -> &N {
        &self.node
    }
}
