//! A running partition reads what it has on disk again: damage is found and named, and nothing else is.

#![allow(clippy::unwrap_used, reason = "a test says what must not fail by unwrapping it")]

mod support;

use std::path::{Path, PathBuf};

use chronos_env::OpenMode;
use chronos_env::sim::{Repeat, SimDisk, World};
use chronos_store::{Finding, Nature, Partition, Scrubbed};
use support::commands::sample;
use support::node::{Node, USED};
use support::run::Run;

/// The partition that the tests look at.
const AT: usize = 1;

/// A node with parts, a log that goes on behind them, and nothing in memory that a read could be served from.
async fn node(world: &World) -> Node {
    let node = Node::open(&world.env(), 0).unwrap();
    let mut run = Run::new();
    for (n, wishes) in sample(360).chunks(2).enumerate() {
        run.entry(&node, n % USED.len(), wishes).await;
        if n == 150 {
            // Fewer than would be merged.
            node.compact(AT, 5, true).await.unwrap();
        }
    }
    assert!(node.partition(AT).shelf().parts.len() > 1, "there is too little to exchange");
    node
}

/// One whole pass.
fn scrub(partition: &Partition) -> Scrubbed {
    let (mut scrub, mut seen, mut paced) = (partition.scrub(), Scrubbed::default(), 0);
    while let Some(step) = scrub.step(&mut |bytes| paced += bytes) {
        seen.add(step);
    }
    assert!(paced >= seen.bytes, "{paced} bytes were paced of {}", seen.bytes);
    seen
}

/// The files of the partition's parts, and its manifests.
fn part_files(disk: &SimDisk) -> Vec<(PathBuf, u64)> {
    let of_partition = |file: &Path| file.parent().is_some_and(|dir| dir.ends_with("parts/p01"));
    disk.files().into_iter().filter(|(file, len)| of_partition(file) && *len > 0).collect()
}

fn expect_named(findings: &[Finding], file: &Path) {
    assert!(!findings.is_empty(), "damage of {} was not found", file.display());
    for finding in findings {
        assert_eq!(finding.damage.file, file, "{finding:?}");
        assert_eq!(finding.damage.partition.map(|id| id.get()), Some(USED[AT]));
        assert_eq!(finding.nature, Nature::Damaged);
    }
}

#[test]
fn a_pass_over_what_is_whole_finds_nothing_and_counts_all_of_it() {
    let world = World::new(1);
    world.run(async {
        let node = node(&world).await;
        let partition = node.partition(AT);
        let before = world.disk().snapshot();
        let seen = scrub(partition);
        assert_eq!(seen.findings, []);
        let shelf = partition.shelf();
        assert_eq!(seen.parts, shelf.parts.len() as u64);
        assert_eq!(seen.events, shelf.compacted().get());
        assert_eq!(seen.entries, partition.debt().log_index_behind);
        assert!(seen.entries > 0, "the log behind the parts is empty");
        assert!(seen.bytes > partition.part_bytes());
        assert_eq!(world.disk().snapshot(), before, "the pass has written");
        node.close().await;
    });
}

#[test]
fn every_file_of_parts_that_is_flipped_cut_or_lost_is_named() {
    let world = World::new(1);
    world.run(async {
        let node = node(&world).await;
        let disk = world.disk();
        let files = part_files(&disk);
        assert!(files.len() >= 6, "{files:?}");
        for (file, len) in files {
            let content = disk.snapshot().remove(&file).unwrap();
            for byte in [0, len / 2, len - 1] {
                disk.flip_bit(&file, byte, 3).unwrap();
                expect_named(&scrub(node.partition(AT)).findings, &file);
                disk.flip_bit(&file, byte, 3).unwrap();
            }
            disk.damage_truncate(&file, len - 1).unwrap();
            expect_named(&scrub(node.partition(AT)).findings, &file);
            let last = usize::try_from(len - 1).unwrap();
            let cut = world.env().disk.open(&file, OpenMode::ReadWrite).unwrap();
            cut.write_at(&content[last..], len - 1).unwrap();
            disk.damage_remove(&file).unwrap();
            expect_named(&scrub(node.partition(AT)).findings, &file);
            restore(&world, &file, &content);
            assert_eq!(scrub(node.partition(AT)).findings, [], "it was put back");
        }
        node.close().await;
    });
}

fn restore(world: &World, file: &Path, content: &[u8]) {
    let disk = world.env().disk;
    let written = disk.open(file, OpenMode::CreateNew).unwrap();
    written.write_at(content, 0).unwrap();
}

