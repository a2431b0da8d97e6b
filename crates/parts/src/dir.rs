//! A partition's directory of parts: which manifest holds, how it is replaced, and what may be removed.
//!
//! ```text
//!  parts/p07/MANIFEST             the truth
//!            MANIFEST.previous    its twin, one behind only between the two halves of a swap
//!            <stem>.parquet       one pair for each part the manifest names
//!            <stem>.index
//!            *.tmp                being written, or left over from a crash
//!            quarantine/          what could not be read, moved aside and never touched again
//!            incoming/            files of parts on their way from another replica
//!            INSTALL, RESET       what is to hold instead of all this, until it does
//!            BEGUN                this replica has begun from what others have
//! ```
//!
//! Invariants:
//!
//! * A part's file is removed only when a manifest that does not name it is durable under both names.
//! * Nothing is removed because something cannot be read. Unreadable metadata moves to `quarantine/`; without any
//!   readable manifest the directory is either set aside as a whole (the log still has every event) or refused.
//! * Files of other names are nobody's business here and stay.

mod change;
mod inspect;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chronos_domain::PartitionId;
use chronos_env::{CrashPoints, Disk, Env, OpenMode};

use crate::fault::Fault;
use crate::manifest::Manifest;

pub(crate) use change::{
    INSTALL_FORGOTTEN, INSTALL_MOVED, INSTALL_NOTED, INSTALL_SWAPPED, RESET_DONE, RESET_NOTED, RESET_ONE,
};
pub use change::{Leftovers, Unfinished, incoming, unfinished};
pub use inspect::{Copy, Inspection, inspect};

const MANIFEST: &str = "MANIFEST";
const TWIN: &str = "MANIFEST.previous";
const QUARANTINE: &str = "quarantine";
const PARQUET: &str = ".parquet";
const INDEX: &str = ".index";
const TEMPORARY: &str = ".tmp";

pub(crate) const SWAP_BEFORE: &str = "parts.manifest.before";
pub(crate) const SWAP_WRITTEN: &str = "parts.manifest.written";
pub(crate) const SWAP_RENAMED: &str = "parts.manifest.renamed";
pub(crate) const SWAP_DURABLE: &str = "parts.manifest.durable";
pub(crate) const TWIN_WRITTEN: &str = "parts.manifest.twin_written";
pub(crate) const TWIN_RENAMED: &str = "parts.manifest.twin_renamed";
pub(crate) const SWAP_DONE: &str = "parts.manifest.done";
pub(crate) const REMOVE_BEFORE: &str = "parts.remove.before";
pub(crate) const REMOVE_ONE: &str = "parts.remove.one";
pub(crate) const REMOVE_DONE: &str = "parts.remove.done";

/// Whether the log still has what the parts are made of: what decides when no manifest can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStart {
    /// It has every entry from the partition's first one on: parts can be made again.
    Whole,
    /// Entries were purged from it: what they held is in parts only.
    Purged,
    /// It never had an entry, or lost all of them: nothing can be made from it, and there should be nothing.
    Empty,
}

/// What opening a directory has found and done, for the node's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Files that were moved to `quarantine/`: where they are now, and why.
    pub quarantined: Vec<(PathBuf, String)>,
    /// Leftovers of a crash that were removed, by name.
    pub removed: Vec<String>,
    /// Whether the manifest had to be written again, because one of its two copies was lost or behind.
    pub repaired: bool,
}

/// The directory of parts of one partition. Clones are the same directory; only one caller changes it at a time.
#[derive(Clone)]
pub struct PartsDir {
    disk: Arc<dyn Disk>,
    crash: CrashPoints,
    path: PathBuf,
    /// Set while it is not known which manifest holds: from the moment a swap may have happened until it certainly has.
    in_doubt: Arc<AtomicBool>,
}

impl PartsDir {
    /// Opens the directory, makes it if it is missing, and gives back the newest valid manifest; `None` before the
    /// first one. When it returns, that manifest is durable under both of its names, every file it names is there
    /// with the length it names, and leftovers of a crash are gone.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when the manifest belongs to another cluster or partition, when a file it names is missing
    /// or has another length, or when there is no readable manifest and the log was purged, or is empty though parts were
    /// written here: then nothing is touched.
    /// [`Fault::Unsupported`] for a manifest of a later release. [`Fault::Io`] when the system refused.
    pub fn open(
        env: &Env,
        path: PathBuf,
        cluster: u128,
        partition: PartitionId,
        log: LogStart,
    ) -> Result<(PartsDir, Option<Manifest>, Notes), Fault> {
        let dir = PartsDir::at(env, path);
        dir.check_finished()?;
        let found = inspect(dir.disk.as_ref(), &dir.path)?;
        let mut notes = Notes::default();
        let Some(manifest) = found.newest()? else {
            dir.start_over(&found, log, &mut notes)?;
            return Ok((dir, None, notes));
        };
        check_owner(&dir.path, manifest, cluster, partition)?;
        found.check_files(manifest)?;
        let manifest = manifest.clone();
        dir.settle(&found, &manifest, &mut notes)?;
        notes.removed = dir.remove_unnamed(&manifest)?;
        chronos_env::sometimes!("parts.leftovers_removed", !notes.removed.is_empty());
        Ok((dir, Some(manifest), notes))
    }

