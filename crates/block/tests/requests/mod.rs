//! Requests to pack: generated ones, and one that has something of everything.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a request of a test is right or the test is wrong")]

use bytes::Bytes;
use chronos_block::{Block, Compression, Draft, EventRef, Packer};
use chronos_domain::xxh64::xxh64;
use chronos_domain::{
    Condition, ContentType, EntityId, EventId, EventType, Expectation, Position, QueryItem, Tag, Timestamp,
    Version,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

/// One request before it is packed.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) expectations: Vec<(EntityId, Expectation)>,
    pub(crate) condition: Option<Condition>,
    pub(crate) drafts: Vec<Draft>,
}

impl Request {
    pub(crate) fn pack(&self, compression: Compression) -> Block {
        let mut packer = Packer::new();
        for (entity, expectation) in &self.expectations {
            packer.expect(entity.clone(), *expectation).unwrap();
        }
        if let Some(condition) = &self.condition {
            packer.condition(condition.clone()).unwrap();
        }
        for draft in &self.drafts {
            packer.push(draft.clone()).unwrap();
        }
        packer.finish(compression).unwrap()
    }
}

pub(crate) fn entity(text: &str) -> EntityId {
    EntityId::parse(text).unwrap()
}

pub(crate) fn kind(text: &str) -> EventType {
    EventType::parse(text).unwrap()
}

pub(crate) fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

pub(crate) fn draft(id: u128, entity_id: &str, payload: &'static str) -> Draft {
    Draft::json(EventId::from_u128(id), entity(entity_id), kind("order.placed"), payload)
}

/// Something of everything: written and only checked entities, a condition, tags, both kinds of time, empty fields.
pub(crate) fn sampler() -> Request {
    let mut first = draft(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057, "order-{cust42}-7", r#"{"total":12.5}"#);
    first.tags = vec![tag("customer:42"), tag("ärger"), tag("a")];
    first.metadata = Bytes::from_static(br#"{"actor":"test"}"#);
    first.occurred_at = Some(Timestamp::new(-1));
    let mut second =
        draft(7, "invoice-{cust42}-3", "0000000000000000000000000000000000000000000000000000000000000000");
    second.content_type = ContentType::parse("text/plain").unwrap();
    second.event_type = kind("invoice.sent");
    second.tags = vec![tag("a"), tag("zz")];
    let third = draft(8, "order-{cust42}-7", "");
    let item = QueryItem { types: vec![kind("order.cancelled")], tags: vec![tag("customer:42")] };
    Request {
        expectations: vec![
            (entity("order-{cust42}-7"), Expectation::Exact(Version::new(3))),
            (entity("customer-{cust42}"), Expectation::Exists),
        ],
        condition: Some(Condition { fail_if: vec![item, QueryItem::default()], after: Position::new(99) }),
        drafts: vec![first, second, third],
    }
}

/// Puts the right checksum on altered bytes, as an attacker would.
pub(crate) fn reseal(block: &mut [u8]) {
    if block.len() >= 16 {
        let seed = u64::from_le_bytes(block[0..8].try_into().unwrap());
        let checksum = xxh64(&block[16..], seed);
        block[8..16].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// What an event says, in the shape of a draft.
pub(crate) fn as_draft(event: &EventRef<'_>) -> Draft {
    Draft {
        event_id: event.event_id,
        entity_id: entity(event.entity_id),
        event_type: kind(event.event_type),
        content_type: ContentType::parse(event.content_type).unwrap(),
        payload: Bytes::copy_from_slice(event.payload),
        metadata: Bytes::copy_from_slice(event.metadata),
        tags: event.tags.clone().map(tag).collect(),
        occurred_at: event.occurred_at,
    }
}

pub(crate) fn requests() -> impl Strategy<Value = Request> {
    (vec((entities(), expectations()), 0..4), option::of(conditions()), vec(drafts(), 1..40)).prop_map(
        |(mut expectations, condition, mut drafts)| {
            expectations.sort_by(|a, b| a.0.cmp(&b.0));
            expectations.dedup_by(|a, b| a.0 == b.0);
            drafts.sort_by_key(|draft| draft.event_id);
            drafts.dedup_by_key(|draft| draft.event_id);
            // Neither always ascending nor always not.
            if drafts.len() % 2 == 0 {
                drafts.reverse();
            }
            Request { expectations, condition, drafts }
        },
    )
}

fn entities() -> impl Strategy<Value = EntityId> {
    prop_oneof!["[a-z]{1,2}", "\\PC{1,20}"]
        .prop_filter_map("not an entity id", |text| EntityId::parse(&text).ok())
}

fn types() -> impl Strategy<Value = EventType> {
    prop_oneof!["[a-c]", "[a-zäß.]{1,40}"].prop_map(|text| kind(&text))
}

fn tags() -> impl Strategy<Value = Tag> {
    prop_oneof!["[a-f]", "[ a-zéßЖ:]{1,30}"].prop_map(|text| tag(&text))
}

fn content_types() -> impl Strategy<Value = ContentType> {
    prop_oneof![Just("application/json"), Just("text/plain; charset=utf-8"), Just("application/cbor")]
        .prop_map(|text| ContentType::parse(text).unwrap())
}

fn expectations() -> impl Strategy<Value = Expectation> {
    prop_oneof![
        Just(Expectation::Any),
        Just(Expectation::Exists),
        any::<u64>().prop_map(|n| Expectation::Exact(Version::new(n)))
    ]
}

fn conditions() -> impl Strategy<Value = Condition> {
    let item = (vec(types(), 0..4), vec(tags(), 0..4)).prop_map(|(types, tags)| QueryItem { types, tags });
    (vec(item, 0..4), any::<u64>())
        .prop_map(|(fail_if, after)| Condition { fail_if, after: Position::new(after) })
}

fn drafts() -> impl Strategy<Value = Draft> {
    let opaque = prop_oneof![vec(any::<u8>(), 0..60), vec(Just(7), 0..400)].prop_map(Bytes::from);
    let text = prop_oneof!["\\PC{0,40}", Just("a".repeat(400))].prop_map(Bytes::from);
    let occurred_at = option::of((i64::MIN + 1..=i64::MAX).prop_map(Timestamp::new));
    let tags = btree_set(tags(), 0..6).prop_map(|tags| tags.into_iter().collect::<Vec<_>>()).prop_shuffle();
    (1..=u128::MAX, entities(), types(), content_types(), opaque, text, tags, occurred_at).prop_map(
        |(id, entity_id, event_type, content_type, payload, metadata, tags, occurred_at)| Draft {
            event_id: EventId::from_u128(id),
            entity_id,
            event_type,
            content_type,
            payload,
            metadata,
            tags,
            occurred_at,
        },
    )
}
