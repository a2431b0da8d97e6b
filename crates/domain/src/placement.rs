//! Which partition owns an entity: a pure function that every client computes alone.
//!
//! `partition = xxh64(tenant ‖ 0x00 ‖ routing key, seed 0) >> 59`: the top five bits, 0..=31. A tenant id contains no
//! zero byte, so no two (tenant, key) pairs feed the hash the same bytes. Golden vectors pin the function for ever.

use alloc::collections::BTreeSet;

use crate::id::Invalid;
use crate::number::PartitionId;
use crate::rejection::Rejection;
use crate::xxh64::Xxh64;

/// How far the hash is shifted to leave the bits that name a partition.
pub(crate) const SHIFT: u32 = 59;

/// The partition of an entity of a sharded tenant.
pub fn place(tenant: &str, entity: &str) -> PartitionId {
    place_key(tenant, routing_key(entity))
}

/// The partition of a routing key. An ordered tenant's only routing key is the empty one.
pub fn place_key(tenant: &str, routing_key: &str) -> PartitionId {
    let hash = Xxh64::new(0).update(tenant.as_bytes()).update(&[0]).update(routing_key.as_bytes()).finish();
    PartitionId::new((hash >> SHIFT) as u8).expect("five bits name one of 32 partitions")
}

/// The one partition of all entities of a request.
///
/// # Errors
/// [`Rejection::CrossPartition`] when there are several, [`Rejection::Invalid`] when no entity is named.
pub fn place_all<'a>(
    tenant: &str,
    entities: impl IntoIterator<Item = &'a str>,
) -> Result<PartitionId, Rejection> {
    let mut entities = entities.into_iter().map(|entity| place(tenant, entity));
    let Some(home) = entities.next() else {
        return Err(Invalid::new("events", "are none; give an event, or an entity to check").into());
    };
    let mut others: BTreeSet<PartitionId> = entities.filter(|partition| *partition != home).collect();
    if others.is_empty() {
        return Ok(home);
    }
    others.insert(home);
    Err(Rejection::CrossPartition { partitions: others.into_iter().collect() })
}

/// The part of an entity id that decides where it lives: the text between the first `{` and the first `}` after it
/// when there is any, else the whole id. Entities with a common routing key share a partition.
pub fn routing_key(entity: &str) -> &str {
    let tag = entity.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    match tag {
        None | Some("") => entity,
        Some(tag) => tag,
    }
}
