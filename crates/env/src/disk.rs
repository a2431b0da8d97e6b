//! Files and directories, and exactly what is durable when.
//!
//! Invariants of every implementation, checked by [`crate::disk_contract`]:
//!
//! * A write is visible to every handle at once. It is durable when a later [`File::sync_data`] of the same file
//!   returned `Ok`, and only then.
//! * A name (after create, rename, remove) is durable when a later [`Disk::sync_dir`] of its directory returned
//!   `Ok`, and only then. A rename is atomic: after a crash the file is under the old name or the new one.
//! * A sync that failed says nothing about what is durable, and repeating it would lie: the system may have dropped
//!   the dirty data and call the file clean. Callers stop using the file.
//! * Paths are absolute and have no `.` or `..` in them; anything else is refused as `InvalidInput`.
//! * Every error names its path ([`PathError`]) and keeps its kind.
//!
//! All calls block. Async code makes them inside [`crate::Tasks::dedicated`] or [`crate::Tasks::blocking`].

mod error;
mod real;

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use error::{PathError, PowerLost};
pub use real::RealDisk;

/// A file system.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file. A file made by [`OpenMode::CreateNew`] is empty; its name is durable after
    /// [`Disk::sync_dir`] of its directory.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists` (with `CreateNew`), `IsADirectory`, or what the system says.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;

    /// Creates a directory and those above it that are missing; fine if it is there already. Durable once
    /// [`Disk::sync_dir`] of the parent of every directory made has returned.
    ///
    /// # Errors
    /// `NotADirectory` or `AlreadyExists` if a file is in the way, or what the system says.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Moves a file or directory, replacing a file at `to`, atomically. Open handles follow it. Durable after
    /// [`Disk::sync_dir`] of both directories; before that either name may hold it after a power cut.
    ///
    /// # Errors
    /// `NotFound`, or what the system says. Replacing a directory is not promised to work.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file or an empty directory. Open handles stay usable. Durable after [`Disk::sync_dir`] of its
    /// directory.
    ///
    /// # Errors
    /// `NotFound`, `DirectoryNotEmpty`, or what the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// What is in a directory, sorted by name.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, or what the system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Makes the names in `dir` durable: creations, renames and removals that happened before the call.
    ///
    /// # Errors
    /// What the system says; what is durable is then unknown.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Whether a file or directory has this name.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Takes the exclusive advisory lock on a file, made if it is missing. Released when the [`Lock`] is dropped
    /// or the process dies.
    ///
    /// # Errors
    /// `WouldBlock` when someone else holds it, this process included.
    fn lock(&self, path: &Path) -> io::Result<Lock>;

    /// Bytes that may still be written to the file system that holds `dir`.
    ///
    /// # Errors
    /// What the system says.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;

    /// The whole of a file.
    ///
    /// # Errors
    /// As [`Disk::open`] and [`File::read_at`].
    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let len = usize::try_from(file.len()?).expect("a file read whole fits the address space");
        let mut bytes = vec![0; len];
        let read = read_up_to(file.as_ref(), &mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Replaces a small file as a whole. When it returns, the new content is durable under `path`; after a crash
    /// in between, `path` holds the old content or the new, never a mixture. Uses `path` with `.tmp` appended, so
    /// one writer at a time.
    ///
    /// # Errors
    /// What a step said. Old or new content is then in place; which one, and how durably, is unknown.
    fn write_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = with_tmp(path);
        if self.exists(&temporary)? {
            self.remove(&temporary)?;
        }
        let file = self.open(&temporary, OpenMode::CreateNew)?;
        file.write_at(bytes, 0)?;
        file.sync_data()?;
        self.rename(&temporary, path)?;
        self.sync_dir(parent(path)?)
    }
}

/// An open file. Handles to the same file share its content; positions are explicit, so a handle can be used from
/// several threads at once.
#[expect(clippy::len_without_is_empty, reason = "a file's length is asked of the system and may fail")]
pub trait File: Send + Sync {
    /// Reads from `offset` into `buf`; returns how many bytes. Fewer than asked for only at the end of the file,
    /// 0 at or after it or for an empty `buf`.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `buf` at `offset`, growing the file as needed; a gap reads as zeros. Durable after
    /// [`File::sync_data`].
    ///
    /// # Errors
    /// `StorageFull`, `ReadOnlyFilesystem`, or what the system says; any part of `buf` may have been written.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;

    /// Makes content and length durable: all that was written before the call. Not the file's name: see
    /// [`Disk::sync_dir`].
    ///
    /// # Errors
    /// What the system says. What is durable is then unknown, and a second sync must not be believed.
    fn sync_data(&self) -> io::Result<()>;

    /// How much longer than it took the last sync would have taken. Zero on every disk that is real: a simulated one
    /// cannot hold up its caller, whose time is virtual, and says so instead. Whoever measures its disk waits for as long.
    fn owes(&self) -> Duration {
        Duration::ZERO
    }

    /// Sets the length, cutting or adding zeros. Durable after [`File::sync_data`].
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether a name leads to the file. One that was removed, or replaced by another, lives on for whoever has it open,
    /// and is gone with the last of them.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn has_name(&self) -> io::Result<bool>;

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends first, or as [`File::read_at`].
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let read = read_up_to(self, buf, offset)?;
        if read == buf.len() {
            return Ok(());
        }
        let wanted = buf.len();
        let text = format!(
            "file ends at byte {} but {wanted} bytes from {offset} were asked for",
            offset + read as u64
        );
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
    }
}

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// To read a file that is there.
    Read,
    /// To read and write a file that is there.
    ReadWrite,
    /// To read and write a file that must not be there yet.
    CreateNew,
}

/// A line of a directory listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name inside the directory.
    pub name: String,
    /// File or directory.
    pub kind: EntryKind,
    /// Length in bytes of a file; 0 for a directory.
    pub len: u64,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file, or anything else that is not a directory.
    File,
    /// A directory.
    Dir,
}

/// An exclusive lock on a file, held until dropped.
#[must_use = "dropping the lock releases it"]
pub struct Lock {
    held: Box<dyn Held>,
}

/// A locked file, as an implementation keeps it. Dropping it releases the lock.
pub(crate) trait Held: Send + Sync {
    /// See [`Lock::is_in_place`].
    fn is_in_place(&self) -> io::Result<bool>;
}

impl Lock {
    pub(crate) fn holding(held: impl Held + 'static) -> Lock {
        Lock { held: Box::new(held) }
    }

    /// Whether the name by which the file was locked still leads to it. It does not once somebody has removed, moved or
    /// replaced the file or a directory above it: whoever comes by that name then does not meet this lock.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn is_in_place(&self) -> io::Result<bool> {
        self.held.is_in_place()
    }
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lock")
    }
}

/// Reads until `buf` is full or the file ends, whatever pieces it comes in.
fn read_up_to<F: File + ?Sized>(file: &F, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], offset + done as u64)? {
            0 => break,
            read => done += read,
        }
    }
    Ok(done)
}

fn with_tmp(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// The directory that holds the name `path`.
fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| {
        let cause = io::Error::new(io::ErrorKind::InvalidInput, "the root has no name to replace");
        PathError::wrap("write", path, cause)
    })
}

/// Refuses paths that could mean different things in different processes.
pub(crate) fn check_path(op: &'static str, path: &Path) -> io::Result<()> {
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && plain {
        return Ok(());
    }
    let cause =
        io::Error::new(io::ErrorKind::InvalidInput, "not an absolute path free of . and ..; make it one");
    Err(PathError::wrap(op, path, cause))
}
