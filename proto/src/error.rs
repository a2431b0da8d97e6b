//! How a failure travels: one content, two carriers.
//!
//! A [`Failure`] is a class (what the caller may conclude), a reason (one machine-readable word), a sentence for a
//! person, the sentence's values by name, and where it helps a time to wait. Inside a stream it is the message
//! `chronos.v1.Failure`; for a whole call it is a gRPC status with `google.rpc.ErrorInfo` (domain [`DOMAIN`], the
//! class under the key `class`) and `google.rpc.RetryInfo`. Both carry the same, and reading either back gives what
//! was written.
//!
//! | reason | gRPC code |
//! |---|---|
//! | `WRONG_EXPECTED_VERSION`, `CONDITION_FAILED` | `FAILED_PRECONDITION` |
//! | `IDEMPOTENCY_CONFLICT` | `ALREADY_EXISTS` |
//! | `INVALID`, `TOO_LARGE`, `CROSS_PARTITION` | `INVALID_ARGUMENT` |
//! | `QUOTA_EXCEEDED`, `RESOURCE_EXHAUSTED` | `RESOURCE_EXHAUSTED` |
//! | `NOT_FOUND` | `NOT_FOUND` |
//! | `NOT_CAUGHT_UP`, `NOT_LEADER`, `UNAVAILABLE` | `UNAVAILABLE` |
//! | `DEADLINE_EXCEEDED` | `DEADLINE_EXCEEDED` |
//! | `CORRUPT` | `DATA_LOSS` |
//! | `UNAUTHENTICATED` | `UNAUTHENTICATED` |
//! | `FORBIDDEN` | `PERMISSION_DENIED` |
//! | `UNIMPLEMENTED` | `UNIMPLEMENTED` |
//! | `INTERNAL`, and any other | `INTERNAL` |

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chronos_domain::{Invalid, Rejection};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::{StatusExt, pb};

use crate::v1;
use crate::v1::failure::Class as WireClass;

/// Whose reasons these are.
pub const DOMAIN: &str = "chronos.v1";

/// The key of the class among the metadata of an `ErrorInfo`.
const CLASS: &str = "class";

/// What a caller may conclude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A rule said no; nothing was written; the same request will be refused again.
    Rejected,
    /// Certainly not done; safe to retry.
    NotApplied,
    /// May or may not have happened; a retry with the same event ids resolves it.
    Unknown,
    /// A read could not be answered; see the reason.
    Failed,
}

impl Class {
    const ALL: [Self; 4] = [Self::Rejected, Self::NotApplied, Self::Unknown, Self::Failed];

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

    /// Reads the word on the wire.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the caller may conclude.
    pub class: Class,
    /// Why, in one machine-readable word.
    pub reason: String,
    /// One sentence for a person.
    pub message: String,
    /// The values in the message, by name. `class` is not a name.
    pub metadata: BTreeMap<String, String>,
    /// Where waiting helps: for how long.
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure without values.
    pub fn new(class: Class, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            class,
            reason: reason.into(),
            message: message.into(),
            metadata: BTreeMap::new(),
            retry_after_ms: None,
        }
    }

    /// Adds one named value.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.metadata.insert(name.into(), value.to_string());
        self
    }

    /// The failure as the end of a call.
    #[must_use]
    pub fn into_status(self) -> Status {
        let (code, mut metadata) = (code(&self.reason), self.metadata);
        metadata.insert(CLASS.to_owned(), self.class.as_str().to_owned());
        let info = ErrorInfo { reason: self.reason, domain: DOMAIN.to_owned(), metadata };
        let mut details = vec![any("ErrorInfo", &info)];
        if let Some(milliseconds) = self.retry_after_ms {
            let retry_delay = prost_types::Duration::try_from(Duration::from_millis(milliseconds)).ok();
            details.push(any("RetryInfo", &pb::RetryInfo { retry_delay }));
        }
        let status = pb::Status { code: code.into(), message: self.message.clone(), details };
        Status::with_details(code, self.message, status.encode_to_vec().into())
    }

    /// What the end of a call means.
    ///
    /// A status that is not ours (a proxy's, the transport's) has no class. It is `Rejected` where its code says
    /// that the request itself was refused, and else `Unknown`: nothing is known of how far the request came.
    #[must_use]
    pub fn from_status(status: &Status) -> Self {
        Self::said(status).unwrap_or_else(|| Self::foreign(status))
    }

    /// What a server of ours said at the end of a call; `None` where somebody else ended it: a proxy, the transport.
    #[must_use]
    pub fn said(status: &Status) -> Option<Self> {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN)?;
        let mut metadata: BTreeMap<String, String> = info.metadata.clone().into_iter().collect();
        let class = metadata.remove(CLASS).and_then(|word| Class::parse(&word)).unwrap_or(Class::Unknown);
        let delay = details.retry_info().and_then(|info| info.retry_delay);
        Some(Self {
            class,
            reason: info.reason.clone(),
            message: status.message().to_owned(),
            metadata,
            retry_after_ms: delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
        })
    }

    fn foreign(status: &Status) -> Self {
        let (class, reason) = match status.code() {
            Code::InvalidArgument => (Class::Rejected, "INVALID"),
            Code::OutOfRange => (Class::Rejected, "TOO_LARGE"),
            Code::Unauthenticated => (Class::Rejected, "UNAUTHENTICATED"),
            Code::PermissionDenied => (Class::Rejected, "FORBIDDEN"),
            Code::Unimplemented => (Class::Rejected, "UNIMPLEMENTED"),
            Code::NotFound => (Class::Rejected, "NOT_FOUND"),
            Code::DeadlineExceeded | Code::Cancelled => (Class::Unknown, "DEADLINE_EXCEEDED"),
            Code::Internal => (Class::Unknown, "INTERNAL"),
            _ => (Class::Unknown, "UNAVAILABLE"),
        };
        let message = match status.message() {
            "" => format!("the server ended the call with {:?} and said nothing more", status.code()),
            text => text.to_owned(),
        };
        Self::new(class, reason, message)
    }
}

