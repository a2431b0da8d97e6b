//! Power cuts while a part is written.

use std::path::Path;

use chronos_env::sim::{Repeat, World};

use super::history::{self, DIR, all_facts, open, positions, spec, write};
use crate::write::BOUNDS;
use crate::{Cache, Fault, Writer, to_batch};

const POINTS: [&str; 4] =
    ["parts.write.parquet", "parts.write.synced", "parts.write.verified", "parts.write.renamed"];

#[test]
fn a_part_that_a_crash_interrupted_is_written_again_to_the_same_bytes() {
    let events = history::sampler(80);
    let whole = World::new(1);
    let wanted = write(&whole.env(), &events, 64, BOUNDS);
    for point in POINTS {
        for seed in 0..4 {
            let world = World::new(seed);
            world.env().disk.create_dir_all(Path::new(DIR)).unwrap();
            world.env().disk.sync_dir(Path::new("/data/parts")).unwrap();
            world.arm_crash(point, 1);
            let mut writer = Writer::create(&world.env(), Path::new(DIR), spec(&events)).unwrap();
            writer.push(&to_batch(&events)).unwrap();
            assert!(writer.finish().is_err(), "{point}: the power is off");
            world.disk().power_on();
            let meta = write(&world.env(), &events, 64, BOUNDS);
            assert_eq!(meta, wanted, "{point}");
            let part = open(&world.env(), &meta, &Cache::new(0));
            assert_eq!(all_facts(&part.rows(&positions(&meta)).unwrap()), all_facts(&events));
        }
    }
}

#[test]
fn a_part_that_cannot_be_read_back_gets_no_name() {
    let events = history::sampler(80);
    let mut refused = 0;
    for nth in 1..6 {
        let world = World::new(nth);
        world.env().disk.create_dir_all(Path::new(DIR)).unwrap();
        world.disk().misdirect_write(".tmp", nth, 11);
        let mut writer = Writer::create(&world.env(), Path::new(DIR), spec(&events)).unwrap();
        writer.push(&to_batch(&events)).unwrap();
        let finished = writer.finish();
        let names = world.env().disk.list(Path::new(DIR)).unwrap();
        let named = names.iter().filter(|entry| !entry.name.ends_with(".tmp")).count();
        match finished {
            Ok(_) => assert_eq!(named, 2, "write {nth} does not exist"),
            Err(error) => {
                assert!(matches!(error, Fault::Corrupt { .. }), "{error}");
                assert_eq!(named, 0, "{error}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 2, "each file is written by one write");
}

#[test]
fn a_disk_that_refuses_is_reported_and_the_part_gets_no_name() {
    let events = history::sampler(80);
    let plans: [fn(&World); 3] = [
        |world| world.disk().capacity(8192),
        |world| world.disk().fail_sync(".index.tmp", 1, Repeat::Once),
        |world| world.disk().fail_read(".parquet.tmp", 1, Repeat::Once),
    ];
    for plan in plans {
        let world = World::new(1);
        world.env().disk.create_dir_all(Path::new(DIR)).unwrap();
        let mut writer = Writer::create(&world.env(), Path::new(DIR), spec(&events)).unwrap();
        plan(&world);
        writer.push(&to_batch(&events)).unwrap();
        let error = writer.finish().unwrap_err();
        assert!(matches!(error, Fault::Io(_)), "{error}");
        let names = world.env().disk.list(Path::new(DIR)).unwrap();
        assert!(names.iter().all(|entry| entry.name.ends_with(".tmp")));
    }
}
