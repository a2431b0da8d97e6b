//! What a backup takes of a partition: its parts, held until they are copied, on this node or on one that holds it.
//!
//! ```text
//!  share ─► here: nothing older can come, everything is in parts ─► its shelf
//!      └──► a holder does the same, lends its parts and sends their manifest ─► files by hash, from any holder
//!                                                        └─► told every half minute that they are still needed
//! ```
//!
//! A manifest comes by the link between nodes; files come as those of a follower that is behind do, on connections of
//! their own and at the rate that is theirs, so that no heartbeat waits for them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_app::{Class, Error, Reason};
use chronos_cluster::NodeId;
use chronos_cluster::peer::{Bulk, BulkItem};
use chronos_domain::{PartitionId, Timestamp};
use chronos_env::Task;
use chronos_proto::peer::v1::forward_request::Ask;
use chronos_store::{FileMeta, Manifest, Partition, Shelf};

use super::archive::not_compacted;
use super::{Engine, UNAVAILABLE_RETRY_MS, not_fresh, refused, same_life};
use crate::backup::Step;

/// How often a lender is told that its parts are still needed: several times before it gives them up.
const KEEP_EVERY: Duration = Duration::from_secs(30);
/// How often all holders are asked for the bytes that are next, before it is given up.
const ROUNDS_MAX: usize = 5;
/// How long no bytes may come, from whomever.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// How long is waited after the first round; twice as long after each further one.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// For how long a partition that is not where it was said to be is looked for: it may just have moved, and what nodes know of
/// each other is a second or two old.
const LOOK_FOR: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What one partition has at rest, held.
pub(crate) enum Shared {
    Here(Arc<Shelf>),
    There(Lent),
}

/// The parts of a partition that another node holds and keeps readable, as long as this is not dropped.
pub(crate) struct Lent {
    manifest: Arc<Manifest>,
    lender: NodeId,
    keeping: Task<()>,
}

/// The rest of a file, from whichever node gives it.
pub(crate) struct Fetching<'a> {
    engine: &'a Engine,
    item: BulkItem,
    meta: FileMeta,
    /// The lender first.
    sources: Vec<NodeId>,
    /// How often one of them failed since the last bytes came: it is the turn of the next.
    failures: usize,
    /// Counts sources that were given up.
    turn: usize,
    bulk: Option<Bulk>,
    offset: u64,
}

impl Engine {
    /// Makes parts of everything that a partition holds, and holds them: everything that is recorded at `until` or before is
    /// in them, and nothing else ever will have been. `until` must have passed. What comes next is `noted`.
    ///
    /// # Errors
    /// Why not, and of which partition; among others that no node which holds it could be reached.
    pub(crate) async fn share(
        &self,
        id: PartitionId,
        until: Timestamp,
        deadline: Duration,
        noted: impl Fn(Step) + Send + Sync,
    ) -> Result<Shared, Error> {
        let clock = &self.env.clock;
        let look_until = (clock.monotonic() + LOOK_FOR).min(deadline);
        loop {
            match self.share_as_known(id, until, deadline, &noted).await {
                Err(error) if error.reason == Reason::NotLeader && clock.monotonic() < look_until => {
                    clock.sleep(LOOK_AGAIN).await;
                }
                shared => {
                    noted(Step::Ready);
                    return shared;
                }
            }
        }
    }

    /// The same by who is known now to hold it.
    async fn share_as_known(
        &self,
        id: PartitionId,
        until: Timestamp,
        deadline: Duration,
        noted: &(impl Fn(Step) + Send + Sync),
    ) -> Result<Shared, Error> {
        let Some(away) = self.away(Class::Failed, id)? else {
            let settled = self.settle_into_parts(id, until, deadline, noted).await?;
            return shelf_of(id, &settled).map(Shared::Here);
        };
        noted(Step::Elsewhere(away.holders.clone()));
        let loan = self.env.entropy.child("loans").u64();
        let (lender, manifest) = away.lend(loan, until, deadline).await?;
        let keeping = self.env.tasks.spawn("borrowed", self.clone().keep_lent(id, lender, loan));
        Ok(Shared::There(Lent { manifest: Arc::new(manifest), lender, keeping }))
    }

    /// The same for another node, which is going to fetch the parts.
    ///
    /// # Errors
    /// As [`Engine::share`].
    pub(super) async fn lend(
        &self,
        id: PartitionId,
        (to, loan): (NodeId, u64),
        until: Timestamp,
        deadline: Duration,
    ) -> Result<Arc<Shelf>, Error> {
        let (partition, life) = self.settle_into_parts(id, until, deadline, &|_| {}).await?;
        let shelf = self.groups.lend(id, to, loan).map_err(|why| refused(Class::Failed, id, &why))?;
        same_life(id, &partition, life).map(|()| shelf)
    }

    /// Goes on lending.
    ///
    /// # Errors
    /// When it is not lent any more.
    pub(super) fn go_on_lending(&self, id: PartitionId, (to, loan): (NodeId, u64)) -> Result<(), Error> {
        if self.groups.keep_lent(id, to, loan) {
            return Ok(());
        }
        let text = format!("no parts of partition {id} are lent to {to} under that number, or no longer");
        Err(Error::new(Class::Failed, Reason::NotFound, text).with("partition", id))
    }

