//! Bytes of any origin are refused or are a block; nothing panics, nothing is believed.

mod requests;

use bytes::Bytes;
use chronos_block::{Block, Compression, Malformed};
use chronos_domain::{Batch, Rejection};
use proptest::prelude::*;
use requests::{requests, reseal, sampler};

/// Touches everything a block answers.
fn walk(block: &Block) -> usize {
    let mut touched = block.memory() + block.bytes().len();
    for e in 0..block.entities() {
        touched +=
            block.entity(e).len() + usize::from(block.expectation(e).allows(chronos_domain::Version::ZERO));
    }
    for i in 0..block.events() {
        let event = block.event(i);
        let tags: usize = event.tags.map(str::len).sum();
        touched += event.event_type.len() + event.content_type.len() + event.metadata.len() + tags;
        touched += block.payload(i).len() + block.entity(block.event_entity(i)).len();
    }
    touched + usize::from(block.placement("default").is_ok())
}

/// Opens in both ways; what is accepted must be readable in full, and what `open` accepts `reopen` accepts.
fn try_both(bytes: &[u8]) -> Result<Block, Malformed> {
    let bytes = Bytes::copy_from_slice(bytes);
    let reopened = Block::reopen(bytes.clone());
    if let Ok(block) = &reopened {
        walk(block);
    }
    let opened = Block::open(bytes);
    if let Ok(block) = &opened {
        assert!(reopened.is_ok());
        walk(block);
    }
    opened
}

fn samples() -> [Vec<u8>; 2] {
    [Compression::None, Compression::Lz4].map(|compression| sampler().pack(compression).bytes().to_vec())
}

#[test]
fn every_truncation_is_refused() {
    for bytes in samples() {
        for length in 0..bytes.len() {
            let cut = Bytes::copy_from_slice(&bytes[..length]);
            assert!(Block::open(cut.clone()).is_err(), "open took the first {length} bytes");
            assert!(Block::reopen(cut).is_err(), "reopen took the first {length} bytes");
        }
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    for mut bytes in samples() {
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let flipped = Bytes::copy_from_slice(&bytes);
            assert!(Block::open(flipped.clone()).is_err(), "open missed bit {bit}");
            assert!(Block::reopen(flipped).is_err(), "reopen missed bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_flipped_bit_under_a_right_checksum_is_refused_or_a_block() {
    for mut bytes in samples() {
        let original = bytes.clone();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            reseal(&mut bytes);
            let _ = try_both(&bytes);
            bytes.copy_from_slice(&original);
        }
    }
}

#[test]
fn every_byte_of_the_header_may_take_any_value() {
    for original in samples() {
        for at in 0..56 {
            for value in 0..=255 {
                let mut bytes = original.clone();
                bytes[at] = value;
                reseal(&mut bytes);
                let same = bytes == original;
                let checksum_field = (8..16).contains(&at);
                assert!(try_both(&bytes).is_err() || same || checksum_field, "byte {at} as {value}");
            }
        }
    }
}

#[test]
fn another_format_is_refused_by_its_number() {
    let [mut bytes, _] = samples();
    bytes[4] = 2;
    assert_eq!(try_both(&bytes), Err(Malformed::Version { found: 2, supported: 1 }));
}

#[test]
fn a_claim_to_unpack_to_more_than_lz4_can_is_refused_before_memory_is_taken() {
    let [_, mut bytes] = samples();
    bytes[24..28].copy_from_slice(&(8u32 << 20).to_le_bytes());
    reseal(&mut bytes);
    let refused = try_both(&bytes).unwrap_err().to_string();
    assert!(refused.contains("cannot be stored in"), "{refused}");
    bytes[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
    reseal(&mut bytes);
    let refused = try_both(&bytes).unwrap_err();
    assert!(matches!(refused, Malformed::Rejected(Rejection::TooLarge { .. })), "{refused}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(try_both(&bytes).is_err());
    }

    #[test]
    fn an_arbitrary_head_under_a_right_header_does_no_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        counts in prop::array::uniform4(0u16..3),
        compression in 0u8..2,
    ) {
        let mut block = b"CBK1\x01\x00\0\0".to_vec();
        block[5] = compression;
        block.resize(56, 0);
        let head = 16 * usize::from(counts[1]) + 8 * usize::from(counts[2] + counts[3]) + 56 * usize::from(counts[0]);
        prop_assume!(head <= bytes.len());
        block[16..20].copy_from_slice(&(head as u32).to_le_bytes());
        block[20..24].copy_from_slice(&((bytes.len() - head) as u32).to_le_bytes());
        block[24..28].copy_from_slice(&((bytes.len() - head + usize::from(compression)) as u32).to_le_bytes());
        for (i, count) in counts.iter().enumerate() {
            block[28 + 2 * i..30 + 2 * i].copy_from_slice(&count.to_le_bytes());
        }
        block.extend_from_slice(&bytes);
        reseal(&mut block);
        let _ = try_both(&block);
    }

    #[test]
    fn altered_requests_under_a_right_checksum_are_refused_or_blocks(
        request in requests(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        compression in prop_oneof![Just(Compression::None), Just(Compression::Lz4)],
    ) {
        let mut bytes = request.pack(compression).bytes().to_vec();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        reseal(&mut bytes);
        let _ = try_both(&bytes);
    }
}
