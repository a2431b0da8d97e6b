//! The directory side: what is kept, what is fetched, and what a crash at any point leaves.

use std::path::{Path, PathBuf};

use chronos_domain::{LogIndex, PartitionId, Position, Timestamp, Version};
use chronos_env::sim::World;
use chronos_env::{Disk, Env, OpenMode};
use chronos_parts::{FileMeta, IndexTail, Manifest, PartMeta};
use chronos_proof::{Frontier, Hash, chain_start};
use sha2::{Digest as _, Sha256};

use super::*;

const CLUSTER: u128 = 77;

fn dir() -> PathBuf {
    PathBuf::from("/backup")
}

/// What file `name` of the node holds.
fn content(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(3_000 + name.len()).collect()
}

fn meta(name: &str) -> FileMeta {
    let bytes = content(name);
    FileMeta { bytes: bytes.len() as u64, sha256: Hash(Sha256::digest(&bytes).into()) }
}

/// A part as the manifest names it. Its content is no Parquet: the directory does not look into files.
fn part(partition: PartitionId, first: u64, last: u64, cut: u64, salt: &str) -> PartMeta {
    let name = |end| format!("{partition}-{first}-{last}-{cut}{salt}.{end}");
    PartMeta {
        first: Position::new(first),
        last: Position::new(last),
        cut,
        level: 0,
        raw_bytes: 1,
        erased: 0,
        parquet: meta(&name("parquet")),
        index: meta(&name("index")),
        recorded: (Timestamp::new(1), Timestamp::new(2)),
        chain_before: chain_start(partition),
        chain_after: chain_start(partition),
        index_tail: IndexTail { offset: 0, xxh64: 0 },
    }
}

fn manifest(partition: PartitionId, parts: Vec<PartMeta>) -> Manifest {
    let mut manifest = Manifest::start(CLUSTER, partition);
    if let Some(last) = parts.last() {
        manifest.cut = last.cut;
        manifest.sequence = last.cut;
        manifest.applied = LogIndex::new(last.cut * 10);
        manifest.compacted = last.last;
        manifest.frontier = Frontier::new();
        (0..last.last.get()).for_each(|_| manifest.frontier.push(Hash([0; 32])));
    }
    manifest.parts = parts;
    manifest
}

fn p(number: u8) -> PartitionId {
    PartitionId::new(number).unwrap()
}

/// A listing in which only partitions 3 and 9 hold anything.
fn listing(three: Vec<PartMeta>, nine: Vec<PartMeta>) -> Listing {
    let manifests = PartitionId::all().map(|id| match id.get() {
        3 => manifest(id, three.clone()),
        9 => manifest(id, nine.clone()),
        _ => manifest(id, Vec::new()),
    });
    Listing::new("0.1.0", CLUSTER, Timestamp::new(1_000), manifests.collect())
}

fn first() -> Listing {
    listing(vec![part(p(3), 1, 8, 1, "")], vec![part(p(9), 1, 5, 1, "")])
}

/// Partition 3 has grown; the parts of partition 9 have been merged into one.
fn second() -> Listing {
    let three = vec![part(p(3), 1, 8, 1, ""), part(p(3), 9, 12, 2, "")];
    listing(three, vec![part(p(9), 1, 9, 2, "")])
}

/// The bytes of a file, found by its hash among all that the two states name.
fn bytes_of(file: &NamedFile) -> Vec<u8> {
    let (stem, end) = file.name.split_once('.').unwrap();
    let mut numbers = stem.split('-').map(|number| number.parse::<u64>().unwrap());
    let [first, last, cut] = [(); 3].map(|()| numbers.next().unwrap());
    let bytes = content(&format!("{}-{first}-{last}-{cut}.{end}", file.partition));
    assert_eq!(file.meta.bytes, bytes.len() as u64);
    bytes
}

/// One run of a backup; returns how many bytes were received.
fn back_up(env: &Env, next: &Listing) -> Result<(Plan, u64), Error> {
    let mut backup = BackupDir::open(env, &dir(), &mut |_| {})?;
    let plan = backup.plan(next)?;
    let mut received = 0;
    for file in &plan.missing {
        loop {
            let mut incoming = backup.receive(file)?;
            let bytes = bytes_of(file);
            for piece in bytes[usize::try_from(incoming.offset()).unwrap()..].chunks(1_000) {
                incoming.write(piece)?;
                received += piece.len() as u64;
            }
            if backup.finish(file, incoming)? == Arrival::Whole {
                break;
            }
        }
    }
    backup.commit(next.clone())?;
    Ok((plan, received))
}

