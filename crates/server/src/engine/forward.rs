//! What this node has another one do for its callers.
//!
//! ```text
//!   caller ─► Engine ─► here, where this node leads (commands) or holds (reads) the partition
//!                  └──► Forward ─► link ═══ one other node ═══ Answers ─► Engine there, which never asks a third
//! ```
//!
//! * **Once.** A request is passed on to one node, at most once; nothing is retried here. Whoever is asked and is the wrong
//!   one says so, and the caller is told `NOT_LEADER` as if he had come there.
//! * **No outcome is guessed.** What certainly did not arrive is not applied; what may have arrived is unknown.
//! * **What is read does not go back.** Every answer names the last entry that is applied where it comes from, and every
//!   read that is passed on waits for the last one that was named, on whichever replica it comes to.

mod answers;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chronos_app::{Class, Error, Reason};
use chronos_cluster::peer::{CallError, Cause, Link, Message, Refusal};
use chronos_cluster::{Cluster, NodeId};
use chronos_domain::limits::PARTITIONS;
use chronos_domain::{ForkId, PartitionId, TenantId};
use chronos_env::Clock;
use chronos_proto::peer::v1::forward_request::Ask;
use chronos_proto::peer::v1::forward_response::Answer;
use chronos_proto::peer::v1::{ForwardRequest, ForwardResponse};
use prost::Message as _;

pub(super) use answers::Answers;
pub(super) use wire::{nothing, page, range_to_wire, scan_to_wire};

use super::UNAVAILABLE_RETRY_MS;

/// A command, for the leader.
pub(super) const COMMAND: u8 = 32;
/// A read, for whoever holds the partition.
pub(super) const READ: u8 = 33;

/// How long a read that names no deadline may take elsewhere.
pub(super) const READ_WITHIN: Duration = Duration::from_secs(10);

/// What may be concluded when nobody answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Command,
    Read,
}

/// The way to other nodes.
pub(super) struct Forward {
    clock: Clock,
    link: Arc<dyn Link>,
    /// By partition: the last entry of which another node said that it is applied.
    heard: Vec<AtomicU64>,
}

impl Forward {
    /// None where there are no other nodes.
    pub(super) fn new(clock: Clock, cluster: &Cluster) -> Option<Forward> {
        let link: Arc<dyn Link> = Arc::new(cluster.peers()?.clone());
        let heard = (0..=PARTITIONS).map(|_| AtomicU64::new(0)).collect();
        Some(Forward { clock, link, heard })
    }

    /// Has the leader do something for a tenant.
    pub(super) async fn command(
        &self,
        (to, id): (NodeId, PartitionId),
        space: (&TenantId, ForkId),
        ask: Ask,
        deadline: Duration,
    ) -> Result<Answer, Error> {
        self.ask((to, id), Kind::Command, space, ask, deadline).await
    }

    /// Reads at a node that holds the partition.
    pub(super) async fn read(
        &self,
        (to, id): (NodeId, PartitionId),
        space: (&TenantId, ForkId),
        ask: Ask,
        deadline: Duration,
    ) -> Result<Answer, Error> {
        self.ask((to, id), Kind::Read, space, ask, deadline).await
    }

    async fn ask(
        &self,
        (to, id): (NodeId, PartitionId),
        kind: Kind,
        (tenant, fork): (&TenantId, ForkId),
        ask: Ask,
        deadline: Duration,
    ) -> Result<Answer, Error> {
        let patience = deadline.saturating_sub(self.clock.monotonic());
        let heard = &self.heard[usize::from(id.get())];
        let request = ForwardRequest {
            tenant: tenant.to_string(),
            fork: fork.get(),
            patience_us: u64::try_from(patience.as_micros()).unwrap_or(u64::MAX),
            floor: heard.load(Ordering::SeqCst),
            ask: Some(ask),
        };
        let code = if kind == Kind::Command { COMMAND } else { READ };
        let message = Message { group: id.get(), kind: code, body: Bytes::from(request.encode_to_vec()) };
        let answer = self.link.call(to, message, patience).await.map_err(|error| unanswered(id, kind, &error))?;
        let senseless = |what: &str| {
            let text = format!("{to} answered what makes no sense: {what}");
            Error::new(lost(kind), Reason::Internal, text).with("partition", id)
        };
        let response = ForwardResponse::decode(answer).map_err(|error| senseless(&error.to_string()))?;
        heard.fetch_max(response.applied, Ordering::SeqCst);
        match response.answer.ok_or_else(|| senseless("nothing"))? {
            Answer::Failure(failure) => Err(wire::error(failure).map_err(|why| senseless(&why))?),
            answer => Ok(answer),
        }
    }
}

/// What is known of a request that may have arrived and was not answered.
const fn lost(kind: Kind) -> Class {
    match kind {
        Kind::Command => Class::Unknown,
        Kind::Read => Class::Failed,
    }
}

fn unanswered(id: PartitionId, kind: Kind, error: &CallError) -> Error {
    let certain = match kind {
        Kind::Command => Class::NotApplied,
        Kind::Read => Class::Failed,
    };
    let (class, reason, node) = match error {
        CallError::Unreachable { to, cause } => (certain, reason_of(cause), to),
        CallError::Unknown { to, cause } => (lost(kind), reason_of(cause), to),
        // It says so before it has done anything.
        CallError::Refused { from, refusal } if is_before(refusal) => (certain, Reason::Unavailable, from),
        CallError::Refused { from, .. } => (lost(kind), Reason::Unavailable, from),
    };
    let advice = match class {
        Class::Unknown => "; it may have happened: retry with the same event ids to find out",
        _ => "; ask again, or ask that node",
    };
    let text = format!("partition {id} is elsewhere: {error}{advice}");
    let error = Error::new(class, reason, text).with("partition", id).with("asked_node", node.get());
    error.retry_after_ms(UNAVAILABLE_RETRY_MS)
}

const fn is_before(refusal: &Refusal) -> bool {
    refusal.code == Refusal::ABSENT || refusal.code == Refusal::MALFORMED
}

const fn reason_of(cause: &Cause) -> Reason {
    match cause {
        Cause::Deadline(_) | Cause::Full(_) => Reason::DeadlineExceeded,
        _ => Reason::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_may_have_arrived_is_unknown_and_one_that_did_not_is_not_applied() {
        let (id, to) = (PartitionId::new(3).unwrap(), NodeId::new(2));
        let class = |kind, error: CallError| unanswered(id, kind, &error).class;
        let refused = |code| CallError::Refused { from: to, refusal: Refusal::new(code, "no") };
        let cases = [
            (CallError::Unreachable { to, cause: Cause::NotAPeer }, Class::NotApplied),
            (CallError::Unknown { to, cause: Cause::Deadline(Duration::ZERO) }, Class::Unknown),
            (refused(Refusal::ABSENT), Class::NotApplied),
            (refused(Refusal::PANICKED), Class::Unknown),
            (refused(Refusal::TOO_LARGE), Class::Unknown),
        ];
        for (error, expected) in cases {
            assert_eq!(class(Kind::Command, error.clone()), expected, "{error}");
            assert_eq!(class(Kind::Read, error.clone()), Class::Failed, "{error}");
        }
    }
}
