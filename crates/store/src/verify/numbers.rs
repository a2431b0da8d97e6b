//! A second book of a partition's numbers, kept from what apply hands out and from nothing else.
//!
//! Apply takes its numbers from the tables; this book counts by itself. A mistake would have to be made in both, in
//! the same way, to go unnoticed.

use std::collections::BTreeMap;

use chronos_domain::{Batch, ForkId, Position, Receipt, TenantId, Timestamp, Version, invariants};

use crate::entry::AppendCommand;
use crate::names::Names;

/// The last numbers seen.
#[derive(Debug)]
pub(super) struct Numbers {
    head: Position,
    recorded_at: Timestamp,
    versions: BTreeMap<(TenantId, ForkId), Names<Version>>,
}

impl Numbers {
    pub(super) fn new() -> Numbers {
        Numbers { head: Position::ZERO, recorded_at: Timestamp::MIN, versions: BTreeMap::new() }
    }

    pub(super) const fn head(&self) -> Position {
        self.head
    }

    pub(super) fn entities(&self) -> u64 {
        self.versions.values().map(|names| names.len() as u64).sum()
    }

    /// Enters the numbers of a stored command.
    ///
    /// # Errors
    /// Says which number does not follow.
    pub(super) fn enter(&mut self, command: &AppendCommand, receipt: &Receipt) -> Result<(), String> {
        let block = &command.block;
        if block.events() == 0 {
            return Ok(());
        }
        if !invariants::recorded_at_never_decreases(self.recorded_at, receipt.recorded_at) {
            return Err(format!("I-05: recorded at {} after {}", receipt.recorded_at, self.recorded_at));
        }
        self.recorded_at = receipt.recorded_at;
        let versions = self.versions.entry((command.tenant.clone(), command.fork)).or_insert_with(Names::new);
        for (i, version) in receipt.versions(block).into_iter().enumerate() {
            let position = receipt.position(i);
            if !invariants::gapless_positions(self.head, position) {
                return Err(format!("I-01: position {position} follows {}", self.head));
            }
            self.head = position;
            let entity = block.entity(block.event_entity(i));
            let number = versions.intern(entity);
            let last = versions.value_mut(number);
            if !invariants::gapless_versions(*last, version) {
                return Err(format!("I-02: version {version} of {entity:?} follows {last}"));
            }
            *last = version;
        }
        Ok(())
    }
}
