//! Partitions on a simulated machine and a plain account of what they must hold: the same that the store's own tests have,
//! from the same files, and commands that are read from an input instead of being drawn.

use chronos_block::EventRef;

pub(super) mod commands;

#[path = "../../../../../crates/store/tests/support/node.rs"]
#[expect(clippy::unwrap_used, reason = "shared with the store's tests, which say so what must not fail")]
pub(super) mod node;

#[path = "../../../../../crates/store/tests/support/oracle.rs"]
#[expect(clippy::unwrap_used, reason = "shared with the store's tests, which say so what must not fail")]
pub(super) mod oracle;

/// All that an event says, as a text that can be compared.
pub(super) fn said(event: EventRef<'_>) -> String {
    let EventRef { event_id, entity_id, event_type, content_type, payload, metadata, tags, occurred_at } =
        event;
    let tags: Vec<&str> = tags.collect();
    format!(
        "{event_id} {entity_id:?} {event_type} {content_type:?} {payload:?} {metadata:?} {tags:?} {occurred_at:?}"
    )
}
