use chronos_domain::{EntityId, ForkId, TenantId, Version};
use proptest::prelude::*;

use super::*;
use crate::meta::{FileMeta, IndexTail};

fn hash(seed: u64) -> Hash {
    let mut bytes = [0xa5; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    Hash(bytes)
}

fn partition() -> PartitionId {
    PartitionId::new(7).expect("there is a partition 7")
}

/// A manifest whose parts have these many rows each.
fn manifest(rows: &[u64], truncated: &[(&str, u64)]) -> Manifest {
    let mut manifest = Manifest::start(0xfeed, partition());
    for (number, rows) in (1..).zip(rows) {
        let first = manifest.compacted.next();
        let last = manifest.compacted.plus(*rows);
        manifest.parts.push(PartMeta {
            first,
            last,
            cut: number,
            level: 3,
            raw_bytes: 100 * rows,
            erased: rows / 2,
            parquet: FileMeta { bytes: 10 * rows, sha256: hash(number) },
            index: FileMeta { bytes: rows + 1, sha256: hash(number + 100) },
            recorded: (Timestamp::new(-5), Timestamp::new(5)),
            chain_before: manifest.chain,
            chain_after: hash(last.get()),
            index_tail: IndexTail { offset: *rows, xxh64: number },
        });
        manifest.chain = hash(last.get());
        manifest.compacted = last;
        manifest.cut = number;
        (0..*rows).for_each(|row| manifest.frontier.push(hash(row)));
    }
    manifest.sequence = 9;
    manifest.applied = LogIndex::new(1234);
    manifest.applied_term = 7;
    manifest.members = Bytes::from_static(b"us");
    manifest.recorded_at = Timestamp::new(5);
    manifest.entities = 3;
    for (entity, before) in truncated {
        let entity = EntityId::parse(entity).expect("a valid entity id");
        let before = Version::new(*before);
        manifest.tombstones.insert(&TenantId::default_tenant(), ForkId::MAIN, &entity, before);
    }
    manifest
}

fn example() -> Manifest {
    manifest(&[3, 1, 12], &[("order-1", 4), ("a", 1)])
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        rows in prop::collection::vec(1_u64..20, 0..8),
        truncated in prop::collection::btree_map("[a-z]{1,12}", 1_u64..9, 0..10),
    ) {
        let truncated: Vec<(&str, u64)> = truncated.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        let manifest = manifest(&rows, &truncated);
        prop_assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
    }
}

#[test]
fn the_first_manifest_is_whole_too() {
    let start = Manifest::start(1, partition());
    assert_eq!(start.check(), Ok(()));
    assert_eq!(Manifest::decode(&start.encode()), Ok(start));
}

#[test]
fn every_flipped_bit_and_every_cut_is_damage() {
    let bytes = example().encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(Manifest::decode(&flipped), Err(Malformed::Damaged(_))), "bit {bit} was believed");
    }
    for len in 0..bytes.len() {
        assert!(
            matches!(Manifest::decode(&bytes[..len]), Err(Malformed::Damaged(_))),
            "{len} bytes were enough"
        );
    }
}

#[test]
fn bytes_that_lie_under_a_good_checksum_are_refused_without_a_panic() {
    let bytes = example().encode();
    let summed = bytes.len() - 8;
    for at in 0..summed {
        for value in [0, 1, 0x7f, 0xff] {
            let mut lie = bytes[..summed].to_vec();
            lie[at] = value;
            lie.extend(chronos_domain::xxh64::xxh64(&lie, 0).to_le_bytes());
            // Some lies are consistent; none may be taken for something else than a manifest.
            if let Ok(manifest) = Manifest::decode(&lie) {
                assert_eq!(manifest.check(), Ok(()), "byte {at}");
            }
        }
    }
}

#[test]
fn a_later_format_is_refused_by_name() {
    let mut bytes = example().encode();
    bytes[8] = 3;
    let summed = bytes.len() - 8;
    let checksum = chronos_domain::xxh64::xxh64(&bytes[..summed], 0);
    bytes[summed..].copy_from_slice(&checksum.to_le_bytes());
    let release = env!("CARGO_PKG_VERSION").to_owned();
    assert_eq!(Manifest::decode(&bytes), Err(Malformed::Newer { found: 3, release }));
}

