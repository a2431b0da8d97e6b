//! One file on its way into a backup, or to another replica.

use std::path::PathBuf;
use std::sync::Arc;

use chronos_bugs::{Bug, is_seeded};
use chronos_env::{Disk, Env, File, OpenMode};
use chronos_proof::Hash;
use sha2::{Digest as _, Sha256};

use super::error::{Error, VERIFY_NODE};
use super::hashing::hash_prefix;
use super::listing::NamedFile;

pub(crate) const RECEIVING: &str = "store.backup.receiving";
pub(crate) const RECEIVED: &str = "store.backup.received";
pub(crate) const NAMED: &str = "store.backup.named";

/// A file that is being received, under a name of its own until its hash is right. Dropped before
/// [`finish`](Incoming::finish) it stays as it is, and the next run goes on with it.
pub struct Incoming {
    env: Env,
    wanted: NamedFile,
    to: PathBuf,
    partial: PathBuf,
    file: Arc<dyn File>,
    at: u64,
    hasher: Sha256,
    resumed: bool,
}

/// How receiving a file has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is what was named, and durable under its name.
    Whole,
    /// What an earlier run had left of it was not its beginning. That is gone: receive it again from its first byte.
    Again,
}

impl Incoming {
    /// Begins to receive a file that shall be `to`, or goes on with what an earlier run has left of it. The directory
    /// must be there. Blocks on the disk: what is there is hashed again.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses.
    pub fn open(env: &Env, wanted: NamedFile, to: PathBuf) -> Result<Incoming, Error> {
        let mut partial = to.clone().into_os_string();
        partial.push(PARTIAL);
        let partial = PathBuf::from(partial);
        let disk = env.disk.as_ref();
        let mut file = open_or_create(disk, &partial)?;
        if file.len()? > wanted.meta.bytes {
            disk.remove(&partial)?;
            file = open_or_create(disk, &partial)?;
        }
        let at = file.len()?;
        let hasher = hash_prefix(file.as_ref(), at)?;
        Ok(Incoming { env: env.clone(), wanted, to, partial, file, at, hasher, resumed: at > 0 })
    }

    /// How many of its first bytes are here: the next ones to give to [`write`](Incoming::write) start there.
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// Whether all bytes are here.
    pub fn is_complete(&self) -> bool {
        self.at == self.wanted.meta.bytes
    }

    /// Adds the bytes that follow. Not durable before [`finish`](Incoming::finish).
    ///
    /// # Errors
    /// [`Error::Damaged`] when the file would grow longer than it is; [`Error::Io`] when the system refuses.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let after = self.at + bytes.len() as u64;
        if after > self.wanted.meta.bytes {
            let what = format!("{after} bytes arrived where {} were announced", self.wanted.meta.bytes);
            return Err(Error::damaged(&self.partial, what, VERIFY_NODE));
        }
        self.file.write_at(bytes, self.at)?;
        self.hasher.update(bytes);
        self.at = after;
        self.env.crash.hit(RECEIVING);
        Ok(())
    }

    /// Gives it its name, if it is what was announced. Then it is durable when this returns.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the bytes that arrived are not those of the file: the node's own copy is damaged, or
    /// was on the way. [`Error::Io`] when the system refuses.
    pub fn finish(self) -> Result<Arrival, Error> {
        assert!(self.is_complete(), "{} ends at byte {}", self.wanted.name, self.at);
        let found = Hash(self.hasher.finalize().into());
        let disk = self.env.disk.as_ref();
        if found != self.wanted.meta.sha256 && !is_seeded(Bug::M20) {
            disk.remove(&self.partial)?;
            if self.resumed {
                return Ok(Arrival::Again);
            }
            let what =
                format!("it arrived with SHA-256 {found} where {} was announced", self.wanted.meta.sha256);
            return Err(Error::damaged(&self.to, what, VERIFY_NODE));
        }
        self.file.sync_data()?;
        self.env.crash.hit(RECEIVED);
        disk.rename(&self.partial, &self.to)?;
        self.env.crash.hit(NAMED);
        disk.sync_dir(self.to.parent().expect("a file of a part lies in its partition's directory"))?;
        Ok(Arrival::Whole)
    }
}

/// What the name of a file ends with while it is being received.
pub(super) const PARTIAL: &str = ".partial";

fn open_or_create(disk: &dyn Disk, path: &std::path::Path) -> std::io::Result<Arc<dyn File>> {
    let mode = if disk.exists(path)? { OpenMode::ReadWrite } else { OpenMode::CreateNew };
    disk.open(path, mode)
}
