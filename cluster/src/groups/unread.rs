//! Partitions whose files the system would not read when the node started.
//!
//! Nothing is known to be damaged then, so there is nothing to repair, and to begin such a replica anew could discard a
//! good copy. They are opened again until that succeeds: a cable that is plugged in again, or a path that is back, needs
//! nobody to restart the node. What turns out to be damaged when it is read at last goes to the repair as at the start.

use std::time::Duration;

use chronos_domain::PartitionId;

use super::care::WeakGroups;
use super::{Groups, open, refusal};

/// From one attempt to the next. A disk that fails takes long to say so.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Tries until every one of these is in service, or known to be damaged, or nobody is left who could.
pub(super) async fn open_again(groups: WeakGroups, mut unread: Vec<PartitionId>) {
    while !unread.is_empty() {
        let Some(clock) = groups.upgrade().map(|groups| groups.env().clock.clone()) else { return };
        clock.sleep(AGAIN_AFTER).await;
        let Some(groups) = groups.upgrade() else { return };
        let mut still = Vec::new();
        for id in unread {
            if groups.is_unread_again(id).await {
                still.push(id);
            }
        }
        unread = still;
    }
}

impl Groups {
    /// Tries once; says whether it could not be read again.
    async fn is_unread_again(&self, id: PartitionId) -> bool {
        let common = &self.inner.common;
        let (log, store) = (self.log(id), self.store_config(id));
        match open(&common.env, id, &log, store, common.node, common.known, &common.ballots).await {
            Ok(partition) => {
                // Whatever ends the node sees either none of it or a group that it has to stop.
                self.put(id, self.start_group(id, partition));
                chronos_env::sometimes!("group.read_at_last");
                tracing::warn!(partition = id.get(), "partition could be read at last, and is in service");
                false
            }
            Err(why) if why.is_unread() => true,
            Err(why) => {
                let (told, ward) = refusal(id, why);
                if let Some(slot) = self.inner.slots.get(id.index()) {
                    *slot.write() = Err(told);
                }
                if let Some(why) = ward.filter(|_| !common.alone) {
                    self.admit(id, why);
                }
                false
            }
        }
    }
}
