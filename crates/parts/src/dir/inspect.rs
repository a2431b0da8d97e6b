//! Looking at a directory of parts without changing anything in it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use chronos_env::{Disk, EntryKind};

use super::{INDEX, LogStart, MANIFEST, PARQUET, TWIN};
use crate::fault::Fault;
use crate::manifest::{Malformed, Manifest};

/// One of the two copies of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copy {
    /// There is no such file.
    Absent,
    /// It is a manifest.
    Whole(Manifest),
    /// It cannot be read, or is damaged; the sentence says how.
    Unreadable(String),
}

/// What is in a directory of parts.
#[derive(Clone, Debug)]
pub struct Inspection {
    dir: PathBuf,
    /// The file `MANIFEST`.
    pub manifest: Copy,
    /// The file `MANIFEST.previous`.
    pub twin: Copy,
    /// All files with their lengths, the manifests included.
    pub files: BTreeMap<String, u64>,
    /// The first failure to read a manifest that was the system's and not the file's.
    refused: Option<Fault>,
}

/// Reads both manifests of the directory `dir` and lists its files. A directory that is missing is empty.
///
/// # Errors
/// [`Fault::Unsupported`] for a manifest of a later release; [`Fault::Io`] when the directory cannot be listed.
pub fn inspect(disk: &dyn Disk, dir: &Path) -> Result<Inspection, Fault> {
    let files = list(disk, dir)?;
    let mut refused = None;
    let mut copy = |name: &str| match files.contains_key(name) {
        true => read(disk, &dir.join(name), &mut refused),
        false => Ok(Copy::Absent),
    };
    let (manifest, twin) = (copy(MANIFEST)?, copy(TWIN)?);
    Ok(Inspection { dir: dir.to_owned(), manifest, twin, files, refused })
}

impl Inspection {
    /// The manifest that holds: of two, the later one. `None` when neither can be read.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when two manifests of one sequence say different things; [`Fault::Io`] when neither could
    /// be read and the system is to blame for one of them: it may give it back another time.
    pub fn newest(&self) -> Result<Option<&Manifest>, Fault> {
        match (&self.manifest, &self.twin) {
            (Copy::Whole(one), Copy::Whole(other)) if one.sequence == other.sequence && one != other => {
                let what = format!(
                    "it and {TWIN} say different things under one sequence, {}; keep the one that belongs here and \
                     move the other away",
                    one.sequence
                );
                Err(Fault::corrupt(&self.dir.join(MANIFEST), None, what))
            }
            (Copy::Whole(one), Copy::Whole(other)) if one.sequence < other.sequence => Ok(Some(other)),
            (Copy::Whole(one), _) | (_, Copy::Whole(one)) => Ok(Some(one)),
            _ => self.refused.clone().map_or(Ok(None), Err),
        }
    }

    /// Where no manifest can be read: whether parts were here that `log` cannot make again. What is left of parts says
    /// that there was a log; a replica that forgot both would vote as if it had promised nothing.
    pub fn has_lost(&self, log: LogStart) -> bool {
        match log {
            LogStart::Whole => false,
            LogStart::Purged => true,
            LogStart::Empty => self.shows_parts(),
        }
    }

    fn shows_parts(&self) -> bool {
        let is_there = |copy: &Copy| *copy != Copy::Absent;
        let is_of_part = |name: &String| name.ends_with(PARQUET) || name.ends_with(INDEX);
        is_there(&self.manifest) || is_there(&self.twin) || self.files.keys().any(is_of_part)
    }

    /// Whether every file the manifest names is there, with the length it names.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] about the first that is not.
    pub fn check_files(&self, manifest: &Manifest) -> Result<(), Fault> {
        for (name, wanted) in file_names(manifest) {
            let what = match self.files.get(&name) {
                Some(found) if *found == wanted => continue,
                Some(found) => format!("it has {found} bytes instead of the {wanted} its manifest names"),
                None => "its manifest names it, and it is missing".to_owned(),
            };
            return Err(Fault::corrupt(&self.dir.join(name), None, what));
        }
        Ok(())
    }
}

/// The files of all parts of a manifest, with their lengths.
pub(super) fn file_names(manifest: &Manifest) -> BTreeMap<String, u64> {
    let files = |part: &crate::PartMeta| {
        [(part.parquet_name(), part.parquet.bytes), (part.index_name(), part.index.bytes)]
    };
    manifest.parts.iter().flat_map(files).collect()
}

/// The files of a directory with their lengths; none when there is no such directory.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<BTreeMap<String, u64>, Fault> {
    match disk.list(dir) {
        Ok(entries) => {
            let files = entries.into_iter().filter(|entry| entry.kind == EntryKind::File);
            Ok(files.map(|entry| (entry.name, entry.len)).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error.into()),
    }
}

fn read(disk: &dyn Disk, file: &Path, refused: &mut Option<Fault>) -> Result<Copy, Fault> {
    let bytes = match disk.read_file(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            let why = error.to_string();
            refused.get_or_insert(error.into());
            return Ok(Copy::Unreadable(why));
        }
    };
    match Manifest::decode(&bytes) {
        Ok(manifest) => Ok(Copy::Whole(manifest)),
        Err(Malformed::Damaged(why)) => Ok(Copy::Unreadable(why)),
        Err(Malformed::Newer { found, .. }) => {
            Err(Fault::Unsupported { file: file.to_owned(), found: found.into(), read: "1" })
        }
    }
}
