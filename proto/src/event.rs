//! A stored event, owned and outside of the block it came in.

use bytes::Bytes;
use chronos_block::Recorded;
use chronos_domain::{
    ContentType, EntityId, EventId, EventType, Invalid, PartitionId, Position, Tag, TenantId, Timestamp,
    Version,
};

use crate::v1;

/// One stored event, with the numbers it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its identity, given by its writer.
    pub event_id: EventId,
    /// Whose event.
    pub tenant_id: TenantId,
    /// What it is about.
    pub entity_id: EntityId,
    /// What kind of fact it states.
    pub event_type: EventType,
    /// The fact itself.
    pub payload: Bytes,
    /// How to read the payload.
    pub content_type: ContentType,
    /// A JSON object as text; empty when its writer gave none.
    pub metadata: Bytes,
    /// Labels, ascending, each once.
    pub tags: Vec<Tag>,
    /// When it happened, by its writer.
    pub occurred_at: Option<Timestamp>,
    /// When its partition's leader recorded it; never decreases within a partition.
    pub recorded_at: Timestamp,
    /// Its gapless number within its entity, from 1.
    pub version: Version,
    /// Its gapless number within its partition, from 1.
    pub position: Position,
    /// Where its entity lives.
    pub partition: PartitionId,
    /// Whether a truncation took its content: payload, metadata and tags are then empty, the content type is the
    /// default one, and when it happened is unknown.
    pub erased: bool,
}

impl Event {
    /// Whether the payload is JSON, by its content type. An erased event has none.
    #[must_use]
    pub fn is_json(&self) -> bool {
        !self.erased && self.content_type.is_json()
    }
}

impl From<&Recorded> for v1::Event {
    fn from(recorded: &Recorded) -> Self {
        let event = recorded.event();
        Self {
            event_id: event.event_id.to_string(),
            tenant_id: recorded.tenant.to_string(),
            entity_id: event.entity_id.to_owned(),
            event_type: event.event_type.to_owned(),
            payload: recorded.payload(),
            content_type: event.content_type.to_owned(),
            metadata: Bytes::copy_from_slice(event.metadata),
            tags: event.tags.map(str::to_owned).collect(),
            occurred_at: event.occurred_at.map(Timestamp::get),
            recorded_at: recorded.recorded_at.get(),
            version: recorded.version.get(),
            position: recorded.position.get(),
            partition: recorded.partition.get().into(),
            erased: recorded.erased,
        }
    }
}

impl From<Event> for v1::Event {
    fn from(event: Event) -> Self {
        Self {
            event_id: event.event_id.to_string(),
            tenant_id: event.tenant_id.to_string(),
            entity_id: event.entity_id.to_string(),
            event_type: event.event_type.to_string(),
            payload: event.payload,
            content_type: event.content_type.to_string(),
            metadata: event.metadata,
            tags: event.tags.iter().map(Tag::to_string).collect(),
            occurred_at: event.occurred_at.map(Timestamp::get),
            recorded_at: event.recorded_at.get(),
            version: event.version.get(),
            position: event.position.get(),
            partition: event.partition.get().into(),
            erased: event.erased,
        }
    }
}

impl TryFrom<v1::Event> for Event {
    type Error = Invalid;

    /// Checks every name and number; a number from 1 on that is 0 is refused too.
    fn try_from(event: v1::Event) -> Result<Self, Invalid> {
        Ok(Self {
            event_id: EventId::parse(&event.event_id)?,
            tenant_id: TenantId::parse(&event.tenant_id)?,
            entity_id: EntityId::parse(&event.entity_id)?,
            event_type: EventType::parse(&event.event_type)?,
            payload: event.payload,
            content_type: content_type(&event.content_type)?,
            metadata: event.metadata,
            tags: event.tags.iter().map(|tag| Tag::parse(tag)).collect::<Result<_, _>>()?,
            occurred_at: event.occurred_at.map(Timestamp::new),
            recorded_at: Timestamp::new(event.recorded_at),
            version: Version::new(counted("version", event.version)?),
            position: Position::new(counted("position", event.position)?),
            partition: crate::partition(event.partition)?,
            erased: event.erased,
        })
    }
}

/// A content type, where an empty text means JSON.
pub(crate) fn content_type(text: &str) -> Result<ContentType, Invalid> {
    if text.is_empty() || text == crate::json::CONTENT_TYPE {
        return Ok(ContentType::json());
    }
    ContentType::parse(text)
}

/// A number that every stored event has, counted from 1.
pub(crate) fn counted(field: &'static str, number: u64) -> Result<u64, Invalid> {
    if number == 0 {
        return Err(Invalid::new(field, "is 0, but those of stored events begin at 1"));
    }
    Ok(number)
}
