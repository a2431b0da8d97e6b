//! What the order of a read promises, checked on arrival: a server that breaks it is found out here, not by the
//! caller's data.

use std::cmp::Ordering;

use chronos_block::Direction;
use chronos_domain::{PartitionId, Timestamp};
use chronos_proto::{Class, Event, Failure};

/// What the numbers of a read run over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All versions of an entity: each follows the one before.
    Versions,
    /// Some versions of an entity.
    SomeVersions,
    /// Positions of a partition. It may hold events of others, so that only the order can be checked.
    SomePositions,
    /// Recording times over all partitions.
    Times,
}

type Place = (Timestamp, PartitionId, u64);

/// Where a read stands.
#[derive(Debug)]
pub(super) struct Order {
    scope: Scope,
    direction: Direction,
    last: Option<Place>,
}

impl Order {
    pub(super) const fn new(scope: Scope, direction: Direction) -> Self {
        Self { scope, direction, last: None }
    }

    /// Takes in the next event.
    ///
    /// # Errors
    /// When it is not one that can come next.
    pub(super) fn next(&mut self, event: &Event) -> Result<(), Failure> {
        let place = self.place(event);
        let Some(last) = self.last.replace(place) else { return Ok(()) };
        let (lower, higher) = match self.direction {
            Direction::Forward => (last, place),
            Direction::Backward => (place, last),
        };
        let follows = match self.scope {
            Scope::Versions => lower.2.checked_add(1) == Some(higher.2),
            Scope::SomeVersions | Scope::SomePositions | Scope::Times => lower.cmp(&higher) == Ordering::Less,
        };
        if follows { Ok(()) } else { Err(self.breach(event, last)) }
    }

    fn place(&self, event: &Event) -> Place {
        match self.scope {
            Scope::Versions | Scope::SomeVersions => (Timestamp::ZERO, event.partition, event.version.get()),
            Scope::SomePositions => (Timestamp::ZERO, event.partition, event.position.get()),
            Scope::Times => (event.recorded_at, event.partition, event.position.get()),
        }
    }

    fn breach(&self, event: &Event, last: Place) -> Failure {
        let text = format!(
            "event {} (version {} of {}, position {} of partition {}) cannot follow number {} of partition {}: the \
             server's order has a gap or goes back; run `chronos verify` on its data",
            event.event_id, event.version, event.entity_id, event.position, event.partition, last.2, last.1
        );
        Failure::new(Class::Failed, "CORRUPT", text)
    }
}
