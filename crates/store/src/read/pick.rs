//! Choosing what to return, under the lock: numbers and cheap handles, no bytes of events.

use std::ops::RangeInclusive;

use chronos_block::Direction;
use chronos_domain::{Position, Space, Version};

use crate::chunks::Place;
use crate::generation::Generation;
use crate::layers::Layers;
use crate::load::{Held, Source};

/// Events in memory or in the log, chosen in the order of the read.
#[derive(Debug, Default)]
pub(crate) struct Picked {
    /// The chunks they are in, each with how many of the slots are its own.
    pub(super) chunks: Vec<(Held, usize)>,
    pub(super) slots: Vec<Slot>,
}

/// One event of a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) slot: u16,
    pub(super) version: Version,
}

/// Collects events; neighbours of one chunk share one handle.
struct Picker<'a> {
    layers: &'a Layers,
    picked: Picked,
    /// The chunk picked from last, by its first position.
    last: Option<Position>,
}

impl<'a> Picker<'a> {
    fn new(layers: &'a Layers) -> Picker<'a> {
        Picker { layers, picked: Picked::default(), last: None }
    }

    fn add(&mut self, generation: &Generation, place: Place, version: Version) {
        let first = generation.chunks.get(place.chunk()).first;
        match self.picked.chunks.last_mut() {
            Some((_, slots)) if self.last == Some(first) => *slots += 1,
            _ => self.picked.chunks.push((hold(self.layers, generation, place.chunk()), 1)),
        }
        self.last = Some(first);
        self.picked.slots.push(Slot { slot: place.slot(), version });
    }

    fn add_position(&mut self, generation: &Generation, chunk: usize, position: Position) {
        let slot = position.get() - generation.chunks.get(chunk).first.get();
        let slot = u16::try_from(slot).expect("a chunk holds at most 4096 events");
        self.add(generation, Place::new(chunk, slot), generation.stored(position).version);
    }
}

/// A chunk of a generation, with its block if that is in memory.
pub(crate) fn hold(layers: &Layers, generation: &Generation, number: usize) -> Held {
    let chunk = generation.chunks.get(number);
    let source = match layers.blocks.get(generation.block_no(number)) {
        Some(block) => Source::Memory(block.clone()),
        None => Source::Log { origin: chunk.origin, first_id: generation.stored(chunk.first).id },
    };
    let space = generation.spaces.table(chunk.space);
    Held {
        first: chunk.first,
        events: chunk.events,
        tenant: space.tenant.clone(),
        fork: space.fork,
        recorded_at: chunk.recorded_at,
        source,
    }
}

/// What memory knows of an entity as of a position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Its version.
    pub(crate) version: Version,
    /// Its version before the oldest event of it that is in memory.
    pub(crate) before: Version,
}

/// The entity as of a position, if an event of it in memory lies within.
pub(crate) fn known(layers: &Layers, space: Space<'_>, entity: &str, bound: Position) -> Option<Known> {
    let mut known: Option<Known> = None;
    for generation in layers.generations() {
        let Some(head) = generation.head_of(space, entity) else { continue };
        known = match known {
            Some(known) => Some(Known { before: head.before(), ..known }),
            None => head
                .version_within(&generation.chunks, bound)
                .map(|version| Known { version, before: head.before() }),
        };
    }
    known
}

/// Picks these versions of an entity, all of which are in memory.
pub(crate) fn pick_versions(
    layers: &Layers,
    space: Space<'_>,
    entity: &str,
    versions: &RangeInclusive<u64>,
    direction: Direction,
) -> Picked {
    let mut picker = Picker::new(layers);
    let mut pick = |generation: &Generation| {
        let Some(head) = generation.head_of(space, entity) else { return };
        let first = (*versions.start()).max(head.before().get() + 1);
        let last = (*versions.end()).min(head.version().get());
        let mut add = |version| {
            let version = Version::new(version);
            picker.add(generation, head.place(version), version);
        };
        match direction {
            Direction::Forward => (first..=last).for_each(&mut add),
            Direction::Backward => (first..=last).rev().for_each(&mut add),
        }
    };
    match direction {
        Direction::Forward => layers.generations().rev().for_each(&mut pick),
        Direction::Backward => layers.generations().for_each(&mut pick),
    }
    picker.picked
}

/// Picks at most `count` events of a space by position, from one generation: from `from`, which it holds, towards its
/// end or the limit. Also gives the next event there, if one is left.
pub(crate) fn pick_positions(
    layers: &Layers,
    generation: &Generation,
    space: Space<'_>,
    direction: Direction,
    (from, limit): (Position, Position),
    count: usize,
) -> (Picked, Option<Position>) {
    let mut picker = Picker::new(layers);
    let next = match direction {
        Direction::Forward => pick_forward(&mut picker, generation, space, from, limit, count),
        Direction::Backward => pick_backward(&mut picker, generation, space, from, count),
    };
    (picker.picked, next)
}

fn pick_forward(
    picker: &mut Picker<'_>,
    generation: &Generation,
    space: Space<'_>,
    from: Position,
    limit: Position,
    count: usize,
) -> Option<Position> {
    let space = generation.spaces.get(space)?;
    let passed = space.chunks.partition_point(|number| generation.chunks.get(*number).last() < from);
    for number in (passed..space.chunks.len()).map(|at| space.chunks[at]) {
        let chunk = generation.chunks.get(number);
        for position in chunk.first.max(from).get()..=chunk.last().min(limit).get() {
            if picker.picked.slots.len() == count {
                return Some(Position::new(position));
            }
            picker.add_position(generation, number, Position::new(position));
        }
        if chunk.last() >= limit {
            return None;
        }
    }
    None
}

fn pick_backward(
    picker: &mut Picker<'_>,
    generation: &Generation,
    space: Space<'_>,
    from: Position,
    count: usize,
) -> Option<Position> {
    let space = generation.spaces.get(space)?;
    let reached = space.chunks.partition_point(|number| generation.chunks.get(*number).first <= from);
    for number in (0..reached).rev().map(|at| space.chunks[at]) {
        let chunk = generation.chunks.get(number);
        for position in (chunk.first.get()..=chunk.last().min(from).get()).rev() {
            if picker.picked.slots.len() == count {
                return Some(Position::new(position));
            }
            picker.add_position(generation, number, Position::new(position));
        }
    }
    None
}

/// Picks the event at a position; `None` where memory has none.
pub(crate) fn pick_one(layers: &Layers, position: Position) -> Option<Picked> {
    let generation = layers.holding(position)?;
    let place = generation.chunks.place(position)?;
    let mut picker = Picker::new(layers);
    picker.add(generation, place, generation.stored(position).version);
    Some(picker.picked)
}
