//! What two replicas compare.

use chronos_domain::{PartitionId, Position};

use crate::hash::Hash;
use crate::tag;

/// The digest of a partition's first `size` events, whose chain and tree root these are. Equal digests mean equal
/// histories: same events, same numbers, same order.
pub fn digest(partition: PartitionId, size: Position, chain: Hash, root: Hash) -> Hash {
    let size = size.get().to_le_bytes();
    Hash::of(&[&[tag::DIGEST, partition.get()], &size, &chain.0, &root.0])
}
