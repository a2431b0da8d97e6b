//! Exchanging everything at once: for the parts of another replica, or for nothing.
//!
//! ```text
//!  taking over   files arrive in incoming/ ──► INSTALL names what shall hold ──► files move ──► manifest swap ──► INSTALL goes
//!  discarding    RESET says so ──► files go, or move to incoming/ ──► RESET becomes BEGUN
//! ```
//!
//! Neither is done with the directory alone: the log has to follow, and comes in between. So each begins with a note, and
//! whoever opens the directory while one is there finishes what was begun before anything else happens. Invariants:
//!
//! * Before the note is durable nothing has changed; after it there is only the way forward. Every step can be repeated.
//! * A file whose name is in `incoming/` without an ending of its own was hashed by whoever put it there.
//! * `BEGUN` stays: this replica has begun from what others have, and never begins the partition's history by itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronos_domain::PartitionId;
use chronos_env::{Disk, Env};

use super::{
    INDEX, MANIFEST, PARQUET, PartsDir, SWAP_DONE, SWAP_RENAMED, TEMPORARY, TWIN, check_owner,
    create_durably, inspect,
};
use crate::fault::Fault;
use crate::manifest::{Malformed, Manifest};

const INCOMING: &str = "incoming";
const INSTALL: &str = "INSTALL";
const RESET: &str = "RESET";
const BEGUN: &str = "BEGUN";
/// What a file in `incoming/` ends with while its hash is not known to be right.
const UNCHECKED: &str = ".partial";

pub(crate) const INSTALL_NOTED: &str = "parts.install.noted";
pub(crate) const INSTALL_MOVED: &str = "parts.install.moved";
pub(crate) const INSTALL_SWAPPED: &str = "parts.install.swapped";
pub(crate) const INSTALL_FORGOTTEN: &str = "parts.install.forgotten";
pub(crate) const RESET_NOTED: &str = "parts.reset.noted";
pub(crate) const RESET_ONE: &str = "parts.reset.one";
pub(crate) const RESET_DONE: &str = "parts.reset.done";

/// What becomes of the files of a replica that is discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftovers {
    /// They are removed.
    Remove,
    /// They stay aside, for the next manifest that is taken over: of those that it names, the ones that are still what
    /// they were need not be fetched.
    Reuse,
}

/// What was begun in a directory and has not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// The parts of this manifest are being taken over.
    Install(Box<Manifest>),
    /// Everything is being discarded.
    Reset(Leftovers),
}

/// The directory, inside that of a partition, in which files of parts arrive.
pub fn incoming(dir: &Path) -> PathBuf {
    dir.join(INCOMING)
}

/// What was begun in the directory `dir` and has to be finished before it can be opened.
///
/// # Errors
/// [`Fault::Corrupt`] when the note of it cannot be what was written; [`Fault::Io`].
pub fn unfinished(disk: &dyn Disk, dir: &Path) -> Result<Option<Unfinished>, Fault> {
    let reset = dir.join(RESET);
    if disk.exists(&reset)? {
        return match disk.read_file(&reset)?.as_slice() {
            b"remove\n" => Ok(Some(Unfinished::Reset(Leftovers::Remove))),
            b"reuse\n" => Ok(Some(Unfinished::Reset(Leftovers::Reuse))),
            _ => Err(Fault::corrupt(&reset, None, "it says something that is never written there")),
        };
    }
    let install = dir.join(INSTALL);
    if !disk.exists(&install)? {
        return Ok(None);
    }
    match Manifest::decode(&disk.read_file(&install)?) {
        Ok(manifest) => Ok(Some(Unfinished::Install(Box::new(manifest)))),
        Err(Malformed::Damaged(what)) => Err(Fault::corrupt(&install, None, what)),
        Err(Malformed::Newer { found, .. }) => {
            Err(Fault::Unsupported { file: install, found: found.into(), read: "1" })
        }
    }
}

impl PartsDir {
    /// The directory, whatever is in it: to begin or to finish an exchange of everything.
    pub fn at(env: &Env, path: PathBuf) -> PartsDir {
        PartsDir { disk: env.disk.clone(), crash: env.crash.clone(), path, in_doubt: Arc::default() }
    }

