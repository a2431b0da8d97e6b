//! Parts whose files were harmed: every question is answered as by the sound part, or with the harm.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use chronos_domain::xxh64::xxh64;
use chronos_domain::{EventId, ForkId, PartitionId, Position, Space, Timestamp, Version};
use chronos_env::Disk;
use chronos_env::sim::SimDisk;
use chronos_parts::{Cache, Fault, Part, PartMeta, Scan};

use super::support::commands::{ENTITIES, FORKS, TENANTS, entity};
use super::support::said;
use super::{Target, history};
use crate::harm::{self, Harm};
use crate::input::{Input, joined};

pub(super) static TARGET: Target = Target {
    input_bytes_max: 1024,
    memory_bytes_max: 64 << 20,
    tried_by_test: 600,
    ..Target::new(
        "part",
        "a part that was harmed answers as the sound one, or says that it is corrupt",
        run,
        seeds,
    )
};

const DIR: &str = "/data/node/parts/p00";

fn partition() -> PartitionId {
    PartitionId::new(0).expect("below 32")
}

fn metas() -> &'static [PartMeta] {
    &history::history().manifests[0].parts
}

/// The same parts on a disk that nobody harms.
fn sound() -> &'static [Part] {
    static SOUND: OnceLock<Vec<Part>> = OnceLock::new();
    SOUND.get_or_init(|| {
        let disk: Arc<dyn Disk> = Arc::new(history::history().disk.fork(1));
        let open = |meta: &PartMeta| open(disk.clone(), meta.clone()).expect("what was written is opened");
        metas().iter().map(open).collect()
    })
}

fn open(disk: Arc<dyn Disk>, meta: PartMeta) -> Result<Part, Fault> {
    Part::open(disk, Path::new(DIR), meta, partition(), &Cache::new(0))
}

/// An input is harm, whether the manifest is made to fit it, and questions.
fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let at = input.below(metas().len());
    let (meta, sound) = (&metas()[at], &sound()[at]);
    let disk = history::history().disk.fork(1);
    let files = [meta.parquet_name(), meta.index_name()].map(|name| Path::new(DIR).join(name));
    let files = files.map(|path| (path.clone(), read(&disk, &path).len() as u64));
    let is_believed = input.one_in(4);
    let harms: Vec<Harm> = (0..input.below(4)).map(|_| harm::inflict(&disk, &files, &mut input)).collect();
    let meta = if is_believed { vouching(&disk, meta, &files) } else { meta.clone() };
    let part = open(Arc::new(disk.clone()), meta);
    let is_sound = harms.iter().all(|harm| *harm == Harm::None);
    let Ok(part) = part.inspect_err(|fault| assert_harm(is_sound, fault)) else { return };
    for _ in 0..8 {
        let question = Question::read(&mut input, sound);
        match question.ask(&part) {
            // Whoever makes a manifest fit the harm has made another part.
            Ok(answer) if !is_believed => {
                let wanted = question.ask(sound).expect("the sound part answers");
                assert_eq!(answer, wanted, "{question:?}");
            }
            Ok(_) => {}
            Err(fault) => assert_harm(is_sound, &fault),
        }
    }
    if !is_believed
        && harms.len() == 1
        && files.iter().any(|(path, _)| read(&disk, path) != read(&history::history().disk, path))
    {
        assert!(part.verify(&mut |_| ()).is_err(), "a complete pass over a harmed part finds nothing");
    }
}

fn assert_harm(is_sound: bool, fault: &Fault) {
    assert!(!is_sound, "a sound part is called {fault}");
}

/// A whole file; nothing where there is none.
fn read(disk: &SimDisk, path: &Path) -> Vec<u8> {
    disk.read_file(path).unwrap_or_default()
}

