//! Where a history begins in the life of a cluster that had others before it.
//!
//! A cluster that lives on is attacked in rounds, each with a history of its own that sees the cluster through a window:
//! position 1 of a partition is the first after what was there, and events and entities are the round's own. So every
//! round is an ordinary history, which any checker judges alone, and the whole costs no more than its parts.
//!
//! Invariant: ids and names say which round they are of. Whatever shows in a window that is not of its round is an event
//! that nobody sent.

use std::collections::BTreeMap;

use chronos_client::{EventId, PartitionId, Position};
use chronos_domain::place;
use chronos_history as history;
use serde::{Deserialize, Serialize};

/// The upper half of every id of round 0, so that nobody takes one for a number. The rounds count in the lower bits of
/// its time.
const RUN: u128 = 0x0192_7a3c_0000_7000 << 64;
/// Where the round begins in an id.
const ROUND_SHIFT: u32 = 64 + 16;
/// What is of another round has numbers from here on, which no round gives to its own.
const FOREIGN: u64 = 1 << 52;

/// Where a round begins. The default is that of a cluster in which nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Which round, from 0.
    pub round: u16,
    /// The last position of each partition before it; none is 0.
    pub heads: BTreeMap<u8, u64>,
}

impl Origin {
    /// The last position of a partition before the round.
    #[must_use]
    pub fn head(&self, partition: PartitionId) -> u64 {
        self.heads.get(&partition.get()).copied().unwrap_or(0)
    }

    /// A position as the history has it; what lies before the round is 0.
    pub(crate) fn seen(&self, partition: PartitionId, position: Position) -> history::Position {
        history::Position(position.get().saturating_sub(self.head(partition)))
    }

    /// A position as the cluster has it.
    pub(crate) fn meant(&self, partition: PartitionId, position: history::Position) -> Position {
        Position::new(self.head(partition) + position.0)
    }

    /// What something is called for which every round has dice of its own.
    pub(crate) fn of_round(&self, purpose: &str) -> String {
        if self.round == 0 { purpose.to_owned() } else { format!("{purpose} in round {}", self.round) }
    }

    /// The id of the event with that number.
    pub(super) fn event_id(&self, number: history::EventId) -> EventId {
        EventId::from_u128(self.run() | u128::from(number.0))
    }

    /// The number of an event.
    pub(super) fn event_number(&self, id: EventId) -> history::EventId {
        let number = id.as_u128() as u64;
        let is_ours = id.as_u128() - u128::from(number) == self.run();
        history::EventId(if is_ours { number } else { FOREIGN | number })
    }

    fn run(&self) -> u128 {
        RUN + (u128::from(self.round) << ROUND_SHIFT)
    }

    /// What the entity with that number is called.
    pub(super) fn entity_name(&self, number: u64) -> String {
        let round = if self.round == 0 { String::new() } else { format!("r{}-", self.round) };
        // Some are of one partition, so that an append may be about several of them.
        if number.is_multiple_of(4) {
            format!("thing-{{g{}}}-{round}{number}", number % 64)
        } else {
            format!("thing-{round}{number}")
        }
    }

    /// The number of an entity.
    pub(super) fn entity_number(&self, name: &str) -> history::EntityId {
        let number = name.rsplit('-').next().and_then(|digits| digits.parse().ok());
        let number: u64 = number.expect("every entity of a run is called thing-…-‹number›");
        history::EntityId(if self.entity_name(number) == name { number } else { FOREIGN | number })
    }

    /// Where the entity with that number lives.
    pub(super) fn partition_of(&self, entity: u64) -> PartitionId {
        place("default", &self.entity_name(entity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(round: u16) -> Origin {
        Origin { round, heads: BTreeMap::from([(3, 100)]) }
    }

    #[test]
    fn a_round_knows_its_own_events_and_entities() {
        for number in [1, 4, 7, 64, 1 << 41] {
            let origin = round(7);
            assert_eq!(origin.event_number(origin.event_id(history::EventId(number))).0, number);
            assert_eq!(origin.entity_number(&origin.entity_name(number)).0, number);
        }
    }

    #[test]
    fn what_is_of_another_round_has_a_number_that_no_round_gives() {
        for number in [1, 4, 7] {
            let (before, now) = (round(1), round(12));
            assert!(now.event_number(before.event_id(history::EventId(number))).0 >= FOREIGN);
            assert!(now.entity_number(&before.entity_name(number)).0 >= FOREIGN);
        }
    }

    #[test]
    fn positions_are_counted_from_where_the_round_begins() {
        let (origin, partition) = (round(1), PartitionId::new(3).unwrap());
        assert_eq!(origin.seen(partition, Position::new(101)), history::Position(1));
        assert_eq!(origin.meant(partition, history::Position(1)), Position::new(101));
        assert_eq!(
            origin.seen(partition, Position::new(40)),
            history::Position(0),
            "as if nothing were there"
        );
    }
}
