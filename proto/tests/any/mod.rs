//! Arbitrary domain values.

mod admin;
pub(crate) mod cluster;

use bytes::Bytes;
use chronos_block::{Draft, Filter};
use chronos_domain::*;
use chronos_proto::{
    Class, Consistency, Event, Failure, Info, LogStats, Moment, NodeId, PartitionStats, PlacedNode,
    PlacedPartition, Placement, Stats, v1,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

pub(crate) use admin::{compacted, digest, holdings, verified};

pub(crate) fn event_id() -> impl Strategy<Value = EventId> {
    (1..=u128::MAX).prop_map(EventId::from_u128)
}

pub(crate) fn entity_id() -> impl Strategy<Value = EntityId> {
    "[a-zA-Zäß{}:\" -]{1,40}".prop_map(|text| EntityId::parse(&text).unwrap())
}

pub(crate) fn event_type() -> impl Strategy<Value = EventType> {
    "[a-z]{1,9}\\.[a-zé\"\\\\]{1,9}".prop_map(|text| EventType::parse(&text).unwrap())
}

pub(crate) fn tags() -> impl Strategy<Value = Vec<Tag>> {
    btree_set("[a-zö:\"/ ]{1,12}", 0..5)
        .prop_map(|set| set.iter().map(|tag| Tag::parse(tag).unwrap()).collect())
}

pub(crate) fn time() -> impl Strategy<Value = Timestamp> {
    (i64::MIN + 1..=i64::MAX).prop_map(Timestamp::new)
}

pub(crate) fn token() -> impl Strategy<Value = Token> {
    vec((0u8..32, 1..=u64::MAX), 0..6).prop_map(|pairs| {
        pairs.into_iter().map(|(p, n)| (PartitionId::new(p).unwrap(), Position::new(n))).collect()
    })
}

/// JSON texts, pretty or not; some with escapes that look like structure.
pub(crate) fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("1.00".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let space = prop_oneof![Just(""), Just(" "), Just("\n  "), Just("\r\n\t")];
    leaf.prop_recursive(3, 12, 4, move |inner| {
        let space = space.clone();
        (vec((any::<String>(), inner.clone()), 0..4), vec(inner, 0..4), space, any::<bool>()).prop_map(
            |(members, items, s, object)| {
                let member = |(name, value): &(String, String)| {
                    format!("{s}{}{s}:{s}{value}{s}", serde_json::to_string(name).unwrap())
                };
                let members: Vec<String> = members.iter().map(member).collect();
                if object {
                    format!("{{{s}{}}}", members.join(","))
                } else {
                    format!("[{s}{}{s}]", items.join(","))
                }
            },
        )
    })
}

pub(crate) fn metadata() -> impl Strategy<Value = Bytes> {
    option::of(any::<String>()).prop_map(|actor| match actor {
        None => Bytes::new(),
        Some(actor) => Bytes::from(format!("{{ \"actor\": {}}}", serde_json::to_string(&actor).unwrap())),
    })
}

fn content() -> impl Strategy<Value = (ContentType, Bytes)> {
    prop_oneof![
        json().prop_map(|text| (ContentType::json(), Bytes::from(text))),
        vec(any::<u8>(), 0..60)
            .prop_map(|bytes| (ContentType::parse("application/x-thing").unwrap(), Bytes::from(bytes))),
    ]
}

prop_compose! {
    pub(crate) fn draft()(
        event_id in event_id(), entity_id in entity_id(), event_type in event_type(), content in content(),
        metadata in metadata(), tags in tags(), occurred_at in option::of(time()),
    ) -> Draft {
        let (content_type, payload) = content;
        Draft { event_id, entity_id, event_type, content_type, payload, metadata, tags, occurred_at }
    }
}

prop_compose! {
    pub(crate) fn event()(
        draft in draft(), recorded_at in time(), version in 1..=u64::MAX, position in 1..=u64::MAX, partition in 0u8..32,
    ) -> Event {
        Event {
            event_id: draft.event_id,
            tenant_id: TenantId::default_tenant(),
            entity_id: draft.entity_id,
            event_type: draft.event_type,
            payload: draft.payload,
            content_type: draft.content_type,
            metadata: draft.metadata,
            tags: draft.tags,
            occurred_at: draft.occurred_at,
            recorded_at,
            version: Version::new(version),
            position: Position::new(position),
            partition: PartitionId::new(partition).unwrap(),
            erased: false,
        }
    }
}

/// What a truncation leaves of an event.
pub(crate) fn erased() -> impl Strategy<Value = Event> {
    event().prop_map(|event| Event {
        payload: Bytes::new(),
        metadata: Bytes::new(),
        tags: Vec::new(),
        content_type: ContentType::json(),
        occurred_at: None,
        erased: true,
        ..event
    })
}

pub(crate) fn expectation() -> impl Strategy<Value = Expectation> {
    prop_oneof![
        Just(Expectation::Any),
        Just(Expectation::Exists),
        Just(Expectation::NoEntity),
        any::<u64>().prop_map(|version| Expectation::Exact(Version::new(version))),
    ]
}

pub(crate) fn condition() -> impl Strategy<Value = Condition> {
    let item = (vec(event_type(), 0..3), tags()).prop_map(|(types, tags)| QueryItem { types, tags });
    (vec(item, 0..4), any::<u64>())
        .prop_map(|(fail_if, after)| Condition { fail_if, after: Position::new(after) })
}

prop_compose! {
    pub(crate) fn filter()(
        types in vec(event_type(), 0..3), type_prefix in option::of("[a-z.]{0,5}"), tags in tags(),
        entity_prefix in option::of("[a-z]{0,5}"), times in [option::of(time()), option::of(time()), option::of(time())],
    ) -> Filter {
        Filter {
            types: types.iter().map(ToString::to_string).collect(),
            type_prefix,
            tags: tags.iter().map(ToString::to_string).collect(),
            entity_prefix,
            occurred_until: times[0],
            recorded_from: times[1],
            recorded_until: times[2],
        }
    }
}

pub(crate) fn moment() -> impl Strategy<Value = Moment> {
    prop_oneof![
        time().prop_map(Moment::Time),
        token().prop_map(Moment::Token),
        any::<u64>().prop_map(|version| Moment::Version(Version::new(version))),
    ]
}

pub(crate) fn consistency() -> impl Strategy<Value = Consistency> {
    prop_oneof![
        Just(Consistency::Linearizable),
        Just(Consistency::Local),
        token().prop_map(Consistency::AtLeast),
    ]
}

pub(crate) fn failure() -> impl Strategy<Value = Failure> {
    let class = prop_oneof![
        Just(Class::Rejected),
        Just(Class::NotApplied),
        Just(Class::Unknown),
        Just(Class::Failed),
    ];
    let reason = prop_oneof![
        Just("WRONG_EXPECTED_VERSION"),
        Just("UNAVAILABLE"),
        Just("CORRUPT"),
        Just("NEW_IN_A_LATER_RELEASE")
    ];
    let metadata = btree_map("[a-z]{1,4}", any::<String>(), 0..4);
    (class, reason, any::<String>(), metadata, option::of(0u64..1 << 40)).prop_map(
        |(class, reason, message, metadata, retry_after_ms)| Failure {
            class,
            reason: reason.to_owned(),
            message,
            metadata,
            retry_after_ms,
        },
    )
}

fn partition_stats() -> impl Strategy<Value = PartitionStats> {
    (0u8..32, any::<u64>(), any::<u64>()).prop_map(|(number, events, entities)| PartitionStats {
        partition: PartitionId::new(number).unwrap(),
        events,
        entities,
    })
}

fn log_stats() -> impl Strategy<Value = LogStats> {
    any::<[u64; 4]>().prop_map(|[bytes, units, syncs, segments]| LogStats { bytes, units, syncs, segments })
}

prop_compose! {
    fn stats()(
        sums in any::<[u64; 5]>(), partitions_refused in any::<u32>(), partitions in vec(partition_stats(), 0..4),
        log in option::of(log_stats()),
    ) -> Stats {
        let [entities, events, blocks, cached_blocks, cached_bytes] = sums;
        Stats { entities, events, blocks, cached_blocks, cached_bytes, partitions_refused, partitions, log }
    }
}

prop_compose! {
    pub(crate) fn info()(
        names in any::<[String; 4]>(), partitions in any::<u32>(), nodes in any::<u32>(), payload_bytes_max in any::<u64>(),
        stats in option::of(stats()),
    ) -> Info {
        let [cluster_id, node_id, release, durability] = names;
        let limits = v1::Limits { payload_bytes_max, ..v1::Limits::default() };
        Info { cluster_id, node_id, release, partitions, nodes, durability, limits, stats }
    }
}

fn node() -> impl Strategy<Value = NodeId> {
    (1..u64::MAX).prop_map(|number| NodeId::new(number).unwrap())
}

prop_compose! {
    fn placed_node()(node in node(), names in any::<[String; 2]>()) -> PlacedNode {
        let [address, name] = names;
        PlacedNode { node, address, name }
    }
}

prop_compose! {
    fn placed_partition()(
        number in 0u8..32, leader in option::of(node()), replicas in vec(node(), 0..5),
    ) -> PlacedPartition {
        PlacedPartition { partition: PartitionId::new(number).unwrap(), leader, replicas }
    }
}

prop_compose! {
    pub(crate) fn placement()(
        cluster_id in any::<String>(), epoch in any::<u64>(), node in node(), nodes in vec(placed_node(), 0..5),
        partitions in vec(placed_partition(), 0..32),
    ) -> Placement {
        Placement { cluster_id, epoch, node, nodes, partitions }
    }
}
