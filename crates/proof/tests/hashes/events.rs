//! Events to hash: fixed ones and random ones.

use chronos_domain::{EventId, ForkId, PartitionId, Position, Timestamp, Version};
use chronos_proof::Fields;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

/// Every field is given.
pub(crate) fn full<'a>() -> Fields<'a> {
    Fields {
        partition: PartitionId::new(7).unwrap(),
        position: Position::new(17),
        version: Version::new(3),
        recorded_at: Timestamp::new(1_763_736_559_123_456),
        tenant: "default",
        fork: ForkId::MAIN,
        event_id: EventId::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057),
        entity_id: "order-{cust42}-7",
        event_type: "order.placed",
        content_type: "application/json",
        occurred_at: Some(Timestamp::new(-1)),
        tags: &["eu", "priorité"],
        metadata: br#"{"actor":"ann"}"#,
        payload: br#"{"total":12.50}"#,
    }
}

/// Nothing is given that may be left out, and the payload is no text.
pub(crate) fn bare<'a>() -> Fields<'a> {
    Fields {
        partition: PartitionId::new(31).unwrap(),
        position: Position::new(1),
        version: Version::new(1),
        recorded_at: Timestamp::ZERO,
        tenant: "$system",
        fork: ForkId::new(5),
        event_id: EventId::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f),
        entity_id: "e",
        event_type: "t",
        content_type: "application/octet-stream",
        occurred_at: None,
        tags: &[],
        metadata: b"",
        payload: &[0xff, 0],
    }
}

/// An event that owns its fields.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    partition: u8,
    numbers: (u64, u64, i64, u64, u128),
    names: [String; 4],
    occurred_at: Option<i64>,
    tags: Vec<String>,
    metadata: Vec<u8>,
    payload: Vec<u8>,
}

impl Owned {
    pub(crate) fn with<T>(&self, read: impl FnOnce(&Fields<'_>) -> T) -> T {
        let (position, version, recorded_at, fork, event_id) = self.numbers;
        let tags: Vec<&str> = self.tags.iter().map(String::as_str).collect();
        read(&Fields {
            partition: PartitionId::of_group(self.partition).unwrap(),
            position: Position::new(position),
            version: Version::new(version),
            recorded_at: Timestamp::new(recorded_at),
            tenant: &self.names[0],
            fork: ForkId::new(fork),
            event_id: EventId::from_u128(event_id),
            entity_id: &self.names[1],
            event_type: &self.names[2],
            content_type: &self.names[3],
            occurred_at: self.occurred_at.map(Timestamp::new),
            tags: &tags,
            metadata: &self.metadata,
            payload: &self.payload,
        })
    }
}

pub(crate) fn any() -> impl Strategy<Value = Owned> {
    let names = ["[a-z]{0,3}", "[a-zé\"\\\\]{0,3}", "[a-z]{0,3}", "[a-z/]{0,3}"];
    let bytes = || prop_oneof![vec(any_byte(), 0..6), "[ -~é]{0,6}".prop_map(String::into_bytes)];
    let tags = btree_set("[a-c]{0,2}", 0..4).prop_map(|tags| tags.into_iter().collect());
    let numbers = (1..u64::MAX, 1..u64::MAX, i64::MIN..i64::MAX, 0..u64::MAX, 0..u128::MAX);
    (0..=32_u8, numbers, names, proptest::option::of(i64::MIN..i64::MAX), tags, bytes(), bytes()).prop_map(
        |(partition, numbers, names, occurred_at, tags, metadata, payload)| Owned {
            partition,
            numbers,
            names,
            occurred_at,
            tags,
            metadata,
            payload,
        },
    )
}

fn any_byte() -> impl Strategy<Value = u8> {
    0..=u8::MAX
}
