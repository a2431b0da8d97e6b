//! Every lookup against a walk over plain rows.

use std::collections::BTreeMap;

use chronos_block::{Direction, Filter};
use chronos_domain::id::{EventType, Tag};
use chronos_domain::{EventId, ForkId, QueryItem, Space, Timestamp, Version};
use chronos_proof::{CHUNK_LEAVES, subtree_root};
use proptest::prelude::*;

use super::super::{Index, Row};
use super::fixture::{Plain, index, leaf};
use crate::cache::Cache;

/// A row as a strategy draws it; versions and moments follow from the rows before.
type Drawn = ((usize, usize, usize, usize), Vec<usize>, (Option<i64>, u8, bool));

fn drawn() -> impl Strategy<Value = Drawn> {
    (
        (0..3_usize, 0..6_usize, 0..4_usize, 0..2_usize),
        prop::collection::btree_set(0..5_usize, 0..4).prop_map(|tags| tags.into_iter().collect()),
        (prop::option::of(-50_i64..50), 0..4_u8, prop::bool::weighted(0.1)),
    )
}

const SPACES: [(&str, u64); 3] = [("default", 0), ("acme", 9), ("default", 4)];

fn plain(drawn: &[Drawn]) -> Vec<Plain> {
    let mut versions = BTreeMap::new();
    let mut recorded_at = -20;
    let row = |(i, ((space, entity, event_type, content_type), tags, (occurred_at, later, erased))): (
        usize,
        &Drawn,
    )| {
        let version = versions.entry((*space, *entity)).or_insert(*entity as u64 * 100);
        *version += 1;
        recorded_at += i64::from(*later);
        Plain {
            tenant: SPACES[*space].0.to_owned(),
            fork: SPACES[*space].1,
            entity: format!("order-{}", "x".repeat(*entity)),
            version: *version,
            // Some ids are in several spaces.
            id: u128::from(i as u64 / 2 + 1) << 70 | *space as u128,
            event_type: format!("type.{event_type}"),
            content_type: ["application/json", "text/plain"][*content_type].to_owned(),
            tags: if *erased { Vec::new() } else { tags.iter().map(|tag| format!("tag{tag}")).collect() },
            occurred_at: occurred_at.filter(|_| !erased),
            recorded_at,
            erased: *erased,
            raw_bytes: i as u64,
        }
    };
    drawn.iter().enumerate().map(row).collect()
}

/// An entity with 10,000 events among 3,000 that have one or two, and enough tags and types for several pages of each.
fn crowd() -> Vec<Plain> {
    let mut versions = BTreeMap::new();
    (0..16_500_u64)
        .map(|i| {
            let entity = match i % 33 {
                0..20 => "long".to_owned(),
                _ => format!("entity/{:05}", i * 7919 % 3_600),
            };
            let version = versions.entry(entity.clone()).or_insert(0);
            *version += 1;
            Plain {
                tenant: "default".to_owned(),
                fork: 0,
                entity,
                version: *version,
                id: u128::from(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(i),
                event_type: format!("type.{}", i * i % 301),
                content_type: "application/json".to_owned(),
                tags: vec!["all".to_owned(), format!("order:{}", i % 1_000)],
                occurred_at: Some(1_700_000_000_000_000 + (i * 31 % 977) as i64 * 1_000_000),
                recorded_at: 1_700_000_000_000_000 + (i / 50) as i64 * 1_234,
                erased: false,
                raw_bytes: 400,
            }
        })
        .collect()
}

fn in_space<'r>(rows: &'r [Plain], space: Space<'_>) -> Vec<(Row, &'r Plain)> {
    (0..).map(Row).zip(rows).filter(|(_, row)| row.space() == space).collect()
}

fn spaces() -> impl Iterator<Item = Space<'static>> {
    let known = SPACES.into_iter().chain([("nobody", 0), ("acme", 0)]);
    known.map(|(tenant, fork)| Space { tenant, fork: ForkId::new(fork) })
}

