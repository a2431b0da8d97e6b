//! What a part answers is what the plain list of its events says.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use chronos_block::{Direction, Filter, Recorded, content_hash};
use chronos_domain::{EventId, Position, QueryItem, Tag, Timestamp, Version};
use chronos_env::sim::World;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::history::{
    self, ENTITIES, TAGS, TYPES, all_facts, chain, history, leaves, open, seeds, space_of, spaces, write,
};
use crate::schema::Column;
use crate::write::Bounds;
use crate::{Cache, Part, Scan, schema, to_batch};

/// Several row groups of several pages.
const GROUPS: Bounds = Bounds { rows: 40, bytes: 1 << 20, page_bytes: 1000 };

fn part_of(world: &World, events: &[Recorded], cache: &Cache) -> Part {
    let meta = write(&world.env(), events, 64, GROUPS);
    open(&world.env(), &meta, cache)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn rows_come_in_the_order_asked_for_with_and_without_a_cache(
        seeds in seeds(1..150),
        wanted in vec(any::<Index>(), 0..60),
        room in prop_oneof![Just(0), Just(20_000), Just(10 << 20)],
    ) {
        let events = history(1, &seeds);
        let wanted: Vec<&Recorded> = wanted.iter().map(|index| index.get(&events)).collect();
        let part = part_of(&World::new(1), &events, &Cache::new(room));
        let positions: Vec<Position> = wanted.iter().map(|event| event.position).collect();
        let wanted: Vec<String> = wanted.into_iter().map(history::facts).collect();
        for _ in 0..2 {
            prop_assert_eq!(&all_facts(&part.rows(&positions).unwrap()), &wanted);
        }
    }

    #[test]
    fn ids_entities_and_moments_are_found_where_they_are(seeds in seeds(1..120), first in 1..200_u64) {
        let events = history(first, &seeds);
        let part = part_of(&World::new(2), &events, &Cache::new(1 << 20));
        for event in &events {
            let (space, said) = (space_of(event), event.event());
            prop_assert_eq!(part.find(space, said.event_id).unwrap(), Some(event.position));
            prop_assert_eq!(part.find_content(event.position).unwrap(), content_hash(&said));
            prop_assert_eq!(part.numbers_at(event.position).unwrap(), (event.version, event.recorded_at));
            let bound = events.iter().rfind(|other| other.recorded_at <= event.recorded_at);
            let bound = bound.map(|bound| bound.position);
            prop_assert_eq!(part.bound_at(event.recorded_at).unwrap(), bound);
        }
        prop_assert_eq!(part.bound_at(Timestamp::new(0)).unwrap(), None);
        for (tenant, fork) in &spaces() {
            let space = chronos_domain::Space { tenant: tenant.as_str(), fork: *fork };
            prop_assert_eq!(part.find(space, EventId::from_u128(5)).unwrap(), None);
            for entity in ENTITIES {
                let own = |event: &&Recorded| space_of(event) == space && event.event().entity_id == entity;
                let own: Vec<&Recorded> = events.iter().filter(own).collect();
                let versions = part.versions(space, entity).unwrap();
                let wanted = own.first().map(|first| first.version..=own[own.len() - 1].version);
                prop_assert_eq!(versions, wanted);
                let all = part.positions(space, entity, Version::ZERO..=Version::MAX).unwrap();
                prop_assert_eq!(all, own.iter().map(|event| event.position).collect::<Vec<_>>());
                let middle = events[events.len() / 2].position;
                let within = own.iter().filter(|event| event.position <= middle).count() as u64;
                prop_assert_eq!(part.versions_at(space, entity, middle).unwrap(), within);
            }
        }
    }

    #[test]
    fn filters_and_conditions_match_what_they_say(
        seeds in seeds(1..150), event_type in 0..4_usize, tag in 0..4_usize, after in any::<Index>(),
    ) {
        let events = history(1, &seeds);
        let part = part_of(&World::new(3), &events, &Cache::new(1 << 20));
        let filter = Filter {
            types: vec![TYPES[event_type].to_owned()],
            tags: vec![TAGS[tag].to_owned()],
            ..Filter::default()
        };
        let item = QueryItem {
            types: vec![chronos_domain::EventType::parse(TYPES[event_type]).unwrap()],
            tags: vec![Tag::parse(TAGS[tag]).unwrap()],
        };
        let after = after.get(&events).position;
        for (tenant, fork) in &spaces() {
            let space = chronos_domain::Space { tenant: tenant.as_str(), fork: *fork };
            let matching = |event: &&Recorded| space_of(event) == space && filter.matches(event);
            let mut wanted: Vec<Position> =
                events.iter().filter(matching).map(|event| event.position).filter(|p| *p > after).collect();
            prop_assert_eq!(part.first_match(space, &item, after).unwrap(), wanted.first().copied());
            let range = after.next()..=Position::MAX;
            let got = part.matching(space, &filter, range.clone(), Direction::Forward, usize::MAX).unwrap();
            prop_assert_eq!(&got, &wanted);
            wanted.reverse();
            wanted.truncate(2);
            prop_assert_eq!(part.matching(space, &filter, range, Direction::Backward, 2).unwrap(), wanted);
        }
    }

    #[test]
    fn a_scan_reads_exactly_the_rows_it_was_asked_for(
        seeds in seeds(1..150),
        (from, to) in (0..200_u64, 0..200_u64),
        (since, until) in (proptest::option::of(-10..300_000_i64), proptest::option::of(-10..300_000_i64)),
        space in proptest::option::of(0..3_usize),
        entities in proptest::option::of(vec(0..5_usize, 0..3)),
        types in proptest::option::of(vec(0..4_usize, 0..3)),
        batch_rows in 1..50_usize,
    ) {
        let events = history(10, &seeds);
        let part = part_of(&World::new(4), &events, &Cache::new(1 << 20));
        let names = |all: &[&str], chosen: Vec<usize>| -> Vec<String> {
            chosen.into_iter().map(|i| all[i].to_owned()).collect()
        };
        let moment = |since: i64| Timestamp::new(1_000_000 + since);
        let scan = Scan {
            space: space.map(|space| spaces()[space].clone()),
            positions: Position::new(from)..=Position::new(to),
            recorded: (since.map(moment), until.map(moment)),
            entities: entities.map(|chosen| names(&ENTITIES, chosen)),
            types: types.map(|chosen| names(&TYPES, chosen)),
            batch_rows,
            ..Scan::all(vec!["entity_id", "position"])
        };
        let wanted: Vec<u64> =
            events.iter().filter(|event| selects(&scan, event)).map(|event| event.position.get()).collect();
        let (selected, counters) = (wanted.len() as u64, Arc::clone(&scan.counters));
        let batches: Vec<RecordBatch> = part.scan(scan).unwrap().collect::<Result<_, _>>().unwrap();
        let read = batches.iter().flat_map(|batch| {
            assert!(batch.num_rows() <= batch_rows);
            batch.column(1).as_primitive::<Int64Type>().values().iter().map(|position| position.cast_unsigned())
        });
        prop_assert_eq!(read.collect::<Vec<_>>(), wanted);
        prop_assert_eq!(counters.rows_read.load(Ordering::Relaxed), selected);
    }

    #[test]
    fn hashes_and_chains_are_those_of_the_events(seeds in seeds(1..200), first in 1..3000_u64) {
        let events = history(first, &seeds);
        let part = part_of(&World::new(5), &events, &Cache::new(1 << 20));
        let (first, last) = (events[0].position, part.meta().last);
        prop_assert_eq!(part.leaves(first..=last).unwrap(), leaves(&events));
        for at in [0, events.len() / 3, events.len() / 2, events.len() - 1] {
            let before = chain(part.meta().chain_before, &events[..=at]);
            prop_assert_eq!(part.chain_at(events[at].position).unwrap(), before);
        }
    }
}

