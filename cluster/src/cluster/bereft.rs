//! What a node does when the process of another one has ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Inner;
use crate::node::NodeId;

/// For ever: whatever a process led that has ended is not waited for any longer than an election needs.
pub(super) async fn see_who_dies(inner: Arc<Inner>) {
    let Some(peers) = &inner.peers else { return };
    let mut deaths = peers.watch_deaths();
    let mut seen = BTreeMap::<NodeId, u64>::new();
    loop {
        let now = deaths.borrow_and_update().clone();
        for (node, _) in now.iter().filter(|(node, times)| seen.get(node) != Some(times)) {
            let groups = inner.groups.bereave(*node).await;
            tracing::warn!(%node, groups, "another node's process has ended; what it led elects anew");
        }
        seen = now;
        if deaths.changed().await.is_err() {
            return;
        }
    }
}
