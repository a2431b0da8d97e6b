//! Turning candidates into events, outside of the lock.

use chronos_block::{Direction, EventRef, Filter, Page, Range, Recorded};
use chronos_domain::{PartitionId, Position, Version};

use super::mask::Mask;
use super::pick::{Picked, Slot};
use super::scan::{Candidates, Next, Step};
use crate::load::{Held, Loader, Miss};
use crate::shelf::Run;

/// Events looked at by one call of a filtered scan before it returns what it has, so that a caller can yield.
const SCAN_EVENTS_MAX: usize = 64 << 10;
/// Log entries read, and stretches of parts looked at, by one call of a scan before it returns what it has.
const SCAN_LOADS_MAX: usize = 64;
/// Events picked at a time once a filter has thinned out the first pick.
const SCAN_PICK_EVENTS: usize = 1024;
/// Events of a part that are read at a time, at most: a page that is full after a few should not cost many.
const PART_ROWS: usize = 128;

/// Fills one page.
pub(crate) struct Reader<'a> {
    partition: PartitionId,
    loader: Loader<'a>,
    mask: Mask,
    /// Whose events all of them must be.
    entity: Option<String>,
    filter: Option<&'a Filter>,
    events_max: usize,
    bytes_left: usize,
    events: Vec<Recorded>,
}

/// The first event that found no room on the page.
pub(super) struct Left {
    pub(super) position: Position,
    pub(super) version: Version,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(partition: PartitionId, loader: Loader<'a>, mask: Mask, range: &Range) -> Reader<'a> {
        let (events_max, bytes_left) = (range.events_max(), range.bytes_max());
        let (entity, filter, events) = (None, None, Vec::new());
        Reader { partition, loader, mask, entity, filter, events_max, bytes_left, events }
    }

    /// For events of one entity only: any other is a contradiction.
    pub(super) fn of_entity(self, entity: &str) -> Reader<'a> {
        Reader { entity: Some(entity.to_owned()), ..self }
    }

    /// The events of one entity, which must be gapless.
    pub(super) fn finish_entity(self) -> Vec<Recorded> {
        for pair in self.events.windows(2) {
            let (a, b) = (pair[0].version.get(), pair[1].version.get());
            let id = &self.entity;
            assert!(a.abs_diff(b) == 1, "I-02: versions {a} and {b} of {id:?} are read as neighbours");
        }
        self.events
    }

    /// The one event picked.
    pub(crate) fn one(mut self, picked: Picked) -> Result<Option<Recorded>, Miss> {
        self.take(picked)?;
        Ok(self.events.pop())
    }

    /// The one event of a run.
    pub(crate) fn one_of_part(mut self, run: Run) -> Result<Option<Recorded>, Miss> {
        self.take_run(&run)?;
        Ok(self.events.pop())
    }

    /// The events of a space that match, in one direction; `step` finds up to a number of candidates from a position
    /// on.
    pub(crate) fn scan(
        mut self,
        range: &Range,
        filter: &'a Filter,
        (limit, applied): (Position, Position),
        step: impl Fn(Position, usize) -> Result<Step, Miss>,
    ) -> Result<Page, Miss> {
        self.filter = Some(filter).filter(|filter| **filter != Filter::default());
        let mut at = Position::new(range.from.max(1));
        let (mut count, mut looked, mut stretches) = (self.events_max, 0, 0);
        let next = loop {
            let Step { candidates, next } = step(at, count)?;
            let left = match candidates {
                Candidates::Memory(picked) => {
                    looked += picked.slots.len();
                    self.take(picked)?
                }
                Candidates::Part(run) => {
                    looked += run.positions.len();
                    stretches += 1;
                    self.take_run(&run)?
                }
            };
            if let Some(left) = left {
                break Some(left.position);
            }
            let full = self.events.len() == self.events_max;
            let enough = looked >= SCAN_EVENTS_MAX || self.loader.loads() + stretches >= SCAN_LOADS_MAX;
            at = match next {
                Next::Nothing => break None,
                Next::Event(next) if full || enough => break Some(next),
                Next::Layer(next) if enough => break Some(next),
                Next::Event(next) | Next::Layer(next) => next,
            };
            // A full page only needs to know whether anything is left.
            count = if full { 1 } else { SCAN_PICK_EVENTS };
        };
        self.check_order(range.direction);
        let next = next.map(Position::get);
        let examined = examined(range, next, limit);
        let truncated_before = Version::ZERO;
        Ok(Page { events: self.events, next, examined, applied, truncated_before })
    }

