//! A second book of a partition's numbers, kept from what apply hands out and from nothing else.
//!
//! Apply takes its numbers from the tables; this book counts by itself. A mistake would have to be made in both, in
//! the same way, to go unnoticed.

use std::collections::BTreeMap;

use chronos_domain::{Batch, ForkId, Position, Receipt, Space, TenantId, Timestamp, Version, invariants};

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

    /// The entity's version.
    pub(super) fn version(&self, space: Space<'_>, entity: &str) -> Version {
        let names = self
            .versions
            .iter()
            .find(|((tenant, fork), _)| tenant.as_str() == space.tenant && *fork == space.fork);
        names.and_then(|(_, names)| names.get(entity)).copied().unwrap_or_default()
    }

    /// Enters the numbers of a stored command.
    ///
    /// # Errors
    /// Says which number does not follow.
    pub(super) fn enter(&mut self, command: &AppendCommand, receipt: &Receipt) -> Result<(), String> {
        let block = &command.block;
        for (i, version) in receipt.versions(block).into_iter().enumerate() {
            let entity = block.entity(block.event_entity(i));
            self.enter_event(command.space(), entity, (receipt.position(i), version, receipt.recorded_at))?;
        }
        Ok(())
    }

    /// Enters the numbers of one event.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    pub(super) fn enter_event(
        &mut self,
        space: Space<'_>,
        entity: &str,
        (position, version, recorded_at): (Position, Version, Timestamp),
    ) -> Result<(), String> {
        if !invariants::recorded_at_never_decreases(self.recorded_at, recorded_at) {
            return Err(format!("I-05: recorded at {recorded_at} after {}", self.recorded_at));
        }
        if !invariants::gapless_positions(self.head, position) {
            return Err(format!("I-01: position {position} follows {}", self.head));
        }
        let versions = self.names(space);
        let number = versions.intern(entity);
        let last = versions.value_mut(number);
        if !invariants::gapless_versions(*last, version) {
            return Err(format!("I-02: version {version} of {entity:?} follows {last}"));
        }
        *last = version;
        (self.head, self.recorded_at) = (position, recorded_at);
        Ok(())
    }

    /// The versions of a space's entities.
    fn names(&mut self, space: Space<'_>) -> &mut Names<Version> {
        let tenant = TenantId::parse(space.tenant).expect("what is stored has valid names only");
        self.versions.entry((tenant, space.fork)).or_insert_with(Names::new)
    }
}
