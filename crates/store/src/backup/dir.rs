//! The directory of a backup, while one is being made.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use chronos_domain::PartitionId;
use chronos_env::{Disk, EntryKind, Env, Lock};
use chronos_parts::FileMeta;

use super::error::Error;
use super::hashing::hash_file;
use super::incoming::{Arrival, Incoming, PARTIAL};
use super::listing::{Listing, NamedFile, PARTS, parts_dir};

pub(crate) const COMMIT: &str = "store.backup.commit";
pub(crate) const COMMITTED: &str = "store.backup.committed";
pub(crate) const REMOVED: &str = "store.backup.removed";

pub(super) const BACKUP: &str = "BACKUP";
pub(super) const LOCK: &str = "LOCK";
/// What may stand in the directory of a backup.
const NAMES: [&str; 5] = [BACKUP, "BACKUP.tmp", LOCK, PARTS, "lost+found"];
const FILE_ENDS: [&str; 3] = [".parquet", ".index", PARTIAL];

/// A file's name across the directory: its partition, and its name there.
type Key = (PartitionId, String);

/// A directory that this process makes a backup in, until this is dropped.
pub struct BackupDir {
    env: Env,
    path: PathBuf,
    /// The backup that stands.
    listing: Option<Listing>,
    /// The files that are here, each as it was hashed by this process.
    held: BTreeMap<Key, FileMeta>,
    _lock: Lock,
}

/// What a backup needs beyond what is here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be received.
    pub missing: Vec<NamedFile>,
    /// How many files stay as they are.
    pub kept_files: u64,
    /// Their bytes.
    pub kept_bytes: u64,
}

/// What a finished backup has cleared away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Files that it no longer names.
    pub removed_files: u64,
}

impl BackupDir {
    /// Opens a directory to make a backup in, makes it if it is missing, and hashes every file that an earlier run
    /// has left, telling `progress` the bytes of each: a file that has rotted since is not kept.
    ///
    /// # Errors
    /// [`Error::Foreign`] when there is something else in it; [`Error::InUse`]; [`Error::Damaged`] and
    /// [`Error::Newer`] about the `BACKUP` that stands. Nothing was changed.
    pub fn open(env: &Env, path: &Path, progress: &mut dyn FnMut(u64)) -> Result<BackupDir, Error> {
        let disk = env.disk.as_ref();
        create_durably(disk, path)?;
        check_contents(disk, path)?;
        let file = path.join(LOCK);
        let lock = disk.lock(&file).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => in_use(file),
            _ => error.into(),
        })?;
        let listing = read(disk, path)?;
        let held = survey(disk, path, progress)?;
        Ok(BackupDir { env: env.clone(), path: path.to_path_buf(), listing, held, _lock: lock })
    }

    /// The backup that stands, if one was ever finished here.
    pub fn listing(&self) -> Option<&Listing> {
        self.listing.as_ref()
    }

    /// What it takes to make `next` the backup that stands.
    ///
    /// # Errors
    /// [`Error::OtherCluster`] and [`Error::OtherHistory`]: with the files of `next`, those of the backup that stands
    /// would be lost.
    pub fn plan(&self, next: &Listing) -> Result<Plan, Error> {
        self.check_continues(next)?;
        let mut plan = Plan::default();
        for file in next.files() {
            if self.held.get(&key(&file)) == Some(&file.meta) {
                plan.kept_files += 1;
                plan.kept_bytes += file.meta.bytes;
            } else {
                plan.missing.push(file);
            }
        }
        Ok(plan)
    }

    /// Begins to receive a file, or goes on where an earlier run was cut short.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses.
    pub fn receive(&self, file: &NamedFile) -> Result<Incoming, Error> {
        create_durably(self.env.disk.as_ref(), &parts_dir(&self.path, file.partition))?;
        Incoming::open(&self.env, file.clone(), file.path(&self.path))
    }

    /// Ends receiving a file. [`Arrival::Again`] means that it has to be received once more.
    ///
    /// # Errors
    /// As [`Incoming::finish`].
    pub fn finish(&mut self, file: &NamedFile, incoming: Incoming) -> Result<Arrival, Error> {
        let arrival = incoming.finish()?;
        if arrival == Arrival::Whole {
            self.held.insert(key(file), file.meta);
        }
        Ok(arrival)
    }

    /// Makes `next` the backup that stands, then removes the files that it does not name. Durable when it returns.
    ///
    /// # Errors
    /// [`Error::Io`]: the backup before stands, or this one; every file of either is there.
    ///
    /// # Panics
    /// When a file of `next` is not here as it names it.
    pub fn commit(&mut self, next: Listing) -> Result<Committed, Error> {
        for file in next.files() {
            let held = self.held.get(&key(&file));
            assert!(held == Some(&file.meta), "{} is named by the backup and is not in it", file.name);
        }
        let disk = self.env.disk.as_ref();
        // A killed run may have left names that only the page cache knows.
        for partition in named(&next).into_iter().map(|(partition, _)| partition).collect::<BTreeSet<_>>() {
            disk.sync_dir(&parts_dir(&self.path, partition))?;
        }
        self.env.crash.hit(COMMIT);
        disk.write_atomic(&self.path.join(BACKUP), &next.encode())?;
        self.env.crash.hit(COMMITTED);
        let removed = self.remove_unnamed(&next)?;
        self.listing = Some(next);
        Ok(removed)
    }

    fn remove_unnamed(&mut self, listing: &Listing) -> Result<Committed, Error> {
        let disk = self.env.disk.as_ref();
        let named = named(listing);
        let mut removed_files = 0;
        for (partition, names) in files_here(disk, &self.path)? {
            let dir = parts_dir(&self.path, partition);
            let before = removed_files;
            for name in names.into_iter().filter(|name| !named.contains(&(partition, name.clone()))) {
                disk.remove(&dir.join(&name))?;
                self.env.crash.hit(REMOVED);
                removed_files += 1;
                self.held.remove(&(partition, name));
            }
            if removed_files > before {
                disk.sync_dir(&dir)?;
            }
        }
        Ok(Committed { removed_files })
    }

    /// Whether `next` goes on from the backup that stands. Otherwise it would replace what it does not hold.
    fn check_continues(&self, next: &Listing) -> Result<(), Error> {
        let Some(standing) = &self.listing else { return Ok(()) };
        if standing.cluster != next.cluster {
            let (dir, found) = (self.path.clone(), standing.cluster);
            return Err(Error::OtherCluster { dir, found, node: next.cluster });
        }
        let refuse = |what| Err(Error::OtherHistory { dir: self.path.clone(), what });
        for (before, after) in standing.manifests().iter().zip(next.manifests()) {
            if before.compacted > after.compacted {
                let (partition, had, has) = (before.partition, before.compacted, after.compacted);
                return refuse(format!("it reaches position {had} of partition {partition}, the node {has}"));
            }
        }
        let before: BTreeMap<Key, FileMeta> = standing.files().map(|file| (key(&file), file.meta)).collect();
        let differs = |file: &NamedFile| before.get(&key(file)).is_some_and(|meta| *meta != file.meta);
        match next.files().find(differs) {
            Some(file) => {
                refuse(format!("{} of partition {} has another content there", file.name, file.partition))
            }
            None => Ok(()),
        }
    }
}

