//! Whose data directory this is: the identity file and the lock beside it. Layout in `FORMAT.md`.
//!
//! The identity is durable before anything else is written, and once the log exists the identity says so. A directory
//! is therefore either empty, or founded, or complete; anything else is somebody else's, or damaged, and is left
//! untouched.

mod codec;
mod error;
mod seat;
mod threshold;

use std::io;
use std::path::{Path, PathBuf};

use chronos_domain::Timestamp;
use chronos_domain::limits::PARTITIONS;
use chronos_env::{Disk, EntryKind, Env, Lock};

pub use error::OpenError;
pub use seat::{Disowned, Double, Neighbour, Origin, Seat, Sighting, Whereabouts};
pub use threshold::Threshold;

pub(crate) const IDENTITY: &str = "IDENTITY";
/// Which node of its cluster this is.
pub(crate) const NODE: &str = "NODE";
pub(crate) const LOCK: &str = "LOCK";
pub(crate) const WAL: &str = "wal";
/// What a cut power supply can leave of the first start, before the identity has its name.
const LEFTOVERS: [&str; 4] = [LOCK, "IDENTITY.tmp", "NODE.tmp", "lost+found"];

/// What a data directory says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's UUID.
    pub cluster: u128,
    /// This node's UUID.
    pub node: u128,
    /// How many data partitions the cluster has; fixed for its life.
    pub partitions: u8,
    /// When the directory was founded.
    pub created_at: Timestamp,
    /// The release that founded it.
    pub release: String,
    /// Whether the log has been created since.
    pub sealed: bool,
    /// Whether it was admitted to a cluster that others founded: then it must know its node id.
    pub(crate) has_joined: bool,
}

/// What the one who opens a directory knows.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The cluster this node must belong to. A new directory joins it; `None` founds a cluster of its own, or takes
    /// whatever cluster the directory belongs to.
    pub cluster: Option<u128>,
    /// The running release, as in `0.1.0`.
    pub release: String,
}

/// A data directory that this process has to itself, until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    /// What it says of itself.
    pub identity: Identity,
    /// Where it is.
    pub path: PathBuf,
    /// Where its write-ahead log is.
    pub wal_dir: PathBuf,
    /// Which node this is.
    seat: Seat,
    _lock: Lock,
    /// On the sealed identity file itself: who removes the lock file does not let a second process in.
    identity_lock: Option<Lock>,
}

impl DataDir {
    /// Locks a data directory and reads its identity; founds it when it is missing or empty.
    ///
    /// When it returns, the identity is durable. Next open the log in [`wal_dir`](DataDir::wal_dir), then call
    /// [`seal`](DataDir::seal).
    ///
    /// # Errors
    /// See [`OpenError`]. A directory that is refused is left as it was found.
    pub fn open(env: &Env, path: &Path, options: &Options) -> Result<DataDir, OpenError> {
        Threshold::enter(env, path)?.open(env, options)
    }

    /// Notes that the log has been created. From then on a directory without it is damaged, not new. Does nothing
    /// when that has been noted before. Durable when it returns.
    ///
    /// # Errors
    /// [`OpenError::Io`]; the directory then still counts as founding.
    pub fn seal(&mut self, env: &Env) -> Result<(), OpenError> {
        if self.identity.sealed {
            return Ok(());
        }
        let sealed = Identity { sealed: true, ..self.identity.clone() };
        let file = self.path.join(IDENTITY);
        env.disk
            .write_atomic(&file, &codec::encode(&sealed))
            .map_err(|source| OpenError::io(&file, source))?;
        self.identity_lock = Some(lock(env.disk.as_ref(), file)?);
        self.identity = sealed;
        Ok(())
    }

    /// What of a sealed directory is not where it was opened any more: the file by which the next start would know it.
    /// Somebody has removed, moved or replaced that or a directory above it, and what is written from now on is found by
    /// nobody. Blocks.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn missing(&self, disk: &dyn Disk) -> io::Result<Option<PathBuf>> {
        let is_ours = self.identity_lock.as_ref().map_or(Ok(true), Lock::is_in_place)?;
        if !is_ours {
            return Ok(Some(self.path.join(IDENTITY)));
        }
        let seat = self.path.join(NODE);
        let is_there = disk.exists(&seat)?;
        Ok((!is_there).then_some(seat))
    }
}

