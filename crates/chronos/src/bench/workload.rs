//! What is written and read under load.
//!
//! Entities are named `bench-{GROUP}-N`. Those of a group share a partition, so that a request can carry events of
//! several; groups spread over all partitions.

use bytes::Bytes;
use chronos_block::{Block, Compression, Draft, Packer};
use chronos_domain::{EntityId, EventId, EventType, Rejection};

use crate::demo::dice::Dice;

/// Enough to meet every partition many times.
const GROUPS_MAX: usize = 256;

/// The entities of a run.
#[derive(Clone)]
pub(crate) struct Population {
    groups: Vec<Vec<EntityId>>,
    event_type: EventType,
    payload_bytes: usize,
}

impl Population {
    /// `run` keeps the entities of one run apart from those of another on the same server.
    pub(crate) fn new(run: u64, entities: usize, payload_bytes: usize) -> Self {
        let groups = entities.clamp(1, GROUPS_MAX);
        let name = |n: usize| format!("bench-{{{run:x}-{}}}-{}", n % groups, n / groups);
        let mut members = vec![Vec::new(); groups];
        for n in 0..entities.max(1) {
            members[n % groups].push(EntityId::parse(&name(n)).expect("short plain names are valid"));
        }
        let event_type = EventType::parse("bench.event").expect("a short plain name is valid");
        Self { groups: members, event_type, payload_bytes }
    }

    /// One request's worth of events, all of one partition.
    pub(crate) fn batch(&self, dice: &mut Dice, now_ms: u64, events: usize) -> Vec<Draft> {
        let group = &self.groups[dice.below(self.groups.len() as u64) as usize];
        let first = dice.below(group.len() as u64) as usize;
        (0..events).map(|i| self.draft(dice, now_ms, &group[(first + i) % group.len()])).collect()
    }

    /// Any entity.
    pub(crate) fn entity(&self, dice: &mut Dice) -> &EntityId {
        let group = &self.groups[dice.below(self.groups.len() as u64) as usize];
        &group[dice.below(group.len() as u64) as usize]
    }

    /// All entities.
    pub(crate) fn entities(&self) -> impl Iterator<Item = &EntityId> {
        self.groups.iter().flatten()
    }

    pub(crate) fn draft(&self, dice: &mut Dice, now_ms: u64, entity: &EntityId) -> Draft {
        let id = EventId::new_v7(now_ms, dice.u128());
        Draft::json(id, entity.clone(), self.event_type.clone(), payload(dice, self.payload_bytes))
    }
}

/// The events as one request.
pub(crate) fn pack(drafts: Vec<Draft>) -> Result<Block, Rejection> {
    let mut packer = Packer::new();
    for draft in drafts {
        packer.push(draft)?;
    }
    packer.finish(Compression::None)
}

/// A JSON string of exactly so many bytes (2 at least) that does not compress to nothing.
fn payload(dice: &mut Dice, bytes: usize) -> Bytes {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bytes = bytes.max(2);
    let mut text = Vec::with_capacity(bytes + 10);
    text.push(b'"');
    while text.len() < bytes - 1 {
        let bits = dice.u64();
        text.extend((0..10).map(|i| ALPHABET[(bits >> (6 * i) & 63) as usize]));
    }
    text.truncate(bytes - 1);
    text.push(b'"');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_of_one_partition_and_its_payloads_are_json_of_the_asked_size() {
        let population = Population::new(7, 1000, 256);
        assert_eq!(population.entities().count(), 1000);
        let mut dice = Dice::new(1);
        for _ in 0..50 {
            let drafts = population.batch(&mut dice, 1, 100);
            assert_eq!(drafts.len(), 100);
            pack(drafts.clone()).unwrap().placement("default").unwrap();
            for draft in drafts {
                assert_eq!(draft.payload.len(), 256);
                serde_json::from_slice::<String>(&draft.payload).unwrap();
            }
        }
    }

    #[test]
    fn the_smallest_sizes_work() {
        let population = Population::new(7, 0, 0);
        let drafts = population.batch(&mut Dice::new(1), 1, 3);
        assert_eq!(&drafts[0].payload[..], b"\"\"");
    }
}