    /// Which replica it is that has it all in parts, and which life of it: one that was discarded meanwhile has none.
    pub(super) async fn settle_into_parts(
        &self,
        id: PartitionId,
        until: Timestamp,
        deadline: Duration,
        noted: &(impl Fn(Step) + Send + Sync),
    ) -> Result<(Partition, u64), Error> {
        noted(Step::Confirmed(self.cluster.leader(id)));
        let applied = self.groups.pass(id, until, deadline).await.map_err(|error| not_fresh(id, &error))?;
        self.floors.raise(id, applied);
        noted(Step::IntoParts);
        let (partition, life) = self.replica(id, deadline).await?;
        self.groups.compact(&[id], deadline).await.map_err(|error| not_compacted(id, &error))?;
        Ok((partition, life))
    }

    /// Never ends. A lender that was started again has lent nothing any more, and most likely has the parts: whether it
    /// has shows when they are fetched.
    async fn keep_lent(self, id: PartitionId, lender: NodeId, loan: u64) {
        let Some(forward) = &self.forward else { return };
        let clock = &self.env.clock;
        loop {
            clock.sleep(KEEP_EVERY).await;
            let deadline = clock.monotonic() + KEEP_EVERY;
            if let Err(error) = forward.ask((lender, id), None, Ask::Keep(loan), deadline).await {
                tracing::debug!(partition = id.get(), %lender, why = error.message, "parts may not stay lent");
            }
        }
    }
}

impl Lent {
    /// What the partition consists of.
    pub(crate) fn manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.manifest)
    }

    /// The file of that name, from `offset` on, if it is one of the parts'.
    pub(crate) fn fetch<'a>(&self, engine: &'a Engine, name: &str, offset: u64) -> Option<Fetching<'a>> {
        let id = self.manifest.partition;
        let meta = self.manifest.parts.iter().find_map(|part| {
            let files = [(part.parquet_name(), part.parquet), (part.index_name(), part.index)];
            files.into_iter().find(|(known, _)| known == name).map(|(_, meta)| meta)
        })?;
        let others = engine.cluster.others_holding(id).into_iter().filter(|node| *node != self.lender);
        let sources = std::iter::once(self.lender).chain(others).collect();
        let item = BulkItem { group: id.get(), name: meta.sha256.to_string() };
        Some(Fetching { engine, item, meta, sources, failures: 0, turn: 0, bulk: None, offset })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}

impl Fetching<'_> {
    /// How long the whole file is.
    pub(crate) const fn bytes(&self) -> u64 {
        self.meta.bytes
    }

    /// Some of the bytes that follow, of which there must be any. Whoever has all of them checks their hash.
    ///
    /// # Errors
    /// When no node that may have them gives them.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Error> {
        let clock = &self.engine.env.clock;
        let (mut pause, began) = (ASK_AGAIN, clock.monotonic());
        loop {
            let why = match self.try_next().await {
                Ok(bytes) => {
                    self.offset += bytes.len() as u64;
                    self.failures = 0;
                    return Ok(bytes);
                }
                Err(why) => why,
            };
            (self.bulk, self.turn, self.failures) = (None, self.turn + 1, self.failures + 1);
            let is_silent = clock.monotonic().saturating_sub(began) >= SILENT_MAX;
            if is_silent || self.failures == ROUNDS_MAX * self.sources.len() {
                return Err(self.not_had(&why));
            }
            if self.failures.is_multiple_of(self.sources.len()) {
                clock.sleep(pause).await;
                pause *= 2;
            }
        }
    }

    async fn try_next(&mut self) -> Result<Bytes, String> {
        let source = self.sources[self.turn % self.sources.len()];
        let bulk = match &mut self.bulk {
            Some(bulk) => bulk,
            none => {
                let peers = self.engine.cluster.peers().ok_or("this node has no connections to others")?;
                let begun = peers.bulk(source, self.item.clone(), self.offset).await;
                none.insert(begun.map_err(|error| error.to_string())?)
            }
        };
        let bytes = bulk.next().await.map_err(|error| error.to_string())?.unwrap_or_default();
        match bulk.total_bytes() {
            Some(total) if total == self.meta.bytes && !bytes.is_empty() => Ok(bytes),
            _ => Err(format!("{source} has other bytes under its name; verify that node's data")),
        }
    }

    fn not_had(&self, why: &str) -> Error {
        let (id, asked) = (self.item.group, super::routing::list(&self.sources));
        let text = format!(
            "a file of partition {id}, which is not on this node, could not be had from {asked}: {why}; run the backup \
             again, it goes on where this one ended"
        );
        let error = Error::new(Class::Failed, Reason::Unavailable, text).with("partition", id);
        error.retry_after_ms(UNAVAILABLE_RETRY_MS)
    }
}

/// The parts of a replica that has everything in them, if it is still the same: one that was discarded since has none, and
/// that would look like all of it.
pub(super) fn shelf_of(id: PartitionId, (partition, life): &(Partition, u64)) -> Result<Arc<Shelf>, Error> {
    let shelf = partition.shelf();
    same_life(id, partition, *life).map(|()| shelf)
}
