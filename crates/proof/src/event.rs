//! An event as a proof file shows it.

use chronos_domain::{EventId, ForkId, PartitionId, Position, Timestamp, Version};
use serde::{Deserialize, Serialize};

use crate::fields::{Fields, leaf};
use crate::hash::{Hash, hex, unhex};

/// Everything that is stored of one event besides its place in the partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its gapless number within its entity, from 1.
    pub version: Version,
    /// When it was stored.
    pub recorded_at: Timestamp,
    /// Whose event.
    pub tenant: String,
    /// Which line of the tenant's events.
    pub fork: ForkId,
    /// Its identity.
    pub event_id: EventId,
    /// What it is about.
    pub entity_id: String,
    /// What kind of fact it states.
    pub event_type: String,
    /// How to read the payload.
    pub content_type: String,
    /// When the fact happened, if its writer said so.
    pub occurred_at: Option<Timestamp>,
    /// Labels, in ascending byte order, each once.
    pub tags: Vec<String>,
    /// A JSON object as text, or empty.
    pub metadata: Vec<u8>,
    /// The fact itself.
    pub payload: Vec<u8>,
}

impl Event {
    pub(crate) fn new(fields: &Fields<'_>) -> Event {
        Event {
            version: fields.version,
            recorded_at: fields.recorded_at,
            tenant: fields.tenant.into(),
            fork: fields.fork,
            event_id: fields.event_id,
            entity_id: fields.entity_id.into(),
            event_type: fields.event_type.into(),
            content_type: fields.content_type.into(),
            occurred_at: fields.occurred_at,
            tags: fields.tags.iter().map(|&tag| tag.into()).collect(),
            metadata: fields.metadata.into(),
            payload: fields.payload.into(),
        }
    }

    /// The leaf of this event at this place.
    pub(crate) fn leaf_at(&self, partition: PartitionId, position: Position) -> Hash {
        leaf(&Fields {
            partition,
            position,
            version: self.version,
            recorded_at: self.recorded_at,
            tenant: &self.tenant,
            fork: self.fork,
            event_id: self.event_id,
            entity_id: &self.entity_id,
            event_type: &self.event_type,
            content_type: &self.content_type,
            occurred_at: self.occurred_at,
            tags: &self.tags.iter().map(String::as_str).collect::<Vec<_>>(),
            metadata: &self.metadata,
            payload: &self.payload,
        })
    }
}

/// An [`Event`] as JSON. Bytes that are not UTF-8 are hexadecimal in the `_hex` twin of their field.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventJson {
    tenant_id: String,
    fork: u64,
    entity_id: String,
    version: u64,
    event_id: String,
    event_type: String,
    recorded_at_us: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    occurred_at_us: Option<i64>,
    tags: Vec<String>,
    content_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata_hex: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_hex: Option<String>,
}

impl From<Event> for EventJson {
    fn from(event: Event) -> EventJson {
        let (metadata, metadata_hex) = text_or_hex(event.metadata);
        let (payload, payload_hex) = text_or_hex(event.payload);
        EventJson {
            tenant_id: event.tenant,
            fork: event.fork.get(),
            entity_id: event.entity_id,
            version: event.version.get(),
            event_id: event.event_id.to_string(),
            event_type: event.event_type,
            recorded_at_us: event.recorded_at.get(),
            occurred_at_us: event.occurred_at.map(Timestamp::get),
            tags: event.tags,
            content_type: event.content_type,
            metadata,
            metadata_hex,
            payload,
            payload_hex,
        }
    }
}

impl TryFrom<EventJson> for Event {
    type Error = String;

    fn try_from(json: EventJson) -> Result<Event, String> {
        if !json.tags.is_sorted_by(|a, b| a < b) {
            return Err("`tags` do not ascend in byte order, each once".into());
        }
        let event_id = EventId::parse(&json.event_id).map_err(|invalid| invalid.to_string())?;
        if event_id.to_string() != json.event_id {
            return Err("`event_id` is not written in lower case with hyphens".into());
        }
        Ok(Event {
            version: Version::new(json.version),
            recorded_at: Timestamp::new(json.recorded_at_us),
            tenant: json.tenant_id,
            fork: ForkId::new(json.fork),
            event_id,
            entity_id: json.entity_id,
            event_type: json.event_type,
            content_type: json.content_type,
            occurred_at: json.occurred_at_us.map(Timestamp::new),
            tags: json.tags,
            metadata: bytes("metadata", json.metadata, json.metadata_hex)?,
            payload: bytes("payload", json.payload, json.payload_hex)?,
        })
    }
}

fn text_or_hex(bytes: Vec<u8>) -> (Option<String>, Option<String>) {
    match String::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(other) => (None, Some(hex(other.as_bytes()))),
    }
}

fn bytes(field: &str, text: Option<String>, digits: Option<String>) -> Result<Vec<u8>, String> {
    match (text, digits) {
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(digits)) => unhex(&digits).ok_or_else(|| format!("`{field}_hex` is not hexadecimal")),
        _ => Err(format!("one of `{field}` and `{field}_hex` is needed")),
    }
}