/// Makes a directory and those above it, so that they outlast a power cut.
fn create_durably(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    if disk.exists(path)? {
        return Ok(());
    }
    let mut made = vec![path];
    for parent in path.ancestors().skip(1) {
        if disk.exists(parent)? {
            break;
        }
        made.push(parent);
    }
    disk.create_dir_all(path)?;
    made.iter().filter_map(|dir| dir.parent()).try_for_each(|dir| disk.sync_dir(dir))
}

/// Whether a directory is ours, or empty and can become so.
fn check_contents(disk: &dyn Disk, path: &Path) -> Result<(), OpenError> {
    let entries = disk.list(path).map_err(|source| OpenError::io(path, source))?;
    let mut names =
        entries.into_iter().map(|entry| entry.name).filter(|name| !LEFTOVERS.contains(&name.as_str()));
    let names: Vec<String> = names.by_ref().collect();
    if names.iter().any(|name| name == IDENTITY) || names.iter().all(|name| name == NODE) {
        return Ok(());
    }
    if names.iter().any(|name| name == WAL) {
        return Err(OpenError::IdentityMissing { file: path.join(IDENTITY) });
    }
    let found = names.into_iter().next().expect("just seen not to be empty");
    Err(OpenError::Foreign { dir: path.to_path_buf(), found })
}

fn lock(disk: &dyn Disk, file: PathBuf) -> Result<Lock, OpenError> {
    disk.lock(&file).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked { file },
        _ => OpenError::io(&file, source),
    })
}

/// The identity a file holds; `None` when there is no such file.
pub(crate) fn read(disk: &dyn Disk, file: &Path) -> Result<Option<Identity>, OpenError> {
    if !disk.exists(file).map_err(|source| OpenError::io(file, source))? {
        return Ok(None);
    }
    let bytes = disk.read_file(file).map_err(|source| OpenError::io(file, source))?;
    codec::decode(&bytes).map(Some).map_err(|fault| fault.in_file(file))
}

fn write(env: &Env, file: &Path, identity: Identity) -> Result<Identity, OpenError> {
    env.disk.write_atomic(file, &codec::encode(&identity)).map_err(|source| OpenError::io(file, source))?;
    Ok(identity)
}

/// Writes down that a directory, whose log is there, belongs to a new node of `cluster`. Durable when it returns.
pub(crate) fn renew(env: &Env, file: &Path, cluster: u128, release: &str) -> io::Result<Identity> {
    let renewed = Identity { sealed: true, ..fresh(env, Some(cluster), release) };
    env.disk.write_atomic(file, &codec::encode(&renewed))?;
    Ok(renewed)
}

/// The id of a cluster that nobody has heard of.
pub(crate) fn new_cluster(env: &Env) -> u128 {
    new_uuid(env)
}

/// The identity of a new node, of this cluster or of one of its own.
fn fresh(env: &Env, cluster: Option<u128>, release: &str) -> Identity {
    let (own, node) = (new_uuid(env), new_uuid(env));
    Identity {
        cluster: cluster.unwrap_or(own),
        node,
        partitions: PARTITIONS,
        created_at: Timestamp::new(env.clock.wall_micros()),
        release: release.to_owned(),
        sealed: false,
        has_joined: false,
    }
}

fn new_uuid(env: &Env) -> u128 {
    let mut bytes = [0; 16];
    env.entropy.child("identity").fill(&mut bytes);
    random_uuid(bytes)
}

/// Random bytes as a UUID of version 4 (RFC 9562).
fn random_uuid(bytes: [u8; 16]) -> u128 {
    let version = 0xF << 76;
    let variant = 0b11 << 62;
    u128::from_be_bytes(bytes) & !version & !variant | 0x4 << 76 | 0b10 << 62
}

fn check(identity: &Identity, file: &Path, options: &Options) -> Result<(), OpenError> {
    if identity.partitions != PARTITIONS {
        return Err(OpenError::Partitions { file: file.to_path_buf(), found: identity.partitions });
    }
    match options.cluster {
        Some(wanted) if wanted != identity.cluster => {
            Err(OpenError::OtherCluster { file: file.to_path_buf(), found: identity.cluster, wanted })
        }
        _ => Ok(()),
    }
}

/// Whether a log directory is missing or holds nothing that a log is made of: no file in it or one level down, save
/// those that never got their name.
pub(crate) fn holds_no_log(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
    if !disk.exists(dir)? {
        return Ok(true);
    }
    for entry in disk.list(dir)? {
        let below = match entry.kind {
            EntryKind::File => vec![entry],
            EntryKind::Dir => disk.list(&dir.join(entry.name))?,
        };
        if below.iter().any(|entry| entry.kind == EntryKind::File && !entry.name.ends_with(".tmp")) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
