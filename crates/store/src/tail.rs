//! The blocks of a partition, oldest first, and which of them are in memory.
//!
//! A *chunk* is one applied block: the positions it got and where it stands in the log. Blocks stay in memory until
//! their bytes exceed a budget; then the oldest go, and readers fetch them from the log.

use chronos_block::Block;
use chronos_domain::{LogIndex, Position, Timestamp};

use crate::pages::Pages;
use crate::spaces::SpaceNo;

/// Where a block stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) index: LogIndex,
    /// Which command of the entry, from 0.
    pub(crate) ordinal: u16,
}

/// One applied block.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The position of its first event; the others follow.
    pub(crate) first: Position,
    pub(crate) events: u16,
    pub(crate) space: SpaceNo,
    pub(crate) recorded_at: Timestamp,
    pub(crate) origin: Origin,
    /// `None` once evicted.
    pub(crate) block: Option<Block>,
}

impl Chunk {
    pub(crate) fn last(&self) -> Position {
        Position::new(self.first.get() + u64::from(self.events) - 1)
    }
}

/// One event as (chunk, slot), in eight bytes; ordered like positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

impl Place {
    const SLOT_BITS: u32 = 16;

    pub(crate) fn new(chunk: usize, slot: u16) -> Place {
        let chunk = chunk as u64;
        assert!(chunk < 1 << (64 - Self::SLOT_BITS), "chunk {chunk} does not fit a place");
        Place(chunk << Self::SLOT_BITS | u64::from(slot))
    }

    pub(crate) const fn chunk(self) -> usize {
        (self.0 >> Self::SLOT_BITS) as usize
    }

    pub(crate) const fn slot(self) -> u16 {
        self.0 as u16
    }
}

/// All chunks of a partition.
#[derive(Debug)]
pub(crate) struct Tail {
    chunks: Pages<Chunk>,
    budget_bytes: usize,
    cached_bytes: usize,
    cached_blocks: u64,
    /// Chunks before this one have been evicted.
    oldest_cached: usize,
}

impl Tail {
    pub(crate) const fn new(budget_bytes: usize) -> Tail {
        Tail { chunks: Pages::new(), budget_bytes, cached_bytes: 0, cached_blocks: 0, oldest_cached: 0 }
    }

    /// Appends a chunk and returns its number.
    pub(crate) fn push(&mut self, chunk: Chunk) -> usize {
        if let Some(last) = self.chunks.last() {
            let (end, first) = (last.last(), chunk.first);
            assert!(
                end.next() == first,
                "I-01: a chunk from position {first} follows one that ends at {end}"
            );
            let (before, now) = (last.recorded_at, chunk.recorded_at);
            assert!(before <= now, "I-05: a chunk recorded at {now} follows one recorded at {before}");
        } else {
            assert!(
                chunk.first == Position::new(1),
                "I-01: the first chunk starts at position {}",
                chunk.first
            );
        }
        if let Some(block) = &chunk.block {
            self.cached_bytes += block.memory();
            self.cached_blocks += 1;
        }
        self.chunks.push(chunk)
    }

    /// Drops the oldest blocks from memory until the rest fits the budget.
    pub(crate) fn evict(&mut self) {
        while self.cached_bytes > self.budget_bytes && self.oldest_cached < self.chunks.len() {
            let chunk =
                self.chunks.get_mut(self.oldest_cached).expect("just compared with the number of chunks");
            if let Some(block) = chunk.block.take() {
                self.cached_bytes -= block.memory();
                self.cached_blocks -= 1;
            }
            self.oldest_cached += 1;
        }
    }

    pub(crate) fn chunk(&self, number: usize) -> &Chunk {
        &self.chunks[number]
    }

    pub(crate) const fn len(&self) -> usize {
        self.chunks.len()
    }

    pub(crate) const fn cached(&self) -> (u64, usize) {
        (self.cached_blocks, self.cached_bytes)
    }

    pub(crate) fn position(&self, place: Place) -> Position {
        Position::new(self.chunk(place.chunk()).first.get() + u64::from(place.slot()))
    }

    /// Where the event with this position is; `None` where there is none.
    pub(crate) fn place(&self, position: Position) -> Option<Place> {
        let number = self.chunks.partition_point(|chunk| chunk.first <= position).checked_sub(1)?;
        let slot = position.get() - self.chunk(number).first.get();
        let slot = u16::try_from(slot).ok().filter(|slot| *slot < self.chunk(number).events)?;
        Some(Place::new(number, slot))
    }

    /// The last position recorded at `moment` or before.
    pub(crate) fn bound_at(&self, moment: Timestamp) -> Position {
        let chunks = self.chunks.partition_point(|chunk| chunk.recorded_at <= moment);
        chunks.checked_sub(1).map_or(Position::ZERO, |number| self.chunk(number).last())
    }
}
