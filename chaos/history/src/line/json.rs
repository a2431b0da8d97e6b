//! A line as JSON and back.
//!
//! Read in two steps: the envelope first, which leaves `value` as text, then `value` as the type that `type` and `f`
//! name. No step asks serde to guess a type, which would not survive serde_json's `arbitrary_precision`. A field that
//! no type knows is an error: a misspelt one would otherwise quietly check nothing.

mod read;
mod write;

use serde::{Deserialize, Serialize};

use crate::Version;
use crate::answer::Found;

/// Why a line is none of this format.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is no JSON or a field is not what it must be.
    #[error("not a line of chronos-history/1: {0}")]
    Json(#[from] serde_json::Error),
    /// `type` and `f` do not go together or are unknown to this version.
    #[error("no line of chronos-history/1 has type {kind:?} with f {f:?}")]
    Unknown {
        /// The line's `type`.
        kind: String,
        /// The line's `f`.
        f: String,
    },
    /// The line lacks a field.
    #[error("a line with f {f:?} needs {field:?}")]
    Missing {
        /// The line's `f`.
        f: String,
        /// The field.
        field: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    Invoke,
    Ok,
    Fail,
    Info,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusalValue {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rev: Option<Version>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GetValue {
    event: Option<Found>,
}
