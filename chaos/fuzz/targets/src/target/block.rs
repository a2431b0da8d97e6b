//! A request as clients pack it: what is accepted is legal, and unpacked and packed anew it is the same bytes.

use bytes::Bytes;
use chronos_block::{Block, Compression, Draft, Packer, content_hash};
use chronos_domain::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use chronos_domain::xxh64::xxh64;
use chronos_domain::{Batch, ContentType, EntityId, EventType, Expectation, Tag};

use super::support::said;
use super::{Target, history};
use crate::input::{Input, joined};

pub(super) static TARGET: Target = Target {
    input_bytes_max: 16 << 10,
    // A body that is packed 255 times as tight, in the block and unpacked again by the one packed anew.
    memory_bytes_max: 24 << 20,
    tried_by_test: 8000,
    ..Target::new(
        "block",
        "a block that is opened keeps the rules of a request, and packed anew is the same",
        run,
        seeds,
    )
};

const CHECKSUM: std::ops::Range<usize> = 8..16;

/// An input is a block as it is, or behind an odd byte one that is given its checksum.
fn run(input: &[u8]) {
    let bytes = Input::new(input).perhaps_sealed(seal);
    let kept = Block::reopen(bytes.clone());
    if let Ok(block) = &kept {
        read_all(block);
    }
    let Ok(block) = Block::open(bytes.clone()) else { return };
    assert!(kept.is_ok(), "what came from outside cannot be kept");
    check(&block);
    let again = packed_anew(&block);
    match block.compression() {
        Compression::None => assert_eq!(again.bytes(), &bytes, "a block has a second form"),
        // There are many ways to compress the same.
        Compression::Lz4 => assert_eq!(facts(&again), facts(&block)),
    }
}

/// Gives bytes the checksum of a block.
pub(super) fn seal(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().max(56), 0);
    bytes[..5].copy_from_slice(b"CBK1\x01");
    let seed = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
    let sum = xxh64(&bytes[16..], seed);
    bytes[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
}

/// Everything that can be asked of it is answered.
fn read_all(block: &Block) {
    assert!(block.memory() >= block.bytes().len());
    for i in 0..block.events() {
        let event = block.event(i);
        assert_eq!(block.payload(i), event.payload);
        assert_eq!(block.entity(block.event_entity(i)), event.entity_id);
        assert_eq!(block.event_id(i), event.event_id);
        let _ = (event.tags.count(), block.content(i));
    }
    for e in 0..block.entities() {
        let _ = (block.entity(e), block.expectation(e));
    }
    let _ = block.placement("default");
}

fn check(block: &Block) {
    assert!(block.events() <= BATCH_EVENTS_MAX);
    assert!(block.events() + block.entities() > 0, "a request asks for nothing");
    let bytes: usize =
        (0..block.events()).map(|i| block.event(i).payload.len() + block.event(i).metadata.len()).sum();
    assert!(bytes <= BATCH_BYTES_MAX, "a request of {bytes} bytes was taken");
    for i in 0..block.events() {
        assert_eq!(
            block.content(i),
            content_hash(&block.event(i)),
            "event {i} has another content than it says"
        );
    }
}

fn packed_anew(block: &Block) -> Block {
    let mut packer = Packer::new();
    let mut expect = |e| {
        let entity = EntityId::parse(block.entity(e)).expect("names were checked");
        packer.expect(entity, block.expectation(e)).expect("entities are distinct");
    };
    // Entities stand in the order in which they were named: all of them first, so that events do not change it.
    (0..block.entities()).for_each(&mut expect);
    if let Some(condition) = block.condition() {
        packer.condition(condition.clone()).expect("the condition was checked");
    }
    for i in 0..block.events() {
        packer.push(draft(block, i)).expect("the event was checked");
    }
    packer.finish(block.compression()).expect("the request was checked")
}

fn draft(block: &Block, i: usize) -> Draft {
    let event = block.event(i);
    Draft {
        event_id: event.event_id,
        entity_id: EntityId::parse(event.entity_id).expect("names were checked"),
        event_type: EventType::parse(event.event_type).expect("names were checked"),
        content_type: ContentType::parse(event.content_type).expect("names were checked"),
        payload: Bytes::copy_from_slice(event.payload),
        metadata: Bytes::copy_from_slice(event.metadata),
        tags: event.tags.map(|tag| Tag::parse(tag).expect("names were checked")).collect(),
        occurred_at: event.occurred_at,
    }
}

/// All that a request says.
fn facts(block: &Block) -> (Vec<(&str, Expectation)>, Option<String>, Vec<String>) {
    let entities = (0..block.entities()).map(|e| (block.entity(e), block.expectation(e))).collect();
    let events = (0..block.events()).map(|i| said(block.event(i))).collect();
    (entities, block.condition().map(|condition| format!("{condition:?}")), events)
}

fn seeds() -> Vec<Vec<u8>> {
    let blocks = history::blocks();
    blocks.iter().flat_map(|block| [0, 1].map(|mode| joined(&[&[mode], block.bytes().as_ref()]))).collect()
}
