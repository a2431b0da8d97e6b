//! Histories to write parts of.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use chronos_block::{Compression, Draft, Packer, Recorded};
use chronos_domain::{
    ContentType, EntityId, EventId, EventType, ForkId, PartitionId, Position, Space, Tag, TenantId,
    Timestamp, Version,
};
use chronos_env::Env;
use chronos_proof::{Hash, chain_next, chain_start};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::write::Bounds;
use crate::{Cache, Part, PartMeta, Spec, Writer, leaf_of, to_batch};

pub(super) const DIR: &str = "/data/parts/p07";
pub(super) const TYPES: [&str; 4] = ["order.placed", "order.paid", "überweisung", "x"];
pub(super) const TAGS: [&str; 4] = ["customer:1", "customer:2", "größe:ß", "z"];
pub(super) const ENTITIES: [&str; 5] = ["order-1", "order-2", "änderung-{ß}", "e", "order-10"];

pub(super) fn partition() -> PartitionId {
    PartitionId::new(7).unwrap()
}

/// Tenants and forks that share the partition; ids repeat between them.
pub(super) fn spaces() -> [(TenantId, ForkId); 3] {
    let tenant = TenantId::default_tenant();
    [
        (tenant.clone(), ForkId::MAIN),
        (tenant, ForkId::new(u64::MAX)),
        (TenantId::parse("other").unwrap(), ForkId::MAIN),
    ]
}

pub(super) fn space_of(event: &Recorded) -> Space<'_> {
    Space { tenant: event.tenant.as_str(), fork: event.fork }
}

/// What one event of a history is made of, as numbers.
#[derive(Clone, Debug)]
pub(super) struct Seed {
    pub(super) space: usize,
    pub(super) entity: usize,
    pub(super) event_type: usize,
    /// A set of tags, one bit each.
    pub(super) tags: u8,
    pub(super) payload: Bytes,
    pub(super) json: bool,
    pub(super) metadata: String,
    pub(super) occurred_at: Option<i64>,
    /// Microseconds since the event before.
    pub(super) later: i64,
}

/// Stored events that begin at `first`, each in a block of its own.
pub(super) fn history(first: u64, seeds: &[Seed]) -> Vec<Recorded> {
    let mut versions = BTreeMap::new();
    let mut ids = [0_u128; 3];
    let mut now = 1_000_000;
    let recorded = (first..).zip(seeds).map(|(position, seed)| {
        now += seed.later;
        ids[seed.space] += 1;
        let version: &mut u64 = versions.entry((seed.space, seed.entity)).or_default();
        *version += 1;
        let mut packer = Packer::new();
        packer.push(draft(seed, ids[seed.space] << 64 | 0xabc)).unwrap();
        let (tenant, fork) = spaces()[seed.space].clone();
        Recorded {
            block: packer.finish(Compression::None).unwrap(),
            slot: 0,
            tenant,
            fork,
            partition: partition(),
            position: Position::new(position),
            version: Version::new(*version),
            recorded_at: Timestamp::new(now),
            erased: false,
        }
    });
    recorded.collect()
}

fn draft(seed: &Seed, id: u128) -> Draft {
    let content_type = if seed.json { "application/json" } else { "application/x-thing" };
    Draft {
        event_id: EventId::from_u128(id),
        entity_id: EntityId::parse(ENTITIES[seed.entity]).unwrap(),
        event_type: EventType::parse(TYPES[seed.event_type]).unwrap(),
        content_type: ContentType::parse(content_type).unwrap(),
        payload: seed.payload.clone(),
        metadata: Bytes::from(seed.metadata.clone()),
        tags: (0..4)
            .filter(|tag| seed.tags & 1 << tag != 0)
            .map(|tag| Tag::parse(TAGS[tag]).unwrap())
            .collect(),
        occurred_at: seed.occurred_at.map(Timestamp::new),
    }
}

/// An event with nothing but a payload.
pub(super) fn seed(payload: Bytes) -> Seed {
    Seed {
        space: 0,
        entity: 0,
        event_type: 0,
        tags: 0,
        payload,
        json: false,
        metadata: String::new(),
        occurred_at: None,
        later: 0,
    }
}

