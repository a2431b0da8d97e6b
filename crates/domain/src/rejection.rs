//! Why an append was refused: a rule said no.
//!
//! A rejection is an outcome, not a fault. It is decided once, in log order, alike on every replica, consumes no
//! number, and repeating the request unchanged meets it again (a quota aside, which time refills).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::expect::Expectation;
use crate::id::{EntityId, EventId, Invalid};
use crate::number::{PartitionId, Position, Version};

/// The rule that said no. `Display` is a sentence for an operator; [`reason`](Self::reason) is the word on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// An entity is not at the version its writer expected.
    WrongExpectedVersion {
        /// The first such entity of the request.
        entity: EntityId,
        /// What the writer expected.
        expected: Expectation,
        /// The entity's version when the request was applied; zero when it has no event.
        actual: Version,
    },
    /// An event matches the request's condition.
    ConditionFailed {
        /// The earliest matching position after the condition's `after`.
        position: Position,
        /// The event there.
        event_id: EventId,
    },
    /// The request shares event ids with stored events without being a repetition of what stored them.
    IdempotencyConflict {
        /// A stored id of the request: the first with other content or out of place when all are stored, else the
        /// first stored one.
        event_id: EventId,
    },
    /// A field of the request is not valid.
    Invalid(Invalid),
    /// A bound is exceeded.
    TooLarge {
        /// What is bounded, in words, such as `payload bytes`.
        limit: &'static str,
        /// The bound.
        max: u64,
        /// What was asked for.
        actual: u64,
    },
    /// The tenant has used up a quota.
    QuotaExceeded {
        /// The quota's name.
        quota: String,
        /// Milliseconds until enough of it is free again, by estimate.
        retry_after_ms: u64,
    },
    /// The request's entities live in more than one partition.
    CrossPartition {
        /// Those partitions, ascending, each once.
        partitions: Vec<PartitionId>,
    },
}

impl Rejection {
    /// The machine-readable word that means the same on every surface and in every release.
    pub const fn reason(&self) -> &'static str {
        match self {
            Rejection::WrongExpectedVersion { .. } => "WRONG_EXPECTED_VERSION",
            Rejection::ConditionFailed { .. } => "CONDITION_FAILED",
            Rejection::IdempotencyConflict { .. } => "IDEMPOTENCY_CONFLICT",
            Rejection::Invalid(_) => "INVALID",
            Rejection::TooLarge { .. } => "TOO_LARGE",
            Rejection::QuotaExceeded { .. } => "QUOTA_EXCEEDED",
            Rejection::CrossPartition { .. } => "CROSS_PARTITION",
        }
    }

    /// Refuses `actual` above `max`.
    ///
    /// # Errors
    /// [`Rejection::TooLarge`] with these values.
    pub const fn bound(limit: &'static str, max: usize, actual: usize) -> Result<(), Rejection> {
        if actual <= max {
            return Ok(());
        }
        Err(Rejection::TooLarge { limit, max: max as u64, actual: actual as u64 })
    }
}

impl From<Invalid> for Rejection {
    fn from(invalid: Invalid) -> Rejection {
        Rejection::Invalid(invalid)
    }
}

impl core::error::Error for Rejection {}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::WrongExpectedVersion { entity, expected, actual } => write!(
                f,
                "entity `{entity}` is at version {actual} but the append expected {expected}; read the entity, \
                 decide again, and append with its present version"
            ),
            Rejection::ConditionFailed { position, event_id } => write!(
                f,
                "event {event_id} at position {position} matches the append's condition; read up to that position, \
                 decide again, and append with a condition after it"
            ),
            Rejection::IdempotencyConflict { event_id } => write!(
                f,
                "event id {event_id} is already stored, but not by this same request (other content, other order or \
                 other events beside it); repeat the original request unchanged, or give new events new ids"
            ),
            Rejection::Invalid(invalid) => invalid.fmt(f),
            Rejection::TooLarge { limit, max, actual } => {
                write!(f, "{actual} {limit} are more than the {max} allowed; send less in one request")
            }
            Rejection::QuotaExceeded { quota, retry_after_ms } => {
                write!(f, "quota `{quota}` of the tenant is used up; retry after {retry_after_ms} ms")
            }
            Rejection::CrossPartition { partitions } => cross_partition(partitions, f),
        }
    }
}

fn cross_partition(partitions: &[PartitionId], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("the append's entities live in partitions ")?;
    for (i, partition) in partitions.iter().enumerate() {
        let separator = if i == 0 { "" } else { ", " };
        write!(f, "{separator}{partition}")?;
    }
    f.write_str(
        ", but one append is atomic within one partition; send one append for each, or give the entities a common \
         {hash tag}",
    )
}