    fn check_finished(&self) -> Result<(), Fault> {
        match unfinished(self.disk.as_ref(), &self.path)? {
            None => Ok(()),
            Some(_) => {
                let what = "its parts were being exchanged for others, and that is not finished; start the node on it";
                Err(Fault::corrupt(&self.path, None, what))
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes `manifest` the one that holds. Durable under both names when it returns.
    ///
    /// Every file it names must be there and durable before.
    ///
    /// # Errors
    /// [`Fault::Io`]: the manifest before holds, or this one; which one is unknown until the next start. The call may
    /// be repeated with the same manifest, and nothing may be removed or purged before it has succeeded.
    ///
    /// # Panics
    /// If the manifest breaks an invariant: written down, it would lose data.
    pub fn swap(&self, manifest: &Manifest) -> Result<(), Fault> {
        if let Err(broken) = manifest.check() {
            panic!("the manifest of partition {} must not be written: {broken}", manifest.partition);
        }
        let bytes = manifest.encode();
        self.crash.hit(SWAP_BEFORE);
        let written = self.write(MANIFEST, &bytes, SWAP_WRITTEN)?;
        self.in_doubt.store(true, Ordering::Release);
        self.name(&written, MANIFEST, [SWAP_RENAMED, SWAP_DURABLE])?;
        let written = self.write(TWIN, &bytes, TWIN_WRITTEN)?;
        self.name(&written, TWIN, [TWIN_RENAMED, SWAP_DONE])?;
        self.in_doubt.store(false, Ordering::Release);
        Ok(())
    }

    /// Removes the files of parts that `manifest`, the one that holds, does not name, and temporary files; returns
    /// their names. Nobody may be writing a part meanwhile. Handles that are open stay usable. Does nothing after a swap
    /// that failed, until one succeeds: which manifest holds is not known in between.
    ///
    /// # Errors
    /// [`Fault::Io`]: some may be left; the next call or the next start removes them.
    pub fn remove_unnamed(&self, manifest: &Manifest) -> Result<Vec<String>, Fault> {
        if self.in_doubt.load(Ordering::Acquire) {
            return Ok(Vec::new());
        }
        let found = inspect::list(self.disk.as_ref(), &self.path)?;
        let named = inspect::file_names(manifest);
        let unnamed = found.into_keys().filter(|name| is_ours(name) && !named.contains_key(name.as_str()));
        self.remove(unnamed.collect())
    }

    fn remove(&self, names: Vec<String>) -> Result<Vec<String>, Fault> {
        if names.is_empty() {
            return Ok(names);
        }
        self.crash.hit(REMOVE_BEFORE);
        for name in &names {
            self.disk.remove(&self.path.join(name))?;
            self.crash.hit(REMOVE_ONE);
        }
        self.disk.sync_dir(&self.path)?;
        self.crash.hit(REMOVE_DONE);
        Ok(names)
    }

    /// There is no readable manifest. Either there never was one, or the log makes all of it again, or the directory
    /// is left as it is.
    fn start_over(&self, found: &Inspection, log: LogStart, notes: &mut Notes) -> Result<(), Fault> {
        if found.has_lost(log) {
            let what = "no manifest can be read here, and the log does not have the events its parts hold; make \
                        the data directory anew from a backup (chronos restore)";
            return Err(Fault::corrupt(&self.path.join(MANIFEST), None, what));
        }
        create_durably(self.disk.as_ref(), &self.path)?;
        for (name, copy) in [(MANIFEST, &found.manifest), (TWIN, &found.twin)] {
            if let Copy::Unreadable(why) = copy {
                self.quarantine(name, why, notes)?;
            }
        }
        let (temporary, parts): (Vec<String>, Vec<String>) = found
            .files
            .keys()
            .filter(|name| is_ours(name))
            .cloned()
            .partition(|name| name.ends_with(TEMPORARY));
        for name in parts {
            self.quarantine(&name, "no manifest can be read that names it", notes)?;
        }
        notes.removed = self.remove(temporary)?;
        Ok(())
    }

    /// Makes the manifest durable under both names, whatever a crash or a bad sector has left of them.
    fn settle(&self, found: &Inspection, manifest: &Manifest, notes: &mut Notes) -> Result<(), Fault> {
        let bytes = manifest.encode();
        for (name, copy) in [(MANIFEST, &found.manifest), (TWIN, &found.twin)] {
            if let Copy::Unreadable(why) = copy {
                self.quarantine(name, why, notes)?;
            }
            // A killed process leaves a renamed file that only the page cache knows under its new name: what is equal
            // is synced again before anything that it does not name may go.
            if matches!(copy, Copy::Whole(equal) if equal == manifest) {
                self.disk.open(&self.path.join(name), OpenMode::ReadWrite)?.sync_data()?;
            } else {
                let written = self.write(name, &bytes, TWIN_WRITTEN)?;
                self.name(&written, name, [TWIN_RENAMED, SWAP_DONE])?;
                notes.repaired = true;
                chronos_env::sometimes!("parts.manifest_copy_renewed");
            }
        }
        Ok(self.disk.sync_dir(&self.path)?)
    }

    /// Writes a file that has only a temporary name yet, durably, and reads it back.
    fn write(&self, name: &str, bytes: &[u8], written: &'static str) -> Result<PathBuf, Fault> {
        let temporary = self.path.join(format!("{name}{TEMPORARY}"));
        if self.disk.exists(&temporary)? {
            self.disk.remove(&temporary)?;
        }
        if let Err(fault) = write_and_compare(self.disk.as_ref(), &temporary, bytes) {
            // A full disk should not be left fuller; if this fails too, the next attempt removes it.
            let _ = self.disk.remove(&temporary);
            return Err(fault);
        }
        self.crash.hit(written);
        Ok(temporary)
    }

    /// Gives a file its name, durably, whatever had that name before.
    fn name(&self, temporary: &Path, name: &str, [renamed, durable]: [&'static str; 2]) -> Result<(), Fault> {
        self.disk.rename(temporary, &self.path.join(name))?;
        self.crash.hit(renamed);
        self.disk.sync_dir(&self.path)?;
        self.crash.hit(durable);
        Ok(())
    }

    /// Moves a file aside, under a name that is free.
    fn quarantine(&self, name: &str, why: &str, notes: &mut Notes) -> Result<(), Fault> {
        let dir = self.path.join(QUARANTINE);
        create_durably(self.disk.as_ref(), &dir)?;
        let mut to = dir.join(name);
        let mut taken = 0;
        while self.disk.exists(&to)? {
            taken += 1;
            to = dir.join(format!("{name}.{taken}"));
        }
        self.disk.rename(&self.path.join(name), &to)?;
        self.disk.sync_dir(&dir)?;
        self.disk.sync_dir(&self.path)?;
        notes.quarantined.push((to, why.to_owned()));
        chronos_env::sometimes!("parts.file_moved_aside");
        Ok(())
    }
}

impl std::fmt::Debug for PartsDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartsDir({})", self.path.display())
    }
}

fn write_and_compare(disk: &dyn Disk, file: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let open = disk.open(file, OpenMode::CreateNew)?;
    open.write_at(bytes, 0)?;
    open.sync_data()?;
    if disk.read_file(file)? != bytes {
        return Err(Fault::corrupt(file, None, "it does not read back as it was written just now"));
    }
    Ok(())
}

/// Whether a name is one that parts and manifests are written under, the two manifests themselves excepted.
fn is_ours(name: &str) -> bool {
    [PARQUET, INDEX, TEMPORARY].iter().any(|end| name.ends_with(end))
}

fn check_owner(dir: &Path, manifest: &Manifest, cluster: u128, partition: PartitionId) -> Result<(), Fault> {
    let refuse = |what| Err(Fault::corrupt(&dir.join(MANIFEST), None, what));
    if manifest.cluster != cluster {
        let found = manifest.cluster;
        return refuse(format!(
            "it belongs to cluster {found:032x} instead of {cluster:032x}; move it where it came from"
        ));
    }
    if manifest.partition != partition {
        let found = manifest.partition;
        return refuse(format!(
            "it belongs to partition {found} instead of {partition}; move it where it came from"
        ));
    }
    Ok(())
}

/// Makes a directory and those above it that are missing, so that they outlast a power cut.
fn create_durably(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    for dir in path.ancestors() {
        if disk.exists(dir)? {
            break;
        }
        missing.push(dir);
    }
    disk.create_dir_all(path)?;
    missing.iter().filter_map(|dir| dir.parent()).try_for_each(|dir| disk.sync_dir(dir))
}

#[cfg(test)]
mod tests;
