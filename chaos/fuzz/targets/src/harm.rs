//! What happens to files behind the back of whoever wrote them.

use std::path::{Path, PathBuf};

use chronos_env::sim::SimDisk;
use chronos_env::{Disk, OpenMode};

use crate::input::Input;

const PAGE_BYTES: u64 = 4096;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// Nothing: there is nothing there.
    None,
    /// Something that a medium does to one file.
    Rot,
    /// Two files have each other's content.
    Swap,
    /// Bytes that somebody chose were written: they may fit their checksums.
    Forgery,
}

/// Does to one of these files, or two, what the input says.
pub(crate) fn inflict(disk: &SimDisk, files: &[(PathBuf, u64)], input: &mut Input<'_>) -> Harm {
    let kind = input.below(8);
    if files.is_empty() {
        return Harm::None;
    }
    let (path, bytes) = input.choose(files);
    let at = u64::from(input.u32()) % (*bytes).max(1);
    match kind {
        0..=2 if *bytes > 0 => done(disk.flip_bit(path, at, input.u8() % 8)),
        3 => done(disk.damage_truncate(path, at)),
        4 => done(disk.damage_remove(path)),
        5 => write(disk, path, &[0; PAGE_BYTES as usize], at / PAGE_BYTES * PAGE_BYTES),
        6 => {
            done(disk.swap(path, &input.choose(files).0));
            return Harm::Swap;
        }
        7 => {
            let count = usize::from(input.u8());
            write(disk, path, input.bytes(count), at);
            return Harm::Forgery;
        }
        _ => return Harm::None,
    }
    Harm::Rot
}

/// A file that an earlier harm took cannot be harmed again.
fn done(harmed: std::io::Result<()>) {
    drop(harmed);
}

/// Overwrites what a file has from `at` on, and does not make it longer.
fn write(disk: &SimDisk, path: &Path, bytes: &[u8], at: u64) {
    let Ok(file) = disk.open(path, OpenMode::ReadWrite) else { return };
    let left = file.len().unwrap_or(0).saturating_sub(at);
    let bytes = &bytes[..bytes.len().min(left as usize)];
    file.write_at(bytes, at).expect("a disk with power and room");
    file.sync_data().expect("a disk with power and room");
}
