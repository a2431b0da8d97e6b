//! The bytes of a part never change by accident: replicas compare them.

use std::path::Path;

use chronos_env::sim::World;

use super::erasing::tombstones;
use super::history::{DIR, partition, sampler, spec};
use crate::write::Bounds;
use crate::{Writer, erase, to_batch};

/// Several row groups and pages, events of three spaces, every field, and erased rows. When this fails, the format has
/// changed: by this crate, or by another release of the Parquet or zstd library. Replicas of two releases would then
/// disagree about every part, so that the format needs a new number.
#[test]
fn the_same_events_give_the_same_bytes_in_every_release() {
    let (world, events) = (World::new(1), sampler(300));
    world.env().disk.create_dir_all(Path::new(DIR)).unwrap();
    let bounds = Bounds { rows: 200, bytes: 1 << 20, page_bytes: 1000 };
    let mut writer = Writer::create_within(&world.env(), Path::new(DIR), spec(&events), bounds).unwrap();
    writer.push(&erase(&to_batch(&events), partition(), &tombstones())).unwrap();
    let meta = writer.finish().unwrap();
    assert_eq!((meta.rows(), meta.erased > 0), (300, true));
    assert_eq!(
        [meta.parquet.sha256, meta.index.sha256].map(|hash| hash.to_string()),
        [
            "93e1a41477a74001039944427e2befd2a489a30991a61efd87bf1ccfb857ef75",
            "02973ae30aa8afa30f2d024a2c196b7470e133d34eac6dbe6b83581e0e5984c2",
        ]
    );
}
