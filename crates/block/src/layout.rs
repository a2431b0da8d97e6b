//! Where things stand in a block: the constants and records of `FORMAT.md`.

use std::ops::Range;

use chronos_domain::limits::{
    BATCH_BYTES_MAX, BATCH_ENTITIES_MAX, BATCH_EVENTS_MAX, CONDITION_ITEMS_MAX, CONDITION_TAGS_MAX,
    CONDITION_TYPES_MAX, CONTENT_TYPE_BYTES_MAX, ENTITY_ID_BYTES_MAX, EVENT_TYPE_BYTES_MAX, TAG_BYTES_MAX,
    TAGS_MAX,
};
use chronos_domain::xxh64::xxh64;
use chronos_domain::{ContentHash, EventId, Expectation, Version};

/// The longest block there is, in bytes: what a transport has to let through.
pub const BLOCK_BYTES_MAX: usize = BATCH_BYTES_MAX + (4 << 20);

pub(crate) const MAGIC: [u8; 4] = *b"CBK1";
pub(crate) const FORMAT: u8 = 1;
pub(crate) const HEADER_BYTES: usize = 56;
pub(crate) const ENTITY_BYTES: usize = 16;
pub(crate) const TEXT_BYTES: usize = 8;
pub(crate) const TAG_NUMBER_BYTES: usize = 2;
pub(crate) const EVENT_BYTES: usize = 56;
pub(crate) const OCCURRED_AT_ABSENT: i64 = i64::MIN;

/// Tags of all events together.
pub(crate) const TAG_NUMBERS_MAX: usize = BATCH_EVENTS_MAX * TAGS_MAX;
/// Bytes of an encoded condition.
pub(crate) const CONDITION_BYTES_MAX: usize = 10
    + CONDITION_ITEMS_MAX
        * (4 + CONDITION_TYPES_MAX * (2 + EVENT_TYPE_BYTES_MAX) + CONDITION_TAGS_MAX * (2 + TAG_BYTES_MAX));

/// What a head takes at most beyond the names that count as bytes of the request's events.
const HEAD_BYTES_MAX: usize = HEADER_BYTES
    + BATCH_ENTITIES_MAX * (ENTITY_BYTES + ENTITY_ID_BYTES_MAX)
    + BATCH_EVENTS_MAX * (TEXT_BYTES + TEXT_BYTES + CONTENT_TYPE_BYTES_MAX + EVENT_BYTES)
    + TAG_NUMBERS_MAX * (TEXT_BYTES + TAG_NUMBER_BYTES)
    + CONDITION_BYTES_MAX;
// Every legal request fits in a legal block.
const _: () = assert!(BATCH_BYTES_MAX + HEAD_BYTES_MAX <= BLOCK_BYTES_MAX);
// Tags are numbered with 16 bits.
const _: () = assert!(TAG_NUMBERS_MAX <= 1 << 16);

/// How much of each kind the head holds: with it every section's place is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) events: u16,
    pub(crate) entities: u16,
    pub(crate) types: u16,
    pub(crate) content_types: u16,
    pub(crate) tags: u32,
    pub(crate) tag_numbers: u32,
    pub(crate) strings_bytes: u32,
    pub(crate) condition_bytes: u32,
}

