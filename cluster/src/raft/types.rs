//! What openraft is told about our entries, nodes and terms.
//!
//! **One leader per term.** With `leader_id_std` a log id is (term, index) and nothing else, so it fits the frames of the
//! write-ahead log and the words of a manifest as they are, and a term alone fences: of two leaders one has the greater
//! term. The other choice lets several nodes lead in one term and spares an election now and then; elections that
//! collide are rare here, because timeouts are drawn anew for every campaign and pre-vote keeps hopeless candidates out.
//!
//! **openraft counts entries from 0, everybody else here from 1**, where 0 means that there is none. The two meet in
//! [`ours`] and [`theirs`], which the log store, the state machine and the codec use; nothing outside of this room ever
//! sees an index of openraft's.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chronos_store::Command;
use chronos_store::entry::Outcome;
use chronos_wal::Mark;
use openraft::errors::ClientWriteError;
use openraft::impls::{BoxedErrorSource, InlineBatch, leader_id_std};
use openraft::raft::ClientWriteResult;
use openraft::raft::responder::Responder;
use openraft::vote::leader_id_std::CommittedLeaderId;
use openraft::{OptionalSend, RaftTypeConfig};

use super::runtime::Runtime;
use crate::node::NodeId;
use crate::proposal::ProposeError;

/// The types of every group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

impl RaftTypeConfig for Types {
    type D = Batch;
    type R = Vec<Outcome>;
    type NodeId = NodeId;
    type Node = ();
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = Runtime;
    type Responder<T>
        = Answer<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

pub(crate) type LeaderId = leader_id_std::LeaderId<u64, NodeId>;
pub(crate) type Vote = openraft::Vote<LeaderId>;
pub(crate) type LogId = openraft::LogId<CommittedLeaderId<u64>>;
pub(crate) type Membership = openraft::Membership<NodeId, ()>;
pub(crate) type StoredMembership = openraft::StoredMembership<CommittedLeaderId<u64>, NodeId, ()>;
pub(crate) type Payload = openraft::EntryPayload<Batch, NodeId, ()>;
pub(crate) type Entry = openraft::Entry<CommittedLeaderId<u64>, Payload>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<CommittedLeaderId<u64>, NodeId, ()>;

pub(crate) type Snapshot<D> = openraft::Snapshot<CommittedLeaderId<u64>, NodeId, (), D>;

/// The number everybody else has for openraft's index.
pub(crate) const fn ours(theirs: u64) -> u64 {
    theirs + 1
}

/// Openraft's index of one of our entries; `None` for 0, which means that there is none.
pub(crate) const fn theirs(ours: u64) -> Option<u64> {
    ours.checked_sub(1)
}

/// Where an entry is, in our words; all zero for none.
pub(crate) fn mark_of(log_id: Option<&LogId>) -> Mark {
    log_id.map_or(Mark { index: 0, term: 0 }, |id| Mark { index: ours(id.index), term: id.leader_id.term })
}

/// Where an entry is, in openraft's words.
pub(crate) fn log_id_of(mark: Mark) -> Option<LogId> {
    theirs(mark.index).map(|index| LogId::new(CommittedLeaderId::new(mark.term), index))
}

/// The commands coalesced into one entry. Clones share everything.
#[derive(Clone)]
pub(crate) struct Batch {
    /// As they stand in the log and on the wire.
    pub(crate) payload: Bytes,
    /// The same, read: at hand where they were proposed, read from the payload elsewhere.
    pub(crate) commands: Option<Arc<[Command]>>,
}

impl PartialEq for Batch {
    fn eq(&self, other: &Batch) -> bool {
        self.payload == other.payload
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} bytes)", self.payload.len())
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Is told what became of an entry that was proposed here. Dropped untold when the group stops.
pub(crate) struct Answer<T>(Box<dyn FnOnce(T) + Send>);

impl<T> Answer<T> {
    pub(crate) fn new(tell: impl FnOnce(T) + Send + 'static) -> Answer<T> {
        Answer(Box::new(tell))
    }
}

impl<T: OptionalSend + 'static> Responder<Types, T> for Answer<T> {
    fn on_complete(self, result: T) {
        (self.0)(result);
    }
}

/// What a proposer's callers are told.
pub(crate) fn outcome_of(result: ClientWriteResult<Types>) -> Result<Vec<Outcome>, ProposeError> {
    result.map(|written| written.data).map_err(|error| match error {
        // Refused before the entry was appended.
        ClientWriteError::ForwardToLeader(to) => ProposeError::NotLeader { leader: to.leader_id },
        error => ProposeError::Unknown(Arc::from(error.to_string())),
    })
}
