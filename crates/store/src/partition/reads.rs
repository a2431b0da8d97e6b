//! What readers ask of a partition.

use chronos_block::{Filter, Page, Range, Recorded};
use chronos_domain::{EventId, Position, Space, Timestamp, Version};
use parking_lot::RwLockReadGuard;

use super::Partition;
use crate::fault::Fault;
use crate::load::{Loader, Miss};
use crate::read::{self, EntityRead, Mask, Picked, Reader};
use crate::shelf::Run;
use crate::state::State;

/// One event, found.
enum Found {
    Memory(Picked),
    Part(Run),
}

impl Partition {
    /// The event with this id.
    ///
    /// # Errors
    /// A fault of storage.
    pub fn by_id(&self, space: Space<'_>, id: EventId) -> Result<Option<Recorded>, Fault> {
        self.until_it_stays(|| {
            let (shelf, mask, picked) = {
                let state = self.readable()?;
                let layers = &state.layers;
                let position = layers.find(space, id).map(|(_, position)| position);
                let seen = position.filter(|position| *position <= state.visible());
                let picked = seen.and_then(|position| read::pick_one(layers, position));
                (layers.shelf().clone(), Mask::new(layers.tombstones.clone()), picked)
            };
            let found = match picked {
                Some(picked) => Some(Found::Memory(picked)),
                None => shelf.find(space, id)?.map(|position| shelf.run_of(position)).map(Found::Part),
            };
            self.one(found, mask)
        })
    }

    /// The event at a position, of whatever tenant and fork.
    ///
    /// # Errors
    /// A fault of storage.
    pub fn at(&self, position: Position) -> Result<Option<Recorded>, Fault> {
        self.until_it_stays(|| {
            let (mask, found) = {
                let state = self.readable()?;
                let layers = &state.layers;
                let found = match position {
                    position if position.is_zero() || position > state.visible() => None,
                    position if position <= layers.compacted() => {
                        Some(Found::Part(layers.shelf().run_of(position)))
                    }
                    position => read::pick_one(layers, position).map(Found::Memory),
                };
                (Mask::new(layers.tombstones.clone()), found)
            };
            self.one(found, mask)
        })
    }

    /// Events of one entity, by version. An entity without events gives an empty page; erased events are left out, and
    /// the page says from which version on there are any.
    ///
    /// # Errors
    /// A fault of storage.
    ///
    /// # Panics
    /// If what was stored contradicts the numbers it was given.
    pub fn entity(&self, space: Space<'_>, entity: &str, range: Range) -> Result<Page, Fault> {
        self.until_it_stays(|| {
            let (read, mask) = {
                let state = self.readable()?;
                let mask = Mask::new(state.layers.tombstones.clone());
                (EntityRead::begin(&state, space, entity, &range), mask)
            };
            read.finish(self.reader(&range, mask), space, entity, &range)
        })
    }

    /// Events of one tenant and fork, by position, that match the filter. Erased events are among them, without their
    /// content: positions stay gapless.
    ///
    /// A call looks at a bounded number of events: when few match, it returns a page that is not full, or empty, with
    /// a `next` to go on from.
    ///
    /// # Errors
    /// A fault of storage.
    ///
    /// # Panics
    /// If what was stored contradicts the numbers it was given.
    pub fn scan(&self, space: Space<'_>, range: Range, filter: &Filter) -> Result<Page, Fault> {
        self.until_it_stays(|| {
            // Every step sees the same end and the same truncations, however far apply moves on meanwhile.
            let (applied, mask) = {
                let state = self.readable()?;
                (state.visible(), Mask::new(state.layers.tombstones.clone()))
            };
            let limit = range.bound.min(applied);
            chronos_env::sometimes!(
                "store.past_in_parts",
                (Position::new(1)..=self.shelf().compacted()).contains(&range.bound)
            );
            // What was erased since its part was written happened at another time than the part says.
            let asked = match mask.is_empty() {
                true => filter.clone(),
                false => Filter { occurred_until: None, ..filter.clone() },
            };
            let step = |from, count| {
                let state = || self.readable();
                Ok(read::step(state, space, range.direction, &asked, (from, limit), count)?)
            };
            self.reader(&range, mask).scan(&range, filter, (limit, applied), step)
        })
    }

    /// The entity's version; zero when it has no event.
    ///
    /// # Errors
    /// A fault of storage.
    pub fn version(&self, space: Space<'_>, entity: &str) -> Result<Version, Fault> {
        self.version_at_bound(space, entity, Position::MAX)
    }

    /// The entity's version as of a position: how many of its events, erased ones included, lie at it or before.
    ///
    /// # Errors
    /// A fault of storage.
    pub fn version_at_bound(
        &self,
        space: Space<'_>,
        entity: &str,
        bound: Position,
    ) -> Result<Version, Fault> {
        let (shelf, bound) = {
            let state = self.readable()?;
            let bound = bound.min(state.visible());
            if let Some(known) = read::known(&state.layers, space, entity, bound) {
                return Ok(known.version);
            }
            (state.layers.shelf().clone(), bound)
        };
        shelf.version_within(space, entity, bound)
    }

    /// The last position recorded at `moment` or before; zero when there is none. The bound of a read as of `moment`.
    ///
    /// It is final once `moment` lies before the clock of every node that may lead the partition.
    ///
    /// # Errors
    /// A fault of storage.
    pub fn bound_at(&self, moment: Timestamp) -> Result<Position, Fault> {
        let shelf = {
            let state = self.readable()?;
            if let Some(bound) = state.layers.bound_at(moment) {
                return Ok(bound.min(state.visible()));
            }
            state.layers.shelf().clone()
        };
        shelf.bound_at(moment)
    }

    /// Reads anew when what was picked has left memory and log before it could be read: it is in a part then, and parts
    /// do not leave a shelf that is held, so that this happens as often as something is compacted and no more.
    ///
    /// What is being discarded gives no answer and is not damaged, whatever of it is missing already.
    pub(crate) fn until_it_stays<T>(&self, read: impl Fn() -> Result<T, Miss>) -> Result<T, Fault> {
        let life = self.life();
        loop {
            let read = read();
            if self.life() != life {
                return Err(self.gone());
            }
            match read {
                Ok(read) => return Ok(read),
                Err(Miss::Fault(fault)) => return Err(fault),
                Err(Miss::Moved) => {}
            }
        }
    }

    pub(crate) fn readable(&self) -> Result<RwLockReadGuard<'_, State>, Fault> {
        let state = self.shared.state.read();
        if self.is_out() {
            return Err(self.gone());
        }
        state.check_whole()?;
        Ok(state)
    }

    fn gone(&self) -> Fault {
        let id = self.shared.id;
        Fault::Stopped(format!(
            "this replica of partition {id} began anew while it was read; ask again, or ask another \
             node"
        ))
    }

    fn one(&self, found: Option<Found>, mask: Mask) -> Result<Option<Recorded>, Miss> {
        match found {
            None => Ok(None),
            Some(Found::Memory(picked)) => self.reader(&Range::forward(), mask).one(picked),
            Some(Found::Part(run)) => self.reader(&Range::forward(), mask).one_of_part(run),
        }
    }

    fn reader(&self, range: &Range, mask: Mask) -> Reader<'_> {
        Reader::new(self.shared.id, self.loader(), mask, range)
    }

    pub(crate) fn loader(&self) -> Loader<'_> {
        let shared = &self.shared;
        Loader::new(shared.id, &shared.log, &shared.recent, &shared.log_reads)
    }
}
