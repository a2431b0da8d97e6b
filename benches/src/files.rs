//! What the operating system remembers of files.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{Advice, fadvise};

/// Asks the system to forget the contents of all files below `dir`, so that the next reader goes to the disk.
pub(crate) fn evict(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            evict(&entry.path())?;
        } else {
            let file = File::open(entry.path())?;
            // Only clean pages can be dropped.
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// Bytes of all files below `dir` that it takes in.
pub(crate) fn bytes(dir: &Path, takes: &dyn Fn(&Path) -> bool) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            sum += bytes(&path, takes)?;
        } else if takes(&path) {
            sum += entry.metadata()?.len();
        }
    }
    Ok(sum)
}