/// The fixed header after magic, format and compression, as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) compression: u8,
    pub(crate) checksum: u64,
    pub(crate) head_bytes: u32,
    pub(crate) body_bytes: u32,
    pub(crate) body_raw_bytes: u32,
    pub(crate) counts: Counts,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let counts = &self.counts;
        let mut out = [0; HEADER_BYTES];
        out[0..4].copy_from_slice(&MAGIC);
        out[4] = FORMAT;
        out[5] = self.compression;
        out[8..16].copy_from_slice(&self.checksum.to_le_bytes());
        out[16..20].copy_from_slice(&self.head_bytes.to_le_bytes());
        out[20..24].copy_from_slice(&self.body_bytes.to_le_bytes());
        out[24..28].copy_from_slice(&self.body_raw_bytes.to_le_bytes());
        out[28..30].copy_from_slice(&counts.events.to_le_bytes());
        out[30..32].copy_from_slice(&counts.entities.to_le_bytes());
        out[32..34].copy_from_slice(&counts.types.to_le_bytes());
        out[34..36].copy_from_slice(&counts.content_types.to_le_bytes());
        out[36..40].copy_from_slice(&counts.tags.to_le_bytes());
        out[40..44].copy_from_slice(&counts.tag_numbers.to_le_bytes());
        out[44..48].copy_from_slice(&counts.strings_bytes.to_le_bytes());
        out[48..52].copy_from_slice(&counts.condition_bytes.to_le_bytes());
        out
    }

    /// Reads the numbers; whether they make sense is for `structure` to say.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Header {
        Header {
            compression: bytes[5],
            checksum: u64_at(bytes, 8),
            head_bytes: u32_at(bytes, 16),
            body_bytes: u32_at(bytes, 20),
            body_raw_bytes: u32_at(bytes, 24),
            counts: Counts {
                events: u16_at(bytes, 28),
                entities: u16_at(bytes, 30),
                types: u16_at(bytes, 32),
                content_types: u16_at(bytes, 34),
                tags: u32_at(bytes, 36),
                tag_numbers: u32_at(bytes, 40),
                strings_bytes: u32_at(bytes, 44),
                condition_bytes: u32_at(bytes, 48),
            },
        }
    }
}

/// The checksum of a block: over all that follows it, seeded with all that stands before it.
pub(crate) fn checksum(block: &[u8]) -> u64 {
    xxh64(&block[16..], u64_at(block, 0))
}

/// Where each section starts; each ends where the next starts. Offsets from the start of the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sections {
    pub(crate) types: usize,
    pub(crate) content_types: usize,
    pub(crate) tags: usize,
    pub(crate) tag_numbers: usize,
    pub(crate) events: usize,
    pub(crate) condition: usize,
    pub(crate) strings: usize,
    pub(crate) body: usize,
}

impl Sections {
    /// The counts must be within their bounds.
    pub(crate) fn new(counts: &Counts) -> Sections {
        let types = HEADER_BYTES + usize::from(counts.entities) * ENTITY_BYTES;
        let content_types = types + usize::from(counts.types) * TEXT_BYTES;
        let tags = content_types + usize::from(counts.content_types) * TEXT_BYTES;
        let tag_numbers = tags + counts.tags as usize * TEXT_BYTES;
        let events = tag_numbers + counts.tag_numbers as usize * TAG_NUMBER_BYTES;
        let condition = events + usize::from(counts.events) * EVENT_BYTES;
        let strings = condition + counts.condition_bytes as usize;
        let body = strings + counts.strings_bytes as usize;
        Sections { types, content_types, tags, tag_numbers, events, condition, strings, body }
    }

    pub(crate) fn entity_records<'a>(&self, block: &'a [u8]) -> &'a [[u8; ENTITY_BYTES]] {
        block[HEADER_BYTES..self.types].as_chunks().0
    }

    pub(crate) fn type_records<'a>(&self, block: &'a [u8]) -> &'a [[u8; TEXT_BYTES]] {
        block[self.types..self.content_types].as_chunks().0
    }

    pub(crate) fn content_type_records<'a>(&self, block: &'a [u8]) -> &'a [[u8; TEXT_BYTES]] {
        block[self.content_types..self.tags].as_chunks().0
    }

    pub(crate) fn tag_records<'a>(&self, block: &'a [u8]) -> &'a [[u8; TEXT_BYTES]] {
        block[self.tags..self.tag_numbers].as_chunks().0
    }

    pub(crate) fn tag_numbers<'a>(&self, block: &'a [u8]) -> &'a [[u8; TAG_NUMBER_BYTES]] {
        block[self.tag_numbers..self.events].as_chunks().0
    }

    pub(crate) fn event_records<'a>(&self, block: &'a [u8]) -> &'a [[u8; EVENT_BYTES]] {
        block[self.events..self.condition].as_chunks().0
    }
}

/// One name: its place among the strings. Also the first half of an entity's record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text {
    pub(crate) at: u32,
    pub(crate) bytes: u16,
}

impl Text {
    pub(crate) fn encode(self) -> [u8; TEXT_BYTES] {
        let mut out = [0; TEXT_BYTES];
        out[0..4].copy_from_slice(&self.at.to_le_bytes());
        out[4..6].copy_from_slice(&self.bytes.to_le_bytes());
        out
    }