fn rows_are_described(index: &Index, rows: &[Plain]) {
    for (row, plain) in (0..).map(Row).zip(rows) {
        let found = index.row(row).unwrap();
        assert_eq!((&*found.tenant, found.fork.get()), (&*plain.tenant, plain.fork));
        assert_eq!(found.entity.as_str(), plain.entity);
        assert_eq!(found.version.get(), plain.version);
        assert_eq!(found.event_type.as_str(), plain.event_type);
        assert_eq!(found.content_type.as_str(), plain.content_type);
        assert_eq!(found.tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>(), plain.tags);
        assert_eq!(found.occurred_at.map(Timestamp::get), plain.occurred_at);
        assert_eq!(found.recorded_at.get(), plain.recorded_at);
        assert_eq!(found.erased, plain.erased);
        assert_eq!(index.numbers(row).unwrap(), (found.version, found.recorded_at));
    }
}

/// Every id that is there is found; what is found in vain stays rare.
fn ids_are_found(index: &Index, rows: &[Plain]) {
    let mut in_vain = 0;
    for (row, plain) in (0..).map(Row).zip(rows) {
        let found = index.candidates(plain.space(), EventId::from_u128(plain.id)).unwrap();
        assert!(found.contains(&row), "{row:?} is not among {found:?}");
        in_vain += found.iter().filter(|other| rows[other.0 as usize].id != plain.id).count();
        in_vain += index.candidates(plain.space(), EventId::from_u128(plain.id ^ 1 << 40)).unwrap().len();
    }
    assert!(in_vain <= 2 + rows.len() / 100, "{in_vain} candidates in vain among {}", rows.len());
}

fn entity_is_found(index: &Index, space: Space<'_>, name: &str, of_it: &[(Row, &Plain)]) {
    let found = index.entity(space, name).unwrap();
    let Some((_, first)) = of_it.first() else { return assert!(found.is_none(), "{name} is not there") };
    let entity = found.unwrap_or_else(|| panic!("{name} is there"));
    let last = first.version + of_it.len() as u64 - 1;
    assert_eq!(entity.versions(), Version::new(first.version)..=Version::new(last));
    assert_eq!(entity.count(), of_it.len() as u64);
    let borders =
        [0, 1, first.version, first.version + 1, last.midpoint(first.version), last, last + 1, u64::MAX];
    for from in borders {
        for until in borders {
            let wanted = of_it.iter().filter(|(_, row)| (from..=until).contains(&row.version));
            let found = index.rows_of(&entity, Version::new(from)..=Version::new(until)).unwrap();
            assert_eq!(found, wanted.map(|(row, _)| *row).collect::<Vec<_>>(), "{name} {from}..={until}");
        }
    }
    for bound in
        [0, of_it[0].0.0, of_it[of_it.len() / 2].0.0, of_it[of_it.len() - 1].0.0, index.rows() - 1, u32::MAX]
    {
        let wanted = of_it.iter().filter(|(row, _)| row.0 <= bound).count() as u64;
        assert_eq!(index.count_at(&entity, Row(bound)).unwrap(), wanted, "{name} at {bound}");
    }
}

fn moments_are_found(index: &Index, rows: &[Plain]) {
    let step = rows.len() / 50 + 1;
    for moment in rows.iter().step_by(step).flat_map(|row| [-1, 0, 1].map(|d| row.recorded_at + d)) {
        let wanted = rows.iter().rposition(|row| row.recorded_at <= moment).map(|row| Row(row as u32));
        assert_eq!(index.bound_at(Timestamp::new(moment)).unwrap(), wanted, "at {moment}");
    }
    assert_eq!(index.bound_at(Timestamp::MIN).unwrap(), None);
    assert_eq!(index.bound_at(Timestamp::MAX).unwrap(), Some(Row(rows.len() as u32 - 1)));
}

fn first_match_is_found(
    index: &Index,
    space: Space<'_>,
    rows: &[Plain],
    types: &[String],
    tags: &[String],
    from: u32,
) {
    let item = QueryItem {
        types: types.iter().map(|t| EventType::parse(t).unwrap()).collect(),
        tags: tags.iter().map(|t| Tag::parse(t).unwrap()).collect(),
    };
    let matches = |row: &Plain| item.matches(&row.event_type, row.tags.iter().map(String::as_str));
    let wanted = in_space(rows, space).into_iter().find(|(row, plain)| row.0 >= from && matches(plain));
    let found = index.first_match(space, &item, Row(from)).unwrap();
    assert_eq!(found, wanted.map(|(row, _)| row), "{item:?} from {from} in {space:?}");
}

