//! What exactly is damaged of a partition, so that no more than that has to be had from other replicas.
//!
//! Everything the partition has on disk is read: its log from the first entry to the last, both copies of its manifest,
//! every byte of every part the manifest names. Nothing is changed. A partition need not be open for it, and must not be
//! compacted meanwhile.

use std::io;
use std::path::PathBuf;

use chronos_domain::PartitionId;
use chronos_env::{Disk, Env};
use chronos_parts::{Fault as PartsFault, Manifest, Part, PartMeta, inspect};
use chronos_wal::{Log, ReadError};

use crate::entry;
use crate::fault::Fault;
use crate::partition::{Config, start_of};

/// Log bytes read at a time.
const BATCH_BYTES: usize = 4 << 20;
/// Where parts arrive that take the place of damaged ones.
const MENDING: &str = "mending";

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// Why the log does not give back what was written, if it does not.
    pub log: Option<String>,
    /// Why nobody knows which parts there should be, if nobody does.
    pub manifest: Option<String>,
    /// Parts of which a file is lost or damaged, each with the first thing that is wrong.
    pub parts: Vec<(PartMeta, String)>,
    /// Bytes that were read.
    pub bytes: u64,
}

impl Diagnosis {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.log.is_none() && self.manifest.is_none() && self.parts.is_empty()
    }

    /// Whether the parts that are damaged are all that is.
    pub fn is_parts_only(&self) -> bool {
        self.log.is_none() && self.manifest.is_none() && !self.parts.is_empty()
    }

    /// The first thing that is wrong.
    pub fn first(&self) -> Option<&str> {
        let part = self.parts.first().map(|(_, what)| what.as_str());
        self.log.as_deref().or(self.manifest.as_deref()).or(part)
    }
}

/// Reads everything a partition has on disk. Blocks.
///
/// # Errors
/// [`Fault::Io`] when the system failed to read; [`Fault::Stopped`] when something was written by a later release. What
/// is damaged is in the answer.
pub fn diagnose(env: &Env, id: PartitionId, log: &Log, config: &Config) -> Result<Diagnosis, Fault> {
    let mut found = Diagnosis::default();
    found.log = read_log(env.disk.as_ref(), id, log, &mut found.bytes)?;
    let inspection = inspect(env.disk.as_ref(), &config.dir);
    let newest = inspection.and_then(|inspection| Ok((inspection.newest()?.cloned(), inspection)));
    match newest {
        Err(fault) => found.manifest = Some(damage_of(id, fault)?),
        Ok((Some(manifest), _)) => read_parts(env, id, config, &manifest, &mut found)?,
        // A log that has every entry makes them anew.
        Ok((None, inspection)) if found.log.is_none() && !inspection.has_lost(start_of(log)) => {}
        Ok((None, _)) => found.manifest = Some("no manifest can be read".to_owned()),
    }
    Ok(found)
}

/// Why the log does not give back what was written.
fn read_log(disk: &dyn Disk, id: PartitionId, log: &Log, bytes: &mut u64) -> Result<Option<String>, Fault> {
    if let Some(damage) = log.damage() {
        return Ok(Some(damage.to_string()));
    }
    let refused = |source: io::Error| Fault::Io { partition: id, source: source.into() };
    if let Some(lost) = log.lost_files(disk).map_err(refused)?.first() {
        return Ok(Some(lost.to_string()));
    }
    let Some((mut next, last)) = log.bounds() else { return Ok(None) };
    while next <= last {
        let entries = match log.read(next, BATCH_BYTES) {
            Ok(entries) => entries,
            Err(ReadError::Io(error)) => return Err(refused(error)),
            Err(damage) => return Ok(Some(damage.to_string())),
        };
        for logged in entries {
            next = logged.index + 1;
            *bytes += logged.payload.len() as u64;
            if let Err(malformed) = entry::decode_strictly(&logged.payload) {
                return Ok(Some(format!("log entry {}: {malformed}", logged.index)));
            }
        }
    }
    Ok(None)
}

fn read_parts(
    env: &Env,
    id: PartitionId,
    config: &Config,
    manifest: &Manifest,
    found: &mut Diagnosis,
) -> Result<(), Fault> {
    if (manifest.cluster, manifest.partition) != (config.cluster, id) {
        let (cluster, partition) = (manifest.cluster, manifest.partition);
        found.manifest =
            Some(format!("the manifest belongs to partition {partition} of cluster {cluster:032x}"));
        return Ok(());
    }
    for meta in &manifest.parts {
        let part = Part::open(env.disk.clone(), &config.dir, meta.clone(), id, &config.parts_cache);
        match part.and_then(|part| part.verify(&mut |bytes| found.bytes += bytes)) {
            Ok(_) => {}
            Err(fault) => found.parts.push((meta.clone(), damage_of(id, fault)?)),
        }
    }
    Ok(())
}

/// What is wrong, unless it is nothing that another replica could help with.
fn damage_of(id: PartitionId, fault: PartsFault) -> Result<String, Fault> {
    match fault {
        PartsFault::Io(error) if error.kind() == io::ErrorKind::NotFound => Ok(error.to_string()),
        PartsFault::Io(source) => Err(Fault::Io { partition: id, source }),
        later @ PartsFault::Unsupported { .. } => Err(Fault::Stopped(later.to_string())),
        damage => Ok(damage.to_string()),
    }
}

/// Makes the directory, empty, in which the files of a part arrive that take the place of damaged ones. Blocks.
///
/// # Errors
/// What the system says.
pub fn make_mending(env: &Env, config: &Config) -> io::Result<PathBuf> {
    let (disk, dir) = (env.disk.as_ref(), config.dir.join(MENDING));
    disk.create_dir_all(&dir)?;
    disk.list(&dir)?.iter().try_for_each(|entry| disk.remove(&dir.join(&entry.name)))?;
    Ok(dir)
}

/// Puts the files of a part, which have arrived in the directory of [`make_mending`], in the place of those that are
/// damaged or lost; durable when it returns. The partition must not be open. Blocks.
///
/// # Errors
/// What the system says: then one of both files may be in its place. To be repeated.
pub fn mend_part(env: &Env, config: &Config, part: &PartMeta) -> io::Result<()> {
    let (disk, from) = (env.disk.as_ref(), config.dir.join(MENDING));
    for name in [part.parquet_name(), part.index_name()] {
        disk.rename(&from.join(&name), &config.dir.join(&name))?;
    }
    disk.sync_dir(&config.dir)
}
