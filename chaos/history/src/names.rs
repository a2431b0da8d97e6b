//! The side file: what the small numbers of a history stand for in the store.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::{EntityId, EventId};

/// Gives numbers to UUIDs and entity names and writes them down, a line each: `event 551 0190f3…` or
/// `entity 901 order-1`. Numbers count from 1 in order of first use.
pub struct Names<W> {
    out: W,
    events: BTreeMap<u128, EventId>,
    entities: BTreeMap<String, EntityId>,
}

impl<W: Write> Names<W> {
    /// Without any names yet.
    pub fn new(out: W) -> Names<W> {
        Names { out, events: BTreeMap::new(), entities: BTreeMap::new() }
    }

    /// The number of an event's UUID, new or as before.
    ///
    /// # Errors
    /// What the side file says.
    pub fn event(&mut self, uuid: u128) -> io::Result<EventId> {
        let next = EventId(self.events.len() as u64 + 1);
        let id = *self.events.entry(uuid).or_insert(next);
        if id == next {
            writeln!(self.out, "event {id} {uuid:032x}")?;
        }
        Ok(id)
    }

    /// The number of an entity's name, new or as before.
    ///
    /// # Errors
    /// What the side file says.
    pub fn entity(&mut self, name: &str) -> io::Result<EntityId> {
        if let Some(id) = self.entities.get(name) {
            return Ok(*id);
        }
        let id = EntityId(self.entities.len() as u64 + 1);
        self.entities.insert(name.into(), id);
        writeln!(self.out, "entity {id} {name}")?;
        Ok(id)
    }

    /// Flushes the side file and gives it back.
    ///
    /// # Errors
    /// What the side file says.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
