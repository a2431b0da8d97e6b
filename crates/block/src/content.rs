//! The content hash: are two requests with one event id the same request?
//!
//! Every length stands before every text, so that no two contents feed the hash the same bytes.

use chronos_domain::xxh64::Xxh64;
use chronos_domain::{ContentHash, Timestamp};

use crate::event::EventRef;
use crate::layout::OCCURRED_AT_ABSENT;

/// What the hash covers besides tags, wherever it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// What the event is about.
    pub entity_id: &'a str,
    /// What kind of fact it states.
    pub event_type: &'a str,
    /// How to read the payload.
    pub content_type: &'a str,
    /// The fact itself.
    pub payload: &'a [u8],
    /// A JSON object as text, or empty.
    pub metadata: &'a [u8],
    /// When the fact happened, if its writer said so.
    pub occurred_at: Option<Timestamp>,
}

impl Content<'_> {
    /// The [`content_hash`] of an event with this content and these tags, which are in ascending order.
    pub fn hash<'t>(&self, tags: impl ExactSizeIterator<Item = &'t str>) -> ContentHash {
        hash(self, tags)
    }
}

/// The hash of everything a writer says about an event, its id aside. Stable for ever: it is stored and compared
/// with hashes of other releases. `FORMAT.md` gives the bytes it covers.
pub fn content_hash(event: &EventRef<'_>) -> ContentHash {
    let content = Content {
        entity_id: event.entity_id,
        event_type: event.event_type,
        content_type: event.content_type,
        payload: event.payload,
        metadata: event.metadata,
        occurred_at: event.occurred_at,
    };
    hash(&content, event.tags.clone())
}

/// `tags` in ascending order.
pub(crate) fn hash<'t>(content: &Content<'_>, tags: impl ExactSizeIterator<Item = &'t str>) -> ContentHash {
    let occurred_at = content.occurred_at.map_or(OCCURRED_AT_ABSENT, Timestamp::get);
    let mut lengths = [0; 32];
    lengths[0..8].copy_from_slice(&occurred_at.to_le_bytes());
    lengths[8..12].copy_from_slice(&length(content.entity_id.as_bytes()));
    lengths[12..16].copy_from_slice(&length(content.event_type.as_bytes()));
    lengths[16..20].copy_from_slice(&length(content.content_type.as_bytes()));
    lengths[20..24].copy_from_slice(&length(content.payload));
    lengths[24..28].copy_from_slice(&length(content.metadata));
    lengths[28..32].copy_from_slice(&(tags.len() as u32).to_le_bytes());
    let mut hash = Xxh64::new(0);
    hash.update(&lengths)
        .update(content.entity_id.as_bytes())
        .update(content.event_type.as_bytes())
        .update(content.content_type.as_bytes());
    for tag in tags {
        hash.update(&length(tag.as_bytes())).update(tag.as_bytes());
    }
    ContentHash::new(hash.update(content.payload).update(content.metadata).finish())
}

/// Lengths are bounded far below 32 bits by the limits of a request.
fn length(bytes: &[u8]) -> [u8; 4] {
    (bytes.len() as u32).to_le_bytes()
}