fn matches(filter: &Filter, row: &Plain) -> bool {
    let prefixed =
        |prefix: &Option<String>, name: &str| prefix.as_ref().is_none_or(|p| name.starts_with(p.as_str()));
    (filter.types.is_empty() || filter.types.contains(&row.event_type))
        && prefixed(&filter.type_prefix, &row.event_type)
        && prefixed(&filter.entity_prefix, &row.entity)
        && filter.tags.iter().all(|tag| row.tags.contains(tag))
        && filter.recorded_from.is_none_or(|from| row.recorded_at >= from.get())
        && filter.recorded_until.is_none_or(|until| row.recorded_at <= until.get())
        && filter.occurred_until.is_none_or(|until| row.occurred_at.unwrap_or(row.recorded_at) <= until.get())
}

fn matching_is_found(
    index: &Index,
    space: Space<'_>,
    rows: &[Plain],
    filter: &Filter,
    from: u32,
    until: u32,
    count: usize,
) {
    let mut wanted: Vec<Row> = in_space(rows, space)
        .into_iter()
        .filter(|(row, plain)| (from..=until).contains(&row.0) && matches(filter, plain))
        .map(|(row, _)| row)
        .collect();
    let ask = |direction| index.matching(space, filter, Row(from)..=Row(until), direction, count).unwrap();
    let forward: Vec<Row> = wanted.iter().copied().take(count).collect();
    assert_eq!(ask(Direction::Forward), forward, "{filter:?} in {from}..={until} of {space:?}");
    wanted.reverse();
    wanted.truncate(count);
    assert_eq!(ask(Direction::Backward), wanted, "{filter:?} in {from}..={until} of {space:?}, backward");
}

fn counts_are_right(index: &Index, rows: &[Plain]) {
    let mut wanted: BTreeMap<_, (u64, u64)> = BTreeMap::new();
    for row in rows {
        let count = wanted.entry((row.tenant.clone(), row.fork, row.event_type.clone())).or_default();
        *count = (count.0 + 1, count.1 + row.raw_bytes);
    }
    let counts = index.counts().unwrap();
    let found = counts
        .types
        .iter()
        .map(|t| ((t.tenant.clone(), t.fork.get(), t.event_type.clone()), (t.events, t.raw_bytes)));
    assert_eq!(found.collect::<Vec<_>>(), wanted.into_iter().collect::<Vec<_>>());
    let entities: std::collections::BTreeSet<_> = rows.iter().map(|row| (row.space(), &row.entity)).collect();
    assert_eq!(counts.entities, entities.len() as u64);
}

fn chunks_are_right(index: &Index, first: u64, rows: &[Plain]) {
    let end = first - 1 + rows.len() as u64;
    for k in 0..end / CHUNK_LEAVES + 2 {
        let start = (k * CHUNK_LEAVES).checked_sub(first - 1).filter(|_| (k + 1) * CHUNK_LEAVES <= end);
        let root = |start: u64| {
            subtree_root(&(start..start + CHUNK_LEAVES).map(|l| leaf(l as usize)).collect::<Vec<_>>())
        };
        assert_eq!(index.chunk(k), start.map(root), "chunk {k}");
    }
}

fn strings(prefix: &str, numbers: Vec<usize>) -> Vec<String> {
    numbers.into_iter().map(|n| format!("{prefix}{n}")).collect()
}

