//! The same rows give the same bytes, and every byte of them counts.

use std::path::Path;

use bytes::Bytes;
use chronos_env::sim::World;
use proptest::prelude::*;

use super::history::{
    self, DIR, Seed, all_facts, chain, history, open, partition, positions, seed, seeds, write,
};
use crate::write::{BOUNDS, Bounds};
use crate::{Cache, Part, Writer, to_batch};

const FEW_ROWS: Bounds = Bounds { rows: 50, bytes: 4000, page_bytes: 500 };

fn files(events: &[chronos_block::Recorded], batch: usize, bounds: Bounds) -> Vec<Vec<u8>> {
    let world = World::new(1);
    let meta = write(&world.env(), events, batch, bounds);
    let read = |name: String| world.env().disk.read_file(&Path::new(DIR).join(name)).unwrap();
    vec![read(meta.parquet_name()), read(meta.index_name())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn how_rows_are_cut_into_batches_leaves_no_trace(seeds in seeds(1..250), batch in 1..80_usize) {
        let events = history(1, &seeds);
        prop_assert_eq!(files(&events, batch, FEW_ROWS), files(&events, usize::MAX, FEW_ROWS));
    }

    #[test]
    fn every_field_of_every_event_comes_back(seeds in seeds(1..120), first in 1..5_000_u64) {
        let world = World::new(2);
        let events = history(first, &seeds);
        let meta = write(&world.env(), &events, 64, FEW_ROWS);
        prop_assert_eq!(meta.rows(), events.len() as u64);
        prop_assert_eq!(meta.chain_after, chain(meta.chain_before, &events));
        let part = open(&world.env(), &meta, &Cache::new(1 << 20));
        prop_assert_eq!(all_facts(&part.rows(&positions(&meta)).unwrap()), all_facts(&events));
    }
}

#[test]
fn a_part_may_have_one_row() {
    let world = World::new(3);
    let events = history(77, &[seed(Bytes::new())]);
    let meta = write(&world.env(), &events, 1, BOUNDS);
    assert_eq!((meta.first, meta.last), (events[0].position, events[0].position));
    assert_eq!(meta.stem(), "000000000077-000000000077-000003");
    let part = open(&world.env(), &meta, &Cache::new(0));
    assert_eq!(all_facts(&part.rows(&positions(&meta)).unwrap()), all_facts(&events));
}

#[test]
fn events_of_a_megabyte_are_given_back_in_blocks_that_hold_them() {
    let world = World::new(4);
    let noise = |i: usize| (0..1 << 20).map(|at| ((at * (i + 3)) >> 5) as u8).collect::<Vec<u8>>();
    let seeds: Vec<Seed> = (0..10).map(|i| seed(noise(i).into())).collect();
    let events = history(1, &seeds);
    let meta = write(&world.env(), &events, 3, Bounds { rows: 100, bytes: 5 << 20, page_bytes: 1000 });
    let part = open(&world.env(), &meta, &Cache::new(64 << 20));
    let read = part.rows(&positions(&meta)).unwrap();
    for (read, event) in read.iter().zip(&events) {
        assert_eq!(read.payload(), event.payload());
    }
    let first = read[0].block.bytes().as_ptr();
    assert_ne!(read[9].block.bytes().as_ptr(), first, "ten of them do not fit one block");
}

#[test]
fn an_abandoned_part_leaves_no_file() {
    let world = World::new(5);
    let events = history::sampler(20);
    world.env().disk.create_dir_all(Path::new(DIR)).unwrap();
    let mut writer = Writer::create(&world.env(), Path::new(DIR), history::spec(&events)).unwrap();
    writer.push(&to_batch(&events)).unwrap();
    writer.abandon();
    assert_eq!(world.env().disk.list(Path::new(DIR)).unwrap(), []);
}

#[test]
fn all_columns_end_their_pages_at_the_same_rows() {
    use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
    let parquet =
        files(&history::sampler(400), 70, Bounds { rows: 150, bytes: 1 << 20, page_bytes: 1000 }).remove(0);
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
    let metadata = { reader }.parse_and_finish(&Bytes::from(parquet)).unwrap();
    let groups = metadata.offset_index().unwrap();
    assert_eq!(groups.len(), 3);
    assert!(groups[0][0].page_locations().len() > 3, "a page has few of the 150 rows");
    for columns in groups {
        let starts = |column: usize| {
            columns[column].page_locations().iter().map(|page| page.first_row_index).collect::<Vec<_>>()
        };
        (1..columns.len()).for_each(|column| assert_eq!(starts(column), starts(0)));
    }
}

#[test]
fn a_part_tells_what_it_was_written_from() {
    let world = World::new(6);
    let events = history::sampler(100);
    let meta = write(&world.env(), &events, 33, BOUNDS);
    let first_and_last = (events[0].recorded_at, events[99].recorded_at);
    assert_eq!((meta.cut, meta.level, meta.erased, meta.recorded), (3, 0, 0, first_and_last));
    let part: Part = open(&world.env(), &meta, &Cache::new(0));
    let mut paced = 0;
    let verified = part.verify(&mut |bytes| paced += bytes).unwrap();
    assert_eq!((verified.rows, verified.bytes, paced), (100, meta.bytes(), meta.bytes()));
    let counts = part.counts().unwrap();
    assert_eq!(counts.types.iter().map(|count| count.events).sum::<u64>(), 100);
    assert_eq!(counts.types.iter().map(|count| count.raw_bytes).sum::<u64>(), meta.raw_bytes);
    assert_eq!(part.partition(), partition());
}
