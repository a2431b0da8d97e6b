//! Bits flip, files are cut and lost: what a partition serves is right, or it refuses to serve.

#![allow(clippy::unwrap_used, reason = "a test says what must not fail by unwrapping it")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronos_domain::Position;
use chronos_env::Env;
use chronos_env::sim::{SimDisk, World};
use chronos_store::{Fault, Partition, Report};
use proptest::prelude::*;
use support::commands::sample;
use support::node::{Node, USED, data_dir};
use support::oracle::Oracle;
use support::run::Run;

/// A node that was closed in order, and what it holds.
struct Closed {
    world: World,
    run: Run,
}

fn closed() -> Closed {
    let world = World::new(3);
    let mut run = Run::new();
    world.run(async {
        let node = Node::open(&world.env(), 0).unwrap();
        for (n, wishes) in sample(180).chunks(2).enumerate() {
            run.entry(&node, n % USED.len(), wishes).await;
        }
        // One partition in parts and partly purged, one in parts and in the log, one in the log only.
        node.compact(0, 3, true).await.unwrap();
        node.compact(1, usize::MAX, false).await.unwrap();
        node.close().await;
    });
    Closed { world, run }
}

impl Closed {
    /// The same node on a copy of its disk.
    fn copy(&self) -> (Env, SimDisk) {
        let disk = self.world.disk().fork(1);
        (Env { disk: Arc::new(disk.clone()), ..self.world.env() }, disk)
    }

    /// Files with data in them, and how many bytes. A file that never got its name holds none.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        let unnamed = |file: &Path| file.extension().is_some_and(|ending| ending == "tmp");
        self.world.disk().files().into_iter().filter(|(file, len)| *len > 0 && !unnamed(file)).collect()
    }

    fn verify(&self, env: &Env) -> Report {
        chronos_store::verify(&env.disk, &data_dir()).unwrap()
    }

    /// After damage to `file`: each partition gives back every event, or is refused; and where anything is refused,
    /// the check has named the file.
    fn judge(&self, env: &Env, file: &Path) {
        let report = self.verify(env);
        let named = report.damages.iter().any(|damage| {
            // A file that is gone is named by what should hold it.
            file.starts_with(&damage.file) && damage.file.starts_with(data_dir())
        });
        let node = self.world.run(async { Node::open(env, 0) });
        let node = match node {
            Ok(node) => node,
            Err(refusal) => {
                assert!(named, "{refusal}, but verify finds {:?}", report.damages);
                return;
            }
        };
        for (at, oracle) in self.run.oracles.iter().enumerate() {
            let refused = match &node.partitions[at] {
                Ok(partition) => self.read_all(oracle, partition),
                Err(fault) => Some(fault.clone()),
            };
            match refused {
                None => {}
                Some(Fault::Corrupt(what)) => {
                    let (file, found) = (file.display(), &report.damages);
                    assert!(named, "{what}, but verify of damaged {file} finds {found:?}");
                }
                Some(other) => panic!("partition {} is refused for another reason: {other}", USED[at]),
            }
        }
    }

    /// Every event is given back as it was, or refused; returns why, if one is.
    fn read_all(&self, oracle: &Oracle, partition: &Partition) -> Option<Fault> {
        assert_eq!(partition.head(), oracle.head());
        let mut refused = None;
        for position in (1..=oracle.head().get()).map(Position::new) {
            match partition.at(position) {
                Ok(read) => oracle.check_event(position, read),
                Err(fault) => refused = Some(fault),
            }
        }
        refused
    }
}

#[test]
fn an_undamaged_directory_is_clean_and_counted_right() {
    let closed = closed();
    let (env, _) = closed.copy();
    let before = closed.world.disk().snapshot();
    let report = closed.verify(&closed.world.env());
    assert!(report.is_clean(), "{:?}", report.damages);
    assert!(report.torn_tails.is_empty());
    assert_eq!(report.partitions.len(), USED.len());
    for (partition, oracle) in report.partitions.iter().zip(&closed.run.oracles) {
        assert_eq!((partition.head, partition.whole, partition.entries), (oracle.head(), true, 30));
    }
    assert!(report.frames >= 90);
    assert_eq!(closed.world.disk().snapshot(), before, "verify has written");
    closed.judge(&env, Path::new("/data/node/none"));
}

