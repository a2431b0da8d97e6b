//! What clients were told, and whether it is so.

use std::collections::{BTreeMap, BTreeSet};

use chronos_block::{Block, Direction, Filter, Range, Recorded};
use chronos_cluster::{Outcome, ProposeError};
use chronos_domain::{
    Batch, EntityId, EventId, ForkId, PartitionId, Position, Space, TenantId, Verdict, Version,
};
use chronos_parts::leaf_of;
use chronos_proof::{Frontier, chain_next, chain_start};
use chronos_store::Partition;

use crate::life::Wish;
use crate::node::Node;

const SPACE: Space<'static> = Space { tenant: "default", fork: ForkId::MAIN };

/// Everything that was asked and answered, over all lives of the node.
#[derive(Default)]
pub(crate) struct Ledger {
    sent: Vec<Wish>,
    /// What is stored for certain, by partition and position.
    stored: BTreeMap<PartitionId, BTreeMap<Position, Recorded>>,
    numbers: BTreeMap<EventId, (PartitionId, Position, Version)>,
    refused: BTreeSet<EventId>,
    truncated: BTreeMap<EntityId, Version>,
    /// Truncations that may have happened.
    uncertain: Vec<(EntityId, Version)>,
    pub(crate) acks: u64,
    pub(crate) truncations: u64,
}

impl Ledger {
    pub(crate) fn sending(&mut self, wish: &Wish) {
        self.sent.push(wish.clone());
        if let Wish::Truncate(entity, before) = wish {
            self.uncertain.push((entity.clone(), *before));
        }
    }

    /// The version of an entity, as far as it is known.
    pub(crate) fn version(&self, entity: &EntityId) -> u64 {
        let of = |event: &&Recorded| event.event().entity_id == entity.as_str();
        self.stored.values().flat_map(BTreeMap::values).filter(of).count() as u64
    }

    pub(crate) fn acknowledged(&self, n: u64) -> Option<Wish> {
        let acked: Vec<&Wish> = self.sent.iter().filter(|wish| self.is_acked(wish)).collect();
        (!acked.is_empty()).then(|| acked[(n % acked.len() as u64) as usize].clone())
    }

    pub(crate) fn first_acknowledged(&self, count: usize) -> Vec<Wish> {
        self.sent.iter().filter(|wish| self.is_acked(wish)).take(count).cloned().collect()
    }

    fn is_acked(&self, wish: &Wish) -> bool {
        matches!(wish, Wish::Append(block) if self.numbers.contains_key(&block.event_id(0)))
    }

    /// Requests that neither happened nor were refused for certain. (A cut leaves no trace that could be asked for.)
    pub(crate) fn open(&self) -> Vec<Wish> {
        let is_open = |wish: &&Wish| match wish {
            Wish::Append(block) => {
                let id = block.event_id(0);
                !self.numbers.contains_key(&id) && !self.refused.contains(&id)
            }
            Wish::Truncate(entity, before) => self.uncertain.contains(&(entity.clone(), *before)),
            Wish::Cut(_) => false,
        };
        self.sent.iter().filter(is_open).cloned().collect()
    }

    /// Notes an answer, and that it agrees with earlier ones.
    pub(crate) fn answered(&mut self, wish: &Wish, answer: &Result<Outcome, ProposeError>) {
        match (wish, answer) {
            (_, Err(_)) => {}
            (Wish::Append(block), Ok(Outcome::Append(verdict))) => {
                self.appended(wish.partition(), block, verdict);
            }
            (Wish::Truncate(entity, before), Ok(Outcome::Truncate(done))) => {
                self.uncertain.retain(|open| *open != (entity.clone(), *before));
                if let Ok(done) = done {
                    self.truncations += u64::from(done.moved);
                    let known = self.truncated.entry(entity.clone()).or_default();
                    *known = (*known).max(done.before);
                }
            }
            (Wish::Cut(_), Ok(Outcome::Cut(_))) => {}
            other => panic!("an answer of another kind: {other:?}"),
        }
    }

    fn appended(&mut self, partition: PartitionId, block: &Block, verdict: &Verdict) {
        let receipt = match verdict {
            Verdict::Stored(receipt) | Verdict::Duplicate(receipt) => receipt,
            Verdict::Rejected(rejection) => {
                for i in 0..block.events() {
                    let id = block.event_id(i);
                    assert!(
                        !self.numbers.contains_key(&id),
                        "{id} was stored and is now refused: {rejection:?}"
                    );
                    self.refused.insert(id);
                }
                return;
            }
        };
        self.acks += 1;
        for (i, version) in receipt.versions(block).into_iter().enumerate() {
            let (id, position) = (block.event_id(i), receipt.position(i));
            let numbers = (partition, position, version);
            assert!(!self.refused.contains(&id), "{id} was refused for good and is now accepted");
            let before = self.numbers.insert(id, numbers);
            assert!(before.is_none_or(|before| before == numbers), "{id} was {before:?} and is {numbers:?}");
            let recorded_at = receipt.recorded_at;
            self.store(Recorded {
                block: block.clone(),
                slot: u16::try_from(i).unwrap(),
                tenant: TenantId::default_tenant(),
                fork: ForkId::MAIN,
                partition,
                position,
                version,
                recorded_at,
                erased: false,
            });
        }
    }

