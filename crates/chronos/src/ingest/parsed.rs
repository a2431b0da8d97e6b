//! What one line became.

use chronos_block::Draft;
use chronos_domain::{EntityId, EventId};

use super::derived;

/// Whose id an event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The source's own.
    Given,
    /// Derived from the line; identical lines need their ordinal on top.
    Derived,
}

/// An event that passed every check a line can be put to.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub(crate) draft: Draft,
    pub(crate) identity: Identity,
}

/// The id of an event whose line brings none.
pub(crate) fn derived_from_line(entity_id: &EntityId, line: &str) -> EventId {
    derived::event_id(&[entity_id.as_str().as_bytes(), line.as_bytes()])
}

/// serde's sentence without the line it counts in, which is always 1 here.
pub(crate) fn sentence(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line 1 column ") {
        Some((reason, "0")) => reason.to_owned(),
        Some((reason, column)) => format!("{reason} (column {column})"),
        None => text,
    }
}
