//! The file system of this machine.
//!
//! Interrupted calls (`EINTR`) are repeated, so an interruption is never mistaken for a failed sync. Files are
//! opened close-on-exec, the standard library's default.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::{Disk, Entry, EntryKind, File, Held, Lock, OpenMode, PathError, check_path};

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk(());

impl RealDisk {
    /// A handle to it; there is nothing to set up.
    pub fn new() -> RealDisk {
        RealDisk(())
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        on(path, "open", || {
            let file = options(mode).open(path)?;
            // Unix lets a directory be opened for reading; every later call would then fail in its own way.
            if file.metadata()?.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Ok(Arc::new(RealFile { file, path: path.to_owned() }) as Arc<dyn File>)
        })
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        on(path, "create directory", || fs::create_dir_all(path))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the disk the rest of the workspace asks")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        check_path("rename to", to)?;
        on(from, "rename", || fs::rename(from, to))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the disk the rest of the workspace asks")]
    fn remove(&self, path: &Path) -> io::Result<()> {
        on(path, "remove", || match fs::symlink_metadata(path)?.is_dir() {
            true => fs::remove_dir(path),
            false => fs::remove_file(path),
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        on(dir, "list", || {
            let mut entries = Vec::new();
            for entry in fs::read_dir(dir)? {
                entries.extend(describe(&entry?)?);
            }
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(entries)
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        on(dir, "sync directory", || {
            let flags = OFlags::DIRECTORY.bits().cast_signed();
            fs::OpenOptions::new().read(true).custom_flags(flags).open(dir)?.sync_all()
        })
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        on(path, "look for", || path.try_exists())
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        on(path, "lock", || {
            let file =
                fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            file.try_lock()?;
            Ok(Lock::holding(RealLock(RealFile { file, path: path.to_owned() })))
        })
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        on(dir, "ask for the free space of", || {
            let state = rustix::fs::statvfs(dir)?;
            Ok(state.f_bavail.saturating_mul(state.f_frsize))
        })
    }
}

struct RealFile {
    file: fs::File,
    /// The name it was opened under, for errors.
    path: PathBuf,
}

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        on(&self.path, "read", || {
            let mut done = 0;
            while done < buf.len() {
                match self.file.read_at(&mut buf[done..], offset + done as u64) {
                    Ok(0) => break,
                    Ok(read) => done += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(done)
        })
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        on(&self.path, "write", || self.file.write_all_at(buf, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        on(&self.path, "sync", || self.file.sync_data())
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        on(&self.path, "truncate", || self.file.set_len(len))
    }

    fn len(&self) -> io::Result<u64> {
        on(&self.path, "measure", || Ok(self.file.metadata()?.len()))
    }

    fn has_name(&self) -> io::Result<bool> {
        on(&self.path, "count the names of", || Ok(self.file.metadata()?.nlink() > 0))
    }
}

/// The lock goes with the open file.
struct RealLock(RealFile);

impl Held for RealLock {
    fn is_in_place(&self) -> io::Result<bool> {
        let RealLock(RealFile { file, path }) = self;
        on(path, "look for", || {
            let (ours, named) = (file.metadata()?, fs::metadata(path));
            match named {
                Ok(named) => Ok((named.dev(), named.ino()) == (ours.dev(), ours.ino())),
                Err(error) if is_nothing_there(&error) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }
}

fn is_nothing_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn options(mode: OpenMode) -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    match mode {
        OpenMode::Read => &mut options,
        OpenMode::ReadWrite => options.write(true),
        OpenMode::CreateNew => options.write(true).create_new(true),
    };
    options
}

/// `None` for a file that went away between being listed and being asked about.
fn describe(entry: &fs::DirEntry) -> io::Result<Option<Entry>> {
    let about = match entry.metadata() {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // A name that is not UTF-8 was never ours; it is shown as well as it can be, so that an operator sees it.
    let name = entry.file_name().to_string_lossy().into_owned();
    Ok(Some(match about.is_dir() {
        true => Entry { name, kind: EntryKind::Dir, len: 0 },
        false => Entry { name, kind: EntryKind::File, len: about.len() },
    }))
}

/// Runs one call on `path`; its error gets to say so.
fn on<T>(path: &Path, op: &'static str, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    check_path(op, path)?;
    call().map_err(|cause| PathError::wrap(op, path, cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        (dir, path)
    }

    #[test]
    fn the_real_disk_keeps_the_contract() {
        let (_dir, path) = room();
        crate::disk_contract::run(&|| Arc::new(RealDisk::new()), &path);
    }

    #[test]
    fn the_systems_error_number_can_still_be_reached() {
        let (_dir, path) = room();
        let error = RealDisk::new().open(&path.join("missing"), OpenMode::Read).err().unwrap();
        let inner = PathError::of(&error).expect("a disk error carries its path");
        assert_eq!(inner.raw_os_error(), Some(rustix::io::Errno::NOENT.raw_os_error()));
    }

    #[test]
    fn a_full_disk_keeps_its_kind() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            return;
        }
        let file = RealDisk::new().open(full, OpenMode::ReadWrite).unwrap();
        let error = file.write_at(b"x", 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
        assert!(error.to_string().starts_with("write /dev/full: "), "{error}");
    }
}