    fn store(&mut self, event: Recorded) {
        let known = self.stored.entry(event.partition).or_default().entry(event.position);
        known
            .and_modify(|known| assert_eq!(known.recorded_at, event.recorded_at, "recorded at another time"))
            .or_insert(event);
    }

    pub(crate) fn check_duplicate(&self, answer: &Result<Outcome, ProposeError>) {
        assert!(matches!(answer, Ok(Outcome::Append(Verdict::Duplicate(_)))), "answered anew: {answer:?}");
    }

    /// Holds everything a node has against what was said: numbers, content, erasures, the entities' own order, ids, and
    /// the digest of all of it.
    pub(crate) fn check(&self, node: &Node) {
        for id in PartitionId::all() {
            let partition = node.groups.partition(id).unwrap_or_else(|why| panic!("{why}"));
            let nothing = BTreeMap::new();
            self.check_one(&partition, self.stored.get(&id).unwrap_or(&nothing));
        }
    }

    fn check_one(&self, partition: &Partition, expected: &BTreeMap<Position, Recorded>) {
        let id = partition.id();
        let events = all_events(partition);
        assert_eq!(partition.head().get(), events.len() as u64, "positions of partition {id} are gapless");
        assert_eq!(events.len(), expected.len(), "partition {id} has what was acknowledged and nothing else");
        for (event, (position, expected)) in events.iter().zip(expected) {
            assert_eq!(event.position, *position);
            self.check_event(event, expected);
            if position.get() % 7 == 1 {
                self.check_event(&partition.at(*position).unwrap().unwrap(), expected);
                let found = partition.by_id(SPACE, expected.event().event_id).unwrap();
                self.check_event(&found.expect("it is stored"), expected);
            }
        }
        self.check_entities(partition, expected);
        check_digest(partition, expected);
    }

    fn check_event(&self, event: &Recorded, expected: &Recorded) {
        let (said, meant) = (event.event(), expected.event());
        assert_eq!((event.position, event.version), (expected.position, expected.version));
        assert_eq!((said.event_id, said.entity_id), (meant.event_id, meant.entity_id));
        assert_eq!(event.recorded_at, expected.recorded_at, "position {}", event.position);
        let before = self.truncated.iter().find(|(entity, _)| entity.as_str() == said.entity_id);
        let erased = before.is_some_and(|(_, before)| event.version < *before);
        assert_eq!(event.erased, erased, "position {} of {}", event.position, said.entity_id);
        let payload = if erased { &b""[..] } else { meant.payload };
        assert_eq!(said.payload, payload, "position {}", event.position);
    }

    fn check_entities(&self, partition: &Partition, expected: &BTreeMap<Position, Recorded>) {
        let mut entities: BTreeMap<&str, Vec<&Recorded>> = BTreeMap::new();
        for event in expected.values() {
            entities.entry(event.event().entity_id).or_default().push(event);
        }
        for (entity, events) in entities {
            let truncated = self.truncated.iter().find(|(id, _)| id.as_str() == entity);
            let before = truncated.map_or(Version::ZERO, |(_, before)| *before);
            let page = partition.entity(SPACE, entity, Range::forward()).unwrap();
            let found: Vec<_> = page.events.iter().map(|event| (event.version, event.position)).collect();
            let wanted = events.iter().map(|event| (event.version, event.position));
            let wanted: Vec<_> = wanted.filter(|(version, _)| *version >= before).collect();
            assert_eq!(found, wanted, "{entity}");
            assert_eq!(page.truncated_before, before, "{entity}");
            assert_eq!(partition.version(SPACE, entity).unwrap().get(), events.len() as u64, "{entity}");
        }
    }
}

fn all_events(partition: &Partition) -> Vec<Recorded> {
    let (mut events, mut next) = (Vec::new(), Some(1));
    while let Some(from) = next {
        let range = Range { direction: Direction::Forward, ..Range::forward().starting(from) };
        let page = partition.scan(SPACE, range, &Filter::default()).unwrap();
        events.extend(page.events);
        next = page.next;
    }
    events
}

/// The digest follows from what clients sent and were told, computed here without the store.
fn check_digest(partition: &Partition, expected: &BTreeMap<Position, Recorded>) {
    let (mut chain, mut tree) = (chain_start(partition.id()), Frontier::new());
    for event in expected.values() {
        let leaf = leaf_of(event, event.fork);
        chain = chain_next(chain, leaf);
        tree.push(leaf);
    }
    let digest = partition.digest(None).unwrap();
    assert_eq!((digest.chain, digest.root), (chain, tree.root()), "partition {}", partition.id());
}
