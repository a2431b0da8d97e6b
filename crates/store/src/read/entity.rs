//! Which versions of an entity make up a page, and which layer has them.

use std::ops::RangeInclusive;
use std::sync::Arc;

use chronos_block::{Direction, Page, Range};
use chronos_domain::{Position, Space, Version};

use super::pick::{Known, Picked, known, pick_versions};
use super::reader::Reader;
use crate::load::Miss;
use crate::shelf::Shelf;
use crate::state::State;

/// A read of one entity, as far as it could be decided under the lock.
pub(crate) struct EntityRead {
    pub(super) applied: Position,
    pub(super) limit: Position,
    pub(super) truncated_before: Version,
    shelf: Arc<Shelf>,
    /// What memory knows, if it knows the entity's version as of the limit.
    known: Option<Known>,
    /// What memory holds of the page.
    picked: Picked,
}

/// The versions of one page; the first is greater than the last when there are none.
struct Span {
    versions: RangeInclusive<u64>,
    /// The version that would come next.
    next: Option<u64>,
}

impl Span {
    /// Of an entity whose versions from `floor` to `known` may be read.
    fn new(range: &Range, known: u64, floor: u64) -> Span {
        let count = range.events_max() as u64;
        match range.direction {
            Direction::Forward => {
                let first = range.from.max(floor);
                let last = first.saturating_add(count - 1).min(known);
                let next = Some(first.max(last + 1)).filter(|next| *next <= known);
                Span { versions: first..=last, next }
            }
            Direction::Backward => {
                let last = range.from.min(known);
                let first = (last.saturating_sub(count) + 1).max(floor);
                let next = first.min(last + 1).checked_sub(1).filter(|next| *next >= floor);
                Span { versions: first..=last, next }
            }
        }
    }
}

impl EntityRead {
    /// Decides what can be decided from memory, and holds on to it.
    pub(crate) fn begin(state: &State, space: Space<'_>, entity: &str, range: &Range) -> EntityRead {
        let layers = &state.layers;
        let applied = state.visible();
        let limit = range.bound.min(applied);
        let truncated_before = layers.truncated_before(space, entity);
        let known = known(layers, space, entity, limit);
        let picked = known.map_or_else(Picked::default, |known| {
            let span = Span::new(range, known.version.get(), floor(truncated_before)).versions;
            let versions = (*span.start()).max(known.before.get() + 1)..=*span.end();
            pick_versions(layers, space, entity, &versions, range.direction)
        });
        EntityRead { applied, limit, truncated_before, shelf: layers.shelf().clone(), known, picked }
    }

    /// Reads the page.
    pub(crate) fn finish(
        self,
        reader: Reader<'_>,
        space: Space<'_>,
        entity: &str,
        range: &Range,
    ) -> Result<Page, Miss> {
        let version = match self.known {
            Some(known) => known.version,
            None => self.shelf.version_within(space, entity, self.limit)?,
        };
        let span = Span::new(range, version.get(), floor(self.truncated_before));
        let in_parts = self.known.map_or(u64::MAX, |known| known.before.get());
        let kept = *span.versions.start()..=in_parts.min(*span.versions.end());
        let mut runs = self.shelf.positions(space, entity, kept)?;
        let mut reader = reader.of_entity(entity);
        let left = match range.direction {
            Direction::Forward => {
                let left = reader.take_runs(runs)?;
                if left.is_some() { left } else { reader.take(self.picked)? }
            }
            Direction::Backward => {
                runs.reverse();
                runs.iter_mut().for_each(|run| run.positions.reverse());
                let left = reader.take(self.picked)?;
                if left.is_some() { left } else { reader.take_runs(runs)? }
            }
        };
        let next = left.map(|left| left.version.get()).or(span.next);
        let events = reader.finish_entity();
        let examined = match (next, events.last()) {
            (Some(_), Some(last)) => last.position,
            _ => self.limit,
        };
        let (applied, truncated_before) = (self.applied, self.truncated_before);
        Ok(Page { events, next, examined, applied, truncated_before })
    }
}

/// The first version that may be read.
fn floor(truncated_before: Version) -> u64 {
    truncated_before.get().max(1)
}
