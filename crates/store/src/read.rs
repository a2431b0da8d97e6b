//! Reads: what to return is picked under the lock as cheap handles, then made into events outside of it.

use chronos_block::{Block, Direction, Filter, Page, Range, Recorded};
use chronos_domain::{PartitionId, Position, Space, Version};

use crate::fault::Fault;
use crate::load::{Held, Loader, Source};
use crate::spaces::SpaceTable;
use crate::tables::Tables;
use crate::tail::Place;

/// Events looked at by one call of a filtered scan before it returns what it has, so that a caller can yield.
const SCAN_EVENTS_MAX: usize = 64 << 10;
/// Log entries read by one call of a scan before it returns what it has.
const SCAN_LOADS_MAX: usize = 64;
/// Events picked at a time once a filter has thinned out the first pick.
const SCAN_PICK_EVENTS: usize = 1024;

/// Events chosen under the lock, in the order of the read.
#[derive(Debug, Default)]
pub(crate) struct Picked {
    held: Vec<Held>,
    picks: Vec<Pick>,
    /// The version (entity) or position (scan) that would come next within the bound.
    more: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Pick {
    /// Which of the held chunks.
    held: usize,
    slot: u16,
    version: Version,
}

impl Picked {
    /// Adds the event at `place`; neighbours of one chunk share one handle.
    fn add(&mut self, tables: &Tables, last_chunk: &mut Option<usize>, place: Place, version: Version) {
        if *last_chunk != Some(place.chunk()) {
            self.held.push(hold(tables, place.chunk()));
            *last_chunk = Some(place.chunk());
        }
        self.picks.push(Pick { held: self.held.len() - 1, slot: place.slot(), version });
    }