/// `google.rpc.ErrorInfo` with its values in one order: generated code keeps them in a hash map, whose order differs from
/// process to process, and what a node sends has to follow from what it does.
#[derive(Clone, PartialEq, prost::Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

fn any(name: &str, message: &impl Message) -> prost_types::Any {
    let type_url = format!("type.googleapis.com/google.rpc.{name}");
    prost_types::Any { type_url, value: message.encode_to_vec() }
}

/// The gRPC code of a reason; see the table of the module.
#[must_use]
pub fn code(reason: &str) -> Code {
    match reason {
        "WRONG_EXPECTED_VERSION" | "CONDITION_FAILED" => Code::FailedPrecondition,
        "IDEMPOTENCY_CONFLICT" => Code::AlreadyExists,
        "INVALID" | "TOO_LARGE" | "CROSS_PARTITION" => Code::InvalidArgument,
        "QUOTA_EXCEEDED" | "RESOURCE_EXHAUSTED" => Code::ResourceExhausted,
        "NOT_FOUND" => Code::NotFound,
        "NOT_CAUGHT_UP" | "NOT_LEADER" | "UNAVAILABLE" => Code::Unavailable,
        "DEADLINE_EXCEEDED" => Code::DeadlineExceeded,
        "CORRUPT" => Code::DataLoss,
        "UNAUTHENTICATED" => Code::Unauthenticated,
        "FORBIDDEN" => Code::PermissionDenied,
        "UNIMPLEMENTED" => Code::Unimplemented,
        _ => Code::Internal,
    }
}

impl From<&Rejection> for Failure {
    fn from(rejection: &Rejection) -> Self {
        let failure = Self::new(Class::Rejected, rejection.reason(), rejection.to_string());
        match rejection {
            Rejection::WrongExpectedVersion { entity, expected, actual } => {
                failure.with("entity", entity).with("expected", expected).with("actual", actual)
            }
            Rejection::ConditionFailed { position, event_id } => {
                failure.with("position", position).with("event_id", event_id)
            }
            Rejection::IdempotencyConflict { event_id } => failure.with("event_id", event_id),
            Rejection::Invalid(invalid) => failure.with("field", invalid.field).with("why", &invalid.reason),
            Rejection::TooLarge { limit, max, actual } => {
                failure.with("limit", limit).with("max", max).with("actual", actual)
            }
            Rejection::QuotaExceeded { quota, retry_after_ms } => {
                Self { retry_after_ms: Some(*retry_after_ms), ..failure.with("quota", quota) }
            }
            Rejection::CrossPartition { partitions } => {
                let list: Vec<String> = partitions.iter().map(ToString::to_string).collect();
                failure.with("partitions", list.join(","))
            }
        }
    }
}

impl From<Failure> for v1::Failure {
    fn from(failure: Failure) -> Self {
        let class = match failure.class {
            Class::Rejected => WireClass::Rejected,
            Class::NotApplied => WireClass::NotApplied,
            Class::Unknown => WireClass::Unknown,
            Class::Failed => WireClass::Failed,
        };
        Self {
            class: class.into(),
            reason: failure.reason,
            message: failure.message,
            metadata: failure.metadata,
            retry_after_ms: failure.retry_after_ms,
        }
    }
}

impl TryFrom<v1::Failure> for Failure {
    type Error = Invalid;

    /// Refuses a class that this release does not know: it must not be taken for another.
    fn try_from(message: v1::Failure) -> Result<Self, Invalid> {
        let class = match WireClass::try_from(message.class) {
            Ok(WireClass::Rejected) => Class::Rejected,
            Ok(WireClass::NotApplied) => Class::NotApplied,
            Ok(WireClass::Unknown) => Class::Unknown,
            Ok(WireClass::Failed) => Class::Failed,
            Ok(WireClass::Unspecified) | Err(_) => {
                let reason = format!("of a failure is {}, which this release does not know", message.class);
                return Err(Invalid::new("class", reason));
            }
        };
        Ok(Self {
            class,
            reason: message.reason,
            message: message.message,
            metadata: message.metadata,
            retry_after_ms: message.retry_after_ms,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

impl std::error::Error for Failure {}
