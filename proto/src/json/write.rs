//! Events to JSON, without building a tree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chronos_block::{Recorded, Tags};
use chronos_domain::{EventId, PartitionId, Position, Tag, Timestamp, Version, is_json};

use super::CONTENT_TYPE;
use crate::event::Event;

/// Where the object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Inside a larger text: payload and metadata stand byte for byte as they were stored.
    Embedded,
    /// On a line of its own: the same, except that a text with a line break in it loses the white space between its
    /// tokens, which means nothing. (Inside a JSON string a line break is always an escape.)
    Line,
}

/// What an object shows, borrowed from wherever the event is.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields of an event, as documented there")]
pub struct EventView<'a> {
    pub event_id: EventId,
    pub tenant_id: &'a str,
    pub entity_id: &'a str,
    pub event_type: &'a str,
    pub payload: &'a [u8],
    pub content_type: &'a str,
    pub metadata: &'a [u8],
    pub tags: ViewTags<'a>,
    pub occurred_at: Option<Timestamp>,
    pub recorded_at: Timestamp,
    pub version: Version,
    pub position: Position,
    pub partition: PartitionId,
    pub erased: bool,
}

/// Tags, in either of the forms in which events hold them.
#[derive(Clone, Debug)]
pub enum ViewTags<'a> {
    /// Of an event in its block.
    Packed(Tags<'a>),
    /// Of an event outside.
    Owned(&'a [Tag]),
}

impl<'a> From<&'a Event> for EventView<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            event_id: event.event_id,
            tenant_id: event.tenant_id.as_str(),
            entity_id: event.entity_id.as_str(),
            event_type: event.event_type.as_str(),
            payload: &event.payload,
            content_type: event.content_type.as_str(),
            metadata: &event.metadata,
            tags: ViewTags::Owned(&event.tags),
            occurred_at: event.occurred_at,
            recorded_at: event.recorded_at,
            version: event.version,
            position: event.position,
            partition: event.partition,
            erased: event.erased,
        }
    }
}

impl<'a> From<&'a Recorded> for EventView<'a> {
    fn from(recorded: &'a Recorded) -> Self {
        let event = recorded.event();
        Self {
            event_id: event.event_id,
            tenant_id: recorded.tenant.as_str(),
            entity_id: event.entity_id,
            event_type: event.event_type,
            payload: event.payload,
            content_type: event.content_type,
            metadata: event.metadata,
            tags: ViewTags::Packed(event.tags),
            occurred_at: event.occurred_at,
            recorded_at: recorded.recorded_at,
            version: recorded.version,
            position: recorded.position,
            partition: recorded.partition,
            erased: recorded.erased,
        }
    }
}

/// Appends the event's object to `out`, without a line break after it.
pub fn write<'a>(out: &mut Vec<u8>, event: impl Into<EventView<'a>>, layout: Layout) {
    let event = event.into();
    out.extend_from_slice(b"{\"event_id\":\"");
    out.extend_from_slice(event.event_id.to_string().as_bytes());
    out.extend_from_slice(b"\",\"tenant_id\":");
    string(out, event.tenant_id);
    out.extend_from_slice(b",\"entity_id\":");
    string(out, event.entity_id);
    out.extend_from_slice(b",\"event_type\":");
    string(out, event.event_type);
    payload(out, &event, layout);
    out.extend_from_slice(b",\"metadata\":");
    embed(out, if event.metadata.is_empty() { b"{}" } else { event.metadata }, layout);
    out.extend_from_slice(b",\"tags\":[");
    match event.tags {
        ViewTags::Packed(tags) => strings(out, tags),
        ViewTags::Owned(tags) => strings(out, tags.iter().map(Tag::as_str)),
    }
    let occurred_at = event.occurred_at.map_or_else(|| "null".to_owned(), |time| time.to_string());
    let numbers = format!(
        "],\"occurred_at\":{occurred_at},\"recorded_at\":{},\"version\":{},\"position\":{},\"partition\":{}",
        event.recorded_at, event.version, event.position, event.partition
    );
    out.extend_from_slice(numbers.as_bytes());
    out.extend_from_slice(if event.erased { b",\"erased\":true}" } else { b"}" });
}

fn payload(out: &mut Vec<u8>, event: &EventView<'_>, layout: Layout) {
    if event.content_type != CONTENT_TYPE {
        out.extend_from_slice(b",\"content_type\":");
        string(out, event.content_type);
    }
    if event.erased {
        out.extend_from_slice(b",\"payload\":null");
    } else if is_json(event.content_type) {
        out.extend_from_slice(b",\"payload\":");
        embed(out, event.payload, layout);
    } else {
        out.extend_from_slice(b",\"payload\":\"");
        out.extend_from_slice(STANDARD.encode(event.payload).as_bytes());
        out.push(b'"');
    }
}

fn strings<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'a str>) {
    for (i, text) in texts.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        string(out, text);
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is JSON, and a vector takes every byte");
}

fn embed(out: &mut Vec<u8>, json: &[u8], layout: Layout) {
    let broken = json.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
    if layout == Layout::Line && broken { squeeze(out, json) } else { out.extend_from_slice(json) }
}

/// Copies a JSON text without the white space between its tokens.
fn squeeze(out: &mut Vec<u8>, json: &[u8]) {
    let (mut quoted, mut escaped) = (false, false);
    for &byte in json {
        if quoted || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            out.push(byte);
        }
        if escaped {
            escaped = false;
        } else if byte == b'\\' {
            escaped = quoted;
        } else if byte == b'"' {
            quoted = !quoted;
        }
    }
}
