//! The directory that a restore makes: built beside its name, and given it last.
//!
//! ```text
//!  NEW.restoring/    until everything in it is durable; a node refuses to start from it whatever it holds
//!  NEW/              from then on
//! ```
//!
//! The rename is the only step that counts. Before it there is nothing to start from, and what is there is cleared
//! away by the next run; after it there is nothing left to do but to make the name durable.

use std::io;
use std::path::{Path, PathBuf};

use chronos_env::{Disk, EntryKind, Env, Lock};

use super::dir::create_durably;
use super::error::Error;
use super::listing::PARTS;
use crate::identity::{IDENTITY, LOCK, WAL};

pub(crate) const BEGUN: &str = "store.restore.begun";
pub(crate) const CLEARED: &str = "store.restore.cleared";
pub(crate) const NAMED: &str = "store.restore.named";

/// What the name of a data directory ends with, after a dot, while it is being restored.
pub const RESTORING: &str = "restoring";

/// What may stand in the directory of an unfinished restore.
const NAMES: [&str; 5] = [IDENTITY, "IDENTITY.tmp", LOCK, WAL, PARTS];

/// A data directory on its way.
pub(super) struct Target {
    env: Env,
    name: PathBuf,
    path: PathBuf,
    _lock: Lock,
}

impl Target {
    /// Begins a new directory, for which `bytes` bytes are needed, and clears away what an earlier run has left of it.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Reserved`], [`Error::NoSpace`], [`Error::InUse`]: nothing was changed.
    pub(super) fn begin(env: &Env, name: &Path, bytes: u64) -> Result<Target, Error> {
        let disk = env.disk.as_ref();
        if is_restoring(name) {
            return Err(Error::Reserved { dir: name.to_path_buf() });
        }
        check_empty(disk, name)?;
        let path = restoring(name);
        if disk.exists(&path)? {
            check_ours(disk, &path)?;
        }
        create_durably(disk, &path)?;
        let file = path.join(LOCK);
        let lock = disk.lock(&file).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::InUse {
                file: file.clone(),
                what: "another `chronos restore` makes it; wait until it is done",
            },
            _ => error.into(),
        })?;
        env.crash.hit(BEGUN);
        clear(env, &path)?;
        let free = disk.free_bytes(&path)?;
        if free < bytes {
            return Err(Error::NoSpace { dir: path, free, needed: bytes });
        }
        Ok(Target { env: env.clone(), name: name.to_path_buf(), path, _lock: lock })
    }

    /// Where it is being made.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name. Everything in it must be durable. When this returns, its name is too.
    pub(super) fn finish(self) -> Result<(), Error> {
        let disk = self.env.disk.as_ref();
        check_empty(disk, &self.name)?;
        if disk.exists(&self.name)? {
            // An empty directory gives way: not every file system replaces one.
            disk.remove(&self.name)?;
        }
        disk.rename(&self.path, &self.name)?;
        self.env.crash.hit(NAMED);
        let parent = self.name.parent().expect("the root is not empty, so it was refused");
        Ok(disk.sync_dir(parent)?)
    }
}

/// Whether a directory's name says that its restore is not finished.
pub(crate) fn is_restoring(dir: &Path) -> bool {
    dir.extension().is_some_and(|extension| extension == RESTORING)
}

fn restoring(name: &Path) -> PathBuf {
    let mut path = name.as_os_str().to_owned();
    path.push(".");
    path.push(RESTORING);
    PathBuf::from(path)
}

fn check_empty(disk: &dyn Disk, name: &Path) -> Result<(), Error> {
    if !disk.exists(name)? {
        return Ok(());
    }
    match disk.list(name)?.into_iter().next() {
        Some(entry) => Err(Error::NotEmpty { dir: name.to_path_buf(), found: entry.name }),
        None => Ok(()),
    }
}

/// What is cleared away must be what an earlier run has made.
fn check_ours(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    let foreign = disk.list(path)?.into_iter().find(|entry| !NAMES.contains(&entry.name.as_str()));
    match foreign {
        Some(entry) => Err(Error::NotEmpty { dir: path.to_path_buf(), found: entry.name }),
        None => Ok(()),
    }
}

/// Removes all but the lock.
fn clear(env: &Env, path: &Path) -> Result<(), Error> {
    let disk = env.disk.as_ref();
    for entry in disk.list(path)?.into_iter().filter(|entry| entry.name != LOCK) {
        remove_all(disk, &path.join(&entry.name), entry.kind)?;
        env.crash.hit(CLEARED);
    }
    Ok(disk.sync_dir(path)?)
}

fn remove_all(disk: &dyn Disk, path: &Path, kind: EntryKind) -> io::Result<()> {
    if kind == EntryKind::Dir {
        for entry in disk.list(path)? {
            remove_all(disk, &path.join(&entry.name), entry.kind)?;
        }
    }
    disk.remove(path)
}
