//! An append as apply sees it: names and numbers, no bytes.

use crate::condition::Condition;
use crate::expect::Expectation;
use crate::id::EventId;
use crate::number::{ContentHash, ForkId};
use crate::time::Timestamp;

/// Whose events: ids and entities of one space are unknown to every other. Positions are shared by all spaces of a
/// partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space<'a> {
    /// The tenant's id.
    pub tenant: &'a str,
    /// The tenant's fork.
    pub fork: ForkId,
}

/// One append request: a table of distinct entities, and events that point into it.
///
/// Entities that are only checked stand in the table without an event. Whoever packs a batch has made sure of the
/// bounds in [`limits`](crate::limits), that ids are neither nil nor repeated, that entities are distinct and of one
/// partition, and that [`event_entity`](Self::event_entity) is below [`entities`](Self::entities).
pub trait Batch {
    /// How many distinct entities the request names.
    fn entities(&self) -> usize;
    /// The id of the `e`-th entity.
    fn entity(&self, e: usize) -> &str;
    /// What the request expects of the `e`-th entity.
    fn expectation(&self, e: usize) -> Expectation;
    /// The request's condition, if it has one.
    fn condition(&self) -> Option<&Condition>;
    /// How many events the request would store; zero when it only checks.
    fn events(&self) -> usize;
    /// Which entity the `i`-th event is about.
    fn event_entity(&self, i: usize) -> usize;
    /// The id of the `i`-th event.
    fn event_id(&self, i: usize) -> EventId;
    /// The content hash of the `i`-th event.
    fn content(&self, i: usize) -> ContentHash;
}

/// An append command as it stands in the log: what apply needs besides the stored events.
#[derive(Debug)]
pub struct Append<'a, B> {
    /// Whose events.
    pub space: Space<'a>,
    /// The leader's clock when it took the request.
    pub recorded_at: Timestamp,
    /// The request.
    pub batch: &'a B,
}

impl<B> Clone for Append<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Append<'_, B> {}
