//! Turning what was picked into events, outside of the lock.

use chronos_block::{Direction, EventRef, Filter, Page, Range, Recorded};
use chronos_domain::{PartitionId, Position, Version};

use super::pick::{Picked, Slot};
use crate::fault::Fault;
use crate::load::{Held, Loader};

/// Events looked at by one call of a filtered scan before it returns what it has, so that a caller can yield.
const SCAN_EVENTS_MAX: usize = 64 << 10;
/// Log entries read by one call of a scan before it returns what it has.
const SCAN_LOADS_MAX: usize = 64;
/// Events picked at a time once a filter has thinned out the first pick.
const SCAN_PICK_EVENTS: usize = 1024;

/// Fills one page.
pub(crate) struct Reader<'a> {
    partition: PartitionId,
    loader: Loader<'a>,
    events_max: usize,
    bytes_left: usize,
    events: Vec<Recorded>,
}

/// The first event that found no room on the page.
struct Left {
    position: Position,
    version: Version,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(partition: PartitionId, loader: Loader<'a>, range: &Range) -> Reader<'a> {
        let (events_max, bytes_left) = (range.events_max(), range.bytes_max());
        Reader { partition, loader, events_max, bytes_left, events: Vec::new() }
    }

    /// The events of one entity, checked to be its own and gapless.
    pub(crate) fn entity(
        mut self,
        id: &str,
        picked: Picked,
        limit: Position,
        applied: Position,
    ) -> Result<Page, Fault> {
        let more = picked.more;
        let left = self.take(picked, |event, said| {
            let (position, found) = (event.position, said.entity_id);
            assert!(found == id, "position {position} is read as of {id:?} but is of {found:?}");
            true
        })?;
        let next = left.map(|left| left.version.get()).or(more);
        for pair in self.events.windows(2) {
            let (a, b) = (pair[0].version.get(), pair[1].version.get());
            assert!(a.abs_diff(b) == 1, "I-02: versions {a} and {b} of {id:?} are read as neighbours");
        }
        let examined = match (next, self.events.last()) {
            (Some(_), Some(last)) => last.position,
            _ => limit,
        };
        Ok(Page { events: self.events, next, examined, applied, truncated_before: Version::ZERO })
    }

    /// The one event picked.
    pub(crate) fn one(mut self, picked: Picked) -> Result<Option<Recorded>, Fault> {
        self.take(picked, |_, _| true)?;
        Ok(self.events.pop())
    }

    /// The events of a space that match, in one direction; `pick` chooses up to a number of them from a position on.
    pub(crate) fn scan(
        mut self,
        range: &Range,
        filter: &Filter,
        limit: Position,
        applied: Position,
        pick: impl Fn(Position, usize) -> Result<Picked, Fault>,
    ) -> Result<Page, Fault> {
        let all = *filter == Filter::default();
        let mut at = Position::new(range.from.max(1));
        let mut count = self.events_max;
        let mut looked = 0;
        let next = loop {
            let picked = pick(at, count)?;
            let more = picked.more;
            looked += picked.slots.len();
            if let Some(left) = self.take(picked, |event, _| all || filter.matches(event))? {
                break Some(left.position.get());
            }
            let Some(more) = more else { break None };
            let enough = looked >= SCAN_EVENTS_MAX || self.loader.loads() >= SCAN_LOADS_MAX;
            if enough || self.events.len() == self.events_max {
                break Some(more);
            }
            at = Position::new(more);
            count = SCAN_PICK_EVENTS;
        };
        self.check_order(range.direction);
        let examined = examined(range, next, limit);
        Ok(Page { events: self.events, next, examined, applied, truncated_before: Version::ZERO })
    }

    /// Takes wanted events until the page is full; returns the first one that found no room.
    fn take(
        &mut self,
        picked: Picked,
        wanted: impl Fn(&Recorded, &EventRef<'_>) -> bool,
    ) -> Result<Option<Left>, Fault> {
        let mut slots = picked.slots.into_iter();
        self.events.reserve(slots.len().min(self.events_max - self.events.len()));
        for (held, count) in picked.chunks {
            if let Some(left) = self.take_chunk(held, slots.by_ref().take(count), &wanted)? {
                return Ok(Some(left));
            }
        }
        Ok(None)
    }

    fn take_chunk(
        &mut self,
        held: Held,
        slots: impl ExactSizeIterator<Item = Slot>,
        wanted: impl Fn(&Recorded, &EventRef<'_>) -> bool,
    ) -> Result<Option<Left>, Fault> {
        let first = held.first;
        let (mut held, mut shared) = (Some(held), None);
        let mut left = slots.len();
        for Slot { slot, version } in slots {
            let position = first.plus(u64::from(slot));
            if self.events.len() == self.events_max {
                return Ok(Some(Left { position, version }));
            }
            if let Some(held) = held.take() {
                shared = Some(self.open(held)?);
            }
            left -= 1;
            // The last event of a chunk takes its handles over instead of sharing them.
            let event = if left == 0 { shared.take() } else { shared.clone() };
            let event = event.expect("a chunk is opened at its first slot and given away at its last");
            let event = Recorded { slot, position, version, ..event };
            let said = event.event();
            if !wanted(&event, &said) {
                continue;
            }
            let weight = weight(&said);
            if weight > self.bytes_left && !self.events.is_empty() {
                return Ok(Some(Left { position, version }));
            }
            self.bytes_left = self.bytes_left.saturating_sub(weight);
            self.events.push(event);
        }
        Ok(None)
    }

    /// What the events of a chunk have in common. May read the disk.
    fn open(&mut self, held: Held) -> Result<Recorded, Fault> {
        Ok(Recorded {
            slot: 0,
            partition: self.partition,
            position: held.first,
            version: Version::ZERO,
            recorded_at: held.recorded_at,
            block: self.loader.block(held.first, held.events, held.source)?,
            tenant: held.tenant,
            fork: held.fork,
            erased: false,
        })
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