    /// Whether this replica has begun from what others have: it was discarded once.
    ///
    /// # Errors
    /// [`Fault::Io`].
    pub fn has_begun_elsewhere(&self) -> Result<bool, Fault> {
        Ok(self.disk.exists(&self.path.join(BEGUN))?)
    }

    /// Where files arrive; made, durably, if it is missing.
    ///
    /// # Errors
    /// [`Fault::Io`].
    pub fn make_incoming(&self) -> Result<PathBuf, Fault> {
        let incoming = incoming(&self.path);
        create_durably(self.disk.as_ref(), &incoming)?;
        Ok(incoming)
    }

    /// Removes files that have arrived, or begun to, but are none of `manifest`'s.
    ///
    /// # Errors
    /// [`Fault::Io`]: some may be left.
    pub fn keep_incoming(&self, manifest: &Manifest) -> Result<(), Fault> {
        let (incoming, named) = (incoming(&self.path), inspect::file_names(manifest));
        for name in inspect::list(self.disk.as_ref(), &incoming)?.into_keys() {
            if !named.contains_key(name.strip_suffix(UNCHECKED).unwrap_or(&name)) {
                self.disk.remove(&incoming.join(name))?;
            }
        }
        Ok(())
    }

    /// Makes `manifest` the one that holds, with files of which some are in `incoming/` and the rest here. When it
    /// returns, all are here and it is durable under both names; the note of it stays until
    /// [`end_install`](PartsDir::end_install).
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when a file is missing or has another length: nothing was changed. [`Fault::Io`]: what is begun
    /// is finished at the next start.
    ///
    /// # Panics
    /// If the manifest breaks an invariant.
    pub fn install(&self, manifest: &Manifest) -> Result<(), Fault> {
        if let Err(broken) = manifest.check() {
            panic!("the manifest of partition {} must not be taken over: {broken}", manifest.partition);
        }
        self.check_arrived(manifest)?;
        let noted = self.write(INSTALL, &manifest.encode(), INSTALL_NOTED)?;
        self.name(&noted, INSTALL, [SWAP_RENAMED, INSTALL_NOTED])?;
        self.go_on_installing(manifest)
    }

    /// Finishes what [`install`](PartsDir::install) has begun; nothing is left to do when a manifest holds already that is
    /// as young or younger.
    ///
    /// # Errors
    /// As [`install`](PartsDir::install), and [`Fault::Corrupt`] when the manifest belongs to somebody else.
    pub fn resume_install(
        &self,
        manifest: &Manifest,
        cluster: u128,
        partition: PartitionId,
    ) -> Result<(), Fault> {
        check_owner(&self.path, manifest, cluster, partition)?;
        let found = inspect(self.disk.as_ref(), &self.path)?;
        if found.newest()?.is_some_and(|holds| holds.sequence >= manifest.sequence) {
            return Ok(());
        }
        self.check_arrived(manifest)?;
        self.go_on_installing(manifest)
    }

    fn go_on_installing(&self, manifest: &Manifest) -> Result<(), Fault> {
        let incoming = incoming(&self.path);
        let arrived = inspect::list(self.disk.as_ref(), &incoming)?;
        let named = inspect::file_names(manifest);
        let mut moved = false;
        for name in arrived.keys().filter(|name| named.contains_key(*name)) {
            self.disk.rename(&incoming.join(name), &self.path.join(name))?;
            self.crash.hit(INSTALL_MOVED);
            moved = true;
        }
        if moved {
            self.disk.sync_dir(&self.path)?;
            self.disk.sync_dir(&incoming)?;
        }
        self.swap(manifest)?;
        self.crash.hit(INSTALL_SWAPPED);
        Ok(())
    }

    /// Whether every file of the manifest is in one of both places, with its length.
    fn check_arrived(&self, manifest: &Manifest) -> Result<(), Fault> {
        let disk = self.disk.as_ref();
        let (here, arrived) = (inspect::list(disk, &self.path)?, inspect::list(disk, &incoming(&self.path))?);
        for (name, bytes) in inspect::file_names(manifest) {
            let found = arrived.get(&name).or_else(|| here.get(&name));
            if found != Some(&bytes) {
                let what =
                    format!("a manifest that is taken over names it with {bytes} bytes, and has {found:?}");
                return Err(Fault::corrupt(&self.path.join(name), None, what));
            }
        }
        Ok(())
    }

