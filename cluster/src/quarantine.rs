//! A partition that is refused because of damage.

use std::sync::{Arc, OnceLock};

use chronos_domain::PartitionId;

/// Whether a partition's data was found damaged while it was served. The first reason is kept.
pub(crate) struct Quarantine {
    id: PartitionId,
    refusal: OnceLock<Arc<str>>,
}

impl Quarantine {
    pub(crate) const fn new(id: PartitionId) -> Quarantine {
        Quarantine { id, refusal: OnceLock::new() }
    }

    /// Refuses the partition from now on.
    pub(crate) fn set(&self, reason: &str) {
        let refusal = Arc::from(format!("partition {} is refused on this node: {reason}", self.id));
        if self.refusal.set(refusal).is_ok() {
            tracing::error!(partition = self.id.get(), reason, "damage found: partition refused");
        }
    }

    /// The sentence with which it is refused, if it is.
    pub(crate) fn get(&self) -> Option<&Arc<str>> {
        self.refusal.get()
    }
}