#[test]
fn files_that_are_said_to_have_more_bytes_than_there_are_numbers_are_summed_up_without_a_panic() {
    let mut manifest = example();
    manifest.parts[0].parquet.bytes = u64::MAX;
    assert_eq!((manifest.parts[0].bytes(), manifest.bytes()), (u64::MAX, u64::MAX));
}

#[test]
fn a_manifest_with_a_hole_or_a_broken_chain_is_no_manifest() {
    type Break = fn(&mut Manifest);
    let breaks: [(&str, Break); 6] = [
        ("a missing part", |m| m.parts.truncate(1)),
        ("parts in another order", |m| m.parts.swap(0, 1)),
        ("another chain", |m| m.parts[1].chain_after = hash(77)),
        ("a part of a later cut", |m| m.parts[2].cut = 4),
        ("another end", |m| m.compacted = m.compacted.next()),
        ("another tree", |m| m.frontier.push(hash(1))),
    ];
    for (what, breaking) in breaks {
        let mut manifest = example();
        breaking(&mut manifest);
        assert!(Manifest::decode(&manifest.encode()).is_err(), "{what} was accepted");
    }
}

#[test]
fn the_bytes_of_format_2_never_change() {
    let bytes = example().encode();
    // The release is part of the file and changes with every one: what follows it must not.
    let after_release = &bytes[8 + 2 + 2 + env!("CARGO_PKG_VERSION").len()..bytes.len() - 8];
    assert_eq!(bytes[..10], *b"CHRONOMF\x02\x00");
    assert_eq!(chronos_domain::xxh64::xxh64(after_release, 0), GOLDEN);
}

const GOLDEN_1: u64 = 6_663_817_708_608_297_481;
const GOLDEN: u64 = 17_166_269_969_932_718_697;

/// The example as the first format has it: without term and members.
fn example_of_format_1() -> Vec<u8> {
    let bytes = example().encode();
    let release_len = env!("CARGO_PKG_VERSION").len();
    let at = 8 + 2 + 2 + release_len + 16 + 1 + 3 * 8;
    let mut old = bytes[..bytes.len() - 8].to_vec();
    old[8] = 1;
    old.drain(at..at + 8 + 2 + 2);
    old.extend(chronos_domain::xxh64::xxh64(&old, 0).to_le_bytes());
    old
}

#[test]
fn format_1_is_still_read_as_of_one_node_and_one_term() {
    let old = example_of_format_1();
    let after_release = &old[8 + 2 + 2 + env!("CARGO_PKG_VERSION").len()..old.len() - 8];
    assert_eq!(chronos_domain::xxh64::xxh64(after_release, 0), GOLDEN_1);
    let expected = Manifest { applied_term: 1, members: Bytes::new(), ..example() };
    assert_eq!(Manifest::decode(&old), Ok(expected));
}

#[test]
fn tombstones_only_rise_and_say_what_is_new() {
    let tenant = TenantId::default_tenant();
    let entity = EntityId::parse("order-1").expect("a valid entity id");
    let mut stones = Tombstones::default();
    assert!(stones.insert(&tenant, ForkId::MAIN, &entity, Version::new(4)));
    let earlier = stones.clone();
    assert!(!stones.insert(&tenant, ForkId::MAIN, &entity, Version::new(3)));
    assert_eq!(stones.since(&earlier).count(), 0);
    assert!(stones.insert(&tenant, ForkId::MAIN, &entity, Version::new(6)));
    assert!(stones.insert(&tenant, ForkId::new(2), &entity, Version::new(1)));
    let new: Vec<_> =
        stones.since(&earlier).map(|(_, fork, _, old, new)| (fork.get(), old.get(), new.get())).collect();
    assert_eq!(new, [(0, 4, 6), (2, 0, 1)]);
    assert_eq!(earlier.get("default", ForkId::MAIN, "order-1"), Version::new(4), "a clone is not changed");
    assert_eq!(stones.len(), 2);
}
