//! A partition that is refused because of damage, or because it has diverged from its leader.

use std::sync::{Arc, OnceLock};

use chronos_domain::PartitionId;
use chronos_store::Withheld;
use tokio::sync::mpsc;

use crate::node::NodeId;

/// Whether a partition's data was found damaged while it was served, or to be another than its leader's. The first reason
/// is kept.
pub(crate) struct Quarantine {
    id: PartitionId,
    refusal: OnceLock<Refused>,
    /// Told once. Nobody listens where there is nobody to repair from.
    alarm: mpsc::UnboundedSender<PartitionId>,
}

struct Refused {
    sentence: Arc<str>,
    /// Of one that is not to be repaired by itself: what is noted on disk.
    divergence: Option<Withheld>,
}

impl Quarantine {
    pub(crate) const fn new(id: PartitionId, alarm: mpsc::UnboundedSender<PartitionId>) -> Quarantine {
        Quarantine { id, refusal: OnceLock::new(), alarm }
    }

    /// Refuses the partition from now on.
    pub(crate) fn set(&self, reason: &str) {
        if self.refuse(reason, None) {
            chronos_env::sometimes!("group.taken_out_of_service");
            tracing::error!(partition = self.id.get(), reason, "damage found: partition refused");
            let _ = self.alarm.send(self.id);
        }
    }

    /// Refuses the partition from now on, and leaves it as it is.
    pub(crate) fn set_apart(&self, divergence: Withheld) {
        let reason = told(divergence);
        if self.refuse(&reason, Some(divergence)) {
            tracing::error!(partition = self.id.get(), reason, "a replica has diverged: partition refused");
            let _ = self.alarm.send(self.id);
        }
    }

    fn refuse(&self, reason: &str, divergence: Option<Withheld>) -> bool {
        let sentence = Arc::from(format!("partition {} is refused on this node: {reason}", self.id));
        self.refusal.set(Refused { sentence, divergence }).is_ok()
    }

    /// The sentence with which it is refused, if it is.
    pub(crate) fn get(&self) -> Option<&Arc<str>> {
        self.refusal.get().map(|refused| &refused.sentence)
    }

    /// In what it has diverged, if that is why it is refused.
    pub(crate) fn divergence(&self) -> Option<Withheld> {
        self.refusal.get()?.divergence
    }
}

/// What is said to people of a replica that has diverged.
pub(crate) fn told(divergence: Withheld) -> String {
    let Withheld::Diverged { index, term, leader, leader_term } = divergence else {
        return "its votes are withheld".to_owned();
    };
    let leader = NodeId::new(leader);
    format!(
        "it has diverged: what is applied here up to entry {index} of term {term} is not what {leader} has, which leads in \
         term {leader_term}; events that were acknowledged may exist only here, so it is left as it is, out of service: \
         keep a copy of this node's data directory, then replace the node, or give up what only this replica has by \
         `chronos repair` with this partition and this node named"
    )
}