#[test]
fn two_parts_that_were_exchanged_are_both_named() {
    let world = World::new(1);
    world.run(async {
        let node = node(&world).await;
        let disk = world.disk();
        for ending in ["parquet", "index"] {
            let files = part_files(&disk);
            let two: Vec<PathBuf> = files
                .into_iter()
                .map(|(file, _)| file)
                .filter(|file| file.extension().is_some_and(|found| found == ending))
                .take(2)
                .collect();
            disk.swap(&two[0], &two[1]).unwrap();
            let findings = scrub(node.partition(AT)).findings;
            let named: Vec<&Path> = findings.iter().map(|finding| finding.damage.file.as_path()).collect();
            assert_eq!(named, two, "{findings:?}");
            disk.swap(&two[0], &two[1]).unwrap();
        }
        node.close().await;
    });
}

#[test]
fn a_manifest_of_another_moment_is_named() {
    let world = World::new(1);
    world.run(async {
        let node = node(&world).await;
        let file = PathBuf::from("/data/node/parts/p01/MANIFEST");
        let older = world.disk().snapshot().remove(&file).unwrap();
        node.compact(AT, usize::MAX, true).await.unwrap();
        world.disk().damage_remove(&file).unwrap();
        restore(&world, &file, &older);
        let findings = scrub(node.partition(AT)).findings;
        expect_named(&findings, &file);
        node.close().await;
    });
}

#[test]
fn damage_of_the_log_is_named_with_its_entry_and_the_rest_is_read() {
    let world = World::new(1);
    world.run(async {
        let node = node(&world).await;
        let whole = scrub(node.partition(AT));
        let disk = world.disk();
        let mut hits = 0;
        let segments: Vec<(PathBuf, u64)> =
            disk.files().into_iter().filter(|(file, _)| file.starts_with("/data/node/wal")).collect();
        for (file, len) in segments {
            for byte in (0..len).step_by(4999) {
                disk.flip_bit(&file, byte, 5).unwrap();
                let seen = scrub(node.partition(AT));
                disk.flip_bit(&file, byte, 5).unwrap();
                if seen.findings.is_empty() {
                    assert_eq!(seen, whole, "not of this partition, or of no entry");
                    continue;
                }
                expect_named(&seen.findings, &file);
                if seen.findings[0].damage.index.is_some() {
                    hits += 1;
                    assert_eq!(seen.entries, whole.entries - 1, "only the damaged entry is lost");
                } else {
                    assert!(byte < 4096, "byte {byte} is not in the file's header: {:?}", seen.findings);
                }
            }
        }
        assert!(hits > 0, "no flip has hit an entry of the partition");
        node.close().await;
    });
}

#[test]
fn a_file_of_the_log_that_is_gone_is_named_while_it_is_still_read() {
    let world = World::new(1);
    world.run(async {
        let node = node(&world).await;
        let disk = world.disk();
        let segments =
            disk.files().into_iter().filter(|(file, _)| file.starts_with("/data/node/wal/lane-01"));
        let mut hits = 0;
        for (file, _) in segments {
            let content = disk.snapshot().remove(&file).unwrap();
            disk.damage_remove(&file).unwrap();
            let findings = scrub(node.partition(AT)).findings;
            if !findings.is_empty() {
                hits += 1;
                expect_named(&findings, &file);
            }
            restore(&world, &file, &content);
        }
        assert!(hits > 0, "no file of the log belongs to the partition");
        assert_eq!(scrub(node.partition(AT)).findings, [], "all was put back");
        node.close().await;
    });
}

#[test]
fn what_the_system_does_not_give_back_is_reported_as_unreadable() {
    let world = World::new(1);
    world.run(async {
        let node = node(&world).await;
        world.disk().fail_read(".parquet", 1, Repeat::Once);
        let seen = scrub(node.partition(AT));
        assert_eq!(seen.findings.len(), 1, "{:?}", seen.findings);
        assert_eq!(seen.findings[0].nature, Nature::Unreadable);
        assert!(seen.findings[0].damage.file.extension().is_some_and(|found| found == "parquet"));
        assert_eq!(scrub(node.partition(AT)).findings, [], "the disk has recovered");
        node.close().await;
    });
}

#[test]
fn what_is_compacted_away_meanwhile_is_no_finding() {
    let world = World::new(1);
    world.run(async {
        let node = node(&world).await;
        let partition = node.partition(AT);
        let old = partition.shelf();
        let mut scrub = partition.scrub();
        let first = scrub.step(&mut |_| {}).unwrap();
        assert_eq!(first.findings, []);
        node.compact(AT, usize::MAX, true).await.unwrap();
        assert_ne!(partition.shelf().parts[0].meta(), old.parts[0].meta(), "nothing was merged");
        while let Some(step) = scrub.step(&mut |_| {}) {
            assert_eq!(step.findings, []);
        }
        drop(old);
        node.close().await;
    });
}
