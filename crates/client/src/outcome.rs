//! How an append or a read ends when it does not succeed.

use std::fmt;

use chronos_domain::{EventId, Invalid, PartitionId, Position, Rejection, Version};
use chronos_proto::{Class, Failure};

/// Why an append was not acknowledged. What the caller may conclude is the variant, never a guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// A rule said no; nothing was written; the same request will be refused again.
    Rejected(Rejected),
    /// Certainly not done. The deadline came before an attempt succeeded; it is safe to append again, also with new
    /// ids.
    NotApplied(NotDone),
    /// May or may not have happened. Append again with the same event ids: that resolves it.
    Unknown(NotDone),
}

impl AppendError {
    /// The outcome class.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Rejected(_) => Class::Rejected,
            Self::NotApplied(_) => Class::NotApplied,
            Self::Unknown(_) => Class::Unknown,
        }
    }

    /// What the server, or the SDK in its place, said.
    #[must_use]
    pub const fn failure(&self) -> &Failure {
        match self {
            Self::Rejected(rejected) => &rejected.failure,
            Self::NotApplied(not_done) | Self::Unknown(not_done) => &not_done.failure,
        }
    }
}

impl From<Rejection> for AppendError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(Rejected::new(Failure::from(&rejection)))
    }
}

impl From<Invalid> for AppendError {
    fn from(invalid: Invalid) -> Self {
        Rejection::from(invalid).into()
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => write!(f, "rejected: {rejected}"),
            Self::NotApplied(not_done) => write!(f, "certainly not done, safe to try again: {not_done}"),
            Self::Unknown(not_done) => {
                write!(
                    f,
                    "may or may not have happened, append again with the same event ids to find out: {not_done}"
                )
            }
        }
    }
}

impl std::error::Error for AppendError {}

/// A rule said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Which rule, with its values.
    pub rule: Rule,
    /// The same as it came over the wire, with a sentence for a person.
    pub failure: Box<Failure>,
}

impl Rejected {
    pub(crate) fn new(failure: Failure) -> Self {
        Self { rule: Rule::of(&failure), failure: Box::new(failure) }
    }

