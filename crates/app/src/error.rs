//! One error taxonomy for all surfaces.

use chronos_domain::{PartitionId, Rejection};

/// What a caller may conclude from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A rule said no; nothing was written; the same request will be refused again.
    Rejected,
    /// Certainly not done; safe to retry.
    NotApplied,
    /// May or may not have happened; a retry with the same event ids resolves it.
    Unknown,
    /// A read could not be answered. Nothing is lost by asking again, but see the reason.
    Failed,
}

impl Class {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "REJECTED",
            Self::NotApplied => "NOT_APPLIED",
            Self::Unknown => "UNKNOWN",
            Self::Failed => "FAILED",
        }
    }
}

/// Why, in one machine-readable word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the word of its name; semantics are in the class and the message")]
pub enum Reason {
    WrongExpectedVersion,
    ConditionFailed,
    IdempotencyConflict,
    Invalid,
    TooLarge,
    QuotaExceeded,
    CrossPartition,
    NotFound,
    NotCaughtUp,
    NotLeader,
    DeadlineExceeded,
    ResourceExhausted,
    Corrupt,
    Unavailable,
    Unauthenticated,
    Forbidden,
    Internal,
    Unimplemented,
}

impl Reason {
    /// Every reason, for tables and their tests.
    pub const ALL: [Self; 18] = [
        Self::WrongExpectedVersion,
        Self::ConditionFailed,
        Self::IdempotencyConflict,
        Self::Invalid,
        Self::TooLarge,
        Self::QuotaExceeded,
        Self::CrossPartition,
        Self::NotFound,
        Self::NotCaughtUp,
        Self::NotLeader,
        Self::DeadlineExceeded,
        Self::ResourceExhausted,
        Self::Corrupt,
        Self::Unavailable,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::Internal,
        Self::Unimplemented,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongExpectedVersion => "WRONG_EXPECTED_VERSION",
            Self::ConditionFailed => "CONDITION_FAILED",
            Self::IdempotencyConflict => "IDEMPOTENCY_CONFLICT",
            Self::Invalid => "INVALID",
            Self::TooLarge => "TOO_LARGE",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::CrossPartition => "CROSS_PARTITION",
            Self::NotFound => "NOT_FOUND",
            Self::NotCaughtUp => "NOT_CAUGHT_UP",
            Self::NotLeader => "NOT_LEADER",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::Corrupt => "CORRUPT",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::Internal => "INTERNAL",
            Self::Unimplemented => "UNIMPLEMENTED",
        }
    }
}

/// What went wrong, where, and what to do next; surfaces translate it and add nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What the caller may conclude.
    pub class: Class,
    /// Why.
    pub reason: Reason,
    /// One sentence for a person.
    pub message: String,
    /// The values in the message, by name, for machines.
    pub details: Vec<(&'static str, String)>,
    /// Where waiting helps: for how long, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl Error {
    /// An error without details.
    pub fn new(class: Class, reason: Reason, message: impl Into<String>) -> Self {
        Self { class, reason, message: message.into(), details: Vec::new(), retry_after_ms: None }
    }

    /// A request that no rule admits.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Class::Rejected, Reason::Invalid, message)
    }

    /// Nothing by that name.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Class::Failed, Reason::NotFound, message)
    }

    /// Adds one named value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.details.push((name, value.to_string()));
        self
    }

    /// Says how long to wait.
    #[must_use]
    pub const fn retry_after_ms(mut self, milliseconds: u64) -> Self {
        self.retry_after_ms = Some(milliseconds);
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.message)
    }
}

impl std::error::Error for Error {}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        let say = |reason| Self::new(Class::Rejected, reason, rejection.to_string());
        match &rejection {
            Rejection::WrongExpectedVersion { entity, expected, actual } => say(Reason::WrongExpectedVersion)
                .with("entity", entity.as_str())
                .with("expected", expected)
                .with("actual", actual),
            Rejection::ConditionFailed { position, event_id } => {
                say(Reason::ConditionFailed).with("position", position).with("event_id", event_id)
            }
            Rejection::IdempotencyConflict { event_id } => {
                say(Reason::IdempotencyConflict).with("event_id", event_id)
            }
            Rejection::Invalid(invalid) => {
                say(Reason::Invalid).with("field", invalid.field).with("why", &invalid.reason)
            }
            Rejection::TooLarge { limit, max, actual } => {
                say(Reason::TooLarge).with("limit", limit).with("max", max).with("actual", actual)
            }
            Rejection::QuotaExceeded { quota, retry_after_ms } => {
                say(Reason::QuotaExceeded).with("quota", quota).retry_after_ms(*retry_after_ms)
            }
            Rejection::CrossPartition { partitions } => {
                say(Reason::CrossPartition).with("partitions", list(partitions))
            }
        }
    }
}

fn list(partitions: &[PartitionId]) -> String {
    partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