/// Every file of the backup that stands is here, byte for byte; returns the names of all files here.
fn check_standing(disk: &dyn Disk) -> Listing {
    let listing = dir::read(disk, &dir()).unwrap().expect("a finished backup stands");
    for file in listing.files() {
        assert_eq!(disk.read_file(&file.path(&dir())).unwrap(), bytes_of(&file), "{}", file.name);
    }
    listing
}

fn overwrite(env: &Env, path: &Path, bytes: &[u8]) {
    let file = env.disk.open(path, OpenMode::ReadWrite).unwrap();
    file.truncate(0).unwrap();
    file.write_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
}

#[test]
fn a_listing_goes_through_its_bytes_and_back() {
    let mut listing = second();
    let mut tombstoned = listing.manifests()[3].clone();
    let space = ("default", "order-7");
    tombstoned.tombstones.insert(
        &chronos_domain::TenantId::parse(space.0).unwrap(),
        chronos_domain::ForkId::MAIN,
        &chronos_domain::EntityId::parse(space.1).unwrap(),
        Version::new(2),
    );
    let manifests = listing.manifests().iter().cloned();
    let manifests = manifests.map(|m| if m.partition == p(3) { tombstoned.clone() } else { m });
    listing = Listing::new("0.1.0", CLUSTER, Timestamp::new(-5), manifests.collect());
    assert_eq!(Listing::decode(&listing.encode(), Path::new("/b")).unwrap(), listing);
    assert_eq!((listing.events(), listing.files().count()), (12 + 9, 6));
    assert_eq!(listing.token().get(p(3)), Position::new(12));
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_listing_is_seen() {
    let bytes = first().encode().to_vec();
    for len in 0..bytes.len() {
        assert!(Listing::decode(&bytes[..len], Path::new("/b")).is_err(), "cut to {len} bytes");
    }
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = Listing::decode(&bytes, Path::new("/b")).expect_err("a bit was flipped");
        assert!(matches!(error, Error::Damaged { .. }), "bit {bit}: {error}");
    }
}

#[test]
fn a_listing_of_a_later_format_is_named() {
    let mut bytes = first().encode().to_vec();
    bytes[8] = 2;
    let end = bytes.len() - 8;
    let sum = chronos_domain::xxh64::xxh64(&bytes[..end], 0);
    bytes[end..].copy_from_slice(&sum.to_le_bytes());
    let error = Listing::decode(&bytes, Path::new("/b")).unwrap_err();
    assert!(matches!(error, Error::Newer { found: 2, .. }), "{error}");
}

#[test]
fn a_second_backup_fetches_only_what_is_new_and_drops_what_is_no_longer_named() {
    let env = World::new(1).env();
    let (plan, _) = back_up(&env, &first()).unwrap();
    assert_eq!((plan.missing.len(), plan.kept_files), (4, 0));
    let (plan, received) = back_up(&env, &second()).unwrap();
    assert_eq!((plan.missing.len(), plan.kept_files), (4, 2));
    assert_eq!(received, plan.missing.iter().map(|file| file.meta.bytes).sum::<u64>());
    assert_eq!(check_standing(env.disk.as_ref()), second());
    let nine = env.disk.list(&dir().join("parts/p09")).unwrap();
    assert_eq!(nine.len(), 2, "the parts before the merge are gone");
    let (plan, received) = back_up(&env, &second()).unwrap();
    assert_eq!((plan.missing.len(), received), (0, 0));
}

#[test]
fn a_run_that_dies_at_any_point_leaves_the_backup_before_and_the_next_one_goes_on() {
    let clean = {
        let env = World::new(2).env();
        back_up(&env, &first()).unwrap();
        back_up(&env, &second()).unwrap();
        env.crash.hits()
    };
    for point in CRASH_POINTS {
        let hits = clean[point];
        assert!(hits > 0, "{point} is never passed");
        for nth in 1..=hits {
            let world = World::new(nth);
            let env = world.env();
            world.arm_crash(point, nth);
            let died = back_up(&env, &first()).and_then(|_| back_up(&env, &second())).is_err();
            assert!(died || nth == hits, "{point}:{nth} did not cut the run short");
            world.disk().power_on();
            let env = world.env();
            if dir::read(env.disk.as_ref(), &dir()).unwrap().is_some() {
                check_standing(env.disk.as_ref());
            }
            back_up(&env, &second()).unwrap();
            assert_eq!(check_standing(env.disk.as_ref()), second(), "{point}:{nth}");
            let left: usize =
                ["parts/p03", "parts/p09"].iter().map(|p| env.disk.list(&dir().join(p)).unwrap().len()).sum();
            assert_eq!(left, 6, "{point}:{nth} left files behind");
        }
    }
}

