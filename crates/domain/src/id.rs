//! Names: validated text that cannot be wrong once it has been parsed.
//!
//! A name is checked where it enters, by [`parse`](EntityId::parse) or, where only a borrowed `&str` is at hand, by the
//! `check_` function of its kind. Names never become file paths; entity ids that look like paths out of somewhere are
//! refused all the same, because somebody else's export may trust them.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;
use core::str::FromStr;

use crate::limits::{
    CONTENT_TYPE_BYTES_MAX, ENTITY_ID_BYTES_MAX, EVENT_TYPE_BYTES_MAX, TAG_BYTES_MAX, TENANT_ID_BYTES_MAX,
};

mod event_id;

pub use event_id::EventId;

/// A field that breaks its rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The field's name as on the wire, such as `entity_id`.
    pub field: &'static str,
    /// What is wrong and what to give instead, as the predicate of a sentence about the field.
    pub reason: String,
}

impl Invalid {
    /// A field and its predicate: `Invalid::new("entity_id", "is empty; give 1 to 256 bytes")`.
    pub fn new(field: &'static str, reason: impl Into<String>) -> Invalid {
        Invalid { field, reason: reason.into() }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.reason)
    }
}

impl core::error::Error for Invalid {}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident by $check:ident;)*) => { $(
        $(#[$doc])*
        ///
        /// Cheap to clone: clones share the text.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes a copy of the text.
            ///
            /// # Errors
            /// [`Invalid`] says which rule is broken.
            pub fn parse(text: &str) -> Result<$name, Invalid> {
                $check(text)?;
                Ok($name(Arc::from(text)))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<$name, Invalid> {
                $name::parse(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )* };
}

names! {
    /// An owner of events, isolated from every other. 1 to 64 bytes of `a-z 0-9 _ -`; a leading `$` marks the
    /// cluster's own.
    TenantId by check_tenant_id;
    /// What events are about. 1 to 256 bytes of UTF-8 without control characters, and not path-like: no leading `/`,
    /// no `.` or `..` between slashes, no backslash.
    EntityId by check_entity_id;
    /// What kind of fact an event states, such as `order.placed`. 1 to 128 bytes of UTF-8 without control characters
    /// and white space.
    EventType by check_event_type;
    /// A label of an event, for conditions and filters. 1 to 128 bytes of UTF-8 without control characters.
    Tag by check_tag;
    /// How to read a payload, such as `application/json`. 1 to 128 printable ASCII characters with one `/` before any
    /// parameter.
    ContentType by check_content_type;
}

impl TenantId {
    /// The one tenant there is until tenants are administered.
    pub fn default_tenant() -> TenantId {
        TenantId(Arc::from("default"))
    }

    /// The tenant of the cluster's own events.
    pub fn system() -> TenantId {
        TenantId(Arc::from("$system"))
    }

    /// Whether the name is one that only the cluster itself may use.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl ContentType {
    /// Whether a payload of this type is JSON: see [`is_json`].
    pub fn is_json(&self) -> bool {
        is_json(&self.0)
    }

    /// `application/json`, what a payload is unless its writer says otherwise.
    pub fn json() -> ContentType {
        ContentType(Arc::from("application/json"))
    }
}

/// Whether the text is a valid [`TenantId`].
///
/// # Errors
/// [`Invalid`] says which rule is broken.
pub fn check_tenant_id(text: &str) -> Result<(), Invalid> {
    const FIELD: &str = "tenant_id";
    check_length(FIELD, text, TENANT_ID_BYTES_MAX)?;
    let name = text.strip_prefix('$').unwrap_or(text);
    if name.is_empty() {
        return Err(Invalid::new(FIELD, "is only `$`; give a name of a-z, 0-9, `_` or `-`"));
    }
    match name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '-')) {
        None => Ok(()),
        Some(c) => Err(Invalid::new(FIELD, format!("contains {c:?}; use only a-z, 0-9, `_` and `-`"))),
    }
}

/// Whether the text is a valid [`EntityId`].
///
/// # Errors
/// [`Invalid`] says which rule is broken.
pub fn check_entity_id(text: &str) -> Result<(), Invalid> {
    const FIELD: &str = "entity_id";
    check_length(FIELD, text, ENTITY_ID_BYTES_MAX)?;
    check_no_control(FIELD, text)?;
    if text.contains('\\') {
        return Err(Invalid::new(FIELD, "contains a backslash; name the entity without one"));
    }
    if text.starts_with('/') {
        return Err(Invalid::new(FIELD, "starts with `/` like a path; name the entity without it"));
    }
    if text.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Invalid::new(FIELD, "has a `.` or `..` segment like a path; name the entity without it"));
    }
    Ok(())
}

