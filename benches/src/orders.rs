//! The work that everything is measured on: order events of 256 bytes for 10,000 entities.
//!
//! An event has a type of 20 bytes, an entity id of 24 and a JSON payload of 256, of which about half is random. Its
//! id is a UUID of version 7. A batch is for one partition, as a request must be, and for random entities of it.

use std::sync::Arc;

use bytes::Bytes;
use chronos_block::{Block, Compression, Draft, Packer};
use chronos_domain::limits::PARTITIONS;
use chronos_domain::{EntityId, EventId, EventType, PartitionId, TenantId, place};

/// The length of every payload.
pub const PAYLOAD_BYTES: usize = 256;
/// How many entities the events are about.
pub const ENTITIES: usize = 10_000;
/// Payloads are made ahead and used in turns, so that making them costs the load generator nothing.
const PAYLOADS: usize = 1024;
const TYPE: &str = "order.item-added.v01";
/// The moment of the first event id; any will do.
const FIRST_MILLIS: u64 = 1_760_000_000_000;
/// Event ids that share one millisecond.
const IDS_PER_MILLI: u64 = 100;

/// What all supplies of orders share: the entities of each partition, and payloads.
pub struct Stock {
    entities: Vec<Vec<EntityId>>,
    payloads: Vec<Bytes>,
}

impl Stock {
    /// Makes and places all of it.
    #[must_use]
    pub fn new() -> Arc<Stock> {
        Stock::of(ENTITIES)
    }

    /// The same for another number of entities.
    ///
    /// # Panics
    /// When there are so few that a partition has none.
    #[must_use]
    pub fn of(count: usize) -> Arc<Stock> {
        let tenant = TenantId::default_tenant();
        let mut entities = vec![Vec::new(); usize::from(PARTITIONS)];
        for number in 0..count {
            let entity = EntityId::parse(&format!("order-{number:018}")).expect("24 letters and digits");
            entities[place(tenant.as_str(), entity.as_str()).index()].push(entity);
        }
        assert!(entities.iter().all(|entities| !entities.is_empty()), "every partition has an entity");
        let mut random = Random(0);
        Arc::new(Stock { entities, payloads: (0..PAYLOADS).map(|_| payload(&mut random)).collect() })
    }

    /// The entities of one partition.
    #[must_use]
    pub fn entities(&self, partition: PartitionId) -> &[EntityId] {
        &self.entities[partition.index()]
    }
}

/// An endless supply of events. Two with different seeds never make the same event.
pub struct Orders {
    stock: Arc<Stock>,
    event_type: EventType,
    random: Random,
    made: u64,
    partition: u8,
}

impl Orders {
    /// A supply of its own for each seed.
    #[must_use]
    pub fn new(stock: &Arc<Stock>, seed: u64) -> Orders {
        // Mixed once more, lest the numbers of one seed be those of the next one, shifted.
        let mut random = Random(Random(seed).next());
        Orders {
            stock: Arc::clone(stock),
            event_type: EventType::parse(TYPE).expect("letters, dots and a hyphen"),
            partition: (random.next() % u64::from(PARTITIONS)) as u8,
            random,
            made: 0,
        }
    }

    /// An event for some entity of the partition.
    pub fn draft(&mut self, partition: PartitionId) -> Draft {
        let entities = self.stock.entities(partition);
        let entity = entities[self.random.below(entities.len())].clone();
        self.draft_for(entity)
    }

    /// An event for this entity.
    pub fn draft_for(&mut self, entity: EntityId) -> Draft {
        let payload = self.stock.payloads[self.made as usize % PAYLOADS].clone();
        Draft::json(self.id(), entity, self.event_type.clone(), payload)
    }

    /// As many events as asked for, all for the partition.
    pub fn batch(&mut self, partition: PartitionId, events: usize) -> Vec<Draft> {
        (0..events).map(|_| self.draft(partition)).collect()
    }

    /// A packed request of as many events, for the partition.
    pub fn block(&mut self, partition: PartitionId, events: usize) -> Block {
        pack(self.batch(partition, events))
    }

    /// As many events as asked for, for the partition whose turn it is.
    pub fn next_batch(&mut self, events: usize) -> Vec<Draft> {
        let partition = self.next_partition();
        self.batch(partition, events)
    }

    /// A packed request of as many events, for the partition whose turn it is.
    pub fn next_block(&mut self, events: usize) -> Block {
        pack(self.next_batch(events))
    }

    /// The partition whose turn it is.
    pub fn next_partition(&mut self) -> PartitionId {
        self.partition = (self.partition + 1) % PARTITIONS;
        PartitionId::new(self.partition).expect("taken modulo their number")
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.random.below(n)
    }

    fn id(&mut self) -> EventId {
        let millis = FIRST_MILLIS + self.made / IDS_PER_MILLI;
        self.made += 1;
        EventId::new_v7(millis, u128::from(self.random.next()) << 64 | u128::from(self.random.next()))
    }
}

/// One request of these events, not compressed.
///
/// # Panics
/// When there are none, or too many for a request.
#[must_use]
pub fn pack(drafts: Vec<Draft>) -> Block {
    let mut packer = Packer::new();
    for draft in drafts {
        packer.push(draft).expect("orders are within the limits");
    }
    packer.finish(Compression::None).expect("an order was packed")
}

fn payload(random: &mut Random) -> Bytes {
    let mut text = format!(
        r#"{{"order":"{:016x}{:016x}","customer":"{:016x}","cents":{},"currency":"EUR","lines":[{{"sku":"{:016x}","quantity":3}}],"note":""#,
        random.next(),
        random.next(),
        random.next(),
        1_000_000 + random.next() % 9_000_000,
        random.next(),
    );
    const END: &str = "\"}";
    while text.len() < PAYLOAD_BYTES - END.len() {
        let word = format!("{:016x}", random.next());
        text.push_str(&word[..word.len().min(PAYLOAD_BYTES - END.len() - text.len())]);
    }
    text.push_str(END);
    Bytes::from(text)
}

/// Numbers that look random and are the same for the same seed.
struct Random(u64);

impl Random {
    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronos_domain::Batch;
    use std::collections::BTreeSet;

    #[test]
    fn an_event_has_the_stated_sizes_and_a_payload_of_json() {
        let mut orders = Orders::new(&Stock::new(), 1);
        for partition in PartitionId::all() {
            let draft = orders.draft(partition);
            assert_eq!(draft.event_type.as_str().len(), 20);
            assert_eq!(draft.entity_id.as_str().len(), 24);
            assert_eq!(draft.payload.len(), PAYLOAD_BYTES);
            let json: serde_json::Value = serde_json::from_slice(&draft.payload).unwrap();
            assert!(json.is_object());
        }
    }

    #[test]
    fn a_batch_is_for_the_partition_asked_for() {
        let mut orders = Orders::new(&Stock::new(), 1);
        for partition in PartitionId::all() {
            let block = orders.block(partition, 100);
            assert_eq!((block.placement("default").unwrap(), block.events()), (partition, 100));
        }
    }

    #[test]
    fn ids_differ_within_a_supply_and_between_supplies() {
        let stock = Stock::new();
        let mut ids = BTreeSet::new();
        for seed in 0..10 {
            let mut orders = Orders::new(&stock, seed);
            ids.extend((0..1000).map(|_| orders.id()));
        }
        assert_eq!(ids.len(), 10_000);
    }
}
