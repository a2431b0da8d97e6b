//! Which positions came from which block, and where that block stands in the log.
//!
//! A *chunk* is one applied block: the positions it got, whose they are and when they were recorded. The block itself
//! is in [`Blocks`](crate::blocks::Blocks) as long as there is room, and in the log until its events are in a part.

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
}

impl Chunk {
    pub(crate) fn last(&self) -> Position {
        Position::new(self.first.get() + u64::from(self.events) - 1)
    }
}

/// One event as (chunk of the generation, slot), in eight bytes; ordered like positions.
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

/// All chunks of a generation.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// The last position before the first chunk.
    base: Position,
    chunks: Pages<Chunk>,
}

impl Chunks {
    pub(crate) const fn new(base: Position) -> Chunks {
        Chunks { base, chunks: Pages::new() }
    }

    /// Appends a chunk and returns its number.
    pub(crate) fn push(&mut self, chunk: Chunk) -> usize {
        let (end, before) = match self.chunks.last() {
            Some(last) => (last.last(), last.recorded_at),
            None => (self.base, Timestamp::MIN),
        };
        let (first, now) = (chunk.first, chunk.recorded_at);
        assert!(end.next() == first, "I-01: a chunk from position {first} follows one that ends at {end}");
        assert!(before <= now, "I-05: a chunk recorded at {now} follows one recorded at {before}");
        self.chunks.push(chunk)
    }

    pub(crate) fn get(&self, number: usize) -> &Chunk {
        &self.chunks[number]
    }

    pub(crate) const fn len(&self) -> usize {
        self.chunks.len()
    }

    pub(crate) fn position(&self, place: Place) -> Position {
        Position::new(self.get(place.chunk()).first.get() + u64::from(place.slot()))
    }

    /// Where the event with this position is; `None` where there is none.
    pub(crate) fn place(&self, position: Position) -> Option<Place> {
        let number = self.chunks.partition_point(|chunk| chunk.first <= position).checked_sub(1)?;
        let slot = position.get() - self.get(number).first.get();
        let slot = u16::try_from(slot).ok().filter(|slot| *slot < self.get(number).events)?;
        Some(Place::new(number, slot))
    }

    /// The last position of these recorded at `moment` or before; `None` when there is none.
    pub(crate) fn bound_at(&self, moment: Timestamp) -> Option<Position> {
        let chunks = self.chunks.partition_point(|chunk| chunk.recorded_at <= moment);
        chunks.checked_sub(1).map(|number| self.get(number).last())
    }
}