    /// Whether an earlier attempt with the same ids, of which nothing is known, can still be stored after this
    /// refusal. Attempts may overtake each other: one that was sent long ago can sit in a buffer on its way.
    pub(crate) fn leaves_earlier_attempts_open(&self) -> bool {
        match &self.rule {
            // The entity may yet grow into what was expected, but never shrink back to it.
            Rule::WrongExpectedVersion { expected, actual, .. } => {
                expected.is_none_or(|expected| *actual < expected)
            }
            // What matches a condition, is stored with other content, or is badly formed stays so for ever.
            Rule::ConditionFailed { .. }
            | Rule::IdempotencyConflict { .. }
            | Rule::Invalid { .. }
            | Rule::TooLarge { .. }
            | Rule::CrossPartition { .. } => false,
            Rule::QuotaExceeded { .. } | Rule::Other => true,
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

/// The rule that said no.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// An entity is not at the version that was expected.
    WrongExpectedVersion {
        /// Which entity.
        entity: String,
        /// The exact version that was expected; `None` when at least one event was.
        expected: Option<Version>,
        /// Its version; 0 when it has no event.
        actual: Version,
    },
    /// An event matches the request's condition.
    ConditionFailed {
        /// Where.
        position: Position,
        /// Which.
        event_id: EventId,
    },
    /// An event id is stored already, but not by this same request.
    IdempotencyConflict {
        /// Which id.
        event_id: EventId,
    },
    /// A field is not valid.
    Invalid {
        /// Which field; empty when the request as a whole is meant.
        field: String,
    },
    /// A bound is exceeded.
    TooLarge {
        /// What is bounded.
        limit: String,
        /// The bound.
        max: u64,
        /// What was asked for.
        actual: u64,
    },
    /// A quota is used up; the failure says for how long.
    QuotaExceeded {
        /// Which one.
        quota: String,
    },
    /// The request's entities live in more than one partition.
    CrossPartition {
        /// Those partitions.
        partitions: Vec<PartitionId>,
    },
    /// A rule that this release of the SDK does not know; see the failure.
    Other,
}

impl Rule {
    /// The rule of a failure; one whose values cannot be read is `Other`.
    fn of(failure: &Failure) -> Self {
        Self::read(failure).unwrap_or(Self::Other)
    }

    fn read(failure: &Failure) -> Option<Self> {
        let text = |name: &str| failure.metadata.get(name).cloned();
        let number = |name: &str| failure.metadata.get(name)?.parse::<u64>().ok();
        let event_id = || EventId::parse(failure.metadata.get("event_id")?).ok();
        Some(match failure.reason.as_str() {
            "WRONG_EXPECTED_VERSION" => Self::WrongExpectedVersion {
                entity: text("entity")?,
                expected: expected(failure.metadata.get("expected")?)?,
                actual: Version::new(number("actual")?),
            },
            "CONDITION_FAILED" => {
                Self::ConditionFailed { position: Position::new(number("position")?), event_id: event_id()? }
            }
            "IDEMPOTENCY_CONFLICT" => Self::IdempotencyConflict { event_id: event_id()? },
            "INVALID" => Self::Invalid { field: text("field").unwrap_or_default() },
            "TOO_LARGE" => {
                Self::TooLarge { limit: text("limit")?, max: number("max")?, actual: number("actual")? }
            }
            "QUOTA_EXCEEDED" => Self::QuotaExceeded { quota: text("quota")? },
            "CROSS_PARTITION" => {
                Self::CrossPartition { partitions: partitions(failure.metadata.get("partitions")?)? }
            }
            _ => return None,
        })
    }
}

/// Reads an expectation as a failure shows it: its words, or the last word as a number.
fn expected(text: &str) -> Option<Option<Version>> {
    match text {
        "no event yet" => Some(Some(Version::ZERO)),
        "at least one event" => Some(None),
        _ => text.rsplit(' ').next()?.parse().ok().map(|version| Some(Version::new(version))),
    }
}

fn partitions(text: &str) -> Option<Vec<PartitionId>> {
    text.split(',').map(|number| PartitionId::new(number.parse().ok()?)).collect()
}

/// An append that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotDone {
    /// The last thing that went wrong.
    pub failure: Box<Failure>,
    /// How many times it was tried.
    pub attempts: u32,
    /// The request's event ids, in order.
    pub event_ids: Vec<EventId>,
}

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.attempts == 1 { "attempt" } else { "attempts" };
        write!(f, "{} ({} {times})", self.failure, self.attempts)
    }
}

/// Why a read has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// There is nothing by that name.
    NotFound(Failure),
    /// The request itself is at fault; the same one will be refused again.
    Rejected(Failure),
    /// The node has what was asked for, but damaged; another replica may serve it.
    Corrupt(Failure),
    /// No server could answer in time; asking again may help.
    Unavailable(Failure),
}

impl ReadError {
    pub(crate) fn new(failure: Failure) -> Self {
        match (failure.reason.as_str(), failure.class) {
            ("NOT_FOUND", _) => Self::NotFound(failure),
            ("CORRUPT", _) => Self::Corrupt(failure),
            ("INVALID" | "UNIMPLEMENTED", _) | (_, Class::Rejected) => Self::Rejected(failure),
            _ => Self::Unavailable(failure),
        }
    }

    /// A message that the protocol does not allow.
    pub(crate) fn protocol(invalid: &Invalid) -> Self {
        Self::Unavailable(protocol(invalid))
    }

    /// What the server, or the SDK in its place, said.
    #[must_use]
    pub const fn failure(&self) -> &Failure {
        match self {
            Self::NotFound(failure)
            | Self::Rejected(failure)
            | Self::Corrupt(failure)
            | Self::Unavailable(failure) => failure,
        }
    }
}