    fn position(&self, pick: &Pick) -> Position {
        self.held[pick.held].first.plus(u64::from(pick.slot))
    }
}

fn hold(tables: &Tables, number: usize) -> Held {
    let chunk = tables.tail.chunk(number);
    let source = match &chunk.block {
        Some(block) => Source::Memory(block.clone()),
        None => {
            let row = tables.row(chunk.first).expect("every position of a chunk has a row");
            Source::Log { origin: chunk.origin, first_id: row.id }
        }
    };
    let tenant = tables.spaces.table(chunk.space).tenant.clone();
    Held { first: chunk.first, events: chunk.events, tenant, recorded_at: chunk.recorded_at, source }
}

/// How many of an entity's events lie within `bound`.
pub(crate) fn version_within(tables: &Tables, places: &[Place], bound: Position) -> Version {
    let beyond = |last: &Place| tables.tail.position(*last) > bound;
    let within = match places.last() {
        Some(last) if beyond(last) => places.partition_point(|place| !beyond(place)),
        _ => places.len(),
    };
    Version::new(within as u64)
}

/// Picks events of an entity by version.
pub(crate) fn pick_entity(tables: &Tables, places: &[Place], range: &Range, limit: Position) -> Picked {
    let known = version_within(tables, places, limit).get();
    let count = range.events_max() as u64;
    let mut picked = Picked::default();
    let mut last_chunk = None;
    let mut add = |version: u64| {
        let place = places[usize::try_from(version - 1).expect("a version counts places in memory")];
        picked.add(tables, &mut last_chunk, place, Version::new(version));
    };
    let more = match range.direction {
        Direction::Forward => {
            let from = range.from.max(1);
            let end = from.saturating_add(count).min(known + 1);
            (from..end).for_each(&mut add);
            Some(from.max(end)).filter(|next| *next <= known)
        }
        Direction::Backward => {
            let from = range.from.min(known);
            let end = from.saturating_sub(count);
            (end + 1..=from).rev().for_each(&mut add);
            Some(end).filter(|next| *next >= 1)
        }
    };
    picked.more = more;
    picked
}

/// Picks at most `count` events of a space by position.
pub(crate) fn pick_scan(
    tables: &Tables,
    space: &SpaceTable,
    direction: Direction,
    from: Position,
    limit: Position,
    count: usize,
) -> Picked {
    match direction {
        Direction::Forward => pick_forward(tables, space, from, limit, count),
        Direction::Backward => pick_backward(tables, space, from.min(limit), count),
    }
}

fn pick_forward(
    tables: &Tables,
    space: &SpaceTable,
    from: Position,
    limit: Position,
    count: usize,
) -> Picked {
    let mut picked = Picked::default();
    let mut last_chunk = None;
    let passed = space.chunks.partition_point(|number| tables.tail.chunk(*number).last() < from);
    for number in (passed..space.chunks.len()).map(|at| space.chunks[at]) {
        let chunk = tables.tail.chunk(number);
        for position in chunk.first.max(from).get()..=chunk.last().min(limit).get() {
            if picked.picks.len() == count {
                picked.more = Some(position);
                return picked;
            }
            add_position(&mut picked, tables, &mut last_chunk, number, position);
        }
        if chunk.last() >= limit {
            break;
        }
    }
    picked
}

fn pick_backward(tables: &Tables, space: &SpaceTable, from: Position, count: usize) -> Picked {
    let mut picked = Picked::default();
    let mut last_chunk = None;
    let reached = space.chunks.partition_point(|number| tables.tail.chunk(*number).first <= from);
    for number in (0..reached).rev().map(|at| space.chunks[at]) {
        let chunk = tables.tail.chunk(number);
        for position in (chunk.first.get()..=chunk.last().min(from).get()).rev() {
            if picked.picks.len() == count {
                picked.more = Some(position);
                return picked;
            }
            add_position(&mut picked, tables, &mut last_chunk, number, position);
        }
    }
    picked
}

fn add_position(picked: &mut Picked, tables: &Tables, last: &mut Option<usize>, chunk: usize, position: u64) {
    let slot = position - tables.tail.chunk(chunk).first.get();
    let slot = u16::try_from(slot).expect("a chunk holds at most 4096 events");
    let row = tables.row(Position::new(position)).expect("every position of a chunk has a row");
    picked.add(tables, last, Place::new(chunk, slot), row.version);
}

/// Picks the event at a position; `None` where there is none.
pub(crate) fn pick_one(tables: &Tables, position: Position) -> Option<Picked> {
    let place = tables.tail.place(position)?;
    let version = tables.row(position)?.version;
    let mut picked = Picked::default();
    picked.add(tables, &mut None, place, version);
    Some(picked)
}

/// Turns picks into events, up to the bounds of a page.
pub(crate) struct Reader<'a> {
    partition: PartitionId,
    loader: Loader<'a>,
    events_max: usize,
    bytes_left: usize,
    events: Vec<Recorded>,
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
        picked: &Picked,
        limit: Position,
        applied: Position,
    ) -> Result<Page, Fault> {
        let left = self.take(picked, None)?;
        let next = left.map(|pick| pick.version.get()).or(picked.more);
        for event in &self.events {
            let found = event.event().entity_id;
            assert!(found == id, "position {} is read as of {id:?} but is of {found:?}", event.position);
        }
        for pair in self.events.windows(2) {
            let (a, b) = (pair[0].version.get(), pair[1].version.get());
            assert!(a.abs_diff(b) == 1, "I-02: versions {a} and {b} of {id:?} are read as neighbours");
        }
        let examined = match (next, self.events.last()) {
            (Some(_), Some(last)) => last.position,
            _ => limit,
        };
        Ok(Page { events: self.events, next, examined, applied })
    }

    /// The one event picked.
    pub(crate) fn one(mut self, picked: &Picked) -> Result<Option<Recorded>, Fault> {
        self.take(picked, None)?;
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
        let mut at = Position::new(range.from.max(1));
        let mut count = self.events_max;
        let mut looked = 0;
        let next = loop {
            let picked = pick(at, count)?;
            if let Some(left) = self.take(&picked, Some(filter))? {
                break Some(picked.position(&left).get());
            }
            looked += picked.picks.len();
            let Some(more) = picked.more else { break None };
            let enough = looked >= SCAN_EVENTS_MAX || self.loader.loads() >= SCAN_LOADS_MAX;
            if enough || self.events.len() == self.events_max {
                break Some(more);
            }
            at = Position::new(more);
            count = SCAN_PICK_EVENTS;
        };
        self.check_order(range.direction);
        let examined = examined(range, next, limit);
        Ok(Page { events: self.events, next, examined, applied })
    }

    /// Takes picks until the page is full; returns the first one that found no room.
    fn take(&mut self, picked: &Picked, filter: Option<&Filter>) -> Result<Option<Pick>, Fault> {
        let mut loaded: Option<(usize, Block)> = None;
        for pick in &picked.picks {
            if self.events.len() == self.events_max {
                return Ok(Some(*pick));
            }
            let held = &picked.held[pick.held];
            let block = match loaded.take() {
                Some((number, block)) if number == pick.held => block,
                _ => self.loader.block(held)?,
            };
            let event = Recorded {
                block: block.clone(),
                slot: pick.slot,
                tenant: held.tenant.clone(),
                partition: self.partition,
                position: picked.position(pick),
                version: pick.version,
                recorded_at: held.recorded_at,
            };
            loaded = Some((pick.held, block));
            if filter.is_some_and(|filter| !filter.matches(&event)) {
                continue;
            }
            let weight = weight(&event);
            if weight > self.bytes_left && !self.events.is_empty() {
                return Ok(Some(*pick));
            }
            self.bytes_left = self.bytes_left.saturating_sub(weight);
            self.events.push(event);
        }
        Ok(None)
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

/// The places of an entity's events; none for a stranger.
pub(crate) fn places<'a>(tables: &'a Tables, space: Space<'_>, entity: &str) -> &'a [Place] {
    tables.spaces.get(space).and_then(|space| space.heads.get(entity)).map_or(&[], Vec::as_slice)
}

/// Bytes that count towards a page's bound: what the event carries, and a little for its frame.
fn weight(event: &Recorded) -> usize {
    /// Ids, numbers and moments.
    const FIXED_BYTES: usize = 64;
    let event = event.event();
    let text = event.entity_id.len() + event.event_type.len() + event.content_type.len();
    FIXED_BYTES + text + event.payload.len() + event.metadata.len()
}