    /// Takes wanted events until the page is full; returns the first one that found no room.
    pub(super) fn take(&mut self, picked: Picked) -> Result<Option<Left>, Miss> {
        let mut slots = picked.slots.into_iter();
        self.events.reserve(slots.len().min(self.events_max - self.events.len()));
        for (held, count) in picked.chunks {
            if let Some(left) = self.take_chunk(held, slots.by_ref().take(count))? {
                return Ok(Some(left));
            }
        }
        Ok(None)
    }

    /// As [`take`](Self::take), from parts.
    pub(super) fn take_runs(&mut self, runs: Vec<Run>) -> Result<Option<Left>, Miss> {
        for run in runs {
            if let Some(left) = self.take_run(&run)? {
                return Ok(Some(left));
            }
        }
        Ok(None)
    }

    fn take_run(&mut self, run: &Run) -> Result<Option<Left>, Miss> {
        let fitting = self.bytes_left / run.bytes_of_an_event().max(1);
        for positions in run.positions.chunks(fitting.clamp(1, PART_ROWS)) {
            for event in run.rows(positions)? {
                let (position, version) = (event.position, event.version);
                if self.events.len() == self.events_max || !self.offer(event) {
                    return Ok(Some(Left { position, version }));
                }
            }
        }
        Ok(None)
    }

    fn take_chunk(
        &mut self,
        held: Held,
        slots: impl ExactSizeIterator<Item = Slot>,
    ) -> Result<Option<Left>, Miss> {
        let first = held.first;
        let (mut held, mut shared) = (Some(held), None);
        let mut left = slots.len();
        for Slot { slot, version } in slots {
            let position = first.plus(u64::from(slot));
            if self.events.len() == self.events_max {
                return Ok(Some(Left { position, version }));
            }
            if let Some(held) = held.take() {
                shared = Some(self.loader.open(self.partition, held)?);
            }
            left -= 1;
            // The last event of a chunk takes its handles over instead of sharing them.
            let event = if left == 0 { shared.take() } else { shared.clone() };
            let event = event.expect("a chunk is opened at its first slot and given away at its last");
            if !self.offer(Recorded { slot, position, version, ..event }) {
                return Ok(Some(Left { position, version }));
            }
        }
        Ok(None)
    }

    /// Puts the event on the page if it is wanted; false when there is no room for it.
    fn offer(&mut self, event: Recorded) -> bool {
        let event = self.mask.apply(event);
        let said = event.event();
        if let Some(wanted) = &self.entity {
            let (position, found) = (event.position, said.entity_id);
            assert!(found == wanted, "position {position} is read as of {wanted:?} but is of {found:?}");
        }
        if self.filter.is_some_and(|filter| !filter.matches(&event)) {
            return true;
        }
        let weight = weight(&said);
        if weight > self.bytes_left && !self.events.is_empty() {
            return false;
        }
        self.bytes_left = self.bytes_left.saturating_sub(weight);
        self.events.push(event);
        true
    }

    fn check_order(&self, direction: Direction) {
        for pair in self.events.windows(2) {
            let (a, b) = (pair[0].position, pair[1].position);
            let ordered = match direction {
                Direction::Forward => a < b,
                Direction::Backward => a > b,
            };
            assert!(ordered, "I-01: position {a} is read before {b} going {direction:?}");
        }
    }
}

/// How far a scan has looked when it would go on from `next`.
fn examined(range: &Range, next: Option<u64>, limit: Position) -> Position {
    match (range.direction, next) {
        // Nothing lies between two neighbours of a space but other spaces' events.
        (Direction::Forward, Some(next)) => Position::new(next - 1),
        (Direction::Forward, None) => limit,
        (Direction::Backward, Some(next)) => Position::new(next + 1),
        (Direction::Backward, None) => Position::new(1).min(limit),
    }
}

/// Bytes that count towards a page's bound: what the event carries, and a little for its frame.
fn weight(event: &EventRef<'_>) -> usize {
    /// Ids, numbers and moments.
    const FIXED_BYTES: usize = 64;
    let text = event.entity_id.len() + event.event_type.len() + event.content_type.len();
    FIXED_BYTES + text + event.payload.len() + event.metadata.len()
}
