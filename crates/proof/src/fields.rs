//! An event as the bytes that are hashed.

use chronos_domain::{EventId, ForkId, PartitionId, Position, Timestamp, Version};
use sha2::{Digest as _, Sha256};

use crate::hash::Hash;
use crate::tag;

/// Number of the encoding, the first byte after the tag. A second encoding would take the next number.
const ENCODING: u8 = 1;

/// Everything that is stored of one event, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// Where its entity lives.
    pub partition: PartitionId,
    /// Its gapless number within the partition, from 1.
    pub position: Position,
    /// Its gapless number within its entity, from 1.
    pub version: Version,
    /// When it was stored.
    pub recorded_at: Timestamp,
    /// Whose event.
    pub tenant: &'a str,
    /// Which line of the tenant's events.
    pub fork: ForkId,
    /// Its identity.
    pub event_id: EventId,
    /// What it is about.
    pub entity_id: &'a str,
    /// What kind of fact it states.
    pub event_type: &'a str,
    /// How to read the payload.
    pub content_type: &'a str,
    /// When the fact happened, if its writer said so.
    pub occurred_at: Option<Timestamp>,
    /// Labels, in ascending byte order, each once, as they are stored.
    pub tags: &'a [&'a str],
    /// A JSON object as text, or empty.
    pub metadata: &'a [u8],
    /// The fact itself.
    pub payload: &'a [u8],
}

/// The event's leaf of the tree: SHA-256 over the leaf tag and the event's canonical encoding (`FORMAT.md`). Allocates
/// nothing.
///
/// # Panics
/// When tags are not in ascending order without repetition, or a field has 4 GiB: no stored event does.
pub fn leaf(fields: &Fields<'_>) -> Hash {
    assert!(fields.tags.is_sorted_by(|a, b| a < b), "tags of a stored event ascend: {:?}", fields.tags);
    let mut hasher = Sha256::new();
    hasher.update(numbers(fields));
    for text in [fields.tenant, fields.entity_id, fields.event_type, fields.content_type] {
        put(&mut hasher, text.as_bytes());
    }
    hasher.update(length(fields.tags.len()));
    for tag in fields.tags {
        put(&mut hasher, tag.as_bytes());
    }
    put(&mut hasher, fields.metadata);
    put(&mut hasher, fields.payload);
    Hash(hasher.finalize().into())
}

const NUMBERS_BYTES: usize = 1 + 1 + 1 + 4 * 8 + 16 + 1 + 8;

/// The tag, the encoding's number and all fields of fixed width.
fn numbers(fields: &Fields<'_>) -> [u8; NUMBERS_BYTES] {
    let mut bytes = [0; NUMBERS_BYTES];
    let mut at = 0;
    let mut put = |field: &[u8]| {
        bytes[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    };
    put(&[tag::LEAF, ENCODING, fields.partition.get()]);
    put(&fields.position.get().to_le_bytes());
    put(&fields.version.get().to_le_bytes());
    put(&fields.recorded_at.get().to_le_bytes());
    put(&fields.fork.get().to_le_bytes());
    put(&fields.event_id.to_bytes());
    put(&[u8::from(fields.occurred_at.is_some())]);
    put(&fields.occurred_at.unwrap_or_default().get().to_le_bytes());
    bytes
}

fn put(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update(length(bytes.len()));
    hasher.update(bytes);
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("limits keep every field far below 4 GiB").to_le_bytes()
}
