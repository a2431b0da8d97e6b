//! What the disk alone can do: the floor that durable appends are held against.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::clock::Run;

/// The size of one write.
pub const WRITE_BYTES: usize = 4096;
/// The file is written once from end to end before it is timed, as the log's segments are.
const FILE_BYTES: u64 = 32 << 20;

/// A pre-written file to write and sync in. Removed when dropped.
pub struct Floor {
    path: PathBuf,
    file: File,
    offset: u64,
}

impl Floor {
    /// Prepares the file in `dir`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(dir: &Path) -> std::io::Result<Floor> {
        let path = dir.join("floor");
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&path)?;
        let zeros = vec![0; 1 << 20];
        for offset in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, offset)?;
        }
        file.sync_all()?;
        Ok(Floor { path, file, offset: 0 })
    }

    /// Writes 4 KiB and syncs them, at ever new offsets, until `end`; each pair is one operation of the run.
    ///
    /// # Errors
    /// When a write or a sync fails.
    pub fn write_and_sync(&mut self, run: &mut Run, end: Instant) -> std::io::Result<()> {
        let block = [0xa5; WRITE_BYTES];
        while Instant::now() < end {
            run.time(1, || {
                self.file.write_all_at(&block, self.offset)?;
                self.file.sync_data()
            })?;
            self.offset = (self.offset + WRITE_BYTES as u64) % FILE_BYTES;
        }
        Ok(())
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It lies in a directory of the benchmark's own, which goes too.
        let _ = std::fs::remove_file(&self.path);
    }
}
