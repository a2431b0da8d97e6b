//! What the simulated clients ask: skewed entities, every kind of expectation, conditions, several sizes.

use bytes::Bytes;
use chronos_block::{Block, Compression, Draft, Packer};
use chronos_domain::{
    Condition, EntityId, EventId, EventType, Expectation, Position, QueryItem, Tag, Version,
};
use chronos_env::Entropy;

/// Groups of entities that share a partition, and entities in each.
const GROUPS: u64 = 24;
const ENTITIES: u64 = 6;
/// Every so many requests one carries a payload of this many bytes instead of a small one.
const BIG_EVERY: u64 = 40;
const BIG_BYTES: u64 = 96 << 10;

/// One random request. All its entities share a hash tag and so a partition.
pub(crate) fn random(entropy: &Entropy) -> Block {
    let group = entropy.below(GROUPS).min(entropy.below(GROUPS));
    let mut packer = Packer::new();
    let tag = format!("group:{group}");
    for i in 0..=entropy.below(4) {
        let entity = entity(group, entropy.below(ENTITIES));
        if i == 0 {
            // Any refuses nothing; the others lose a race now and then.
            let expectation = match entropy.below(8) {
                0 => Expectation::Exact(Version::new(entropy.below(4))),
                1 => Expectation::Exists,
                _ => Expectation::Any,
            };
            packer.expect(entity.clone(), expectation).expect("first of its entity");
        }
        packer.push(draft(entropy, entity, &tag)).expect("within the limits");
    }
    if entropy.below(12) == 0 {
        let item = QueryItem {
            types: vec![EventType::parse("thing.closed").expect("valid")],
            tags: vec![Tag::parse(&tag).expect("valid")],
        };
        packer
            .condition(Condition { fail_if: vec![item], after: Position::ZERO })
            .expect("within the limits");
    }
    let compression = if entropy.below(4) == 0 { Compression::Lz4 } else { Compression::None };
    packer.finish(compression).expect("it has events")
}

/// A request of a mebibyte, to fill a disk soon.
pub(crate) fn large(entropy: &Entropy) -> Block {
    let mut packer = Packer::new();
    let mut draft = draft(entropy, entity(entropy.below(GROUPS), 0), "large");
    draft.payload = Bytes::from(format!("\"{}\"", "x".repeat((1 << 20) - 2)));
    packer.push(draft).expect("exactly the limit");
    packer.finish(Compression::None).expect("it has an event")
}

fn draft(entropy: &Entropy, entity: EntityId, tag: &str) -> Draft {
    let kind = if entropy.below(200) == 0 { "thing.closed" } else { "thing.changed" };
    let size = if entropy.below(BIG_EVERY) == 0 { BIG_BYTES } else { entropy.below(600) };
    let id = u128::from(entropy.u64()) << 64 | u128::from(entropy.u64());
    let text = format!("{{\"n\":{},\"pad\":\"{}\"}}", entropy.below(1000), "x".repeat(size as usize));
    let event_type = EventType::parse(kind).expect("valid");
    let mut draft = Draft::json(EventId::from_u128(id), entity, event_type, Bytes::from(text));
    draft.tags = vec![Tag::parse(tag).expect("valid")];
    draft
}

fn entity(group: u64, n: u64) -> EntityId {
    EntityId::parse(&format!("thing-{{g{group}}}-{n}")).expect("valid")
}
