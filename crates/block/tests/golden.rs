//! Bytes written by the first release of format 1 mean the same for ever. The files in `golden` are never edited; a new
//! format adds new ones.

#![allow(clippy::unwrap_used, reason = "a request of a test is right or the test is wrong")]

mod requests;

use chronos_block::{Block, Compression, content_hash};
use chronos_domain::{Batch, ContentHash};
use requests::{as_draft, sampler};

const PLAIN: &str = include_str!("golden/request-plain.hex");
const LZ4: &str = include_str!("golden/request-lz4.hex");
const CONTENTS: [u64; 3] = [0x1fe5_8323_409d_fdc6, 0xb5ed_9bed_1b5a_3f17, 0x934c_1b82_d9ec_4b37];

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

#[test]
fn golden_blocks_still_say_what_was_packed() {
    let mut drafts = sampler().drafts;
    drafts.iter_mut().for_each(|draft| draft.tags.sort());
    for (golden, compression) in [(PLAIN, Compression::None), (LZ4, Compression::Lz4)] {
        let block = Block::open(bytes(golden).into()).unwrap();
        assert_eq!(block.compression(), compression);
        let found: Vec<_> = (0..block.events()).map(|i| as_draft(&block.event(i))).collect();
        assert_eq!(found, drafts);
        assert_eq!(block.condition(), sampler().condition.as_ref());
        let expectations: Vec<_> =
            (0..2).map(|e| (requests::entity(block.entity(e)), block.expectation(e))).collect();
        assert_eq!(expectations, sampler().expectations);
    }
}

/// How LZ4 finds its matches may change between releases of the encoder, so only the plain form is pinned.
#[test]
fn the_same_request_is_still_packed_into_the_same_bytes() {
    assert_eq!(sampler().pack(Compression::None).bytes(), &bytes(PLAIN));
}

#[test]
fn content_hashes_never_change() {
    let block = Block::open(bytes(PLAIN).into()).unwrap();
    for (i, content) in CONTENTS.into_iter().enumerate() {
        assert_eq!(block.content(i), ContentHash::new(content));
        assert_eq!(content_hash(&block.event(i)), ContentHash::new(content));
    }
}
