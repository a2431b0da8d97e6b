//! The running chain: one hash that covers all events so far, in order.

use chronos_domain::PartitionId;

use crate::hash::Hash;
use crate::tag;

/// The chain of a partition that holds no event yet.
pub fn chain_start(partition: PartitionId) -> Hash {
    Hash::of(&[&[tag::CHAIN_START, partition.get()]])
}

/// The chain after one more event, whose leaf hash is `leaf`.
pub fn chain_next(chain: Hash, leaf: Hash) -> Hash {
    Hash::of(&[&[tag::CHAIN], &chain.0, &leaf.0])
}
