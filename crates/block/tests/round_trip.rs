//! What is packed is what is read, whichever way the bytes went.

mod requests;

use std::collections::BTreeMap;

use chronos_block::{Block, Compression, Draft, content_hash};
use chronos_domain::{Batch, Expectation};
use proptest::prelude::*;
use requests::{Request, as_draft, requests, sampler};

/// The drafts as they come out: tags sorted, the rest as it went in.
fn expected_drafts(request: &Request) -> Vec<Draft> {
    let sorted = |draft: &Draft| {
        let mut draft = draft.clone();
        draft.tags.sort();
        draft
    };
    request.drafts.iter().map(sorted).collect()
}

fn assert_holds(block: &Block, request: &Request) {
    let drafts: Vec<Draft> = (0..block.events()).map(|i| as_draft(&block.event(i))).collect();
    assert_eq!(drafts, expected_drafts(request));
    assert_eq!(block.condition(), request.condition.as_ref());

    let mut wanted: BTreeMap<&str, Expectation> =
        request.drafts.iter().map(|draft| (draft.entity_id.as_str(), Expectation::Any)).collect();
    wanted.extend(request.expectations.iter().map(|(entity, expectation)| (entity.as_str(), *expectation)));
    let listed: BTreeMap<&str, Expectation> =
        (0..block.entities()).map(|e| (block.entity(e), block.expectation(e))).collect();
    assert_eq!(listed, wanted);
    assert_eq!(block.entities(), wanted.len(), "entities are distinct");

    for (i, draft) in request.drafts.iter().enumerate() {
        assert_eq!(block.event_id(i), draft.event_id);
        assert_eq!(block.entity(block.event_entity(i)), draft.entity_id.as_str());
        assert_eq!(block.content(i), content_hash(&block.event(i)));
        assert_eq!(block.payload(i), draft.payload);
    }
}

proptest! {
    #[test]
    fn a_request_survives_packing_sending_and_logging(
        request in requests(),
        compression in prop_oneof![Just(Compression::None), Just(Compression::Lz4)],
    ) {
        let packed = request.pack(compression);
        assert_holds(&packed, &request);
        let opened = Block::open(packed.bytes().clone()).unwrap();
        prop_assert_eq!(&opened, &packed);
        assert_holds(&opened, &request);
        let reopened = Block::reopen(packed.bytes().clone()).unwrap();
        assert_holds(&reopened, &request);
        prop_assert_eq!(opened.memory(), reopened.memory());
    }

    #[test]
    fn compression_changes_how_the_body_is_stored_and_nothing_else(request in requests()) {
        let plain = request.pack(Compression::None);
        let packed = request.pack(Compression::Lz4);
        assert_holds(&packed, &request);
        prop_assert!(packed.bytes().len() <= plain.bytes().len());
        for i in 0..plain.events() {
            prop_assert_eq!(plain.content(i), packed.content(i));
        }
    }

    #[test]
    fn the_order_of_tags_does_not_matter(mut request in requests()) {
        let one = request.pack(Compression::None);
        for draft in &mut request.drafts {
            draft.tags.reverse();
        }
        let other = request.pack(Compression::None);
        prop_assert_eq!(one.bytes(), other.bytes());
    }
}

#[test]
fn the_content_hash_covers_every_field_but_the_id() {
    let request = sampler();
    let base = request.pack(Compression::None).content(0);
    let hash_of = |change: fn(&mut Draft)| {
        let mut changed = request.clone();
        change(&mut changed.drafts[0]);
        changed.pack(Compression::None).content(0)
    };
    assert_eq!(hash_of(|draft| draft.event_id = chronos_domain::EventId::from_u128(1)), base);
    let mut seen = vec![
        base,
        hash_of(|draft| draft.entity_id = requests::entity("order-{cust42}-8")),
        hash_of(|draft| draft.event_type = requests::kind("order.placed2")),
        hash_of(|draft| draft.content_type = chronos_domain::ContentType::parse("a/b").unwrap()),
        hash_of(|draft| draft.payload = draft.payload.slice(1..)),
        hash_of(|draft| draft.metadata = draft.metadata.slice(1..)),
        hash_of(|draft| draft.occurred_at = None),
        hash_of(|draft| draft.tags.clear()),
        hash_of(|draft| draft.tags = vec![requests::tag("customer:4"), requests::tag("2")]),
        // The same bytes, cut elsewhere.
        hash_of(|draft| {
            let joined = [&draft.payload[..], &draft.metadata[..]].concat();
            (draft.payload, draft.metadata) = (joined.into(), bytes::Bytes::new());
        }),
    ];
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all, "each change gives a hash of its own");
}

#[test]
fn an_uncompressed_block_shares_the_memory_it_was_opened_from() {
    let bytes = sampler().pack(Compression::None).bytes().clone();
    let block = Block::open(bytes.clone()).unwrap();
    assert!(bytes.as_ptr_range().contains(&block.payload(0).as_ptr()));
    assert!(bytes.as_ptr_range().contains(&block.event(0).metadata.as_ptr()));
}

#[test]
fn a_body_that_lz4_would_not_shorten_is_stored_as_it_is() {
    let mut request = sampler();
    request.drafts.truncate(1);
    assert_eq!(request.pack(Compression::Lz4).compression(), Compression::None);
    assert_eq!(sampler().pack(Compression::Lz4).compression(), Compression::Lz4);
}
