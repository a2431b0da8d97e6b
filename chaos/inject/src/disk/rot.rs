//! Bit rot: bytes that change on the disk below everything that checks or caches.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

use super::Disk;
use super::extents::place_on_disk;
use crate::error::{Error, Result, While};

/// A byte that rotted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotten {
    /// The file.
    pub file: PathBuf,
    /// Where in the file, in bytes.
    pub at: u64,
    /// What was there.
    pub was: u8,
    /// What is read from now on.
    pub is: u8,
}

impl Disk {
    /// Flips the bits of `mask` in byte `at` of `file`, which lies on this disk, below the page cache: in the image, at the
    /// place that the file system gave to that byte. The file is synced first and its cached pages are dropped, so that
    /// the next read sees the change; no time stamp changes. Lasting: rot has no end.
    ///
    /// # Errors
    /// If that byte has no place on the disk, or a process holds its page in memory (maps it), so that the change would
    /// not be read.
    pub fn rot(&self, file: &Path, at: u64, mask: u8) -> Result<Rotten> {
        if mask == 0 {
            return Err(Error::Unfit("no bit is to be flipped".into()));
        }
        if !file.starts_with(&self.mount) {
            let why = format!("{} does not lie on the disk at {}", file.display(), self.mount.display());
            return Err(Error::Unfit(why));
        }
        let opened = File::open(file).during(|| format!("opening {}", file.display()))?;
        opened.sync_all().during(|| format!("syncing {}", file.display()))?;
        let was = byte(&opened, at).during(|| format!("reading byte {at} of {}", file.display()))?;
        let is = was ^ mask;
        self.overwrite(place_on_disk(file, at)?, was, is)?;
        fadvise(&opened, 0, None, Advice::DontNeed)
            .during(|| format!("dropping {} from memory", file.display()))?;
        let read = byte(&opened, at).during(|| format!("reading byte {at} of {} again", file.display()))?;
        if read != is {
            let why = "its page stays in memory, so the change will be read only after the next mount";
            return Err(Error::Unfit(format!("byte {at} of {} rotted, but {why}", file.display())));
        }
        Ok(Rotten { file: file.to_owned(), at, was, is })
    }

    /// Changes one byte of the image, which must hold what the file holds: else the place is wrong.
    fn overwrite(&self, place: u64, was: u8, is: u8) -> Result<()> {
        let doing = || format!("changing byte {place} of {}", self.image.display());
        let image = File::options().read(true).write(true).open(&self.image).during(doing)?;
        let found = byte(&image, place).during(doing)?;
        if found != was {
            let why = format!("byte {place} of {} is {found:#04x} and not {was:#04x}", self.image.display());
            return Err(Error::Unfit(format!("{why}: the file was written meanwhile")));
        }
        image.write_all_at(&[is], place).during(doing)
    }
}

fn byte(file: &File, at: u64) -> std::io::Result<u8> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    Ok(byte[0])
}
