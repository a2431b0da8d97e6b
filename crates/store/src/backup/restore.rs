//! A new data directory, made of a backup.

use std::path::Path;

use bytes::Bytes;
use chronos_domain::limits::PARTITIONS;
use chronos_domain::{LogIndex, Position, Space, Token, Version};
use chronos_env::{Env, OpenMode};
use chronos_parts::{FileMeta, LogStart, Manifest, Part, PartMeta, PartsDir, Scan, Spec, Tombstones, Writer};
use chronos_proof::{Hash, chain_start};
use chronos_wal::{LogId, Mark, Wal};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::error::{Error, FETCH_AGAIN};
use super::hashing::pieces;
use super::history;
use super::listing::parts_dir;
use super::moment::At;
use super::target::Target;
use super::verify::{self, Opened};
use crate::identity::{self, IDENTITY, WAL};

pub(crate) const COPIED: &str = "store.restore.copied";
pub(crate) const REWRITTEN: &str = "store.restore.rewritten";
pub(crate) const PARTITION: &str = "store.restore.partition";
pub(crate) const LOGGED: &str = "store.restore.logged";
pub(crate) const IDENTIFIED: &str = "store.restore.identified";

/// Segments of the log that is made: it holds one mark for each partition, and may grow to any size later.
const SEGMENT_BYTES: u64 = 1 << 20;
/// Level of zstd of a part that is written again, as of one that is merged.
const ZSTD: i32 = 12;

/// What a restore is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading the backup.
    Verify,
    /// Writing the new directory.
    Write,
}

/// Which cluster a new directory belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whose {
    /// One of its own, with an id that nobody has heard of. What is recorded there is another history than what is recorded
    /// where the backup came from, and whoever has met one of them refuses the other.
    #[default]
    Fresh,
    /// That of the backup, which it stands in for from now on. Two histories under one id cannot be told apart, so only one
    /// may ever be served.
    Kept,
}

/// A directory that was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The cluster it belongs to.
    pub cluster: u128,
    /// The cluster of the backup; the same when that was kept.
    pub from_cluster: u128,
    /// Its node, which is a new one.
    pub node: u128,
    /// How far it goes in every partition.
    pub token: Token,
    /// Events in it.
    pub events: u64,
    /// Bytes of its parts.
    pub bytes: u64,
}

/// Makes the data directory `target` of a backup, up to `at`. Before anything is written, every byte of the backup is
/// read and checked. Blocks the thread it is polled on. `progress` is told the bytes of each step.
///
/// When it returns, everything is durable, and a node started there goes on behind the last event: same positions, same ids,
/// same digests, a new node, and the cluster that `whose` says.
///
/// # Errors
/// See [`Error`]. There is no `target` then, unless there was an empty one; what may be left beside it under its name
/// and [`RESTORING`](super::RESTORING) is cleared away by the next run.
pub async fn restore(
    env: &Env,
    backup: &Path,
    target: &Path,
    (at, whose): (&At, Whose),
    release: &str,
    progress: &mut dyn FnMut(Stage, u64),
) -> Result<Restored, Error> {
    let (opened, damages) = verify::open(&env.disk, backup, &mut |bytes| progress(Stage::Verify, bytes))?;
    if !damages.is_empty() {
        return Err(Error::DamagedFiles(damages));
    }
    at.check(&opened.listing)?;
    let target = Target::begin(env, target, opened.listing.bytes())?;
    let from_cluster = opened.listing.cluster;
    let cluster = match whose {
        Whose::Fresh => identity::new_cluster(env),
        Whose::Kept => from_cluster,
    };
    let mut restoring = Restoring { env, backup, dir: target.path(), cluster, progress };
    let manifests = restoring.partitions(&opened, at)?;
    make_log(env, target.path(), cluster, release, &manifests).await?;
    env.crash.hit(LOGGED);
    let identity = identity::renew(env, &target.path().join(IDENTITY), cluster, release)?;
    env.disk.sync_dir(target.path())?;
    env.crash.hit(IDENTIFIED);
    target.finish()?;
    Ok(Restored {
        cluster,
        from_cluster,
        node: identity.node,
        token: manifests.iter().map(|manifest| (manifest.partition, manifest.compacted)).collect(),
        events: manifests.iter().map(|manifest| manifest.compacted.get()).sum(),
        bytes: manifests.iter().map(Manifest::bytes).sum(),
    })
}

