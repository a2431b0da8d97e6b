//! What events are made of.

use bytes::Bytes;
use chronos_block::Draft;
use chronos_client::Event;
use chronos_domain::{EntityId, EventType};
use chronos_history as history;
use chronos_history::Label;

use super::Origin;

/// Types of events.
pub(super) const KINDS: u64 = 8;

/// The type of an event, as a history names it.
pub(super) fn kind_of(id: history::EventId) -> Label {
    Label(1 + (id.0 % KINDS) as u32)
}

/// What the type with that number is called.
pub(super) fn kind_name(kind: Label) -> String {
    format!("thing.k{}", kind.0 - 1)
}

/// Where the entity with that number lives when nothing was there before, as a number: low entities are those to which most
/// is written.
pub(crate) fn busy_partition(entity: u64) -> u8 {
    Origin::default().partition_of(entity).get()
}

/// An event to be appended, with `bytes` more than it needs.
pub(super) fn draft(origin: &Origin, id: history::EventId, entity: u64, bytes: usize) -> Draft {
    let kind = kind_name(kind_of(id));
    let payload = format!("{{\"id\":{},\"pad\":\"{}\"}}", id.0, "x".repeat(bytes));
    let entity = EntityId::parse(&origin.entity_name(entity)).expect("such names are valid");
    let kind = EventType::parse(&kind).expect("such types are valid");
    Draft::json(origin.event_id(id), entity, kind, Bytes::from(payload))
}

/// Of the content that is sent.
pub(super) fn hash_of_draft(draft: &Draft) -> history::Hash {
    history::Hash::of_content(&[draft.event_type.as_str().as_bytes(), &draft.payload])
}

/// Of the content that came back.
pub(super) fn hash_of_event(event: &Event) -> history::Hash {
    history::Hash::of_content(&[event.event_type.as_str().as_bytes(), &event.payload])
}

/// What a range hash sees of an event.
pub(crate) fn word(origin: &Origin, event: &Event) -> history::Word {
    history::Word::new(
        origin.event_number(event.event_id),
        origin.entity_number(event.entity_id.as_str()),
        history::Version(event.version.get()),
        history::Tenant(0),
        hash_of_event(event),
    )
}

/// The event as a final log has it.
pub(crate) fn logged(origin: &Origin, event: &Event) -> history::fact::Logged {
    history::fact::Logged {
        id: origin.event_number(event.event_id),
        entity: origin.entity_number(event.entity_id.as_str()),
        version: history::Version(event.version.get()),
        hash: hash_of_event(event),
        at: event.recorded_at.get(),
        tenant: history::Tenant(0),
    }
}