    #[inline]
    pub(crate) fn decode(record: &[u8]) -> Text {
        Text { at: u32_at(record, 0), bytes: u16_at(record, 4) }
    }

    #[inline]
    pub(crate) fn range(self) -> Range<usize> {
        let at = self.at as usize;
        at..at + usize::from(self.bytes)
    }
}

/// One entity: its name and what is expected of it.
pub(crate) fn encode_entity(name: Text, expectation: Expectation) -> [u8; ENTITY_BYTES] {
    let (kind, version) = match expectation {
        Expectation::Any => (0, Version::ZERO),
        Expectation::Exact(version) => (1, version),
        Expectation::Exists => (2, Version::ZERO),
    };
    let mut out = [0; ENTITY_BYTES];
    out[0..8].copy_from_slice(&name.encode());
    out[6] = kind;
    out[8..16].copy_from_slice(&version.get().to_le_bytes());
    out
}

/// `None` for a kind that is none, or a version where there is none to be.
#[inline]
pub(crate) fn decode_expectation(record: &[u8; ENTITY_BYTES]) -> Option<Expectation> {
    match (record[6], u64_at(record, 8)) {
        (0, 0) => Some(Expectation::Any),
        (1, version) => Some(Expectation::Exact(Version::new(version))),
        (2, 0) => Some(Expectation::Exists),
        _ => None,
    }
}

/// One event: everything about it that has a fixed width, and where the rest stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventRecord {
    pub(crate) event_id: EventId,
    pub(crate) content: ContentHash,
    pub(crate) occurred_at: i64,
    pub(crate) body_at: u32,
    pub(crate) payload_bytes: u32,
    pub(crate) metadata_bytes: u32,
    pub(crate) tags_at: u32,
    pub(crate) entity: u16,
    pub(crate) event_type: u16,
    pub(crate) content_type: u16,
    pub(crate) tags: u8,
}

impl EventRecord {
    pub(crate) fn encode(&self) -> [u8; EVENT_BYTES] {
        let mut out = [0; EVENT_BYTES];
        out[0..16].copy_from_slice(&self.event_id.to_bytes());
        out[16..24].copy_from_slice(&self.content.get().to_le_bytes());
        out[24..32].copy_from_slice(&self.occurred_at.to_le_bytes());
        out[32..36].copy_from_slice(&self.body_at.to_le_bytes());
        out[36..40].copy_from_slice(&self.payload_bytes.to_le_bytes());
        out[40..44].copy_from_slice(&self.metadata_bytes.to_le_bytes());
        out[44..48].copy_from_slice(&self.tags_at.to_le_bytes());
        out[48..50].copy_from_slice(&self.entity.to_le_bytes());
        out[50..52].copy_from_slice(&self.event_type.to_le_bytes());
        out[52..54].copy_from_slice(&self.content_type.to_le_bytes());
        out[54] = self.tags;
        out
    }

    #[inline(always)]
    pub(crate) fn decode(record: &[u8; EVENT_BYTES]) -> EventRecord {
        let (event_id, _) = record.split_first_chunk().expect("a record is longer than an id");
        EventRecord {
            event_id: EventId::from_bytes(*event_id),
            content: ContentHash::new(u64_at(record, 16)),
            occurred_at: u64_at(record, 24) as i64,
            body_at: u32_at(record, 32),
            payload_bytes: u32_at(record, 36),
            metadata_bytes: u32_at(record, 40),
            tags_at: u32_at(record, 44),
            entity: u16_at(record, 48),
            event_type: u16_at(record, 50),
            content_type: u16_at(record, 52),
            tags: record[54],
        }
    }

    #[inline]
    pub(crate) fn payload(&self) -> Range<usize> {
        let at = self.body_at as usize;
        at..at + self.payload_bytes as usize
    }

    #[inline]
    pub(crate) fn metadata(&self) -> Range<usize> {
        let at = self.payload().end;
        at..at + self.metadata_bytes as usize
    }

    #[inline]
    pub(crate) fn tags(&self) -> Range<usize> {
        let at = self.tags_at as usize;
        at..at + usize::from(self.tags)
    }
}

#[inline(always)]
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

#[inline(always)]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[inline(always)]
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