/// Where from and where to.
struct Restoring<'a> {
    env: &'a Env,
    backup: &'a Path,
    dir: &'a Path,
    cluster: u128,
    progress: &'a mut dyn FnMut(Stage, u64),
}

impl Restoring<'_> {
    /// Makes the parts of every partition that has any, and gives back all manifests.
    fn partitions(&mut self, opened: &Opened, at: &At) -> Result<Vec<Manifest>, Error> {
        let mut manifests = Vec::new();
        for (manifest, parts) in opened.listing.manifests().iter().zip(&opened.parts) {
            let bound = at.bound(manifest, parts)?;
            // Only here does a partition at rest say whose it is: parts do not.
            let manifest = Manifest { cluster: self.cluster, ..manifest.clone() };
            manifests.push(self.partition(&manifest, parts, bound)?);
            self.env.crash.hit(PARTITION);
        }
        Ok(manifests)
    }

    fn partition(&mut self, source: &Manifest, parts: &[Part], bound: Position) -> Result<Manifest, Error> {
        // A partition that was never cut has no manifest, and nothing to restore.
        if source.cut == 0 {
            return Ok(source.clone());
        }
        let partition = source.partition;
        let path = parts_dir(self.dir, partition);
        let (dir, _, _) = PartsDir::open(self.env, path, source.cluster, partition, LogStart::Whole)?;
        let mut metas = Vec::new();
        for part in parts.iter().take_while(|part| part.meta().first <= bound) {
            metas.push(if part.meta().last <= bound {
                self.copy(part)?
            } else {
                self.rewrite(part, bound, dir.path())?
            });
        }
        let manifest = bounded(source, parts, metas, bound)?;
        dir.swap(&manifest)?;
        Ok(manifest)
    }

    /// Copies both files of a part, byte for byte.
    fn copy(&mut self, part: &Part) -> Result<PartMeta, Error> {
        let meta = part.meta();
        for (name, file) in [(meta.parquet_name(), meta.parquet), (meta.index_name(), meta.index)] {
            let from = parts_dir(self.backup, part.partition()).join(&name);
            self.copy_file(&from, &parts_dir(self.dir, part.partition()).join(&name), file)?;
        }
        Ok(meta.clone())
    }

    /// Copies a file, and hashes once more what is written: the backup may have changed since it was read.
    fn copy_file(&mut self, from: &Path, to: &Path, meta: FileMeta) -> Result<(), Error> {
        let disk = self.env.disk.as_ref();
        let source = disk.open(from, OpenMode::Read)?;
        let copy = disk.open(to, OpenMode::CreateNew)?;
        let (mut hasher, mut at) = (Sha256::new(), 0);
        pieces(source.as_ref(), meta.bytes, |piece| {
            hasher.update(piece);
            copy.write_at(piece, at)?;
            at += piece.len() as u64;
            (self.progress)(Stage::Write, piece.len() as u64);
            Ok(())
        })?;
        if Hash(hasher.finalize().into()) != meta.sha256 {
            return Err(Error::damaged(from, "it has changed since it was verified just now", FETCH_AGAIN));
        }
        copy.sync_data()?;
        self.env.crash.hit(COPIED);
        Ok(())
    }

    /// Writes the events of a part up to and including `bound` as a part of their own.
    fn rewrite(&mut self, part: &Part, bound: Position, dir: &Path) -> Result<PartMeta, Error> {
        let meta = part.meta();
        let spec = Spec {
            partition: part.partition(),
            first: meta.first,
            cut: meta.cut,
            level: meta.level,
            zstd: ZSTD,
            chain_before: meta.chain_before,
        };
        let mut writer = Writer::create(self.env, dir, spec)?;
        let scan = Scan { positions: meta.first..=bound, ..Scan::whole() };
        for batch in part.scan(scan)? {
            writer.push(&batch?)?;
        }
        let written = writer.finish()?;
        // Verified in full by the writer; that it is the right history is checked here.
        assert!(written.last == bound, "asked for events up to {bound}, wrote up to {}", written.last);
        let chain = part.chain_at(bound)?;
        assert!(
            written.chain_after == chain,
            "the chain at {bound} is {chain}, wrote {}",
            written.chain_after
        );
        (self.progress)(Stage::Write, written.bytes());
        self.env.crash.hit(REWRITTEN);
        Ok(written)
    }
}