pub(super) fn seeds(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Seed>> {
    let payload =
        prop_oneof![vec(any::<u8>(), 0..40), Just(br#"{"total":5}"#.to_vec())].prop_map(Bytes::from);
    let metadata = prop_oneof![Just(String::new()), "\\{\"a\":\"\\PC{0,8}\"\\}"];
    let occurred_at = proptest::option::of(i64::MIN + 1..=i64::MAX);
    let later = prop_oneof![Just(0), 1..5000_i64];
    let one =
        (0..3_usize, 0..5_usize, 0..4_usize, 0..16_u8, payload, any::<bool>(), metadata, occurred_at, later);
    vec(one, count).prop_map(|seeds| {
        let seed = |(space, entity, event_type, tags, payload, json, metadata, occurred_at, later)| Seed {
            space,
            entity,
            event_type,
            tags,
            payload,
            json,
            metadata,
            occurred_at,
            later,
        };
        seeds.into_iter().map(seed).collect()
    })
}

/// Always the same events, of every kind.
pub(super) fn sampler(count: usize) -> Vec<Recorded> {
    let mut state = 7_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let seeds: Vec<Seed> = (0..count)
        .map(|i| Seed {
            space: next(6) / 3 * next(3),
            entity: next(5),
            event_type: next(4),
            tags: next(16) as u8,
            payload: format!("{{\"number\":{i},\"text\":\"{}\"}}", "na ".repeat(next(20))).into(),
            json: next(4) > 0,
            metadata: if next(3) > 0 { format!("{{\"actor\":\"u{}\"}}", next(9)) } else { String::new() },
            occurred_at: (next(3) > 0).then(|| next(1 << 30) as i64 - (1 << 29)),
            later: next(3) as i64 * 1000,
        })
        .collect();
    history(1, &seeds)
}

pub(super) fn spec(events: &[Recorded]) -> Spec {
    let first = events[0].position;
    let chain_before = if first == Position::new(1) { chain_start(partition()) } else { Hash([9; 32]) };
    Spec { partition: partition(), first, cut: 3, level: 0, zstd: 3, chain_before }
}

/// Writes a part of these events, `batch` of them at a time.
pub(super) fn write(env: &Env, events: &[Recorded], batch: usize, bounds: Bounds) -> PartMeta {
    write_cut(env, events, batch, bounds, 3)
}

pub(super) fn write_cut(env: &Env, events: &[Recorded], batch: usize, bounds: Bounds, cut: u64) -> PartMeta {
    env.disk.create_dir_all(Path::new(DIR)).unwrap();
    let spec = Spec { cut, ..spec(events) };
    let mut writer = Writer::create_within(env, Path::new(DIR), spec, bounds).unwrap();
    for events in events.chunks(batch) {
        writer.push(&to_batch(events)).unwrap();
    }
    writer.finish().unwrap()
}

pub(super) fn open(env: &Env, meta: &PartMeta, cache: &Cache) -> Part {
    Part::open(env.disk.clone(), Path::new(DIR), meta.clone(), partition(), cache).unwrap()
}

pub(super) fn leaves(events: &[Recorded]) -> Vec<Hash> {
    events.iter().map(|event| leaf_of(event, event.fork)).collect()
}

pub(super) fn chain(before: Hash, events: &[Recorded]) -> Hash {
    leaves(events).into_iter().fold(before, chain_next)
}

/// Everything that is known of an event, to compare.
pub(super) fn facts(event: &Recorded) -> String {
    let said = event.event();
    format!(
        "{} {} {} {} {} {} {} {said:?}",
        event.tenant,
        event.fork,
        event.partition,
        event.position,
        event.version,
        event.recorded_at,
        event.erased
    )
}

pub(super) fn all_facts(events: &[Recorded]) -> Vec<String> {
    events.iter().map(facts).collect()
}

pub(super) fn positions(meta: &PartMeta) -> Vec<Position> {
    (meta.first.get()..=meta.last.get()).map(Position::new).collect()
}