fn selects(scan: &Scan, event: &Recorded) -> bool {
    let named = |names: &Option<Vec<String>>, name: &str| {
        scan.space.is_none() || names.as_ref().is_none_or(|names| names.iter().any(|other| other == name))
    };
    let narrowed = scan.entities.is_some() || scan.types.is_some();
    let of_space =
        scan.space.as_ref().is_none_or(|(tenant, fork)| *tenant == event.tenant && *fork == event.fork);
    scan.positions.contains(&event.position)
        && scan.recorded.0.is_none_or(|since| event.recorded_at >= since)
        && scan.recorded.1.is_none_or(|until| event.recorded_at <= until)
        && (of_space || !narrowed)
        && named(&scan.entities, event.event().entity_id)
        && named(&scan.types, event.event().event_type)
}

#[test]
fn a_scan_of_all_columns_gives_the_rows_that_were_written() {
    let world = World::new(6);
    let events = history::sampler(300);
    let part = part_of(&world, &events, &Cache::new(0));
    let names: Vec<&'static str> = Column::ALL.map(Column::name).to_vec();
    let chain = names.len() - 1;
    let read: Vec<RecordBatch> = part.scan(Scan::all(names)).unwrap().collect::<Result<_, _>>().unwrap();
    let read = arrow::compute::concat_batches(&schema(), &read).unwrap();
    let but_the_chain: Vec<usize> = (0..chain).collect();
    assert_eq!(read.project(&but_the_chain).unwrap(), to_batch(&events).project(&but_the_chain).unwrap());
    assert_eq!(read.num_rows() - read.column(chain).null_count(), 300 / 64 + 1);
}

