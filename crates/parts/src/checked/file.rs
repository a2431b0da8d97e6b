//! The reader's side: no byte without its block's sum.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chronos_domain::xxh64::xxh64;
use chronos_env::{Disk, File, OpenMode};

use super::{BLOCK_BYTES, Identity};
use crate::fault::Fault;

/// An open file that hands out checked bytes only. Stays readable when its name is removed.
pub(crate) struct CheckedFile {
    file: Arc<dyn File>,
    path: PathBuf,
    identity: Identity,
    /// Bytes that sums cover: the whole file, or its beginning.
    covered: u64,
    sums: Arc<[u64]>,
}

impl CheckedFile {
    /// Opens a file of `bytes` bytes, all of which `sums` cover.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when the file is missing or has another length, or when there are not as many sums as
    /// blocks; [`Fault::Io`] when the system cannot open it.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: &Path,
        bytes: u64,
        sums: Arc<[u64]>,
        identity: Identity,
    ) -> Result<CheckedFile, Fault> {
        let file = open_exact(disk, path, bytes)?;
        CheckedFile::covering(file, path, bytes, sums, identity)
    }

    /// Reads the first `covered` bytes of an open file by `sums`.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when there are not as many sums as blocks.
    pub(crate) fn covering(
        file: Arc<dyn File>,
        path: &Path,
        covered: u64,
        sums: Arc<[u64]>,
        identity: Identity,
    ) -> Result<CheckedFile, Fault> {
        let blocks = covered.div_ceil(BLOCK_BYTES);
        if sums.len() as u64 != blocks {
            let what = format!("its index holds {} sums for its {blocks} blocks", sums.len());
            return Err(Fault::corrupt(path, None, what));
        }
        Ok(CheckedFile { file, path: path.to_owned(), identity, covered, sums })
    }

    /// The open file and where it is, for reading what is checked otherwise.
    pub(crate) fn handle(&self) -> (&Arc<dyn File>, &Path) {
        (&self.file, &self.path)
    }

    /// How many bytes can be read.
    pub(crate) fn len(&self) -> u64 {
        self.covered
    }

    /// Which file it is, for faults.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of `range`. One read of the disk, from block border to block border.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when a block is not what was written, or the range lies beyond the end;
    /// [`Fault::Io`] when the system cannot read.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes, Fault> {
        if range.start > range.end || range.end > self.covered {
            let what = format!("bytes {range:?} are asked for, and {} are there", self.covered);
            return Err(Fault::corrupt(&self.path, range.start, what));
        }
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let start = range.start / BLOCK_BYTES * BLOCK_BYTES;
        let end = range.end.next_multiple_of(BLOCK_BYTES).min(self.covered);
        let mut bytes = vec![0; (end - start) as usize];
        read_whole(self.file.as_ref(), &self.path, &mut bytes, start)?;
        self.check(&bytes, start / BLOCK_BYTES)?;
        Ok(Bytes::from(bytes).slice((range.start - start) as usize..(range.end - start) as usize))
    }

    fn check(&self, blocks: &[u8], first: u64) -> Result<(), Fault> {
        for (number, block) in (first..).zip(blocks.chunks(BLOCK_BYTES as usize)) {
            let (found, written) = (xxh64(block, self.identity.seed(number)), self.sums[number as usize]);
            if found != written {
                let what =
                    format!("block {number} has checksum {found:#018x} where {written:#018x} was written");
                return Err(Fault::corrupt(&self.path, number * BLOCK_BYTES, what));
            }
        }
        Ok(())
    }
}

/// Opens a file that has to be there with exactly `bytes` bytes.
pub(crate) fn open_exact(disk: &dyn Disk, path: &Path, bytes: u64) -> Result<Arc<dyn File>, Fault> {
    let file = disk.open(path, OpenMode::Read).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Fault::corrupt(path, None, "the file is missing"),
        _ => Fault::from(error),
    })?;
    let found = file.len()?;
    if found != bytes {
        let what = format!("it has {found} bytes where {bytes} were written");
        return Err(Fault::corrupt(path, None, what));
    }
    Ok(file)
}

/// Fills `bytes` from `offset`; a file that ends before is damaged.
pub(crate) fn read_whole(file: &dyn File, path: &Path, bytes: &mut [u8], offset: u64) -> Result<(), Fault> {
    file.read_exact_at(bytes, offset).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Fault::corrupt(path, offset, error.to_string()),
        _ => Fault::from(error),
    })
}