fn filter() -> impl Strategy<Value = Filter> {
    let some = |n: usize| prop::collection::vec(0..n, 0..3);
    let moment = || prop::option::weighted(0.3, (-60_i64..160).prop_map(Timestamp::new));
    (
        some(6).prop_map(|t| strings("type.", t)),
        prop::option::weighted(0.2, prop_oneof![Just("type."), Just("type.1"), Just("x")]),
        some(6).prop_map(|t| strings("tag", t)),
        prop::option::weighted(0.3, prop_oneof![Just("order-"), Just("order-xx"), Just("z")]),
        (moment(), moment(), moment()),
    )
        .prop_map(
            |(types, type_prefix, tags, entity_prefix, (occurred_until, recorded_from, recorded_until))| {
                Filter {
                    types,
                    type_prefix: type_prefix.map(str::to_owned),
                    tags,
                    entity_prefix: entity_prefix.map(str::to_owned),
                    occurred_until,
                    recorded_from,
                    recorded_until,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_index_says_what_a_walk_over_its_rows_says(
        drawn in prop::collection::vec(drawn(), 1..120),
        first in 1..3_000_u64,
        filters in prop::collection::vec((filter(), 0..130_u32, 0..130_u32, 0..40_usize), 12),
        items in prop::collection::vec((prop::collection::vec(0..6_usize, 0..3), prop::collection::vec(0..6_usize, 0..3), 0..130_u32), 12),
    ) {
        let rows = plain(&drawn);
        let index = index(first, &rows, &Cache::new(1 << 20));
        rows_are_described(&index, &rows);
        ids_are_found(&index, &rows);
        moments_are_found(&index, &rows);
        counts_are_right(&index, &rows);
        chunks_are_right(&index, first, &rows);
        for space in spaces() {
            for name in (0..7).map(|n| format!("order-{}", "x".repeat(n))) {
                let of_it: Vec<_> = in_space(&rows, space).into_iter().filter(|(_, row)| row.entity == name).collect();
                entity_is_found(&index, space, &name, &of_it);
            }
            for (types, tags, from) in &items {
                let (types, tags) = (strings("type.", types.clone()), strings("tag", tags.clone()));
                first_match_is_found(&index, space, &rows, &types, &tags, *from);
            }
            for (filter, from, until, count) in &filters {
                matching_is_found(&index, space, &rows, filter, *from, *until, *count);
            }
        }
    }
}

#[test]
fn lookups_reach_over_pages() {
    let rows = crowd();
    let space = rows[0].space();
    let index = index(501, &rows, &Cache::new(64 << 20));
    rows_are_described(&index, &rows);
    ids_are_found(&index, &rows);
    moments_are_found(&index, &rows);
    counts_are_right(&index, &rows);
    chunks_are_right(&index, 501, &rows);
    let mut entities: BTreeMap<&str, Vec<(Row, &Plain)>> = BTreeMap::new();
    in_space(&rows, space)
        .into_iter()
        .for_each(|(row, plain)| entities.entry(&plain.entity).or_default().push((row, plain)));
    assert_eq!(entities["long"].len(), 10_000);
    assert!(entities.values().any(|rows| rows.len() == 1));
    for (name, of_it) in &entities {
        entity_is_found(&index, space, name, of_it);
    }
    for name in ["", "entity/", "entity/99999", "lon", "long ", "zzz"] {
        entity_is_found(&index, space, name, &[]);
    }
    let strings = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    for from in [0, 1, 5_000, 16_499, 16_500] {
        first_match_is_found(
            &index,
            space,
            &rows,
            &strings(&["type.4", "type.200"]),
            &strings(&["all"]),
            from,
        );
        first_match_is_found(&index, space, &rows, &[], &strings(&["all", "order:999"]), from);
        first_match_is_found(&index, space, &rows, &strings(&["type.none"]), &[], from);
        first_match_is_found(&index, space, &rows, &[], &[], from);
    }
    let some = |prefix: &str| Some(prefix.to_owned());
    let moment = Some(Timestamp::new(1_700_000_000_100_000));
    let filters = [
        Filter::default(),
        Filter { entity_prefix: some("entity/"), ..Filter::default() },
        Filter { entity_prefix: some("entity/0001"), ..Filter::default() },
        Filter { type_prefix: some("type.2"), tags: strings(&["order:7"]), ..Filter::default() },
        Filter { type_prefix: some("type."), entity_prefix: some("long"), ..Filter::default() },
        Filter {
            tags: strings(&["all"]),
            occurred_until: moment,
            recorded_from: moment,
            ..Filter::default()
        },
        Filter {
            types: strings(&["type.0", "type.1", "type.4"]),
            recorded_until: moment,
            ..Filter::default()
        },
    ];
    for filter in &filters {
        matching_is_found(&index, space, &rows, filter, 0, u32::MAX, usize::MAX);
        matching_is_found(&index, space, &rows, filter, 4_090, 12_300, 500);
        matching_is_found(&index, space, &rows, filter, 16_499, 16_499, 1);
    }
}

#[test]
fn an_entity_of_one_event_in_a_part_of_one_row_is_found() {
    let rows = plain(&[((0, 3, 0, 0), vec![], (None, 0, false))]);
    let index = index(1, &rows, &Cache::new(0));
    assert_eq!(index.rows(), 1);
    rows_are_described(&index, &rows);
    ids_are_found(&index, &rows);
    entity_is_found(&index, rows[0].space(), "order-xxx", &in_space(&rows, rows[0].space()));
    assert_eq!(index.chunk(0), None);
}