/// The manifest of a partition up to `bound`, whose parts these are.
///
/// Cut and log index stay those of the backup, though events are left out: the log goes on behind both, and no name of a
/// part and no index is ever given twice.
fn bounded(
    source: &Manifest,
    parts: &[Part],
    metas: Vec<PartMeta>,
    bound: Position,
) -> Result<Manifest, Error> {
    // The members of the group that was backed up are no members of the new node's.
    let manifest = Manifest { sequence: 1, members: Bytes::new(), ..source.clone() };
    if bound == source.compacted {
        return Ok(manifest);
    }
    let summary = history::summarise(parts, bound)?;
    let chain = metas.last().map_or_else(|| chain_start(source.partition), |last| last.chain_after);
    Ok(Manifest {
        compacted: bound,
        recorded_at: summary.recorded_at,
        entities: summary.entities,
        chain,
        frontier: summary.frontier,
        tombstones: tombstones_at(&source.tombstones, parts, bound)?,
        parts: metas,
        ..manifest
    })
}

/// The truncations that concern events up to `bound`. What was erased after it is gone from its past too: an entity
/// never reads as if its erased events had been empty. One that had fewer versions then keeps a truncation of all it had.
fn tombstones_at(
    tombstones: &Tombstones,
    parts: &[Part],
    bound: Position,
) -> Result<Tombstones, chronos_parts::Fault> {
    let mut kept = Tombstones::default();
    for (tenant, fork, entity, before) in tombstones.iter() {
        let space = Space { tenant: tenant.as_str(), fork };
        let mut versions = 0;
        for part in parts.iter().take_while(|part| part.meta().first <= bound) {
            versions += part.versions_at(space, entity.as_str(), bound)?;
        }
        if versions > 0 {
            kept.insert(tenant, fork, entity, before.min(Version::new(versions + 1)));
        }
    }
    Ok(kept)
}

/// Makes a log that goes on behind the parts. Durable when it returns.
async fn make_log(
    env: &Env,
    dir: &Path,
    cluster: u128,
    release: &str,
    manifests: &[Manifest],
) -> Result<(), Error> {
    let config = chronos_wal::Config {
        logs: PARTITIONS + 1,
        segment_bytes: SEGMENT_BYTES,
        release: release.to_owned(),
        ..chronos_wal::Config::new(dir.join(WAL), cluster)
    };
    let (wal, _) = Wal::open(env, config).map_err(|refused| Error::Log(refused.to_string()))?;
    let purged = manifests.iter().filter(|manifest| manifest.applied > LogIndex::ZERO);
    let purges: Vec<_> = purged.map(|manifest| purge(&wal, manifest)).collect();
    for purge in purges {
        match purge.await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => return Err(Error::Log(fault.to_string())),
            Err(_) => return Err(Error::Log("its writer stopped".to_owned())),
        }
    }
    wal.close().await;
    Ok(())
}

fn purge(wal: &Wal, manifest: &Manifest) -> oneshot::Receiver<Result<(), chronos_wal::Fault>> {
    let (done, purged) = oneshot::channel();
    let mark = Mark { index: manifest.applied.get(), term: manifest.applied_term };
    let log = wal.log(LogId::new(manifest.partition.get()));
    // Who no longer waits has dropped its end.
    log.purge_to(mark, Box::new(move |outcome| drop(done.send(outcome))));
    purged
}
