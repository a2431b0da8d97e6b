//! JSON to events.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chronos_block::Draft;
use chronos_domain::{
    ContentType, EntityId, EventId, EventType, Invalid, Position, Tag, TenantId, Timestamp, Version,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::append;
use crate::event::{self, Event};

/// An event's object as it stands in a text. Borrows what it can; a member that no event has is refused.
///
/// The same shape serves both ways: an event to append leaves out what a server sets, or carries it and has it
/// ignored, so that what was exported can be imported.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields of an event, as documented there")]
pub struct EventJson<'a> {
    #[serde(borrow, default)]
    pub event_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub tenant_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub entity_id: Cow<'a, str>,
    #[serde(borrow)]
    pub event_type: Cow<'a, str>,
    #[serde(borrow, default)]
    pub content_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub payload: &'a RawValue,
    #[serde(borrow, default)]
    pub metadata: Option<&'a RawValue>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub occurred_at: Option<i64>,
    #[serde(default)]
    pub recorded_at: Option<i64>,
    #[serde(default)]
    pub version: Option<u64>,
    #[serde(default)]
    pub position: Option<u64>,
    #[serde(default)]
    pub partition: Option<u32>,
    #[serde(default)]
    pub erased: bool,
}

impl<'a> EventJson<'a> {
    /// Reads one object.
    ///
    /// # Errors
    /// [`Invalid`] says what is wrong and at which column.
    pub fn parse(text: &'a str) -> Result<Self, Invalid> {
        serde_json::from_str(text)
            .map_err(|error| Invalid::new("event", format!("is not an event's JSON: {error}")))
    }

    /// The event to append. What a server sets is ignored; `mint` makes an id where there is none.
    ///
    /// # Errors
    /// [`Invalid`] names the field.
    pub fn into_draft(self, mint: impl FnOnce() -> EventId) -> Result<Draft, Invalid> {
        if self.erased {
            return Err(Invalid::new(
                "erased",
                "is true: there is no content left to append; leave the event out",
            ));
        }
        let content_type = self.content_type()?;
        Ok(Draft {
            event_id: self.event_id.as_deref().map_or_else(|| Ok(mint()), EventId::parse)?,
            entity_id: EntityId::parse(&self.entity_id)?,
            event_type: EventType::parse(&self.event_type)?,
            payload: self.payload(&content_type)?,
            metadata: self.metadata()?,
            tags: self.tags()?,
            occurred_at: self.occurred_at.map(Timestamp::new),
            content_type,
        })
    }

    /// The stored event, with everything a server sets.
    ///
    /// # Errors
    /// [`Invalid`] names the field that is missing or not valid.
    pub fn into_event(self) -> Result<Event, Invalid> {
        let content_type = self.content_type()?;
        Ok(Event {
            event_id: EventId::parse(set("event_id", self.event_id.as_deref())?)?,
            tenant_id: TenantId::parse(set("tenant_id", self.tenant_id.as_deref())?)?,
            entity_id: EntityId::parse(&self.entity_id)?,
            event_type: EventType::parse(&self.event_type)?,
            payload: self.payload(&content_type)?,
            metadata: self.metadata()?,
            tags: self.tags()?,
            occurred_at: self.occurred_at.map(Timestamp::new),
            recorded_at: Timestamp::new(set("recorded_at", self.recorded_at)?),
            version: Version::new(event::counted("version", set("version", self.version)?)?),
            position: Position::new(event::counted("position", set("position", self.position)?)?),
            partition: crate::partition(set("partition", self.partition)?)?,
            erased: self.erased,
            content_type,
        })
    }

    fn content_type(&self) -> Result<ContentType, Invalid> {
        event::content_type(self.content_type.as_deref().unwrap_or_default())
    }

    /// JSON as it stands, anything else from base64.
    fn payload(&self, content_type: &ContentType) -> Result<Bytes, Invalid> {
        let json = self.payload.get();
        if self.erased {
            let invalid =
                || Invalid::new("payload", "of an erased event is not null, but its content is gone");
            return if json == "null" { Ok(Bytes::new()) } else { Err(invalid()) };
        }
        if content_type.is_json() {
            return Ok(Bytes::copy_from_slice(json.as_bytes()));
        }
        let invalid = |what: &str| {
            let give = "give a string of base64 (RFC 4648, padded)";
            Invalid::new("payload", format!("of content type {content_type} {what}; {give}"))
        };
        let text: Cow<'_, str> = serde_json::from_str(json).map_err(|_| invalid("is not a string"))?;
        STANDARD.decode(text.as_bytes()).map(Bytes::from).map_err(|_| invalid("is not base64"))
    }

    /// The object's text. `null` reads as none.
    fn metadata(&self) -> Result<Bytes, Invalid> {
        match self.metadata.map_or("{}", RawValue::get).as_bytes() {
            bytes @ [b'{', ..] => Ok(append::metadata(Bytes::copy_from_slice(bytes))),
            _ => Err(Invalid::new("metadata", "is not a JSON object; give an object or leave it out")),
        }
    }

    fn tags(&self) -> Result<Vec<Tag>, Invalid> {
        append::tags(&self.tags)
    }
}

fn set<T>(field: &'static str, value: Option<T>) -> Result<T, Invalid> {
    value.ok_or_else(|| Invalid::new(field, "is missing, which every stored event has"))
}
