//! What can be held against a partition's history: digests, and proofs that an event belongs to it.
//!
//! ```text
//!   1 ─────── parts ─────────────── compacted ─────── tail ─────── head
//!   chunk roots and chain hashes,   the manifest      leaf hashes, made from the events
//!   written with every part         has both here     once and kept while they are not in a part
//! ```
//!
//! Invariant: nothing here depends on where the history lies. The same position gives the same digest before and after a
//! cut, a compaction, a truncation or a restart, on every replica.

mod proof;
mod tail;

use std::sync::Arc;

use chronos_domain::{PartitionId, Position};
use chronos_parts::Part;
use chronos_proof::{CHUNK_LEAVES, Hash, Leaves, chain_next, digest, root_at, subtree_root};

use crate::fault::Fault;
use crate::load::Miss;
use crate::partition::Partition;
use crate::shelf::Shelf;

pub(crate) use tail::Tail;

/// What two replicas compare of a partition's first events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// How many events it covers.
    pub position: Position,
    /// The running chain over them.
    pub chain: Hash,
    /// The root of the tree over them.
    pub root: Hash,
    /// The digest: of partition, position, chain and root.
    pub digest: Hash,
}

impl Partition {
    /// The digest as of a position, or of everything readers may see. A position beyond that is taken for the last one
    /// there is: [`Digest::position`] says which it was.
    ///
    /// Of a position in the tail it hashes every event that no earlier call has hashed; of one in parts it reads what
    /// was written down with them.
    ///
    /// # Errors
    /// A fault of storage.
    pub fn digest(&self, at: Option<Position>) -> Result<Digest, Fault> {
        self.until_it_stays(|| self.with_history(at, |history| Ok(history.digest()?)))
    }

    /// Calls `f` with the hashes of the history up to a position.
    pub(crate) fn with_history<T>(
        &self,
        at: Option<Position>,
        f: impl FnOnce(&History<'_>) -> Result<T, Miss>,
    ) -> Result<T, Miss> {
        let (shelf, visible) = {
            let state = self.readable()?;
            (state.layers.shelf().clone(), state.visible())
        };
        let at = at.unwrap_or(visible).min(visible);
        let mut tail = self.shared.tail.lock();
        if at > shelf.compacted() {
            tail.reach(self, &shelf, at)?;
        }
        f(&History { partition: self.id(), shelf: &shelf, tail: &tail, at })
    }
}

/// The root of the tree over all events in parts, from their leaves and chunks.
pub(crate) fn root_of(shelf: &Arc<Shelf>) -> Result<Hash, Fault> {
    let (partition, at) = (shelf.manifest.partition, shelf.compacted());
    root_at(&History { partition, shelf, tail: &Tail::new(), at }, at.get())
}

/// The hashes of the first events of a partition.
pub(crate) struct History<'a> {
    partition: PartitionId,
    shelf: &'a Arc<Shelf>,
    /// Reaches up to `at`, if that lies beyond the parts.
    tail: &'a Tail,
    at: Position,
}

impl History<'_> {
    pub(crate) fn digest(&self) -> Result<Digest, Fault> {
        let (position, chain, root) = (self.at, self.chain()?, self.root()?);
        Ok(Digest { position, chain, root, digest: digest(self.partition, position, chain, root) })
    }

    /// The running chain over all of them.
    fn chain(&self) -> Result<Hash, Fault> {
        let manifest = &self.shelf.manifest;
        if self.at.is_zero() {
            return Ok(chronos_proof::chain_start(self.partition));
        }
        if self.at <= manifest.compacted {
            let part = self.shelf.part_at(self.at);
            return part.chain_at(self.at).map_err(Fault::of_parts(self.partition));
        }
        if self.at == self.tail.end() {
            return Ok(self.tail.chain());
        }
        let leaves = self.tail.leaves(manifest.compacted.next()..=self.at);
        Ok(leaves.iter().fold(manifest.chain, |chain, leaf| chain_next(chain, *leaf)))
    }

    fn root(&self) -> Result<Hash, Fault> {
        let manifest = &self.shelf.manifest;
        if self.at < manifest.compacted {
            return root_at(self, self.at.get());
        }
        if self.at > manifest.compacted && self.at == self.tail.end() {
            return Ok(self.tail.root());
        }
        let mut frontier = manifest.frontier.clone();
        if self.at > manifest.compacted {
            let leaves = self.tail.leaves(manifest.compacted.next()..=self.at);
            leaves.iter().for_each(|leaf| frontier.push(*leaf));
        }
        Ok(frontier.root())
    }

    /// The leaves at these positions, from wherever they are.
    fn some(&self, first: Position, last: Position) -> Result<Vec<Hash>, Fault> {
        let compacted = self.shelf.compacted();
        let mut leaves = Vec::new();
        let mut from = first;
        while from <= last.min(compacted) {
            let part: &Part = self.shelf.part_at(from);
            let to = part.meta().last.min(last);
            leaves.extend(part.leaves(from..=to).map_err(Fault::of_parts(self.partition))?);
            from = to.next();
        }
        if from <= last {
            leaves.extend_from_slice(self.tail.leaves(from..=last));
        }
        Ok(leaves)
    }
}

impl Leaves for History<'_> {
    type Error = Fault;

    fn chunk(&self, k: u64) -> Result<Hash, Fault> {
        let (first, last) = (Position::new(k * CHUNK_LEAVES + 1), Position::new((k + 1) * CHUNK_LEAVES));
        let written = (first <= self.shelf.compacted()).then(|| self.shelf.part_at(first).chunk(k)).flatten();
        // A chunk across the border of parts was written with none of them.
        written.map_or_else(|| Ok(subtree_root(&self.some(first, last)?)), Ok)
    }

    fn leaves(&self, first: u64, count: u64) -> Result<Vec<Hash>, Fault> {
        self.some(Position::new(first + 1), Position::new(first + count))
    }
}
