//! What is left of truncated events.

use std::path::Path;

use arrow::array::RecordBatch;
use bytes::Bytes;
use chronos_block::{Recorded, content_hash};
use chronos_domain::{EntityId, Version};
use chronos_env::sim::World;
use proptest::prelude::*;

use super::history::{
    DIR, ENTITIES, all_facts, facts, history, leaves, open, partition, positions, sampler, seed, seeds,
    space_of, spaces, spec, write,
};
use crate::write::BOUNDS;
use crate::{Cache, Scan, Spec, Tombstones, Writer, erase, to_batch};

/// Erases entity 0 of every space before version 3, and entity 1 of the first before version 2.
pub(super) fn tombstones() -> Tombstones {
    let mut tombstones = Tombstones::default();
    for (tenant, fork) in &spaces() {
        tombstones.insert(tenant, *fork, &EntityId::parse(ENTITIES[0]).unwrap(), Version::new(3));
    }
    let (tenant, fork) = &spaces()[0];
    tombstones.insert(tenant, *fork, &EntityId::parse(ENTITIES[1]).unwrap(), Version::new(2));
    tombstones
}

fn is_erased(event: &Recorded) -> bool {
    let entity = event.event().entity_id.to_owned();
    event.version < tombstones().get(event.tenant.as_str(), event.fork, &entity)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn an_erased_event_keeps_its_numbers_names_and_hashes_and_nothing_else(seeds in seeds(1..120)) {
        let world = World::new(1);
        let events = history(1, &seeds);
        world.env().disk.create_dir_all(Path::new(DIR)).unwrap();
        let mut writer = Writer::create(&world.env(), Path::new(DIR), spec(&events)).unwrap();
        writer.push(&erase(&to_batch(&events), partition(), &tombstones())).unwrap();
        let meta = writer.finish().unwrap();
        let part = open(&world.env(), &meta, &Cache::new(1 << 20));
        prop_assert_eq!(meta.erased, events.iter().filter(|event| is_erased(event)).count() as u64);
        prop_assert_eq!(part.leaves(meta.first..=meta.last).unwrap(), leaves(&events));
        for (read, event) in part.rows(&positions(&meta)).unwrap().iter().zip(&events) {
            prop_assert_eq!(part.find(space_of(event), event.event().event_id).unwrap(), Some(event.position));
            prop_assert_eq!(part.find_content(event.position).unwrap(), content_hash(&event.event()));
            prop_assert_eq!(read.erased, is_erased(event));
            if !read.erased {
                prop_assert_eq!(facts(read), facts(event));
                continue;
            }
            let (left, said) = (read.event(), event.event());
            prop_assert_eq!((left.event_id, left.entity_id, left.event_type), (said.event_id, said.entity_id, said.event_type));
            prop_assert_eq!((read.position, read.version, read.recorded_at), (event.position, event.version, event.recorded_at));
            prop_assert!(left.payload.is_empty() && left.metadata.is_empty() && left.tags.len() == 0);
            prop_assert_eq!((left.content_type, left.occurred_at), ("application/json", None));
        }
    }
}

#[test]
fn erasing_again_or_nothing_changes_nothing() {
    let batch = to_batch(&sampler(100));
    assert_eq!(erase(&batch, partition(), &Tombstones::default()), batch);
    let erased = erase(&batch, partition(), &tombstones());
    assert_ne!(erased, batch);
    assert_eq!(erase(&erased, partition(), &tombstones()), erased);
}

#[test]
fn rewriting_a_part_with_its_events_erased_takes_their_bytes_out_of_its_files() {
    let world = World::new(2);
    let seeds = ["the-secret-of-order-1", "second", "third"].map(|payload| seed(Bytes::from(payload)));
    let events = history(1, &seeds);
    let before = write(&world.env(), &events, 10, BOUNDS);
    let part = open(&world.env(), &before, &Cache::new(0));
    let rows = part.scan(Scan::whole()).unwrap();
    let rows: Vec<RecordBatch> = rows.collect::<Result<_, _>>().unwrap();
    let spec = Spec { cut: 4, ..spec(&events) };
    let mut writer = Writer::create(&world.env(), Path::new(DIR), spec).unwrap();
    for batch in &rows {
        writer.push(&erase(batch, partition(), &tombstones())).unwrap();
    }
    let after = writer.finish().unwrap();
    assert_eq!((after.chain_after, after.erased), (before.chain_after, 2));
    let read = open(&world.env(), &after, &Cache::new(0)).rows(&positions(&after)).unwrap();
    assert_eq!(all_facts(&read)[2], facts(&events[2]));
    for name in [after.parquet_name(), after.index_name()] {
        let bytes = world.env().disk.read_file(&Path::new(DIR).join(name)).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"secret"));
    }
}