#[test]
fn what_an_earlier_run_left_is_gone_on_with_and_never_trusted() {
    let env = World::new(3).env();
    let next = first();
    let file = next.files().next().unwrap();
    let partial = dir().join("parts/p03").join(format!("{}.partial", file.name));
    let whole = bytes_of(&file);

    let backup = BackupDir::open(&env, &dir(), &mut |_| {}).unwrap();
    let mut incoming = backup.receive(&file).unwrap();
    incoming.write(&whole[..2_000]).unwrap();
    drop((incoming, backup));
    let (plan, received) = back_up(&env, &next).unwrap();
    let all: u64 = plan.missing.iter().map(|file| file.meta.bytes).sum();
    assert_eq!(received, all - 2_000, "what was here is not received again");

    for spoiled in [vec![0; 2_000], vec![0; whole.len()], vec![0; whole.len() + 1]] {
        env.disk.remove(&file.path(&dir())).unwrap();
        env.disk.write_atomic(&partial, &spoiled).unwrap();
        back_up(&env, &next).unwrap();
        check_standing(env.disk.as_ref());
        assert!(!env.disk.exists(&partial).unwrap());
    }
}

#[test]
fn a_file_that_has_rotted_in_the_backup_is_fetched_again() {
    let env = World::new(4).env();
    back_up(&env, &first()).unwrap();
    let file = first().files().nth(1).unwrap();
    let mut bytes = bytes_of(&file);
    bytes[70] ^= 1;
    overwrite(&env, &file.path(&dir()), &bytes);
    let (plan, _) = back_up(&env, &first()).unwrap();
    assert_eq!(plan.missing, [file]);
    check_standing(env.disk.as_ref());
}

#[test]
fn a_file_that_does_not_arrive_as_announced_is_refused() {
    let env = World::new(5).env();
    let file = first().files().next().unwrap();
    let mut backup = BackupDir::open(&env, &dir(), &mut |_| {}).unwrap();
    let mut incoming = backup.receive(&file).unwrap();
    incoming.write(&vec![1; usize::try_from(file.meta.bytes).unwrap()]).unwrap();
    let error = backup.finish(&file, incoming).unwrap_err();
    assert!(error.to_string().contains(&file.name), "{error}");
    let mut incoming = backup.receive(&file).unwrap();
    assert_eq!(incoming.offset(), 0);
    assert!(incoming.write(&vec![1; usize::try_from(file.meta.bytes).unwrap() + 1]).is_err());
}

#[test]
fn a_backup_of_another_cluster_or_another_history_is_not_replaced() {
    let env = World::new(6).env();
    back_up(&env, &second()).unwrap();
    let manifests = PartitionId::all().map(|id| Manifest::start(CLUSTER + 1, id)).collect();
    let other = Listing::new("0.1.0", CLUSTER + 1, Timestamp::new(1), manifests);
    assert!(matches!(back_up(&env, &other), Err(Error::OtherCluster { .. })));
    assert!(matches!(back_up(&env, &first()), Err(Error::OtherHistory { .. })), "it would lose four events");
    let three = vec![part(p(3), 1, 8, 1, "!"), part(p(3), 9, 12, 2, "")];
    let diverged = listing(three, vec![part(p(9), 1, 9, 2, "")]);
    assert!(matches!(back_up(&env, &diverged), Err(Error::OtherHistory { .. })), "a part of the same name");
    assert_eq!(check_standing(env.disk.as_ref()), second());
}

#[test]
fn a_directory_that_is_no_backup_is_left_alone() {
    let env = World::new(7).env();
    env.disk.create_dir_all(&dir()).unwrap();
    env.disk.write_atomic(&dir().join("IDENTITY"), b"a node's").unwrap();
    assert!(matches!(back_up(&env, &first()), Err(Error::Foreign { .. })));
    assert_eq!(env.disk.list(&dir()).unwrap().len(), 1);
}

#[test]
fn two_runs_never_work_in_one_directory() {
    let env = World::new(8).env();
    let _first = BackupDir::open(&env, &dir(), &mut |_| {}).unwrap();
    assert!(matches!(BackupDir::open(&env, &dir(), &mut |_| {}), Err(Error::InUse { .. })));
}

#[test]
#[should_panic(expected = "is named by the backup and is not in it")]
fn a_listing_is_never_written_before_its_files() {
    let env = World::new(9).env();
    let mut backup = BackupDir::open(&env, &dir(), &mut |_| {}).unwrap();
    let _ = backup.commit(first());
}