/// Whether the text is a valid [`EventType`].
///
/// # Errors
/// [`Invalid`] says which rule is broken.
pub fn check_event_type(text: &str) -> Result<(), Invalid> {
    const FIELD: &str = "event_type";
    check_length(FIELD, text, EVENT_TYPE_BYTES_MAX)?;
    check_no_control(FIELD, text)?;
    match text.char_indices().find(|(_, c)| c.is_whitespace()) {
        None => Ok(()),
        Some((at, _)) => {
            Err(Invalid::new(FIELD, format!("has white space at byte {at}; use dots, as in `order.placed`")))
        }
    }
}

/// Whether the text is a valid [`Tag`].
///
/// # Errors
/// [`Invalid`] says which rule is broken.
pub fn check_tag(text: &str) -> Result<(), Invalid> {
    const FIELD: &str = "tag";
    check_length(FIELD, text, TAG_BYTES_MAX)?;
    check_no_control(FIELD, text)
}

/// Whether a content type says JSON: `application/json` or any type with the suffix `+json` (RFC 6839), whatever
/// parameters follow.
pub fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim_end();
    let suffix = essence.len().checked_sub("+json".len()).and_then(|at| essence.get(at..));
    essence.eq_ignore_ascii_case("application/json")
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
}

/// Whether the text is a valid [`ContentType`].
///
/// # Errors
/// [`Invalid`] says which rule is broken.
pub fn check_content_type(text: &str) -> Result<(), Invalid> {
    const FIELD: &str = "content_type";
    check_length(FIELD, text, CONTENT_TYPE_BYTES_MAX)?;
    if let Some(c) = text.chars().find(|c| !matches!(c, ' '..='~')) {
        return Err(Invalid::new(FIELD, format!("contains {c:?}; use printable ASCII only")));
    }
    // A parameter such as `profile="https://…"` may hold slashes of its own.
    let media = text.split(';').next().unwrap_or(text);
    match media.split_once('/') {
        Some((kind, form)) if !kind.trim().is_empty() && !form.trim().is_empty() && !form.contains('/') => {
            Ok(())
        }
        _ => Err(Invalid::new(FIELD, "is not of the form type/subtype; give for example `application/json`")),
    }
}

fn check_length(field: &'static str, text: &str, bytes_max: usize) -> Result<(), Invalid> {
    match text.len() {
        0 => Err(Invalid::new(field, format!("is empty; give 1 to {bytes_max} bytes"))),
        bytes if bytes > bytes_max => {
            Err(Invalid::new(field, format!("has {bytes} bytes; give 1 to {bytes_max} bytes")))
        }
        _ => Ok(()),
    }
}

fn check_no_control(field: &'static str, text: &str) -> Result<(), Invalid> {
    match text.char_indices().find(|(_, c)| c.is_control()) {
        None => Ok(()),
        Some((at, c)) => {
            let code = u32::from(c);
            Err(Invalid::new(
                field,
                format!("has the control character U+{code:04X} at byte {at}; remove it"),
            ))
        }
    }
}

#[cfg(test)]
mod tests;