pub(super) fn in_use(file: PathBuf) -> Error {
    Error::InUse {
        file,
        what: "another `chronos backup` or `chronos restore` is at work there; wait until it is done",
    }
}

/// The listing of the backup in `dir`; `None` when none was ever finished there.
pub(super) fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Listing>, Error> {
    let file = dir.join(BACKUP);
    if !disk.exists(&file)? {
        return Ok(None);
    }
    Listing::decode(&disk.read_file(&file)?, &file).map(Some)
}

/// Whether a backup stands in this directory; no when that cannot be seen.
pub fn is_backup(disk: &dyn Disk, dir: &Path) -> bool {
    disk.exists(&dir.join(BACKUP)).unwrap_or(false)
}

/// Whether a directory is a backup, or empty and can become one.
pub(super) fn check_contents(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    let foreign = disk.list(dir)?.into_iter().find(|entry| !NAMES.contains(&entry.name.as_str()));
    match foreign {
        Some(entry) => Err(Error::Foreign { dir: dir.to_path_buf(), found: entry.name }),
        None => Ok(()),
    }
}

/// Makes a directory and those above it that are missing, so that they outlast a power cut.
pub(super) fn create_durably(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    for dir in path.ancestors() {
        if disk.exists(dir)? {
            break;
        }
        missing.push(dir);
    }
    if missing.is_empty() {
        return Ok(());
    }
    disk.create_dir_all(path)?;
    missing.iter().filter_map(|dir| dir.parent()).try_for_each(|dir| disk.sync_dir(dir))
}

fn key(file: &NamedFile) -> Key {
    (file.partition, file.name.clone())
}

fn named(listing: &Listing) -> BTreeSet<Key> {
    listing.files().map(|file| (file.partition, file.name)).collect()
}

/// The names of our files, by partition.
fn files_here(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<(PartitionId, Vec<String>)>> {
    let mut here = Vec::new();
    for partition in PartitionId::all() {
        let dir = parts_dir(dir, partition);
        if disk.exists(&dir)? {
            let files = disk.list(&dir)?.into_iter().filter(|entry| entry.kind == EntryKind::File);
            let ours = files.map(|entry| entry.name).filter(|name| is_ours(name));
            here.push((partition, ours.collect()));
        }
    }
    Ok(here)
}

fn is_ours(name: &str) -> bool {
    FILE_ENDS.iter().any(|end| name.ends_with(end))
}

/// Hashes every file that has its name.
fn survey(
    disk: &dyn Disk,
    dir: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<BTreeMap<Key, FileMeta>, Error> {
    let mut held = BTreeMap::new();
    for (partition, names) in files_here(disk, dir)? {
        let parts = parts_dir(dir, partition);
        for name in names.into_iter().filter(|name| !name.ends_with(PARTIAL)) {
            // A file that cannot be read is one that is not here: it is fetched again, or no longer needed.
            if let Ok(meta) = hash_file(disk, &parts.join(&name)) {
                progress(meta.bytes);
                held.insert((partition, name), meta);
            }
        }
    }
    Ok(held)
}
