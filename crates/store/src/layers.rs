//! A partition as layers: what is on disk for good, what waits to get there, and what is being added.
//!
//! ```text
//! newest   active generation    tables in memory              positions > last cut
//!          sealed generations   the same, never changed       (compacted, last cut], oldest first
//! oldest   shelf                parts on disk                 1..=compacted
//! ```
//!
//! Every position up to the head is in exactly one layer, and every question that memory can answer alone is answered
//! by the newest layer that knows.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use chronos_domain::{EventId, LogIndex, Position, QueryItem, Receipt, Space, Timestamp, Version};
use chronos_parts::Tombstones;
use chronos_wal::Mark;

use crate::blocks::{BlockNo, Blocks};
use crate::chunks::Origin;
use crate::cut::Cut;
use crate::entry::AppendCommand;
use crate::generation::Generation;
use crate::shelf::Shelf;

/// A generation between two cuts, waiting to become a part.
#[derive(Debug)]
pub(crate) struct SealedGeneration {
    pub(crate) cut: Cut,
    /// Every truncation up to the cut.
    pub(crate) tombstones: Tombstones,
    /// Who the members of the group were at the cut, as the manifest keeps it.
    pub(crate) members: Bytes,
    pub(crate) events: Generation,
}

/// All layers of one partition.
#[derive(Debug)]
pub(crate) struct Layers {
    active: Generation,
    sealed: VecDeque<Arc<SealedGeneration>>,
    shelf: Arc<Shelf>,
    pub(crate) blocks: Blocks,
    pub(crate) tombstones: Tombstones,
    entities: u64,
    cuts: u64,
}

impl Layers {
    /// What is on the shelf and nothing besides; the next block gets the number `first_block`.
    pub(crate) fn new(shelf: Arc<Shelf>, cache_bytes: usize, first_block: BlockNo) -> Layers {
        let manifest = &shelf.manifest;
        let (tombstones, entities, cuts) = (manifest.tombstones.clone(), manifest.entities, manifest.cut);
        Layers {
            active: Generation::new(manifest.compacted, first_block),
            sealed: VecDeque::new(),
            shelf,
            blocks: Blocks::new(cache_bytes, first_block),
            tombstones,
            entities,
            cuts,
        }
    }

    pub(crate) const fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    pub(crate) const fn active(&self) -> &Generation {
        &self.active
    }

    pub(crate) const fn sealed(&self) -> &VecDeque<Arc<SealedGeneration>> {
        &self.sealed
    }

    /// The last position that is in a part.
    pub(crate) fn compacted(&self) -> Position {
        self.shelf.compacted()
    }

    /// Entities with at least one event.
    pub(crate) const fn entities(&self) -> u64 {
        self.entities
    }

    /// The generations in memory, newest first.
    pub(crate) fn generations(&self) -> impl DoubleEndedIterator<Item = &Generation> {
        std::iter::once(&self.active).chain(self.sealed.iter().rev().map(|sealed| &sealed.events))
    }

    /// Blocks of the generations in memory, whether they are in memory themselves or not.
    pub(crate) fn chunks(&self) -> usize {
        self.generations().map(|generation| generation.chunks.len()).sum()
    }

    /// The generation that holds a position; `None` where none in memory does.
    pub(crate) fn holding(&self, position: Position) -> Option<&Generation> {
        self.generations().find(|generation| generation.base() < position && position <= generation.head())
    }

    /// The entity's version, if it has an event in memory.
    pub(crate) fn version(&self, space: Space<'_>, entity: &str) -> Option<Version> {
        self.generations().find_map(|generation| generation.head_of(space, entity)).map(|head| head.version())
    }

    /// Where the event with this id is, if that is in memory.
    pub(crate) fn find(&self, space: Space<'_>, id: EventId) -> Option<(&Generation, Position)> {
        self.generations().find_map(|generation| generation.find(space, id).map(|at| (generation, at)))
    }

    /// The version before which an entity's events are erased; zero when it was never truncated.
    pub(crate) fn truncated_before(&self, space: Space<'_>, entity: &str) -> Version {
        self.tombstones.get(space.tenant, space.fork, entity)
    }

    /// The first event in memory after `after` that matches the item.
    pub(crate) fn first_match(
        &self,
        space: Space<'_>,
        item: &QueryItem,
        after: Position,
    ) -> Option<(Position, EventId)> {
        let erased = |entity: &str, version| version < self.truncated_before(space, entity);
        self.generations().rev().find_map(|generation| {
            let position = generation.first_match(space, item, after, erased)?;
            Some((position, generation.stored(position).id))
        })
    }

    /// The last position in memory recorded at `moment` or before.
    pub(crate) fn bound_at(&self, moment: Timestamp) -> Option<Position> {
        self.generations().find_map(|generation| generation.chunks.bound_at(moment))
    }

    /// Makes the events of an accepted command visible.
    pub(crate) fn insert(&mut self, origin: Origin, command: &AppendCommand, receipt: &Receipt) {
        let chunks = self.active.chunks.len();
        self.entities += self.active.insert(origin, command, receipt);
        if self.active.chunks.len() > chunks {
            let number = self.active.block_no(chunks);
            assert!(self.blocks.next() == number, "block {number} is kept as {}", self.blocks.next());
            self.blocks.push(command.block.clone());
        }
    }

    /// Ends the active generation and starts the next.
    pub(crate) fn cut(&mut self, at: Mark, members: Bytes, recorded_at: Timestamp, settle: bool) {
        self.cuts += 1;
        let head = self.active.head();
        let (index, term) = (LogIndex::new(at.index), at.term);
        let cut = Cut { number: self.cuts, index, term, head, recorded_at, entities: self.entities, settle };
        let events = std::mem::replace(&mut self.active, Generation::new(head, self.blocks.next()));
        let tombstones = self.tombstones.clone();
        self.sealed.push_back(Arc::new(SealedGeneration { cut, tombstones, members, events }));
    }

    /// Puts other parts on the shelf. What they hold now leaves memory; it is returned to be dropped without a lock.
    ///
    /// # Panics
    /// If the shelf would not end where the first generation in memory starts: events would be lost or doubled.
    pub(crate) fn install(&mut self, shelf: Arc<Shelf>) -> Vec<Arc<SealedGeneration>> {
        let cut = shelf.manifest.cut;
        let done = self.sealed.partition_point(|sealed| sealed.cut.number <= cut);
        let dropped: Vec<_> = self.sealed.drain(..done).collect();
        let oldest = self.sealed.front().map_or(&self.active, |sealed| &sealed.events);
        let (compacted, base) = (shelf.compacted(), oldest.base());
        assert!(
            compacted == base,
            "parts that end at position {compacted} are installed before events that follow {base}"
        );
        self.blocks.drop_before(oldest.block_no(0));
        self.shelf = shelf;
        dropped
    }
}
