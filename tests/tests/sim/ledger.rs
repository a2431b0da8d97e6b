//! What clients were told, and whether it is so.

use std::collections::{BTreeMap, BTreeSet};

use chronos_app::{Appended, Class, Error};
use chronos_block::{Block, Recorded};
use chronos_domain::{Batch, EventId, PartitionId, Position, Version};

type Numbers = (PartitionId, Position, Version);

/// Everything that was asked and answered, over all lives of the node.
#[derive(Default)]
pub(crate) struct Ledger {
    requests: Vec<Block>,
    sent: BTreeMap<EventId, u64>,
    acked: BTreeMap<EventId, Numbers>,
    refused: BTreeSet<EventId>,
    pub(crate) acks: u64,
    pub(crate) unknown: u64,
}

impl Ledger {
    /// A request is about to be sent. A retry is the same block again.
    pub(crate) fn sending(&mut self, block: &Block) {
        for i in 0..block.events() {
            self.sent.insert(block.event_id(i), block.content(i).get());
        }
        self.requests.push(block.clone());
    }

    /// One of the acknowledged requests, by any number. (A refused one may pass later, by another state: sending it
    /// again would prove nothing.)
    pub(crate) fn acknowledged_request(&self, n: u64) -> Option<Block> {
        let acked: Vec<_> =
            self.requests.iter().filter(|block| self.acked.contains_key(&block.event_id(0))).collect();
        let len = acked.len() as u64;
        (len > 0).then(|| acked[(n % len) as usize].clone())
    }

    /// The requests whose events are neither acknowledged nor refused.
    pub(crate) fn open(&self) -> Vec<Block> {
        let settled = |id: &EventId| self.acked.contains_key(id) || self.refused.contains(id);
        self.requests.iter().filter(|block| !settled(&block.event_id(0))).cloned().collect()
    }

    /// Notes an answer, and that it agrees with earlier ones.
    pub(crate) fn answered(&mut self, block: &Block, answer: &Result<Appended, Error>) {
        match answer {
            Ok(appended) => self.acknowledged(block, appended),
            Err(error) if error.class == Class::Rejected => self.rejected(block),
            Err(_) => self.unknown += 1,
        }
    }

    fn acknowledged(&mut self, block: &Block, appended: &Appended) {
        self.acks += 1;
        for (i, version) in appended.versions.iter().enumerate() {
            let id = block.event_id(i);
            let numbers = (appended.partition, appended.first_position.plus(i as u64), *version);
            assert!(!self.refused.contains(&id), "{id} was refused for good and now accepted");
            let before = self.acked.insert(id, numbers);
            assert!(before.is_none_or(|before| before == numbers), "{id} was {before:?} and is {numbers:?}");
        }
    }

    fn rejected(&mut self, block: &Block) {
        for i in 0..block.events() {
            let id = block.event_id(i);
            assert!(!self.acked.contains_key(&id), "{id} was acknowledged and a retry is now refused");
            self.refused.insert(id);
        }
    }

    /// Holds the events of all partitions, in position order, against what was said.
    pub(crate) fn check(&self, stored: &[Vec<Recorded>]) {
        self.check_but(stored, &BTreeSet::new());
    }

    /// Like [`Self::check`], where some partitions are refused and so excused from showing their events.
    pub(crate) fn check_but(&self, stored: &[Vec<Recorded>], refused: &BTreeSet<PartitionId>) {
        let mut found = BTreeMap::new();
        for events in stored {
            check_gapless(events);
            for event in events {
                let id = event.event().event_id;
                let numbers = (event.partition, event.position, event.version);
                assert_eq!(found.insert(id, numbers), None, "{id} is stored twice");
                let content = event.block.content(usize::from(event.slot)).get();
                assert_eq!(self.sent.get(&id), Some(&content), "{id} was never sent with that content");
                assert!(!self.refused.contains(&id), "{id} was refused and is stored");
            }
        }
        for (id, numbers) in self.acked.iter().filter(|(_, numbers)| !refused.contains(&numbers.0)) {
            assert_eq!(found.get(id), Some(numbers), "acknowledged event {id} is not where it was promised");
        }
    }
}

fn check_gapless(events: &[Recorded]) {
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    let mut recorded_at = None;
    for (event, position) in events.iter().zip(1..) {
        assert_eq!(event.position.get(), position, "positions are gapless");
        let version = versions.entry(event.event().entity_id.to_owned()).or_default();
        *version += 1;
        assert_eq!(event.version.get(), *version, "versions of {} are gapless", event.event().entity_id);
        assert!(recorded_at <= Some(event.recorded_at), "recorded_at never decreases");
        recorded_at = Some(event.recorded_at);
    }
}
