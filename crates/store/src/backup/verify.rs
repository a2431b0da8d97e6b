//! Reading every byte of a backup before anything is made of it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use chronos_env::{Disk, Lock};
use chronos_parts::{Cache, Fault, Manifest, Part};

use super::dir::{self, LOCK};
use super::error::{Error, FETCH_AGAIN, LATER_RELEASE, NAME_AGAIN};
use super::history;
use super::listing::{Listing, parts_dir};

/// Memory for the pages of indexes while parts are read from front to back.
const CACHE_BYTES: usize = 8 << 20;

/// What a complete pass over a backup has found.
#[derive(Debug)]
pub struct Verification {
    /// What the backup consists of.
    pub listing: Listing,
    /// Everything that is not as it was written. Empty: all is well.
    pub damages: Vec<Error>,
    /// Bytes that were read.
    pub bytes: u64,
}

/// A backup that holds what it says, open.
pub(super) struct Opened {
    pub(super) listing: Listing,
    /// The parts of each partition, ascending.
    pub(super) parts: Vec<Vec<Part>>,
    /// Keeps a backup from being made here meanwhile.
    _lock: Option<Lock>,
}

/// Checks everything in a backup: `BACKUP`, each file's SHA-256, every row of every part, and that each partition's hash
/// chain and Merkle tree run through its parts to what its manifest says. Tells `progress` the bytes of each step.
/// Changes nothing.
///
/// # Errors
/// When there is no finished backup, or its `BACKUP` cannot be read; [`Error::InUse`]. Damage of the files it names is
/// no error: it is in the result.
pub fn verify(
    disk: &Arc<dyn Disk>,
    backup: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<Verification, Error> {
    let mut bytes = 0;
    let mut count = |piece| {
        bytes += piece;
        progress(piece);
    };
    let (opened, damages) = open(disk, backup, &mut count)?;
    Ok(Verification { listing: opened.listing, damages, bytes })
}

/// Checks a backup and leaves its parts open.
pub(super) fn open(
    disk: &Arc<dyn Disk>,
    backup: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<(Opened, Vec<Error>), Error> {
    let file = backup.join(dir::BACKUP);
    let unfinished = || Error::Unfinished { file: file.clone() };
    if !disk.exists(backup)? {
        return Err(unfinished());
    }
    let lock = lock(disk.as_ref(), backup)?;
    let listing = dir::read(disk.as_ref(), backup)?.ok_or_else(unfinished)?;
    let mut damages = Vec::new();
    let mut parts = Vec::new();
    for manifest in listing.manifests() {
        let found = damages.len();
        let whole = check_parts(disk, backup, manifest, progress, &mut damages)?;
        if damages.len() == found
            && let Err(what) = check_history(manifest, &whole)?
        {
            let what = format!("partition {}: {what}", manifest.partition);
            damages.push(Error::damaged(&file, what, NAME_AGAIN));
        }
        parts.push(whole);
    }
    Ok((Opened { listing, parts, _lock: lock }, damages))
}

/// The parts that are whole.
fn check_parts(
    disk: &Arc<dyn Disk>,
    backup: &Path,
    manifest: &Manifest,
    progress: &mut dyn FnMut(u64),
    damages: &mut Vec<Error>,
) -> Result<Vec<Part>, Error> {
    let dir = parts_dir(backup, manifest.partition);
    let cache = Cache::new(CACHE_BYTES);
    let mut whole = Vec::new();
    for meta in &manifest.parts {
        let opened = Part::open(Arc::clone(disk), &dir, meta.clone(), manifest.partition, &cache);
        let checked = opened.and_then(|part| part.verify(progress).map(|_| part));
        match checked.map_err(Error::from) {
            Ok(part) => whole.push(part),
            Err(damage @ (Error::Damaged { .. } | Error::Newer { .. })) => damages.push(damage),
            Err(other) => return Err(other),
        }
    }
    Ok(whole)
}

/// Whether whole parts are the history that their manifest describes.
fn check_history(manifest: &Manifest, parts: &[Part]) -> Result<Result<(), String>, Error> {
    let found = history::summarise(parts, manifest.compacted)?;
    if found.frontier != manifest.frontier {
        return Ok(Err("the Merkle tree over its events is not the one it names".to_owned()));
    }
    if found.entities != manifest.entities {
        let (has, says) = (found.entities, manifest.entities);
        return Ok(Err(format!("its parts have {has} entities where it says {says}")));
    }
    if found.recorded_at > manifest.recorded_at {
        let (has, says) = (found.recorded_at, manifest.recorded_at);
        return Ok(Err(format!(
            "its last event was recorded at {has}, after {says}, which it says is later"
        )));
    }
    Ok(Ok(()))
}

/// A backup on a medium that cannot be written is never being made.
fn lock(disk: &dyn Disk, backup: &Path) -> Result<Option<Lock>, Error> {
    let file = backup.join(LOCK);
    if !disk.exists(&file)? {
        return Ok(None);
    }
    match disk.lock(&file) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(dir::in_use(file)),
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        match fault {
            Fault::Corrupt { file, offset, what } => {
                let what = offset.map_or_else(|| what.clone(), |at| format!("at byte {at}, {what}"));
                Error::damaged(&file, what, FETCH_AGAIN)
            }
            Fault::Unsupported { file, found, read } => Error::damaged(
                &file,
                format!("it has format {found}, and this release reads {read}"),
                LATER_RELEASE,
            ),
            Fault::Io(error) => Error::Io(error),
            other => io::Error::other(other).into(),
        }
    }
}
