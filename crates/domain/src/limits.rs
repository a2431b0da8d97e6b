//! Every number that bounds something, in one place.
//!
//! A bound is part of the contract with callers: it is what makes memory, messages and recovery bounded. Relations
//! between bounds that other code relies on are asserted at compile time beside the reason.

/// Data partitions of a cluster. Fixed for the life of a cluster: placement depends on it.
pub const PARTITIONS: u8 = 32;
/// Bytes of a tenant id.
pub const TENANT_ID_BYTES_MAX: usize = 64;
/// Bytes of an entity id.
pub const ENTITY_ID_BYTES_MAX: usize = 256;
/// Bytes of an event type.
pub const EVENT_TYPE_BYTES_MAX: usize = 128;
/// Bytes of a content type.
pub const CONTENT_TYPE_BYTES_MAX: usize = 128;
/// Tags of one event.
pub const TAGS_MAX: usize = 16;
/// Bytes of one tag.
pub const TAG_BYTES_MAX: usize = 128;
/// Bytes of one event's payload.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// Bytes of one event's metadata, as JSON text.
pub const METADATA_BYTES_MAX: usize = 64 << 10;
/// Events of one append request.
pub const BATCH_EVENTS_MAX: usize = 4096;
/// Distinct entities of one append request, written or only checked.
pub const BATCH_ENTITIES_MAX: usize = 4096;
/// Bytes of one append request: entity id, type, payload, metadata and tags of its events, before compression.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// Items of one condition.
pub const CONDITION_ITEMS_MAX: usize = 32;
/// Event types of one condition item.
pub const CONDITION_TYPES_MAX: usize = 32;
/// Tags of one condition item. An event carries no more, so a longer list could never match.
pub const CONDITION_TAGS_MAX: usize = TAGS_MAX;
/// Events of one page of a read.
pub const PAGE_EVENTS_MAX: usize = 4096;
/// Payload and metadata bytes of one page of a read; a page holds at least one event, however big.
pub const PAGE_BYTES_MAX: usize = 4 << 20;
/// Versions between two checkpoints of an entity's fold: a state as of any moment reads at most so many events once its
/// history has been folded.
pub const STATE_CHECKPOINT_VERSIONS: u64 = 256;
/// Memory of a node's checkpoints of folds, unless it is told otherwise.
pub const STATE_CHECKPOINTS_BYTES_MAX: usize = 32 << 20;
/// Events of one sample.
pub const SAMPLE_EVENTS_MAX: usize = 1000;
/// Microseconds by which a node's wall clock may differ from what a majority's clocks say: no event is stamped later than
/// that, and a clock that is further off is told of. Clocks that are synchronised at all are within a tenth of it, so that a
/// sound one is never held back; and what reads as of now leave out because of it shows half a second later.
pub const CLOCK_OFFSET_MICROS_MAX: i64 = 500_000;
/// Characters of a token's text form.
pub const TOKEN_CHARS_MAX: usize = 512;

/// Bytes of the biggest event: what one event may count against [`BATCH_BYTES_MAX`].
pub const EVENT_BYTES_MAX: usize = ENTITY_ID_BYTES_MAX
    + EVENT_TYPE_BYTES_MAX
    + PAYLOAD_BYTES_MAX
    + METADATA_BYTES_MAX
    + TAGS_MAX * TAG_BYTES_MAX;

// The top five bits of a hash name a partition.
const _: () = assert!(PARTITIONS as u32 == 1 << (u64::BITS - crate::placement::SHIFT));
// Any single legal event can be appended.
const _: () = assert!(EVENT_BYTES_MAX <= BATCH_BYTES_MAX);
// Any single legal event can be returned.
const _: () = assert!(EVENT_BYTES_MAX <= PAGE_BYTES_MAX);
// Packed batches number their events and entities with 16 bits.
const _: () = assert!(BATCH_EVENTS_MAX <= u16::MAX as usize);
const _: () = assert!(BATCH_ENTITIES_MAX <= u16::MAX as usize);
// Every event of a batch may be about an entity of its own.
const _: () = assert!(BATCH_ENTITIES_MAX >= BATCH_EVENTS_MAX);
// Offsets inside a batch fit 32 bits.
const _: () = assert!(BATCH_BYTES_MAX < u32::MAX as usize);
// A token that names every partition at its highest position fits its text bound (see `token` for the layout:
// at most 1 + 10 bytes a partition and 2 of check, four characters for three bytes, and the prefix).
const _: () = assert!((((PARTITIONS as usize + 1) * 11 + 2) * 4).div_ceil(3) + 3 <= TOKEN_CHARS_MAX);
