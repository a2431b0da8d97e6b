//! Hiding what a truncation has taken, wherever it still lies.
//!
//! A block in memory or in the log, and a part that has not been written again, still hold the content of erased
//! events. It goes no further than here.

use chronos_block::{Compression, Draft, Packer, Recorded};
use chronos_domain::{EntityId, EventType};
use chronos_parts::Tombstones;

/// The truncations that a read sees.
#[derive(Clone, Debug)]
pub(crate) struct Mask(Tombstones);

impl Mask {
    pub(crate) const fn new(tombstones: Tombstones) -> Mask {
        Mask(tombstones)
    }

    /// Whether anything was ever truncated.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The event without what was erased of it.
    pub(crate) fn apply(&self, event: Recorded) -> Recorded {
        if event.erased || self.0.is_empty() {
            return event;
        }
        let entity = event.block.event(usize::from(event.slot)).entity_id;
        let before = self.0.get(event.tenant.as_str(), event.fork, entity);
        if event.version < before { erased(&event) } else { event }
    }
}

/// The event with nothing but what a truncation leaves, in a block of its own.
pub(crate) fn erased(event: &Recorded) -> Recorded {
    let said = event.event();
    let entity = EntityId::parse(said.entity_id).expect("a block holds valid names only");
    let event_type = EventType::parse(said.event_type).expect("a block holds valid names only");
    let mut packer = Packer::new();
    packer.push(Draft::json(said.event_id, entity, event_type, Vec::new())).expect("a bare event is legal");
    let block = packer.finish(Compression::None).expect("a request with an event asks for something");
    Recorded { block, slot: 0, erased: true, ..event.clone() }
}
