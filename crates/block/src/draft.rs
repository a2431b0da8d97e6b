//! An event as its writer states it, before it has numbers.

use bytes::Bytes;
use chronos_domain::{ContentType, EntityId, EventId, EventType, Tag, Timestamp};

/// One event to append. Names are valid by their types; sizes are checked when it is packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The event's identity for ever. The same id with the same content is the same event, so a retry keeps it.
    pub event_id: EventId,
    /// What the event is about; decides the partition.
    pub entity_id: EntityId,
    /// What kind of fact it states.
    pub event_type: EventType,
    /// How to read the payload.
    pub content_type: ContentType,
    /// The fact itself: up to 1 MiB, opaque to the store.
    pub payload: Bytes,
    /// A JSON object as text, or empty: up to 64 KiB. That it is UTF-8 is checked here, its syntax is not.
    pub metadata: Bytes,
    /// Labels, a set of up to 16: the order is not kept, and naming one twice is refused.
    pub tags: Vec<Tag>,
    /// When the fact happened, by its writer, if that is known. [`Timestamp::MIN`] is refused.
    pub occurred_at: Option<Timestamp>,
}

impl Draft {
    /// An event with a JSON payload and nothing optional.
    pub fn json(
        event_id: EventId,
        entity_id: EntityId,
        event_type: EventType,
        payload: impl Into<Bytes>,
    ) -> Draft {
        Draft {
            event_id,
            entity_id,
            event_type,
            content_type: ContentType::json(),
            payload: payload.into(),
            metadata: Bytes::new(),
            tags: Vec::new(),
            occurred_at: None,
        }
    }
}