impl From<Invalid> for ReadError {
    fn from(invalid: Invalid) -> Self {
        Self::Rejected(Failure::from(&Rejection::from(invalid)))
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure().fmt(f)
    }
}

impl std::error::Error for ReadError {}

/// What to say of an answer that cannot be read.
pub(crate) fn protocol(invalid: &Invalid) -> Failure {
    let text = format!("the server's answer cannot be read: {invalid}; use releases that fit together");
    Failure::new(Class::Unknown, "INTERNAL", text)
}

#[cfg(test)]
mod tests {
    use chronos_domain::{EntityId, Expectation};

    use super::*;

    fn rejected(rejection: Rejection) -> Rejected {
        match AppendError::from(rejection) {
            AppendError::Rejected(rejected) => rejected,
            other => panic!("{other}"),
        }
    }

    fn wrong(expected: Expectation, actual: u64) -> Rejected {
        let entity = EntityId::parse("order-1").unwrap();
        rejected(Rejection::WrongExpectedVersion { entity, expected, actual: Version::new(actual) })
    }

    #[test]
    fn every_rejection_keeps_its_values_through_the_wire() {
        let event_id = EventId::from_u128(7);
        let rule = |rejection| rejected(rejection).rule;
        let entity = "order-1".to_owned();
        let actual = Version::new(3);
        let version = |n| Some(Version::new(n));
        assert_eq!(
            wrong(Expectation::Exact(Version::new(5)), 3).rule,
            Rule::WrongExpectedVersion { entity: entity.clone(), expected: version(5), actual }
        );
        assert_eq!(
            wrong(Expectation::NoEntity, 3).rule,
            Rule::WrongExpectedVersion { entity: entity.clone(), expected: version(0), actual }
        );
        assert_eq!(
            wrong(Expectation::Exists, 0).rule,
            Rule::WrongExpectedVersion { entity, expected: None, actual: Version::ZERO }
        );
        let position = Position::new(9);
        assert_eq!(
            rule(Rejection::ConditionFailed { position, event_id }),
            Rule::ConditionFailed { position, event_id }
        );
        assert_eq!(rule(Rejection::IdempotencyConflict { event_id }), Rule::IdempotencyConflict { event_id });
        assert_eq!(
            rule(Rejection::TooLarge { limit: "payload bytes", max: 5, actual: 6 }),
            Rule::TooLarge { limit: "payload bytes".to_owned(), max: 5, actual: 6 }
        );
        let partitions = vec![PartitionId::new(3).unwrap(), PartitionId::new(31).unwrap()];
        assert_eq!(
            rule(Rejection::CrossPartition { partitions: partitions.clone() }),
            Rule::CrossPartition { partitions }
        );
        assert_eq!(
            rule(Rejection::Invalid(Invalid::new("entity_id", "is empty"))),
            Rule::Invalid { field: "entity_id".to_owned() }
        );
        let quota = "events".to_owned();
        assert_eq!(
            rule(Rejection::QuotaExceeded { quota: quota.clone(), retry_after_ms: 1 }),
            Rule::QuotaExceeded { quota }
        );
    }

    #[test]
    fn only_a_version_that_was_passed_settles_what_an_earlier_attempt_did() {
        let exact = |n| Expectation::Exact(Version::new(n));
        assert!(!wrong(exact(2), 3).leaves_earlier_attempts_open());
        assert!(!wrong(Expectation::NoEntity, 1).leaves_earlier_attempts_open());
        assert!(wrong(exact(4), 3).leaves_earlier_attempts_open());
        assert!(wrong(Expectation::Exists, 0).leaves_earlier_attempts_open());
    }

    #[test]
    fn a_reason_of_a_later_release_is_still_a_rejection() {
        let rejected = Rejected::new(Failure::new(Class::Rejected, "SOMETHING_NEW", "no"));
        assert_eq!(rejected.rule, Rule::Other);
        assert!(rejected.leaves_earlier_attempts_open());
    }
}