    /// Forgets that something was taken over, and removes what has arrived besides. To be called once the log goes on
    /// behind it, for good.
    ///
    /// # Errors
    /// [`Fault::Io`]: it is forgotten at the next start.
    pub fn end_install(&self) -> Result<(), Fault> {
        let disk = self.disk.as_ref();
        if disk.exists(&self.path.join(INSTALL))? {
            disk.remove(&self.path.join(INSTALL))?;
            disk.sync_dir(&self.path)?;
        }
        self.crash.hit(INSTALL_FORGOTTEN);
        self.clear_incoming()
    }

    fn clear_incoming(&self) -> Result<(), Fault> {
        let (disk, incoming) = (self.disk.as_ref(), incoming(&self.path));
        if !disk.exists(&incoming)? {
            return Ok(());
        }
        for name in inspect::list(disk, &incoming)?.into_keys() {
            disk.remove(&incoming.join(name))?;
        }
        disk.remove(&incoming)?;
        Ok(disk.sync_dir(&self.path)?)
    }

    /// Notes, durably, that everything here is to be discarded.
    ///
    /// # Errors
    /// [`Fault::Io`]: whether it is noted shows at the next start.
    pub fn begin_reset(&self, leftovers: Leftovers) -> Result<(), Fault> {
        create_durably(self.disk.as_ref(), &self.path)?;
        let says: &[u8] = match leftovers {
            Leftovers::Remove => b"remove\n",
            Leftovers::Reuse => b"reuse\n",
        };
        let noted = self.write(RESET, says, RESET_NOTED)?;
        self.name(&noted, RESET, [SWAP_RENAMED, RESET_NOTED])
    }

    /// Discards everything. When it returns, the directory is that of a replica which has nothing yet, for good. Nobody
    /// may write a part meanwhile; handles that are open stay usable.
    ///
    /// # Errors
    /// [`Fault::Io`]: to be called again, at the latest at the next start.
    pub fn end_reset(&self, leftovers: Leftovers) -> Result<(), Fault> {
        let disk = self.disk.as_ref();
        // Without a manifest to name them, and with an unfinished install forgotten, files are only files.
        for name in [INSTALL, MANIFEST, TWIN] {
            self.remove_if_there(name)?;
        }
        disk.sync_dir(&self.path)?;
        let incoming = match leftovers {
            Leftovers::Remove => {
                self.clear_incoming()?;
                None
            }
            Leftovers::Reuse => Some(self.make_incoming()?),
        };
        for name in inspect::list(disk, &self.path)?.into_keys() {
            let is_whole = [PARQUET, INDEX].iter().any(|end| name.ends_with(end));
            match &incoming {
                Some(incoming) if is_whole => self.put_aside(&name, incoming)?,
                _ if is_whole || name.ends_with(TEMPORARY) => disk.remove(&self.path.join(&name))?,
                _ => continue,
            }
            self.crash.hit(RESET_ONE);
        }
        if let Some(incoming) = incoming {
            disk.sync_dir(&incoming)?;
        }
        disk.sync_dir(&self.path)?;
        self.name(&self.path.join(RESET), BEGUN, [SWAP_DONE, RESET_DONE])
    }

    /// Nobody has looked into the file lately: it counts as one of which the hash is not known.
    fn put_aside(&self, name: &str, incoming: &Path) -> Result<(), Fault> {
        let arrived = self.disk.exists(&incoming.join(name))?;
        let from = self.path.join(name);
        match arrived {
            true => self.disk.remove(&from)?,
            false => self.disk.rename(&from, &incoming.join(format!("{name}{UNCHECKED}")))?,
        }
        Ok(())
    }

    fn remove_if_there(&self, name: &str) -> Result<(), Fault> {
        let path = self.path.join(name);
        if self.disk.exists(&path)? {
            self.disk.remove(&path)?;
        }
        Ok(())
    }
}
