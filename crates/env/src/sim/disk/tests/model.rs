//! Random scripts on the simulated disk against the plainest model of a disk there is.
//!
//! The model keeps, per file, the present bytes, the synced bytes, and every value each sector had in between: what
//! a power cut may leave follows from these by the contract alone, without knowing how the disk decides.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::sim::World;

const NAMES: u8 = 4;

#[derive(Clone, Debug)]
enum Step {
    Write { file: u8, offset: u16, len: u16, fill: u8 },
    Truncate { file: u8, len: u16 },
    Sync { file: u8 },
    Rename { from: u8, to: u8 },
    Remove { file: u8 },
    SyncDir,
}

fn step() -> impl Strategy<Value = Step> {
    let file = 0..NAMES;
    prop_oneof![
        6 => (file.clone(), 0..10_000u16, 0..6000u16, 1..=255u8)
            .prop_map(|(file, offset, len, fill)| Step::Write { file, offset, len, fill }),
        2 => (file.clone(), 0..12_000u16).prop_map(|(file, len)| Step::Truncate { file, len }),
        2 => file.clone().prop_map(|file| Step::Sync { file }),
        1 => (file.clone(), file.clone()).prop_map(|(from, to)| Step::Rename { from, to }),
        1 => file.prop_map(|file| Step::Remove { file }),
        1 => Just(Step::SyncDir),
    ]
}

fn name(file: u8) -> PathBuf {
    at(&format!("file-{file}"))
}

#[derive(Clone, Debug, Default)]
struct Plain {
    live: Vec<u8>,
    synced: Vec<u8>,
    /// Every content since the last sync.
    since: Vec<Vec<u8>>,
}

impl Plain {
    fn changed(&mut self) {
        self.since.push(self.live.clone());
    }

    fn sync(&mut self) {
        self.synced = self.live.clone();
        self.since.clear();
    }

    /// Whether a power cut may leave `found`.
    fn allows(&self, found: &[u8]) -> Result<(), String> {
        let states = || std::iter::once(&self.synced).chain(&self.since);
        if states().all(|state| state.len() != found.len()) {
            return Err(format!("it was never {} bytes long", found.len()));
        }
        for (number, sector) in found.chunks(SECTOR_BYTES).enumerate() {
            let from = number * SECTOR_BYTES;
            // A sector that a state does not reach is zero in it.
            let value = |state: &Vec<u8>| -> Vec<u8> {
                (from..from + sector.len()).map(|byte| state.get(byte).copied().unwrap_or(0)).collect()
            };
            // The length may have been cut inside a sector, or have grown over one: zeros from there on.
            let fits = |value: Vec<u8>| {
                let same = value.iter().zip(sector).take_while(|(a, b)| a == b).count();
                sector[same..].iter().all(|byte| *byte == 0)
            };
            if !states().map(value).any(fits) {
                return Err(format!("sector {number} was never like that"));
            }
        }
        Ok(())
    }
}

/// Plays a script on both; the model is returned.
fn play(disk: &SimDisk, steps: &[Step]) -> BTreeMap<PathBuf, Plain> {
    let mut model = BTreeMap::<PathBuf, Plain>::new();
    for step in steps {
        match *step {
            Step::Write { file, offset, len, fill } => {
                let bytes: Vec<u8> = (0..len).map(|i| fill.wrapping_add((i / 512) as u8)).collect();
                open_or_create(disk, &name(file)).write_at(&bytes, u64::from(offset)).unwrap();
                let plain = model.entry(name(file)).or_default();
                let (from, to) = (usize::from(offset), usize::from(offset) + bytes.len());
                if !bytes.is_empty() {
                    plain.live.resize(plain.live.len().max(to), 0);
                    plain.live[from..to].copy_from_slice(&bytes);
                }
                plain.changed();
            }
            Step::Truncate { file, len } => {
                open_or_create(disk, &name(file)).truncate(u64::from(len)).unwrap();
                let plain = model.entry(name(file)).or_default();
                plain.live.resize(usize::from(len), 0);
                plain.changed();
            }
            Step::Sync { file } => {
                open_or_create(disk, &name(file)).sync_data().unwrap();
                model.entry(name(file)).or_default().sync();
            }
            Step::Rename { from, to } => {
                let moved = disk.rename(&name(from), &name(to));
                assert_eq!(moved.is_ok(), model.contains_key(&name(from)));
                if let Some(plain) = model.remove(&name(from)) {
                    model.insert(name(to), plain);
                }
            }
            Step::Remove { file } => {
                assert_eq!(disk.remove(&name(file)).is_ok(), model.remove(&name(file)).is_some());
            }
            Step::SyncDir => disk.sync_dir(Path::new(DIR)).unwrap(),
        }
    }
    model
}

