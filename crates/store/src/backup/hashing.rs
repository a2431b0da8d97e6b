//! Reading files for their hash, a piece at a time.

use std::io;
use std::path::Path;

use chronos_env::{Disk, File, OpenMode};
use chronos_parts::FileMeta;
use chronos_proof::Hash;
use sha2::{Digest as _, Sha256};

/// Bytes read at a time.
pub(super) const PIECE_BYTES: usize = 1 << 20;

/// Length and hash of a file as it is now.
pub(super) fn hash_file(disk: &dyn Disk, path: &Path) -> io::Result<FileMeta> {
    let file = disk.open(path, OpenMode::Read)?;
    let bytes = file.len()?;
    let sha256 = Hash(hash_prefix(file.as_ref(), bytes)?.finalize().into());
    Ok(FileMeta { bytes, sha256 })
}

/// A hasher that has seen the first `bytes` bytes of a file.
pub(super) fn hash_prefix(file: &dyn File, bytes: u64) -> io::Result<Sha256> {
    let mut hasher = Sha256::new();
    pieces(file, bytes, |piece| {
        hasher.update(piece);
        Ok(())
    })?;
    Ok(hasher)
}

/// Hands over the first `bytes` bytes of a file in order.
pub(super) fn pieces(
    file: &dyn File,
    bytes: u64,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES.min(usize::try_from(bytes).unwrap_or(PIECE_BYTES))];
    let mut at = 0;
    while at < bytes {
        let len = buffer.len().min(usize::try_from(bytes - at).unwrap_or(PIECE_BYTES));
        file.read_exact_at(&mut buffer[..len], at)?;
        take(&buffer[..len])?;
        at += len as u64;
    }
    Ok(())
}
