//! Whatever happens to the files of a part is found, named, and never served.

use std::path::{Path, PathBuf};

use chronos_block::Recorded;
use chronos_env::sim::{SimDisk, World};

use super::history::{self, DIR, all_facts, history, partition, positions, seed, write, write_cut};
use crate::write::Bounds;
use crate::{Cache, Fault, Part, PartMeta};

const GROUPS: Bounds = Bounds { rows: 40, bytes: 1 << 20, page_bytes: 1000 };

struct Case {
    world: World,
    meta: PartMeta,
    facts: Vec<String>,
}

impl Case {
    fn new(events: &[Recorded]) -> Case {
        let world = World::new(1);
        let meta = write(&world.env(), events, 64, GROUPS);
        Case { world, meta, facts: all_facts(events) }
    }

    fn files(&self) -> [(PathBuf, u64); 2] {
        let file = |name: String, bytes| (Path::new(DIR).join(name), bytes);
        [
            file(self.meta.parquet_name(), self.meta.parquet.bytes),
            file(self.meta.index_name(), self.meta.index.bytes),
        ]
    }

    fn disk(&self) -> SimDisk {
        self.world.disk()
    }

    fn open(&self) -> Result<Part, Fault> {
        let disk = self.world.env().disk;
        Part::open(disk, Path::new(DIR), self.meta.clone(), partition(), &Cache::new(0))
    }

    /// The damage is found by a complete pass, in the file that has it, and reads give the truth or a fault.
    fn assert_found(&self, damaged: &Path, what: &str) {
        let found = self.open().and_then(|part| part.verify(&mut |_| ()));
        match found {
            Err(Fault::Corrupt { file, .. }) => assert_eq!(file, damaged, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
        self.assert_never_served(what);
    }

    fn assert_never_served(&self, what: &str) {
        let Ok(part) = self.open() else { return };
        for (position, fact) in positions(&self.meta).into_iter().zip(&self.facts).step_by(17) {
            match part.rows(&[position]) {
                Ok(read) => assert_eq!(&all_facts(&read)[0], fact, "{what}"),
                Err(Fault::Corrupt { .. }) => (),
                Err(other) => panic!("{what}: {other}"),
            }
        }
    }
}

/// Ten bytes make a reader of parquet files ask for more memory than there is (arrow-rs #9874).
#[test]
fn t_37_every_flipped_bit_is_found_and_never_served() {
    let case = Case::new(&history::sampler(120));
    for (path, bytes) in case.files() {
        for sample in 0..150 {
            let (byte, bit) = (sample * bytes / 150, (sample % 8) as u8);
            case.disk().flip_bit(&path, byte, bit).unwrap();
            case.assert_found(&path, &format!("bit {bit} of byte {byte} of {}", path.display()));
            case.disk().flip_bit(&path, byte, bit).unwrap();
        }
    }
    case.open().unwrap().verify(&mut |_| ()).unwrap();
}

#[test]
fn a_file_cut_short_or_gone_is_found() {
    let events = history::sampler(120);
    for file in 0..2 {
        for left in [0, 1, 7, 1000] {
            let case = Case::new(&events);
            let (path, bytes) = case.files()[file].clone();
            case.disk().damage_truncate(&path, if left == 7 { bytes - 1 } else { left }).unwrap();
            case.assert_found(&path, "cut short");
        }
        let case = Case::new(&events);
        let (path, _) = case.files()[file].clone();
        case.disk().damage_remove(&path).unwrap();
        case.assert_found(&path, "gone");
    }
}

#[test]
fn parts_of_equal_length_that_were_exchanged_are_found() {
    let case = Case::new(&noise(1));
    let other = write_cut(&case.world.env(), &noise(2), 64, GROUPS, 4);
    assert_eq!((other.parquet.bytes, other.index.bytes), (case.meta.parquet.bytes, case.meta.index.bytes));
    for ((path, _), name) in case.files().into_iter().zip([other.parquet_name(), other.index_name()]) {
        case.disk().swap(&path, &Path::new(DIR).join(&name)).unwrap();
        case.assert_found(&path, "exchanged");
        case.disk().swap(&path, &Path::new(DIR).join(&name)).unwrap();
    }
    case.open().unwrap().verify(&mut |_| ()).unwrap();
}

/// Events that differ in nothing but bytes which do not compress.
fn noise(number: u64) -> Vec<Recorded> {
    let mut state = number;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u8
    };
    let seeds: Vec<_> = (0..60).map(|_| seed((0..100).map(|_| byte()).collect())).collect();
    history(1, &seeds)
}

#[test]
fn a_manifest_that_says_something_else_of_a_good_part_is_found() {
    let case = Case::new(&history::sampler(120));
    let changes: [fn(&mut PartMeta); 5] = [
        |meta| meta.raw_bytes += 1,
        |meta| meta.erased += 1,
        |meta| meta.recorded.1 = meta.recorded.0,
        |meta| meta.chain_after = meta.chain_before,
        |meta| meta.parquet.sha256 = meta.index.sha256,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut meta = case.meta.clone();
        change(&mut meta);
        let disk = case.world.env().disk;
        let part = Part::open(disk, Path::new(DIR), meta, partition(), &Cache::new(0));
        let found = part.and_then(|part| part.verify(&mut |_| ()));
        assert!(matches!(found, Err(Fault::Corrupt { .. })), "change {number}: {found:?}");
    }
}
