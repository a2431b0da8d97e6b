//! A partition that is refused because of damage.

use std::sync::{Arc, OnceLock};

use chronos_domain::PartitionId;
use tokio::sync::mpsc;

/// Whether a partition's data was found damaged while it was served. The first reason is kept.
pub(crate) struct Quarantine {
    id: PartitionId,
    refusal: OnceLock<Arc<str>>,
    /// Told once. Nobody listens where there is nobody to repair from.
    alarm: mpsc::UnboundedSender<PartitionId>,
}

impl Quarantine {
    pub(crate) const fn new(id: PartitionId, alarm: mpsc::UnboundedSender<PartitionId>) -> Quarantine {
        Quarantine { id, refusal: OnceLock::new(), alarm }
    }

    /// Refuses the partition from now on.
    pub(crate) fn set(&self, reason: &str) {
        let refusal = Arc::from(format!("partition {} is refused on this node: {reason}", self.id));
        if self.refusal.set(refusal).is_ok() {
            tracing::error!(partition = self.id.get(), reason, "damage found: partition refused");
            let _ = self.alarm.send(self.id);
        }
    }

    /// The sentence with which it is refused, if it is.
    pub(crate) fn get(&self) -> Option<&Arc<str>> {
        self.refusal.get()
    }
}
