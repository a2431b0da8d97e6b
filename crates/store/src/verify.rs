//! Checking a data directory that no server is using, without changing it.
//!
//! The log is walked frame by frame; every entry is decoded, every block's content is hashed again, and every
//! partition is applied from its first entry behind its parts, as a starting server would. Parts are read in full. Beside it a second, plainer book of numbers
//! is kept, and both must agree: positions are exactly 1 to the head, and each entity's versions exactly 1 to its
//! version. What an exchange or a repair has left unfinished is named as that, and not judged as if it were finished. Needs
//! memory for ids, heads and numbers, not for events.

mod kept;
mod numbers;
mod pending;
mod replica;
mod report;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use chronos_domain::{EventId, PartitionId};
use chronos_env::{Disk, Lock};

use crate::identity::{self, IDENTITY, Identity, LOCK, OpenError, WAL};
use crate::partition::{Config, PARTS};
use kept::Kept;
use pending::Notes;
use replica::Replicas;

pub use pending::{Pending, Unfinished};
pub use report::{Damage, PartitionReport, Report, TornTail};

/// Checks everything in a data directory. Never writes; may take as long as a start of the server.
///
/// # Errors
/// Only when the check could not be made: the directory is in use (`WouldBlock`; stop the server first), is not there,
/// or cannot be read. Damage is no error: it is in the report.
pub fn verify(shared: &Arc<dyn Disk>, data_dir: &Path) -> io::Result<Report> {
    let disk = shared.as_ref();
    let _locks = [lock(disk, data_dir, LOCK)?, lock(disk, data_dir, IDENTITY)?];
    let mut report = Report::default();
    check_identity(disk, data_dir, &mut report)?;
    let wal_dir = data_dir.join(WAL);
    if identity::holds_no_log(disk, &wal_dir)? {
        let founding = report.identity.as_ref().is_some_and(|identity| !identity.sealed);
        if !founding {
            report.damages.push(Damage::of_file(
                &wal_dir,
                "is missing or empty although the directory has been in use",
            ));
        }
        return Ok(report);
    }
    let mut notes = Notes::default();
    let kept = check_parts(shared, data_dir, &mut notes, &mut report)?;
    report.damages.append(&mut notes.damages);
    let mut replicas = Replicas::new(kept);
    every_partition().filter(|id| notes.in_exchange(*id)).for_each(|id| replicas.suspend(id));
    let walk =
        chronos_wal::verify(disk, &wal_dir, &mut |log, entry, place| replicas.visit(log, entry, place))?;
    check_cluster(&wal_dir, walk.cluster, &mut report);
    replicas.finish(walk, &mut report);
    report.damages.retain(|damage| damage.partition.is_none_or(|id| !notes.gives_up(id)));
    report.pending = notes.pending;
    Ok(report)
}

/// Those of the data, and the one in which the cluster keeps what it knows of itself.
fn every_partition() -> impl Iterator<Item = PartitionId> {
    PartitionId::all().chain([PartitionId::SYSTEM])
}

/// Reads all parts of all partitions, and what is noted beside them.
fn check_parts(
    disk: &Arc<dyn Disk>,
    data_dir: &Path,
    notes: &mut Notes,
    report: &mut Report,
) -> io::Result<BTreeMap<PartitionId, Kept>> {
    let cluster = report.identity.as_ref().map(|identity| identity.cluster);
    let mut all = BTreeMap::new();
    for partition in every_partition() {
        let dir = Config::new(data_dir.join(PARTS), cluster.unwrap_or(0)).of(partition).dir;
        notes.read(disk.as_ref(), &dir, partition)?;
        if notes.in_exchange(partition) {
            report.part_bytes += notes.check_arriving(disk, &dir, partition)?;
            continue;
        }
        if let Some(mut kept) = kept::check(disk, &dir, cluster, partition)? {
            report.damages.append(&mut kept.damages);
            report.part_bytes += kept.bytes;
            all.insert(partition, kept);
        }
    }
    Ok(all)
}

/// Keeps a server from starting meanwhile. A directory that never had a lock file never had a server, and making one
/// would be a change.
fn lock(disk: &dyn Disk, data_dir: &Path, name: &str) -> io::Result<Option<Lock>> {
    let file = data_dir.join(name);
    if !disk.exists(data_dir)? {
        let what = format!("{} is not there; give the data directory of a node", data_dir.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, what));
    }
    if !disk.exists(&file)? {
        return Ok(None);
    }
    match disk.lock(&file) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let what =
                format!("{} is locked by a running server; stop it before verifying", data_dir.display());
            Err(io::Error::new(io::ErrorKind::WouldBlock, what))
        }
        // On a medium that cannot be written no server can run.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(None),
        Err(error) => Err(error),
    }
}

fn check_identity(disk: &dyn Disk, data_dir: &Path, report: &mut Report) -> io::Result<()> {
    let file = data_dir.join(IDENTITY);
    match identity::read(disk, &file) {
        Ok(Some(found)) => {
            if found.partitions != chronos_domain::limits::PARTITIONS {
                let what = format!("says there are {} partitions", found.partitions);
                report.damages.push(Damage::of_file(&file, what));
            }
            report.identity = Some(found);
        }
        Ok(None) => report.damages.push(Damage::of_file(&file, "is missing")),
        Err(OpenError::Io { source, .. }) => return Err(source),
        Err(other) => report.damages.push(Damage::of_file(&file, other.to_string())),
    }
    Ok(())
}

/// A log that was carried in from another cluster is whole in itself, and still not this node's.
fn check_cluster(wal_dir: &Path, found: Option<u128>, report: &mut Report) {
    let Some((identity, found)) = report.identity.as_ref().zip(found) else { return };
    if identity.cluster != found {
        let uuid = EventId::from_u128;
        let what =
            format!("is the log of cluster {}, not of cluster {}", uuid(found), uuid(identity.cluster));
        report.damages.push(Damage::of_file(wal_dir, what));
    }
}

/// The partition a log belongs to.
fn partition_of(log: chronos_wal::LogId) -> Option<PartitionId> {
    let system = (log.get() == PartitionId::SYSTEM.get()).then_some(PartitionId::SYSTEM);
    PartitionId::new(log.get()).or(system)
}

impl Report {
    /// The identity, if the file could be read.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
}