fn open_or_create(disk: &SimDisk, path: &Path) -> Arc<dyn File> {
    let mode = if disk.exists(path).unwrap() { OpenMode::ReadWrite } else { OpenMode::CreateNew };
    disk.open(path, mode).unwrap()
}

fn contents(model: BTreeMap<PathBuf, Plain>) -> BTreeMap<PathBuf, Vec<u8>> {
    model.into_iter().map(|(path, plain)| (path, plain.live)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_faults_it_is_a_plain_disk(steps in prop::collection::vec(step(), 0..60), seed: u64) {
        let disk = disk(seed);
        let model = play(&disk, &steps);
        prop_assert!(disk.snapshot() == contents(model), "the disk and the model differ");
    }

    #[test]
    fn what_is_synced_at_the_end_is_there_exactly(steps in prop::collection::vec(step(), 0..60), seed: u64) {
        let disk = disk(seed);
        let model = play(&disk, &steps);
        for path in model.keys() {
            open_or_create(&disk, path).sync_data().unwrap();
        }
        disk.sync_dir(Path::new(DIR)).unwrap();
        let promised = disk.durable_snapshot();
        power_cycle(&disk);
        let found = disk.snapshot();
        prop_assert!(found == contents(model), "synced content changed over a power cut");
        prop_assert!(found == promised, "the durable snapshot promised something else");
    }

    #[test]
    fn un_synced_sectors_are_old_or_newer(steps in prop::collection::vec(step(), 0..40), seed: u64) {
        let disk = disk(seed);
        // Names are made durable at the end, so that each file can be found and its content judged.
        let model = play(&disk, &steps);
        disk.sync_dir(Path::new(DIR)).unwrap();
        power_cycle(&disk);
        let found = disk.snapshot();
        prop_assert_eq!(found.keys().collect::<Vec<_>>(), model.keys().collect::<Vec<_>>());
        for (path, plain) in &model {
            let verdict = plain.allows(&found[path]);
            prop_assert!(verdict.is_ok(), "{}: {}", path.display(), verdict.unwrap_err());
        }
    }

    #[test]
    fn no_name_is_found_that_never_was(steps in prop::collection::vec(step(), 0..60), seed: u64) {
        let disk = disk(seed);
        play(&disk, &steps);
        power_cycle(&disk);
        let found = disk.snapshot();
        prop_assert!(found.keys().all(|path| (0..NAMES).any(|file| *path == name(file))));
        // And the disk works on: the same script from here ends in the same state as on any disk.
        let left: BTreeSet<_> = found.into_keys().collect();
        for path in left {
            disk.remove(&path).unwrap();
        }
        let model = play(&disk, &steps);
        prop_assert!(disk.snapshot() == contents(model), "the disk and the model differ after a power cut");
    }

    #[test]
    fn the_same_seed_and_script_leave_the_same_trace(steps in prop::collection::vec(step(), 1..40), seed: u64) {
        let run = |seed| {
            let world = World::new(seed);
            world.disk().create_dir_all(Path::new(DIR)).unwrap();
            play(&world.disk(), &steps);
            power_cycle(&world.disk());
            (world.trace().hash(), world.disk().snapshot())
        };
        let (first, again, other) = (run(seed), run(seed), run(seed ^ 1));
        prop_assert_eq!(first.0, again.0);
        prop_assert!(first.1 == again.1, "the same seed left different survivors");
        prop_assert_ne!(first.0, other.0);
    }
}
