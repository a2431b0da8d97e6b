//! The parts of a partition, read in full: every byte of every file that the manifest names, every row, and what the
//! manifest says of all of them together.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronos_domain::{PartitionId, Position, Space};
use chronos_env::Disk;
use chronos_parts::{Cache, Copy, Fault, Inspection, Manifest, Part, PartMeta, inspect};

use super::numbers::Numbers;
use super::report::Damage;
use crate::digest::root_of;
use crate::shelf::Shelf;

/// Decoded pages that are kept while parts are read from one end to the other.
const CACHE_BYTES: usize = 32 << 20;
/// Events read at a time.
const ROWS: usize = 1024;

/// What was found in a directory of parts.
pub(super) struct Kept {
    /// The parts, all of them whole; `None` when nothing that builds on them can be judged.
    pub(super) shelf: Option<Arc<Shelf>>,
    /// The numbers of their events.
    pub(super) numbers: Numbers,
    /// Bytes of their files.
    pub(super) bytes: u64,
    pub(super) damages: Vec<Damage>,
}

/// Reads the directory of one partition's parts; `None` when it has never had any.
///
/// # Errors
/// When the disk refuses.
pub(super) fn check(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    cluster: Option<u128>,
    partition: PartitionId,
) -> io::Result<Option<Kept>> {
    let mut check = Check { disk, dir, partition, damages: Vec::new(), numbers: Numbers::new(), bytes: 0 };
    let found = match inspect(disk.as_ref(), dir) {
        Ok(found) => found,
        Err(fault) => {
            check.blame(dir, fault)?;
            return Ok(Some(check.finish(None)));
        }
    };
    let is_part = |name: &String| [".parquet", ".index"].iter().any(|ending| name.ends_with(ending));
    let is_blank = (&found.manifest, &found.twin) == (&Copy::Absent, &Copy::Absent);
    if is_blank && !found.files.keys().any(is_part) {
        return Ok(None);
    }
    let shelf = check.manifest(&found, cluster)?.map(|manifest| check.parts(manifest)).transpose()?;
    Ok(Some(check.finish(shelf.flatten())))
}

/// What the crate of parts says, about `file` unless it names another.
///
/// # Errors
/// When it is the disk that refused.
pub(super) fn blamed(file: &Path, partition: PartitionId, fault: Fault) -> io::Result<Damage> {
    let partition = Some(partition);
    match fault {
        Fault::Corrupt { file, offset, what } => {
            Ok(Damage { partition, offset: offset.unwrap_or(0), ..Damage::of_file(&file, what) })
        }
        Fault::Io(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io::Error::new(error.kind(), error.to_string()))
        }
        other => Ok(Damage { partition, ..Damage::of_file(file, other.to_string()) }),
    }
}

struct Check<'a> {
    disk: &'a Arc<dyn Disk>,
    dir: &'a Path,
    partition: PartitionId,
    numbers: Numbers,
    bytes: u64,
    damages: Vec<Damage>,
}