#[test]
fn long_rows_are_decoded_a_few_at_a_time() {
    let world = World::new(9);
    let long = |n: u8| history::seed(Bytes::from(vec![n; 1 << 20]));
    let events = history(1, &(0..40).map(long).collect::<Vec<_>>());
    let meta = write(&world.env(), &events, 8, Bounds { rows: 64, bytes: 64 << 20, page_bytes: 1 << 20 });
    let part = open(&world.env(), &meta, &Cache::new(0));
    let batches: Vec<usize> =
        part.scan(Scan::whole()).unwrap().map(|batch| batch.unwrap().num_rows()).collect();
    assert_eq!(batches.iter().sum::<usize>(), 40);
    assert!(batches.iter().all(|rows| *rows <= 16), "{batches:?}");
    let narrow = part.scan(Scan::all(vec!["version"])).unwrap();
    assert_eq!(narrow.map(|batch| batch.unwrap().num_rows()).collect::<Vec<_>>(), [40]);
}

#[test]
fn a_scan_without_columns_counts_rows() {
    let part = part_of(&World::new(7), &history::sampler(100), &Cache::new(0));
    let rows: usize = part.scan(Scan::all(vec![])).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 100);
}

#[test]
fn a_cold_read_of_one_event_decodes_three_pages_and_a_warm_one_none() {
    let world = World::new(8);
    let events = history::sampler(400);
    let meta = write(&world.env(), &events, 64, Bounds { rows: 150, bytes: 1 << 20, page_bytes: 1000 });
    for event in events.iter().step_by(37) {
        let cache = Cache::new(1 << 20);
        let part = open(&world.env(), &meta, &cache);
        let pages = || cache.stats().parquet_pages;
        assert_eq!(part.find(space_of(event), event.event().event_id).unwrap(), Some(event.position));
        assert_eq!(pages(), 1);
        part.rows(&[event.position]).unwrap();
        assert_eq!(pages(), 3);
        part.rows(&[event.position]).unwrap();
        assert_eq!(pages(), 3);
    }
}

#[test]
fn a_scan_decodes_the_pages_of_the_rows_it_selects_and_no_other() {
    let part = part_of(&World::new(9), &history::sampler(400), &Cache::new(0));
    let read = |scan: Scan| {
        let counters = Arc::clone(&scan.counters);
        let rows: usize = part.scan(scan).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
        (rows, counters.files.load(Ordering::Relaxed), counters.pages.load(Ordering::Relaxed))
    };
    let all = || Scan::all(vec!["payload"]);
    assert_eq!(read(all()), (400, 1, 30), "ten row groups of three pages");
    let one = Position::new(137)..=Position::new(137);
    assert_eq!(read(Scan { positions: one, ..all() }), (1, 1, 1));
    let nobody = Some(vec!["nobody".to_owned()]);
    let nobody = Scan { space: Some(spaces()[0].clone()), entities: nobody, ..all() };
    assert_eq!(read(nobody), (0, 0, 0));
}