#[test]
fn a_directory_in_use_is_not_verified() {
    let closed = closed();
    let world = &closed.world;
    world.run(async {
        let _node = Node::open(&world.env(), 0).unwrap();
        let refused = chronos_store::verify(&world.env().disk, &data_dir()).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock);
        assert!(refused.to_string().contains("stop it"), "{refused}");
    });
}

#[test]
fn every_lost_file_is_noticed() {
    let closed = closed();
    for (file, _) in closed.files() {
        let (env, disk) = closed.copy();
        disk.damage_remove(&file).unwrap();
        assert!(!closed.verify(&env).is_clean(), "{} is gone and nobody noticed", file.display());
        closed.judge(&env, &file);
    }
}

#[test]
fn two_files_of_parts_that_change_places_are_noticed() {
    let closed = closed();
    let files: Vec<PathBuf> = closed.files().into_iter().map(|(file, _)| file).collect();
    let parts: Vec<&PathBuf> = files.iter().filter(|file| file.starts_with("/data/node/parts")).collect();
    assert!(parts.len() > 8, "{parts:?}");
    for (n, one) in parts.iter().enumerate() {
        // The manifest and its twin say the same.
        let alike = |other: &&&PathBuf| {
            one.extension() == other.extension()
                && (one.extension().is_some() || one.parent() != other.parent())
        };
        let Some(other) = parts[n + 1..].iter().find(alike) else { continue };
        let (env, _) = closed.copy();
        let aside = one.with_extension("aside");
        for (from, to) in [(*one, &aside), (*other, *one), (&aside, *other)] {
            env.disk.rename(from, to).unwrap();
        }
        let report = closed.verify(&env);
        let named = |file: &PathBuf| report.damages.iter().any(|damage| damage.file == *file);
        assert!(named(one) || named(other), "{} and {}: {report:#?}", one.display(), other.display());
        closed.judge(&env, if named(one) { one } else { other });
    }
}

#[test]
fn a_manifest_of_old_is_noticed() {
    let closed = closed();
    for name in ["MANIFEST", "MANIFEST.previous"] {
        let (env, _) = closed.copy();
        let file = data_dir().join("parts/p00").join(name);
        let mut manifest = chronos_parts::Manifest::decode(&env.disk.read_file(&file).unwrap()).unwrap();
        manifest.sequence -= 2;
        env.disk.write_atomic(&file, &manifest.encode()).unwrap();
        let report = closed.verify(&env);
        assert!(report.damages.iter().any(|damage| damage.file == file), "{report:#?}");
    }
}

#[test]
fn the_log_of_another_cluster_is_no_substitute() {
    let closed = closed();
    let stranger = World::new(99);
    stranger.run(async { Node::open(&stranger.env(), 0).unwrap().close().await });
    let identity = data_dir().join("IDENTITY");
    let (env, _) = closed.copy();
    let theirs = stranger.env().disk.read_file(&identity).unwrap();
    env.disk.write_atomic(&identity, &theirs).unwrap();
    let report = closed.verify(&env);
    assert!(
        report.damages.iter().any(|damage| damage.what.contains("not of cluster")),
        "{:?}",
        report.damages
    );
    assert!(closed.world.run(async { Node::open(&env, 0) }).is_err());
}

