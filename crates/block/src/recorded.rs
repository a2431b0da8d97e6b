//! A stored event: what its writer said, and the numbers apply gave it.

use bytes::Bytes;
use chronos_domain::{ForkId, PartitionId, Position, TenantId, Timestamp, Version};

use crate::block::Block;
use crate::event::EventRef;

/// One stored event. Cheap to clone: it shares the block it came in.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The request that stored it.
    pub block: Block,
    /// Which event of that request it is, from 0.
    pub slot: u16,
    /// Whose event.
    pub tenant: TenantId,
    /// The tenant's fork.
    pub fork: ForkId,
    /// Where its entity lives.
    pub partition: PartitionId,
    /// Its gapless number within the partition.
    pub position: Position,
    /// Its gapless number within its entity.
    pub version: Version,
    /// When it was stored, by the partition's leader; never decreases along positions.
    pub recorded_at: Timestamp,
    /// Whether a truncation took its content: payload, metadata and tags are then empty, the content type is the
    /// default one, and `occurred_at` is unknown. Everything else is as it was written.
    pub erased: bool,
}

impl Recorded {
    /// What its writer said.
    ///
    /// # Panics
    /// When `slot` is not one of the block's.
    pub fn event(&self) -> EventRef<'_> {
        self.block.event(usize::from(self.slot))
    }

    /// The payload, sharing the block's memory.
    ///
    /// # Panics
    /// When `slot` is not one of the block's.
    pub fn payload(&self) -> Bytes {
        self.block.payload(usize::from(self.slot))
    }
}
