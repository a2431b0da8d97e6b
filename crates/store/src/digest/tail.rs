//! The leaf hashes of events that are not in a part yet, made when somebody first asks.

use std::ops::RangeInclusive;

use chronos_block::Recorded;
use chronos_domain::{Position, Version};
use chronos_parts::leaf_of;
use chronos_proof::{Frontier, Hash, chain_next};

use crate::load::{Held, Miss};
use crate::partition::Partition;
use crate::read;
use crate::shelf::Shelf;

/// Blocks that are picked under one lock.
const BLOCKS: usize = 256;

/// The leaves behind the parts, as far as they were asked for: 32 bytes each, and as many as there are events that wait
/// for compaction.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The last position before the first leaf.
    base: Position,
    leaves: Vec<Hash>,
    /// Chain and tree after the last leaf; `None` before anything was asked.
    end: Option<(Hash, Frontier)>,
}

impl Tail {
    pub(crate) const fn new() -> Tail {
        Tail { base: Position::ZERO, leaves: Vec::new(), end: None }
    }

    /// The position of the last leaf.
    pub(super) fn end(&self) -> Position {
        self.base.plus(self.leaves.len() as u64)
    }

    /// The chain after the last leaf.
    pub(super) fn chain(&self) -> Hash {
        self.end.as_ref().expect("a tail is asked for its chain after it has reached somewhere").0
    }

    /// The root of the tree after the last leaf.
    pub(super) fn root(&self) -> Hash {
        self.end.as_ref().expect("a tail is asked for its root after it has reached somewhere").1.root()
    }

    /// The leaves at these positions, all of which it has reached.
    pub(super) fn leaves(&self, positions: RangeInclusive<Position>) -> &[Hash] {
        let first = positions.start().get() - self.base.get() - 1;
        let last = positions.end().get() - self.base.get();
        let index = |n: u64| usize::try_from(n).expect("leaves are counted in memory");
        &self.leaves[index(first)..index(last)]
    }

    /// Makes sure that it has every leaf behind the parts up to a position.
    pub(super) fn reach(&mut self, partition: &Partition, shelf: &Shelf, to: Position) -> Result<(), Miss> {
        self.start_behind(shelf);
        let mut loader = partition.loader();
        while self.end() < to {
            for (held, versions) in pick(partition, self.end().next())? {
                let first = loader.open(partition.id(), held)?;
                self.take(first, &versions);
            }
        }
        Ok(())
    }

    /// Lets go of leaves that are in parts now; begins anew where they do not go on from what is here.
    fn start_behind(&mut self, shelf: &Shelf) {
        let manifest = &shelf.manifest;
        let compacted = manifest.compacted;
        if self.end.is_none() || compacted < self.base || self.end() < compacted {
            *self = Tail {
                base: compacted,
                leaves: Vec::new(),
                end: Some((manifest.chain, manifest.frontier.clone())),
            };
        }
        let done = compacted.get() - self.base.get();
        self.leaves.drain(..usize::try_from(done).expect("leaves are counted in memory"));
        self.base = compacted;
    }

    /// Adds the events of a block, whose first event this is.
    fn take(&mut self, event: Recorded, versions: &[Version]) {
        let first = event.position;
        assert!(first == self.end().next(), "leaf {first} is added behind {}", self.end());
        let (chain, frontier) = self.end.as_mut().expect("a tail is begun before it takes leaves");
        for (slot, version) in (0..).zip(versions) {
            let position = first.plus(u64::from(slot));
            let event = Recorded { slot, position, version: *version, ..event.clone() };
            let leaf = leaf_of(&event, event.fork);
            *chain = chain_next(*chain, leaf);
            frontier.push(leaf);
            self.leaves.push(leaf);
        }
    }
}

/// Some blocks in a row from a position on, which one begins with, and the versions of their events.
fn pick(partition: &Partition, from: Position) -> Result<Vec<(Held, Vec<Version>)>, Miss> {
    let state = partition.readable()?;
    let layers = &state.layers;
    // What has got into a part meanwhile is to be looked for there.
    let generation = layers.holding(from).ok_or(Miss::Moved)?;
    let place = generation.chunks.place(from).ok_or(Miss::Moved)?;
    let chunks = place.chunk()..generation.chunks.len();
    let hold = |chunk| {
        let held = read::hold(layers, generation, chunk);
        let version = |slot| generation.stored(held.first.plus(slot)).version;
        let versions = (0..u64::from(held.events)).map(version).collect();
        (held, versions)
    };
    Ok(chunks.take(BLOCKS).map(hold).collect())
}
