//! What clients have learnt: for good guesses, and for the same again.

use std::collections::BTreeMap;

use chronos_block::Block;
use chronos_history::{Append, EventId};

/// Appends that are kept to be sent again.
const KEPT: usize = 256;

/// Shared by all clients of a run.
#[derive(Default)]
pub(super) struct Knowledge {
    /// The last number that was given to an event.
    events: u64,
    /// The version that an entity is believed to have.
    versions: BTreeMap<u64, u64>,
    /// Appends that were sent before, whatever became of them.
    sent: Vec<(Append, Block)>,
    next: usize,
}

impl Knowledge {
    pub(super) fn new_event(&mut self) -> EventId {
        self.events += 1;
        EventId(self.events)
    }

    pub(super) fn some_event(&self, draw: u64) -> EventId {
        EventId(1 + draw % self.events.max(1))
    }

    pub(super) fn version(&self, entity: u64) -> u64 {
        self.versions.get(&entity).copied().unwrap_or(0)
    }

    pub(super) fn learn(&mut self, entity: u64, version: u64) {
        let known = self.versions.entry(entity).or_default();
        *known = version.max(*known);
    }

    pub(super) fn sent(&mut self, append: &Append, block: &Block) {
        let entry = (append.clone(), block.clone());
        if self.sent.len() < KEPT {
            self.sent.push(entry);
            return;
        }
        self.sent[self.next] = entry;
        self.next = (self.next + 1) % KEPT;
    }

    pub(super) fn some_sent(&self, draw: u64) -> Option<(Append, Block)> {
        let count = self.sent.len() as u64;
        (count > 0).then(|| self.sent[(draw % count) as usize].clone())
    }
}
