use std::io::Write;
use std::path::Path;

use chronos_domain::{PartitionId, Position};
use chronos_env::sim::SimDisk;
use chronos_env::{Disk, OpenMode};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::fault::Fault;

const BLOCK: usize = BLOCK_BYTES as usize;

fn identity(first: u64, kind: FileKind) -> Identity {
    Identity::new(PartitionId::new(3).unwrap(), Position::new(first), kind)
}

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Writes a file in pieces of these sizes, again and again, and gives back what was taken down of it.
fn write(disk: &SimDisk, path: &Path, bytes: &[u8], pieces: &[usize]) -> Sums {
    let file = disk.open(path, OpenMode::CreateNew).unwrap();
    let mut out = Summed::new(FileWriter::new(file), identity(1, FileKind::Parquet));
    let mut rest = bytes;
    for piece in pieces.iter().cycle() {
        let (now, later) = rest.split_at(rest.len().min(*piece));
        out.write_all(now).unwrap();
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    let (file, sums) = out.finish();
    file.sync().unwrap();
    sums
}

fn open(disk: &SimDisk, path: &Path, sums: &Sums, identity: Identity) -> Result<CheckedFile, Fault> {
    CheckedFile::open(disk, path, sums.bytes, sums.blocks.as_slice().into(), identity)
}

fn is_corrupt<T>(result: Result<T, Fault>) -> bool {
    matches!(result, Err(Fault::Corrupt { file, .. }) if file == Path::new("/part"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_written_in_any_pieces_is_read_in_any_ranges(
        bytes in prop_oneof![0..3 * BLOCK, Just(BLOCK), Just(2 * BLOCK), Just(10 * BLOCK + 1)],
        pieces in prop::collection::vec(prop_oneof![1..5_000_usize, Just(BLOCK), Just(400_000)], 1..4),
        ranges in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 8),
    ) {
        let (disk, path, content) = (SimDisk::new(1), Path::new("/part"), content(bytes));
        let sums = write(&disk, path, &content, &pieces);
        prop_assert_eq!(sums.bytes, bytes as u64);
        prop_assert_eq!(sums.sha256.0, <[u8; 32]>::from(Sha256::digest(&content)));
        prop_assert_eq!(&disk.read_file(path).unwrap(), &content);
        let file = open(&disk, path, &sums, identity(1, FileKind::Parquet)).unwrap();
        prop_assert_eq!(file.len(), bytes as u64);
        for (a, b) in ranges {
            let (a, b) = (a.index(bytes + 1), b.index(bytes + 1));
            let range = a.min(b)..a.max(b);
            let read = file.read(range.start as u64..range.end as u64).unwrap();
            prop_assert_eq!(&read[..], &content[range]);
        }
    }
}

#[test]
fn a_flipped_bit_is_a_fault_in_its_block_and_nowhere_else() {
    let (disk, path, content) = (SimDisk::new(1), Path::new("/part"), content(3 * BLOCK + 100));
    let sums = write(&disk, path, &content, &[1 << 20]);
    let file = open(&disk, path, &sums, identity(1, FileKind::Parquet)).unwrap();
    let at = BLOCK + 17;
    disk.open(path, OpenMode::ReadWrite).unwrap().write_at(&[content[at] ^ 4], at as u64).unwrap();
    let block = BLOCK as u64;
    for range in [block..block + 1, 2 * block - 1..2 * block, 0..3 * block, block - 1..block + 1] {
        let fault = file.read(range).unwrap_err();
        assert!(matches!(&fault, Fault::Corrupt { offset: Some(offset), .. } if *offset == block), "{fault}");
        assert!(
            fault.to_string().contains("/part is corrupt at byte 32768: block 1 has checksum"),
            "{fault}"
        );
    }
    assert_eq!(file.read(0..block).unwrap(), content[..BLOCK]);
    assert_eq!(file.read(2 * block..3 * block + 100).unwrap(), content[2 * BLOCK..]);
}

#[test]
fn another_length_a_missing_file_and_missing_sums_are_faults() {
    let (disk, path) = (SimDisk::new(1), Path::new("/part"));
    let mut sums = write(&disk, path, &content(BLOCK + 5), &[1000]);
    let ours = identity(1, FileKind::Parquet);
    sums.bytes += 1;
    assert!(is_corrupt(open(&disk, path, &sums, ours)));
    sums.bytes -= 1;
    let last = sums.blocks.pop().unwrap();
    assert!(is_corrupt(open(&disk, path, &sums, ours)));
    sums.blocks.push(last);
    let file = open(&disk, path, &sums, ours).unwrap();
    disk.open(path, OpenMode::ReadWrite).unwrap().truncate(10).unwrap();
    assert!(is_corrupt(file.read(0..20)), "a file cut short while it is open");
    assert!(is_corrupt(file.read(0..BLOCK_BYTES + 6)), "more than there ever was");
    disk.remove(path).unwrap();
    assert!(is_corrupt(open(&disk, path, &sums, ours)));
}

#[test]
fn a_block_in_another_place_or_of_another_file_is_a_fault() {
    let (disk, path) = (SimDisk::new(1), Path::new("/part"));
    let zeros = vec![0; 2 * BLOCK];
    let sums = write(&disk, path, &zeros, &[1 << 20]);
    assert_ne!(sums.blocks[0], sums.blocks[1], "equal blocks have different sums");
    for other in [identity(2, FileKind::Parquet), identity(1, FileKind::Index)] {
        assert!(is_corrupt(open(&disk, path, &sums, other).unwrap().read(0..1)));
    }
    let swapped = Sums { blocks: vec![sums.blocks[1], sums.blocks[0]], ..sums };
    assert!(is_corrupt(open(&disk, path, &swapped, identity(1, FileKind::Parquet)).unwrap().read(0..1)));
}

/// Stored for ever: what these blocks are sealed with.
#[test]
fn sums_have_been_these_since_format_1() {
    let mut summer = Summer::new(identity(1, FileKind::Index));
    summer.update(&content(BLOCK + 1));
    assert_eq!(summer.finish().blocks, [11_028_514_406_325_604_043, 1_468_220_343_395_273_529]);
}
