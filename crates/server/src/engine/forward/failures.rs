//! Why another node did not do something, in the words of this one.

use std::fmt::Display;

use chronos_app::{Class, Error, Reason};
use chronos_cluster::NodeId;
use chronos_cluster::peer::{CallError, Cause, Refusal};
use chronos_domain::PartitionId;
use chronos_proto::{Failure, error as wire, v1};

use super::Kind;
use crate::engine::UNAVAILABLE_RETRY_MS;

/// By this detail an error of this node says which other one it asked in vain.
pub(super) const ASKED_NODE: &str = "asked_node";

/// The request got no answer of the use cases.
pub(super) fn unanswered(id: PartitionId, kind: Kind, error: &CallError) -> Error {
    let (class, reason, node) = match error {
        CallError::Unreachable { to, cause } => (kind.certain(), reason_of(cause), to),
        CallError::Unknown { to, cause } => (kind.lost(), reason_of(cause), to),
        // It says so before it has done anything.
        CallError::Refused { from, refusal } if is_before(refusal) => {
            (kind.certain(), Reason::Unavailable, from)
        }
        CallError::Refused { from, .. } => (kind.lost(), Reason::Unavailable, from),
    };
    let advice = match class {
        Class::Unknown => "; it may have happened: retry with the same event ids to find out",
        _ => "; ask again; who is up says `chronos cluster status`",
    };
    let text = format!("partition {id} is on another node: {error}{advice}");
    let error = Error::new(class, reason, text).with("partition", id).with(ASKED_NODE, node.get());
    error.retry_after_ms(UNAVAILABLE_RETRY_MS)
}

/// An answer that nothing can be concluded from.
pub(super) fn senseless((from, id): (NodeId, PartitionId), kind: Kind, why: &dyn Display) -> Error {
    let text = format!(
        "what {from} answered about partition {id} cannot be read: {why}; use releases that fit together"
    );
    Error::new(kind.lost(), Reason::Internal, text).with("partition", id).with(ASKED_NODE, from.get())
}

/// Too much is in flight already.
pub(super) fn crowded(id: PartitionId, kind: Kind) -> Error {
    let text = format!(
        "partition {id} is on another node, and too much was in flight to others until the deadline; ask again, or ask \
         a node that holds it"
    );
    let error = Error::new(kind.certain(), Reason::ResourceExhausted, text).with("partition", id);
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

/// The names of values that errors have. One that is not among them is left out; the message says it, too.
const NAMES: [&str; 24] = [
    "actual",
    ASKED_NODE,
    "bound",
    "entity",
    "entity_id",
    "epoch",
    "event",
    "event_id",
    "expected",
    "field",
    "have",
    "holders",
    "leader",
    "leader_node",
    "limit",
    "max",
    "now",
    "partition",
    "partitions",
    "position",
    "quota",
    "version",
    "want",
    "why",
];

/// The error that another node gave, in the same words.
///
/// # Errors
/// What this release does not know about it: nothing may be concluded from it then.
pub(super) fn error(message: v1::Failure) -> Result<Error, String> {
    let failure = Failure::try_from(message).map_err(|invalid| invalid.to_string())?;
    let class = match failure.class {
        wire::Class::Rejected => Class::Rejected,
        wire::Class::NotApplied => Class::NotApplied,
        wire::Class::Unknown => Class::Unknown,
        wire::Class::Failed => Class::Failed,
    };
    let reason = Reason::ALL.into_iter().find(|reason| reason.as_str() == failure.reason);
    let reason = reason
        .ok_or_else(|| format!("its reason is {}, which this release does not know", failure.reason))?;
    let mut error = Error::new(class, reason, failure.message);
    for (name, value) in failure.metadata {
        if let Some(name) = NAMES.into_iter().find(|known| *known == name) {
            error = error.with(name, value);
        }
    }
    error.retry_after_ms = failure.retry_after_ms;
    Ok(error)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::grpc::failure;

    #[test]
    fn a_command_that_may_have_arrived_is_unknown_and_one_that_did_not_is_not_applied() {
        let (id, to) = (PartitionId::new(3).unwrap(), NodeId::new(2));
        let class = |kind, error: &CallError| unanswered(id, kind, error).class;
        let refused = |code| CallError::Refused { from: to, refusal: Refusal::new(code, "no") };
        let cases = [
            (CallError::Unreachable { to, cause: Cause::NotAPeer }, Class::NotApplied),
            (CallError::Unreachable { to, cause: Cause::Full(Duration::ZERO) }, Class::NotApplied),
            (CallError::Unknown { to, cause: Cause::Deadline(Duration::ZERO) }, Class::Unknown),
            (refused(Refusal::ABSENT), Class::NotApplied),
            (refused(Refusal::PANICKED), Class::Unknown),
            (refused(Refusal::TOO_LARGE), Class::Unknown),
        ];
        for (error, expected) in cases {
            assert_eq!(class(Kind::Command, &error), expected, "{error}");
            assert_eq!(class(Kind::Read, &error), Class::Failed, "{error}");
        }
        assert_eq!(senseless((to, id), Kind::Command, &"x").class, Class::Unknown);
        assert_eq!(crowded(id, Kind::Command).class, Class::NotApplied);
    }

    #[test]
    fn an_error_of_another_node_is_the_same_error_here() {
        for reason in Reason::ALL {
            for class in [Class::Rejected, Class::NotApplied, Class::Unknown, Class::Failed] {
                let said = Error::new(class, reason, "what").with("partition", 3).retry_after_ms(20);
                assert_eq!(error(failure::failure(said.clone()).into()).unwrap(), said);
            }
        }
        let strange = v1::Failure { class: 2, reason: "NEWER".to_owned(), ..v1::Failure::default() };
        assert!(error(strange).unwrap_err().contains("NEWER"));
    }
}
