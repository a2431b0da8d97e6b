//! What apply may look up about events stored before.

use crate::batch::Space;
use crate::condition::QueryItem;
use crate::id::EventId;
use crate::number::{ContentHash, Position, Version};
use crate::time::Timestamp;

/// A stored event, as far as the duplicate check needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub position: Position,
    /// Hash of what it says.
    pub content: ContentHash,
}

/// The stored events of one partition, exactly those up to the applied position, wherever they physically lie.
///
/// "Exactly" is what makes verdicts equal on every replica: an index that misses an event lets a duplicate or a
/// stale writer through; one that shows an event too many refuses what others accept. After an accepted append the
/// caller makes its events visible here *before* the next apply.
///
/// An error is a fault of storage and no verdict: apply has changed nothing, and the partition must stop rather
/// than go on without knowing.
pub trait Index {
    /// A fault of storage.
    type Error;

    /// The entity's version; zero when it has no event in this space.
    ///
    /// # Errors
    /// A fault of storage.
    fn version(&self, space: Space<'_>, entity: &str) -> Result<Version, Self::Error>;

    /// The event with this id in this space.
    ///
    /// # Errors
    /// A fault of storage.
    fn find(&self, space: Space<'_>, id: EventId) -> Result<Option<Found>, Self::Error>;

    /// The version of the event at a position that [`find`](Self::find) has named.
    ///
    /// # Errors
    /// A fault of storage.
    fn version_at(&self, position: Position) -> Result<Version, Self::Error>;

    /// When the event at a position that [`find`](Self::find) has named was recorded.
    ///
    /// # Errors
    /// A fault of storage.
    fn recorded_at(&self, position: Position) -> Result<Timestamp, Self::Error>;

    /// The version before which the entity's events are erased; zero when it was never truncated.
    ///
    /// # Errors
    /// A fault of storage.
    fn truncated_before(&self, space: Space<'_>, entity: &str) -> Result<Version, Self::Error>;

    /// The earliest event of this space with a position greater than `after` that matches the item. An erased event
    /// has its type and no tags.
    ///
    /// # Errors
    /// A fault of storage.
    fn first_match(
        &self,
        space: Space<'_>,
        item: &QueryItem,
        after: Position,
    ) -> Result<Option<(Position, EventId)>, Self::Error>;
}
