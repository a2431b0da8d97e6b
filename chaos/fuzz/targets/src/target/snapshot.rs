//! A file of a snapshot on its way: it gets its name when all of it is there and is what was announced, and never before.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use chronos_domain::PartitionId;
use chronos_env::sim::{SimDisk, World};
use chronos_env::{Disk, Env};
use chronos_parts::FileMeta;
use chronos_proof::Hash;
use chronos_store::backup::{Arrival, Incoming, NamedFile};
use sha2::{Digest as _, Sha256};

use super::Target;
use crate::harm;
use crate::input::{Input, joined};

pub(super) static TARGET: Target = Target {
    input_bytes_max: 1024,
    memory_bytes_max: 8 << 20,
    tried_by_test: 2000,
    ..Target::new(
        "snapshot",
        "a file that arrives in pieces, over power cuts, has its name when it is the one announced",
        run,
        seeds,
    )
};

const TO: &str = "/data/incoming/file";
const FILE_BYTES: usize = 9000;

/// What is sent: more than two pages of a disk.
fn file() -> &'static (Vec<u8>, FileMeta) {
    static FILE: OnceLock<(Vec<u8>, FileMeta)> = OnceLock::new();
    FILE.get_or_init(|| {
        let bytes: Vec<u8> = (0..FILE_BYTES).map(|n| (n * n / 7) as u8).collect();
        let sha256 = Hash(Sha256::digest(&bytes).into());
        (bytes, FileMeta { bytes: FILE_BYTES as u64, sha256 })
    })
}

fn empty() -> &'static SimDisk {
    static EMPTY: OnceLock<SimDisk> = OnceLock::new();
    EMPTY.get_or_init(|| {
        let disk = SimDisk::new(1);
        for dir in ["/data", "/data/incoming"] {
            disk.create_dir_all(Path::new(dir)).expect("a new disk");
            disk.sync_dir(Path::new(dir).parent().expect("not the root")).expect("a new disk");
        }
        disk
    })
}

/// An input is how often the receiver is started, and for each time what arrives and how it ends.
fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let disk = empty().fork(input.u64());
    let env = Env { disk: Arc::new(disk.clone()), ..World::new(1).env() };
    for _ in 0..6 {
        let is_whole = receive(&env, &mut input);
        check(&disk, is_whole);
        if is_whole || input.is_empty() {
            return;
        }
        between(&disk, &mut input);
    }
}

/// What happens to what is there before the receiver starts again.
fn between(disk: &SimDisk, input: &mut Input<'_>) {
    match input.below(4) {
        0 => {}
        1 => {
            disk.power_off();
            disk.power_on();
        }
        2 => drop(harm::inflict(disk, &disk.files(), input)),
        // A longer one than is wanted, of another time.
        _ => {
            let partial = disk.files().into_iter().next();
            if let Some((path, bytes)) = partial {
                let file = disk.open(&path, chronos_env::OpenMode::ReadWrite).expect("it is there");
                file.write_at(&[7; 64], bytes).expect("a disk with power and room");
            }
        }
    }
}

/// One start of the receiver; whether the file has arrived.
fn receive(env: &Env, input: &mut Input<'_>) -> bool {
    let (bytes, meta) = file();
    let partition = PartitionId::new(3).expect("below 32");
    let wanted = NamedFile { partition, name: "file".to_owned(), meta: *meta };
    let mut incoming = Incoming::open(env, wanted, PathBuf::from(TO)).expect("a disk with power and room");
    let (is_resumed, mut is_true) = (incoming.offset() > 0, true);
    while !incoming.is_complete() && !input.is_empty() {
        let at = usize::try_from(incoming.offset()).expect("it is short");
        let count = input.below(4000);
        let mut piece = bytes[at..(at + count).min(FILE_BYTES)].to_vec();
        match input.below(8) {
            0 => return false,
            1 if !piece.is_empty() => {
                let flipped = count % piece.len();
                piece[flipped] ^= 1 << input.below(8);
            }
            // More than was announced.
            2 => piece.extend_from_slice(&[0; FILE_BYTES]),
            // Another place of the file.
            3 => piece = bytes[..piece.len()].to_vec(),
            _ => {}
        }
        let fits = piece.len() <= FILE_BYTES - at;
        is_true &= fits && piece == bytes[at..at + piece.len()];
        let written = incoming.write(&piece);
        assert_eq!(written.is_ok(), fits, "{} bytes at {at}: {written:?}", piece.len());
        if written.is_err() {
            return false;
        }
    }
    if !incoming.is_complete() {
        return false;
    }
    match incoming.finish() {
        Ok(Arrival::Whole) => true,
        Ok(Arrival::Again) => {
            assert!(is_resumed, "what came in one go is asked for once more");
            false
        }
        Err(error) => {
            assert!(!is_true && !is_resumed, "true bytes are refused: {error}");
            false
        }
    }
}

/// The name is there exactly when the file is whole, and durably.
fn check(disk: &SimDisk, is_whole: bool) {
    let found = disk.durable_snapshot().remove(Path::new(TO));
    match found {
        Some(found) => {
            assert!(is_whole, "a file has its name too early");
            assert!(found == file().0, "a file has its name and other bytes");
        }
        None => assert!(!is_whole, "a file that has arrived is not there"),
    }
    assert!(is_whole || !disk.files().iter().any(|(path, _)| path == Path::new(TO)));
}

fn seeds() -> Vec<Vec<u8>> {
    let piece = |count: u32, fate: u8| joined(&[count.to_le_bytes().as_slice(), &[fate]]);
    let all: Vec<u8> = (0..5).flat_map(|_| piece(3999, 7)).collect();
    let begin = [0; 8];
    let mut seeds = vec![joined(&[begin.as_slice(), &all])];
    for (fate, between) in [(0, 0), (0, 1), (1, 2), (2, 3), (3, 0)] {
        seeds.push(joined(&[
            begin.as_slice(),
            &piece(3000, 7),
            &piece(2000, fate),
            &[between, 0, 0, 9, 0, 0, 0, 1],
            &all,
        ]));
    }
    seeds
}