#[test]
fn a_lost_log_is_noticed_as_a_whole() {
    let closed = closed();
    let (env, disk) = closed.copy();
    for (file, _) in disk.files() {
        if file.starts_with("/data/node/wal") {
            disk.damage_remove(&file).unwrap();
        }
    }
    assert!(!closed.verify(&env).is_clean());
    let refused = closed.world.run(async { Node::open(&env, 0).err() });
    assert!(
        refused.is_some_and(|refusal| refusal.contains("is missing or empty")),
        "it was taken for a new log"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1, ..ProptestConfig::default() })]

    /// One case with many damages: making the node costs more than judging it.
    #[test]
    fn a_flipped_bit_or_a_cut_file_never_changes_what_is_served(
        damages in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..8_u8, prop::bool::weighted(0.8)), 80,
        ),
    ) {
        let closed = closed();
        let files = closed.files();
        for (file, byte, bit, flip) in damages {
            let (path, len) = file.get(&files);
            let byte = byte.index(usize::try_from(*len).unwrap()) as u64;
            let (env, disk) = closed.copy();
            if flip {
                disk.flip_bit(path, byte, bit).unwrap();
            } else {
                disk.damage_truncate(path, byte).unwrap();
            }
            closed.judge(&env, path);
        }
    }
}

/// Where the frames of entries lie: file, first byte, and how many at least.
fn frames(closed: &Closed) -> Vec<(PathBuf, u64, u64)> {
    let mut frames = Vec::new();
    let disk = closed.world.env().disk;
    chronos_wal::verify(disk.as_ref(), &data_dir().join("wal"), &mut |_, entry, place| {
        frames.push((place.file.clone(), place.offset, 64 + entry.payload.len() as u64));
    })
    .unwrap();
    frames
}

/// Most stores cut their log at a damaged entry, and what was acknowledged behind it (FAST 2018).
#[test]
fn t_15_a_flipped_bit_in_any_byte_of_an_entry_is_found_by_start_and_by_verify() {
    let closed = closed();
    for (n, (path, start, len)) in (0_u64..).zip(frames(&closed)) {
        let offset = start + n * 7919 % len;
        let (env, disk) = closed.copy();
        disk.flip_bit(&path, offset, (n % 8) as u8).unwrap();
        let report = closed.verify(&env);
        let damage = report.damages.iter().find(|damage| damage.file == path && damage.offset <= offset);
        let damage = damage.unwrap_or_else(|| panic!("byte {offset} of {}: {report:?}", path.display()));
        let hurt: Vec<_> = report.partitions.iter().filter(|partition| !partition.whole).collect();
        assert_eq!(hurt.len(), 1, "{damage}");
        let told = report.damages.iter().filter(|damage| damage.partition == Some(hurt[0].partition));
        assert!(
            told.clone().count() > 0 && told.clone().all(|damage| damage.position == Some(hurt[0].head)),
            "{report:#?}"
        );
        let partitions = closed.world.run(async { Node::open(&env, 0).unwrap().partitions });
        let refused = partitions.iter().zip(USED).filter(|(partition, _)| partition.is_err());
        assert!(refused.map(|(_, number)| number).eq([hurt[0].partition.get()]), "{damage}");
    }
}

#[test]
fn bytes_that_rot_while_the_node_runs_are_never_served() {
    let closed = closed();
    let files: Vec<_> = closed.files().into_iter().filter(|(file, _)| file.extension().is_some()).collect();
    let mut refused = 0;
    for (n, (file, len)) in files.iter().cycle().take(60).enumerate() {
        let (env, disk) = closed.copy();
        closed.world.run(async {
            let node = Node::open(&env, 0).unwrap();
            disk.flip_bit(file, (n as u64 * 7919 + 5000) % len, 2).unwrap();
            for (at, oracle) in closed.run.oracles.iter().enumerate() {
                for position in (1..=oracle.head().get()).map(Position::new) {
                    match node.partition(at).at(position) {
                        Ok(read) => oracle.check_event(position, read),
                        Err(Fault::Corrupt(_)) => refused += 1,
                        Err(other) => panic!("position {position}: {other}"),
                    }
                }
            }
        });
    }
    assert!(refused > 0, "no damage was ever met");
}