impl Check<'_> {
    fn finish(self, shelf: Option<Arc<Shelf>>) -> Kept {
        Kept { shelf, numbers: self.numbers, bytes: self.bytes, damages: self.damages }
    }

    fn damage(&mut self, file: PathBuf, position: Option<Position>, what: impl Into<String>) {
        let partition = Some(self.partition);
        self.damages.push(Damage { partition, position, ..Damage::of_file(&file, what) });
    }

    /// Notes what the crate of parts says, about `file` unless it names another.
    fn blame(&mut self, file: &Path, fault: Fault) -> io::Result<()> {
        self.damages.push(blamed(file, self.partition, fault)?);
        Ok(())
    }

    /// The manifest that holds, if there is one that may be believed.
    fn manifest(&mut self, found: &Inspection, cluster: Option<u128>) -> io::Result<Option<Manifest>> {
        let file = self.dir.join("MANIFEST");
        let manifest = match found.newest() {
            Ok(Some(manifest)) => manifest,
            Ok(None) => {
                self.copies(found, u64::MAX);
                self.damage(file, None, "neither it nor its twin can be read");
                return Ok(None);
            }
            Err(fault) => return self.blame(&file, fault).map(|()| None),
        };
        self.copies(found, manifest.sequence);
        if manifest.partition != self.partition {
            self.damage(file, None, format!("is the manifest of partition {}", manifest.partition));
            return Ok(None);
        }
        if let Some(cluster) = cluster.filter(|cluster| *cluster != manifest.cluster) {
            let uuid = chronos_domain::EventId::from_u128;
            let (theirs, ours) = (uuid(manifest.cluster), uuid(cluster));
            self.damage(file, None, format!("is of cluster {theirs}, not of cluster {ours}"));
            return Ok(None);
        }
        Ok(Some(manifest.clone()))
    }

    /// Both copies are there and of this manifest or, after a crash between the two halves of a swap, of the one
    /// before.
    fn copies(&mut self, found: &Inspection, newest: u64) {
        for (name, copy) in [("MANIFEST", &found.manifest), ("MANIFEST.previous", &found.twin)] {
            let what = match copy {
                Copy::Whole(manifest) if manifest.sequence.saturating_add(1) >= newest => continue,
                Copy::Whole(manifest) => {
                    format!("is manifest {} beside manifest {newest}: it was put back", manifest.sequence)
                }
                // A crash in the very first swap leaves one copy.
                Copy::Absent if newest <= 1 && name != "MANIFEST" => continue,
                Copy::Absent => "is missing".to_owned(),
                Copy::Unreadable(why) => why.clone(),
            };
            self.damage(self.dir.join(name), None, what);
        }
    }

    /// Opens and reads all parts; `None` when one is not what it was.
    fn parts(&mut self, manifest: Manifest) -> io::Result<Option<Arc<Shelf>>> {
        let cache = Cache::new(CACHE_BYTES);
        let mut parts = Vec::new();
        for meta in &manifest.parts {
            if let Some(part) = self.part(meta, &cache)? {
                parts.push(Arc::new(part));
            }
        }
        if parts.len() < manifest.parts.len() {
            return Ok(None);
        }
        let shelf = Arc::new(Shelf { manifest: Arc::new(manifest), parts });
        for part in &shelf.parts {
            if let Err(what) = self.rows(part)? {
                self.damage(self.dir.join(part.meta().parquet_name()), Some(self.numbers.head()), what);
                return Ok(None);
            }
        }
        match self.together(&shelf) {
            Ok(()) => Ok(Some(shelf)),
            Err(what) => {
                self.damage(self.dir.join("MANIFEST"), None, what);
                Ok(None)
            }
        }
    }

    fn part(&mut self, meta: &PartMeta, cache: &Cache) -> io::Result<Option<Part>> {
        let known = self.damages.len();
        let file = self.dir.join(meta.parquet_name());
        let opened = Part::open(self.disk.clone(), self.dir, meta.clone(), self.partition, cache);
        let read = opened.and_then(|part| part.verify(&mut |_| {}).map(|seen| (part, seen.bytes)));
        let part = match read {
            Ok((part, bytes)) => {
                self.bytes += bytes;
                Some(part)
            }
            Err(fault) => self.blame(&file, fault).map(|()| None)?,
        };
        // Files that are gone are named each, whatever was met first.
        for name in [meta.parquet_name(), meta.index_name()] {
            let file = self.dir.join(name);
            let named: BTreeSet<_> = self.damages[known..].iter().map(|damage| damage.file.clone()).collect();
            if !named.contains(&file) && !self.disk.exists(&file)? {
                self.damage(file, None, "is missing");
            }
        }
        let before = meta.first.previous();
        self.damages[known..].iter_mut().for_each(|damage| damage.position = before);
        Ok(part)
    }

    /// The numbers of all events of a part: inside, why one does not follow.
    fn rows(&mut self, part: &Part) -> io::Result<Result<(), String>> {
        let (first, last) = (part.meta().first.get(), part.meta().last.get());
        let positions: Vec<Position> = (first..=last).map(Position::new).collect();
        for positions in positions.chunks(ROWS) {
            let events = match part.rows(positions) {
                Ok(events) => events,
                Err(Fault::Io(error)) => return Err(io::Error::new(error.kind(), error.to_string())),
                Err(other) => return Ok(Err(other.to_string())),
            };
            for event in &events {
                let space = Space { tenant: event.tenant.as_str(), fork: event.fork };
                let entity = event.event().entity_id;
                let numbers = (event.position, event.version, event.recorded_at);
                if let Err(what) = self.numbers.enter_event(space, entity, numbers) {
                    return Ok(Err(what));
                }
            }
        }
        Ok(Ok(()))
    }

    /// What the manifest says of all parts together.
    fn together(&self, shelf: &Arc<Shelf>) -> Result<(), String> {
        let manifest = &shelf.manifest;
        let (entities, counted) = (manifest.entities, self.numbers.entities());
        if entities != counted {
            return Err(format!("it counts {entities} entities, its parts have {counted}"));
        }
        let root = root_of(shelf).map_err(|fault| fault.to_string())?;
        if root != manifest.frontier.root() {
            return Err("its tree head is not the one of its parts".to_owned());
        }
        for (tenant, fork, entity, before) in manifest.tombstones.iter() {
            let space = Space { tenant: tenant.as_str(), fork };
            let version = self.numbers.version(space, entity.as_str());
            if !chronos_domain::invariants::truncation_within_history(before, version) {
                return Err(format!("I-07: {entity:?} at version {version} is truncated before {before}"));
            }
        }
        Ok(())
    }
}
