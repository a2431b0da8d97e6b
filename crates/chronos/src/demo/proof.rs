//! Promises against what is stored.
//!
//! Every stored event is shown to the proof once, partition by partition in order of positions. Afterwards it knows
//! how many promises are broken:
//!
//! * *lost*: acknowledged, and not found at its partition, position and version;
//! * *duplicate*: an event id found a second time;
//! * *gap*: a position that does not follow the one before in its partition, or a version that does not follow the
//!   one before of its entity.

use std::collections::{BTreeMap, BTreeSet};

use chronos_domain::{EventId, PartitionId, Position, Version};
use serde::Serialize;

use super::ledger::Promise;
use crate::table::{Align, Table, grouped};

/// A stored event, as far as promises go.
#[derive(Clone, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) event_id: EventId,
    pub(crate) entity_id: &'a str,
    pub(crate) partition: PartitionId,
    pub(crate) position: Position,
    pub(crate) version: Version,
}

/// What the proof found in one partition, or in all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Findings {
    /// The last position; of several partitions, how many events are stored.
    #[serde(rename = "stored")]
    pub(crate) head: u64,
    pub(crate) acknowledged: u64,
    pub(crate) lost: u64,
    pub(crate) duplicates: u64,
    pub(crate) gaps: u64,
}

impl Findings {
    /// Whether something was promised, and every promise kept.
    pub(crate) const fn is_kept(&self) -> bool {
        let whole = self.lost == 0 && self.duplicates == 0 && self.gaps == 0;
        whole && self.acknowledged > 0 && self.acknowledged <= self.head
    }
}

/// The proof while it is being led.
pub(crate) struct Proof {
    open: BTreeMap<EventId, Promise>,
    seen: BTreeSet<EventId>,
    versions: BTreeMap<String, Version>,
    partitions: Vec<Findings>,
}

impl Proof {
    pub(crate) fn of(promises: Vec<Promise>) -> Self {
        let mut partitions = vec![Findings::default(); PartitionId::all().len()];
        for promise in &promises {
            partitions[promise.partition.index()].acknowledged += 1;
        }
        let open = promises.into_iter().map(|promise| (promise.event_id, promise)).collect();
        Self { open, seen: BTreeSet::new(), versions: BTreeMap::new(), partitions }
    }

    /// Takes the next stored event into account.
    pub(crate) fn see(&mut self, event: &Seen<'_>) {
        let version_gap = !self.versions_continue(event);
        let repeated = !self.seen.insert(event.event_id);
        let findings = &mut self.partitions[event.partition.index()];
        let position_gap = event.position.get() != findings.head + 1;
        findings.head = event.position.get();
        findings.gaps += u64::from(position_gap) + u64::from(version_gap);
        findings.duplicates += u64::from(repeated);
        if self.open.get(&event.event_id).is_some_and(|promise| promise.kept_by(event)) {
            self.open.remove(&event.event_id);
        }
    }

    fn versions_continue(&mut self, event: &Seen<'_>) -> bool {
        let expected = match self.versions.get_mut(event.entity_id) {
            Some(last) => std::mem::replace(last, event.version).next(),
            None => {
                self.versions.insert(event.entity_id.to_owned(), event.version);
                Version::ZERO.next()
            }
        };
        event.version == expected
    }

    /// What was found, per partition; promises that nothing kept are lost.
    pub(crate) fn conclude(mut self) -> Vec<(PartitionId, Findings)> {
        for promise in self.open.values() {
            self.partitions[promise.partition.index()].lost += 1;
        }
        PartitionId::all().zip(self.partitions).collect()
    }
}

impl Promise {
    fn kept_by(&self, event: &Seen<'_>) -> bool {
        self.partition == event.partition
            && self.position == event.position
            && self.version == event.version
            && self.entity_id.as_str() == event.entity_id
    }
}

/// All partitions together; `head` is then the number of stored events.
pub(crate) fn total(partitions: &[(PartitionId, Findings)]) -> Findings {
    partitions.iter().fold(Findings::default(), |sum, (_, one)| Findings {
        head: sum.head + one.head,
        acknowledged: sum.acknowledged + one.acknowledged,
        lost: sum.lost + one.lost,
        duplicates: sum.duplicates + one.duplicates,
        gaps: sum.gaps + one.gaps,
    })
}

/// The proof as it is printed.
pub(crate) fn table(partitions: &[(PartitionId, Findings)]) -> Table {
    let columns = ["PARTITION", "POSITIONS", "ACKNOWLEDGED", "LOST", "DUPLICATES", "GAPS"];
    let mut table = Table::new(&columns.map(|name| (name, Align::Right)));
    let mut row = |name: String, found: &Findings| {
        let positions =
            if found.head == 0 { "none".to_owned() } else { format!("1..{}", grouped(found.head)) };
        let counts = [found.acknowledged, found.lost, found.duplicates, found.gaps].map(grouped);
        table.row([name, positions].into_iter().chain(counts));
    };
    for (partition, found) in partitions {
        row(partition.to_string(), found);
    }
    let sum = total(partitions);
    table.row(
        ["all".to_owned(), grouped(sum.head)]
            .into_iter()
            .chain([sum.acknowledged, sum.lost, sum.duplicates, sum.gaps].map(grouped)),
    );
    table
}

#[cfg(test)]
mod tests {
    use chronos_domain::EntityId;

    use super::*;

    fn partition() -> PartitionId {
        PartitionId::new(3).unwrap()
    }

    fn promise(id: u128, entity: &str, position: u64, version: u64) -> Promise {
        Promise {
            event_id: EventId::from_u128(id),
            entity_id: EntityId::parse(entity).unwrap(),
            partition: partition(),
            position: Position::new(position),
            version: Version::new(version),
        }
    }

    fn proved(promises: Vec<Promise>, stored: &[(u128, &str, u64, u64)]) -> Findings {
        let mut proof = Proof::of(promises);
        for (id, entity_id, position, version) in stored {
            proof.see(&Seen {
                event_id: EventId::from_u128(*id),
                entity_id,
                partition: partition(),
                position: Position::new(*position),
                version: Version::new(*version),
            });
        }
        total(&proof.conclude())
    }

    fn promises() -> Vec<Promise> {
        vec![promise(1, "a", 1, 1), promise(2, "b", 2, 1), promise(3, "a", 3, 2)]
    }

    #[test]
    fn kept_promises_are_clean_and_more_may_be_stored_than_was_promised() {
        let stored = [(1, "a", 1, 1), (2, "b", 2, 1), (3, "a", 3, 2), (4, "b", 4, 2)];
        let found = proved(promises(), &stored);
        let clean = Findings { head: 4, acknowledged: 3, ..Findings::default() };
        assert_eq!(found, clean);
    }

    #[test]
    fn a_missing_tail_is_lost() {
        let found = proved(promises(), &[(1, "a", 1, 1), (2, "b", 2, 1)]);
        assert_eq!((found.lost, found.gaps), (1, 0));
    }

    #[test]
    fn an_event_at_another_number_is_lost_too() {
        let found = proved(promises(), &[(2, "b", 1, 1), (1, "a", 2, 1), (3, "a", 3, 2)]);
        assert_eq!((found.lost, found.gaps), (2, 0));
    }

    #[test]
    fn skipped_positions_and_versions_are_gaps_and_repeated_ids_duplicates() {
        let found = proved(promises(), &[(1, "a", 1, 1), (2, "b", 3, 1), (3, "a", 4, 3), (1, "a", 5, 4)]);
        assert_eq!((found.gaps, found.duplicates), (2, 1));
    }
}
