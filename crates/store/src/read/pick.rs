//! Choosing what to return, under the lock: numbers and cheap handles, no bytes of events.

use chronos_block::{Direction, Range};
use chronos_domain::{Position, Space, Version};

use crate::load::{Held, Source};
use crate::spaces::SpaceTable;
use crate::tables::Tables;
use crate::tail::Place;

/// Events chosen, in the order of the read.
#[derive(Debug, Default)]
pub(crate) struct Picked {
    /// The chunks they are in, each with how many of the slots are its own.
    pub(super) chunks: Vec<(Held, usize)>,
    pub(super) slots: Vec<Slot>,
    /// The version (entity) or position (scan) that would come next within the bound.
    pub(super) more: Option<u64>,
}

/// One event of a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) slot: u16,
    pub(super) version: Version,
}

impl Picked {
    /// Adds the event at `place`; neighbours of one chunk share one handle.
    fn add(&mut self, tables: &Tables, last_chunk: &mut Option<usize>, place: Place, version: Version) {
        match self.chunks.last_mut() {
            Some((_, slots)) if *last_chunk == Some(place.chunk()) => *slots += 1,
            _ => self.chunks.push((hold(tables, place.chunk()), 1)),
        }
        *last_chunk = Some(place.chunk());
        self.slots.push(Slot { slot: place.slot(), version });
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
    let space = tables.spaces.table(chunk.space);
    Held {
        first: chunk.first,
        events: chunk.events,
        tenant: space.tenant.clone(),
        fork: space.fork,
        recorded_at: chunk.recorded_at,
        source,
    }
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
            if picked.slots.len() == count {
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
            if picked.slots.len() == count {
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

/// The places of an entity's events; none for a stranger.
pub(crate) fn places<'a>(tables: &'a Tables, space: Space<'_>, entity: &str) -> &'a [Place] {
    tables.spaces.get(space).and_then(|space| space.heads.get(entity)).map_or(&[], Vec::as_slice)
}
