//! What a read asks for and what it gives back.

use chronos_domain::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use chronos_domain::{Position, Version};

use crate::Recorded;

/// Which way a read goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From low numbers to high ones.
    Forward,
    /// From high numbers to low ones.
    Backward,
}

/// A stretch of an entity's versions or of a partition's positions, and how much of it to return at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first version (of an entity) or position (of a scan) to return, inclusive. Numbers outside of what is
    /// there are fine: the read starts at the nearest one that exists in its direction.
    pub from: u64,
    /// As of: nothing beyond this position is returned, whatever else has been applied.
    pub bound: Position,
    /// Which way to go from `from`.
    pub direction: Direction,
    /// At most this many events; clamped to 1..=[`PAGE_EVENTS_MAX`].
    pub events_max: usize,
    /// At most this many bytes of events, though one event is always returned if there is one; clamped to
    /// [`PAGE_BYTES_MAX`].
    pub bytes_max: usize,
}

impl Range {
    /// Everything from the first number on.
    pub const fn forward() -> Range {
        Range {
            from: 1,
            bound: Position::MAX,
            direction: Direction::Forward,
            events_max: PAGE_EVENTS_MAX,
            bytes_max: PAGE_BYTES_MAX,
        }
    }

    /// Everything from the last number back.
    pub const fn backward() -> Range {
        Range { from: u64::MAX, direction: Direction::Backward, ..Range::forward() }
    }

    /// The same stretch from another number on: the `next` of the page before.
    #[must_use]
    pub const fn starting(self, from: u64) -> Range {
        Range { from, ..self }
    }

    /// How many events a page may hold, within the limits.
    pub fn events_max(&self) -> usize {
        self.events_max.clamp(1, PAGE_EVENTS_MAX)
    }

    /// How many bytes of events a page may hold, within the limits.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max.min(PAGE_BYTES_MAX)
    }
}

/// Some events in the order of the read.
#[derive(Clone, Debug)]
pub struct Page {
    /// The events.
    pub events: Vec<Recorded>,
    /// The version or position to go on from; `None` when nothing within the bound is left in this direction.
    pub next: Option<u64>,
    /// How far this read has looked, in positions. Going forward, every event up to here (and not before `from`) was
    /// considered, so a filtered reader may wait for the position after it; it is the bound itself (or the applied
    /// mark, if lower) when `next` is `None`. Going backward, every event down to here was.
    pub examined: Position,
    /// The applied mark when the page was made; never lower than any position in it.
    pub applied: Position,
    /// In a read of one entity, the version before which a truncation erased its events, which are left out. Zero
    /// when it was never truncated, and in every other read.
    pub truncated_before: Version,
}
