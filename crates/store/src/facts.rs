//! What the parts know about a command, found out before it is applied.
//!
//! Parts never change, so nothing that other commands of the same entry do can make these facts wrong, and the disk is
//! not waited for under the lock. What memory knows is not asked of parts.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use chronos_domain::{
    Batch, Condition, ContentHash, EventId, Position, QueryItem, Space, Timestamp, Version,
};
use chronos_parts::Tombstones;
use parking_lot::RwLock;

use crate::entry::Command;
use crate::fault::Fault;
use crate::layers::Layers;
use crate::shelf::Shelf;
use crate::state::State;

/// Events of a part that are read at a time.
const ROWS: usize = 256;

/// The facts about one command. Empty where memory knows, or nothing is known at all.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Its events that are stored in parts.
    pub(crate) ids: BTreeMap<EventId, Position>,
    /// What they are.
    pub(crate) events: BTreeMap<Position, Kept>,
    /// The versions of its entities that have events in parts and none in memory.
    pub(crate) versions: BTreeMap<String, Version>,
    /// For each item of its condition that matches an event in parts, the first such event.
    pub(crate) matches: Vec<(QueryItem, Position, EventId)>,
}

/// An event in a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) content: ContentHash,
    pub(crate) version: Version,
    pub(crate) recorded_at: Timestamp,
}

impl Facts {
    /// Where the item first matches in parts.
    pub(crate) fn first_match(&self, item: &QueryItem) -> Option<(Position, EventId)> {
        let known = self.matches.iter().find(|(asked, ..)| asked == item);
        known.map(|(_, position, id)| (*position, *id))
    }
}

/// What the parts know about each of the commands; nothing at all when there are no parts.
///
/// # Errors
/// A fault of storage.
pub(crate) fn find_out<C: Borrow<Command>>(
    state: &RwLock<State>,
    commands: &[C],
) -> Result<Vec<Facts>, Fault> {
    let (shelf, tombstones, open) = {
        let state = state.read();
        let layers = &state.layers;
        if layers.compacted().is_zero() {
            return Ok(Vec::new());
        }
        let open: Vec<_> = commands.iter().map(|command| Open::of(layers, command.borrow())).collect();
        (layers.shelf().clone(), layers.tombstones.clone(), open)
    };
    let asked = Asked { shelf: &shelf, tombstones: &tombstones };
    open.into_iter().map(|open| asked.about(open)).collect()
}

/// What memory cannot say about a command.
struct Open<'c> {
    space: Space<'c>,
    ids: Vec<EventId>,
    entities: Vec<&'c str>,
    condition: Option<&'c Condition>,
}

impl<'c> Open<'c> {
    fn of(layers: &Layers, command: &'c Command) -> Option<Open<'c>> {
        match command {
            Command::Cut(_) | Command::Tick(_) => None,
            Command::Truncate(truncate) => {
                let (space, entity) = (truncate.space(), truncate.entity.as_str());
                let entities = layers.version(space, entity).map_or_else(|| vec![entity], |_| Vec::new());
                Some(Open { space, ids: Vec::new(), entities, condition: None })
            }
            Command::Append(append) => {
                let (space, block) = (append.space(), &append.block);
                let ids = (0..block.events()).map(|i| block.event_id(i));
                let entities = (0..block.entities()).map(|e| block.entity(e));
                Some(Open {
                    space,
                    ids: ids.filter(|id| layers.find(space, *id).is_none()).collect(),
                    entities: entities.filter(|entity| layers.version(space, entity).is_none()).collect(),
                    condition: block.condition().filter(|condition| condition.after < layers.compacted()),
                })
            }
        }
    }
}

/// The parts, as they are asked.
struct Asked<'a> {
    shelf: &'a Shelf,
    tombstones: &'a Tombstones,
}

impl Asked<'_> {
    fn about(&self, open: Option<Open<'_>>) -> Result<Facts, Fault> {
        let mut facts = Facts::default();
        let Some(Open { space, ids, entities, condition }) = open else { return Ok(facts) };
        for id in ids {
            if let Some(position) = self.shelf.find(space, id)? {
                facts.ids.insert(id, position);
            }
        }
        self.read_kept(&mut facts)?;
        for entity in entities {
            let version = self.shelf.version_within(space, entity, Position::MAX)?;
            if !version.is_zero() {
                facts.versions.insert(entity.to_owned(), version);
            }
        }
        let Some(condition) = condition else { return Ok(facts) };
        for item in &condition.fail_if {
            if let Some((position, id)) = self.first_match(space, item, condition.after)? {
                facts.matches.push((item.clone(), position, id));
            }
        }
        Ok(facts)
    }

    /// What the events are that were found. A repeated request has many neighbours: they are read together.
    fn read_kept(&self, facts: &mut Facts) -> Result<(), Fault> {
        let mut positions: Vec<Position> = facts.ids.values().copied().collect();
        positions.sort_unstable();
        let same_part = |a: &Position, b: &Position| *b <= self.shelf.part_at(*a).meta().last;
        for positions in positions.chunk_by(same_part).flat_map(|run| run.chunks(ROWS)) {
            let part = self.shelf.part_at(positions[0]);
            for event in part.rows(positions).map_err(Fault::of_parts(part.partition()))? {
                let content = match event.erased {
                    false => event.block.content(usize::from(event.slot)),
                    true => part.find_content(event.position).map_err(Fault::of_parts(part.partition()))?,
                };
                let kept = Kept { content, version: event.version, recorded_at: event.recorded_at };
                facts.events.insert(event.position, kept);
            }
        }
        Ok(())
    }

    /// The first event after `after` that matches an item. A part knows only of the truncations before it was written:
    /// an event that has lost its tags since does not match by them.
    fn first_match(
        &self,
        space: Space<'_>,
        item: &QueryItem,
        after: Position,
    ) -> Result<Option<(Position, EventId)>, Fault> {
        let begun = self.shelf.parts.partition_point(|part| part.meta().last <= after);
        let mut after = after;
        for part in &self.shelf.parts[begun..] {
            let fault = || Fault::of_parts(part.partition());
            while let Some(position) = part.first_match(space, item, after).map_err(fault())? {
                let rows = part.rows(&[position]).map_err(fault())?;
                let event = rows.first().expect("a read of one position gives one event");
                let said = event.event();
                let erased = event.version < self.tombstones.get(space.tenant, space.fork, said.entity_id);
                if item.tags.is_empty() || !erased {
                    return Ok(Some((position, said.event_id)));
                }
                after = position;
            }
        }
        Ok(None)
    }
}
