//! The index as apply uses it: what is in memory, and what was found out about the parts before.

use std::convert::Infallible;

use chronos_domain::{EventId, Found, Index, Position, QueryItem, Space, Timestamp, Version};

use crate::facts::Facts;
use crate::layers::Layers;

/// Answers for one command. Nothing is read, so nothing can fail.
pub(crate) struct Lookup<'a> {
    pub(crate) layers: &'a Layers,
    pub(crate) facts: &'a Facts,
}

impl Index for Lookup<'_> {
    type Error = Infallible;

    fn version(&self, space: Space<'_>, entity: &str) -> Result<Version, Infallible> {
        let kept = || self.facts.versions.get(entity).copied();
        Ok(self.layers.version(space, entity).or_else(kept).unwrap_or_default())
    }

    fn find(&self, space: Space<'_>, id: EventId) -> Result<Option<Found>, Infallible> {
        if let Some((generation, position)) = self.layers.find(space, id) {
            return Ok(Some(Found { position, content: generation.stored(position).content }));
        }
        let kept = self.facts.ids.get(&id);
        Ok(kept.map(|position| Found { position: *position, content: self.facts.events[position].content }))
    }

    fn version_at(&self, position: Position) -> Result<Version, Infallible> {
        let in_memory = self.layers.holding(position).map(|generation| generation.stored(position).version);
        Ok(in_memory.unwrap_or_else(|| self.facts.events[&position].version))
    }

    fn recorded_at(&self, position: Position) -> Result<Timestamp, Infallible> {
        let in_memory = self.layers.holding(position).and_then(|generation| generation.recorded_at(position));
        Ok(in_memory.unwrap_or_else(|| self.facts.events[&position].recorded_at))
    }

    fn truncated_before(&self, space: Space<'_>, entity: &str) -> Result<Version, Infallible> {
        Ok(self.layers.truncated_before(space, entity))
    }

    fn first_match(
        &self,
        space: Space<'_>,
        item: &QueryItem,
        after: Position,
    ) -> Result<Option<(Position, EventId)>, Infallible> {
        Ok(self.facts.first_match(item).or_else(|| self.layers.first_match(space, item, after)))
    }
}
