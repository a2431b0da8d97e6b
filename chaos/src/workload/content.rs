//! What events are made of.

use bytes::Bytes;
use chronos_block::Draft;
use chronos_client::Event;
use chronos_domain::{EntityId, EventId, EventType, PartitionId, place};
use chronos_history as history;
use chronos_history::Label;

/// The upper half of every id, so that nobody takes one for a number.
const RUN: u128 = 0x0192_7a3c_0000_7000 << 64;
/// Types of events.
pub(super) const KINDS: u64 = 8;

/// The id of the event with that number.
pub(super) fn event_id(number: history::EventId) -> EventId {
    EventId::from_u128(RUN | u128::from(number.0))
}

/// The number of an event.
pub(super) fn event_number(id: EventId) -> history::EventId {
    history::EventId(id.as_u128() as u64)
}

/// What the entity with that number is called.
pub(super) fn entity_name(number: u64) -> String {
    // Some are of one partition, so that an append may be about several of them.
    if number.is_multiple_of(4) {
        format!("thing-{{g{}}}-{number}", number % 64)
    } else {
        format!("thing-{number}")
    }
}

/// The number of an entity.
pub(super) fn entity_number(name: &str) -> history::EntityId {
    let number = name.rsplit('-').next().and_then(|digits| digits.parse().ok());
    history::EntityId(number.expect("every entity of a run is called thing-…-‹number›"))
}

/// Where the entity with that number lives.
pub(super) fn partition_of(entity: u64) -> PartitionId {
    place("default", &entity_name(entity))
}

/// The type of an event, as a history names it.
pub(super) fn kind_of(id: history::EventId) -> Label {
    Label(1 + (id.0 % KINDS) as u32)
}

/// What the type with that number is called.
pub(super) fn kind_name(kind: Label) -> String {
    format!("thing.k{}", kind.0 - 1)
}

/// Where the entity with that number lives, as a number: low entities are those to which most is written.
pub(crate) fn busy_partition(entity: u64) -> u8 {
    partition_of(entity).get()
}

/// An event to be appended, with `bytes` more than it needs.
pub(super) fn draft(id: history::EventId, entity: u64, bytes: usize) -> Draft {
    let kind = kind_name(kind_of(id));
    let payload = format!("{{\"id\":{},\"pad\":\"{}\"}}", id.0, "x".repeat(bytes));
    let entity = EntityId::parse(&entity_name(entity)).expect("such names are valid");
    let kind = EventType::parse(&kind).expect("such types are valid");
    Draft::json(event_id(id), entity, kind, Bytes::from(payload))
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
pub(super) fn word(event: &Event) -> history::Word {
    history::Word::new(
        event_number(event.event_id),
        entity_number(event.entity_id.as_str()),
        history::Version(event.version.get()),
        history::Tenant(0),
        hash_of_event(event),
    )
}

/// The event as a final log has it.
pub(crate) fn logged(event: &Event) -> history::fact::Logged {
    history::fact::Logged {
        id: event_number(event.event_id),
        entity: entity_number(event.entity_id.as_str()),
        version: history::Version(event.version.get()),
        hash: hash_of_event(event),
        at: event.recorded_at.get(),
        tenant: history::Tenant(0),
    }
}