/// The same metadata, but that it vouches for the index as it is: what lies behind its checksum is reached.
fn vouching(disk: &SimDisk, meta: &PartMeta, files: &[(PathBuf, u64); 2]) -> PartMeta {
    let mut meta = meta.clone();
    let [parquet, index] = files.each_ref().map(|(path, _)| read(disk, path));
    meta.parquet.bytes = parquet.len() as u64;
    meta.index.bytes = index.len() as u64;
    let tail = index.get(meta.index_tail.offset as usize..).unwrap_or_default();
    meta.index_tail.xxh64 = xxh64(tail, 0);
    meta
}

/// What readers ask of a part.
#[derive(Clone, Debug)]
enum Question {
    Rows(Vec<Position>),
    Find(Space<'static>, EventId),
    Entity(Space<'static>, u8),
    Numbers(Position),
    BoundAt(Timestamp),
    Chain(Position),
    Scan,
    Counts,
}

impl Question {
    fn read(input: &mut Input<'_>, sound: &Part) -> Question {
        let meta = sound.meta();
        let position = |input: &mut Input<'_>| {
            Position::new(meta.first.get() + input.below(meta.rows() as usize) as u64)
        };
        let space = |input: &mut Input<'_>| Space {
            tenant: TENANTS[input.below(TENANTS.len())],
            fork: ForkId::new(input.below(FORKS as usize) as u64),
        };
        match input.below(8) {
            0 => {
                let mut positions: Vec<_> = (0..=input.below(4)).map(|_| position(input)).collect();
                positions.sort_unstable();
                positions.dedup();
                Question::Rows(positions)
            }
            1 => Question::Find(space(input), EventId::from_u128(input.below(60) as u128)),
            2 => Question::Entity(space(input), input.u8() % (ENTITIES + 1)),
            3 => Question::Numbers(position(input)),
            4 => Question::BoundAt(Timestamp::new(input.below(200) as i64)),
            5 => Question::Chain(position(input)),
            6 => Question::Scan,
            _ => Question::Counts,
        }
    }

    /// The answer as a text: what is told apart in it is what readers see.
    fn ask(&self, part: &Part) -> Result<String, Fault> {
        Ok(match self {
            Question::Rows(positions) => {
                let rows = part.rows(positions)?;
                rows.iter()
                    .map(|row| format!("{} {} {}\n", row.position, row.version, said(row.event())))
                    .collect()
            }
            Question::Find(space, id) => format!("{:?}", part.find(*space, *id)?),
            Question::Entity(space, n) => {
                let name = entity(*n);
                let versions = part.versions(*space, name.as_str())?;
                let whole = versions.clone().unwrap_or(Version::new(1)..=Version::new(1));
                let positions = part.positions(*space, name.as_str(), whole)?;
                format!("{versions:?} {positions:?}")
            }
            Question::Numbers(position) => format!("{:?}", part.numbers_at(*position)?),
            Question::BoundAt(moment) => format!("{:?}", part.bound_at(*moment)?),
            Question::Chain(position) => format!("{:?}", part.chain_at(*position)?),
            Question::Scan => {
                let batches = part.scan(Scan::whole())?.collect::<Result<Vec<_>, _>>()?;
                format!("{batches:?}")
            }
            Question::Counts => format!("{:?}", part.counts()?),
        })
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let questions: Vec<u8> = (0..8u8).flat_map(|kind| [kind, 1, 2, 3]).collect();
    let harmed = |believed: u8, kind: u8, file: u8, at: u32| {
        joined(&[&[0, believed, 1, kind, file], at.to_le_bytes().as_slice(), &[1], &questions])
    };
    let mut seeds =
        vec![joined(&[&[0, 0, 0], questions.as_slice()]), joined(&[&[1, 0, 0], questions.as_slice()])];
    for (believed, kind) in [(0, 0), (0, 3), (0, 4), (0, 5), (0, 6), (0, 7), (3, 0), (3, 5), (3, 7)] {
        seeds.extend(
            [(0, 40), (0, 3000), (1, 40), (1, 900)].map(|(file, at)| harmed(believed, kind, file, at)),
        );
    }
    seeds
}
