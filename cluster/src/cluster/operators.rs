//! What operators have done on another node, as messages between nodes. What they ask and are told is the server's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_domain::PartitionId;

use super::Cluster;
use super::knowing::group_view;
use crate::exchange::kinds;
use crate::node::NodeId;
use crate::peer::{CallError, Cause, Handler, Message};
use crate::status::DOWN_AFTER;

impl Cluster {
    /// From now on what operators ask other nodes about this one is answered by `handler`.
    ///
    /// # Panics
    /// When somebody answers it already.
    pub fn answer_operators(&self, handler: Arc<dyn Handler>) {
        self.inner.exchange.open(kinds::OPERATORS, handler);
    }

    /// Has another node asked, and waits for its answer for at most `within`.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn ask_operators(&self, to: NodeId, body: Bytes, within: Duration) -> Result<Bytes, CallError> {
        let Some(peers) = self.peers() else {
            return Err(CallError::Unreachable { to, cause: Cause::NotAPeer });
        };
        let message = Message { group: PartitionId::SYSTEM.get(), kind: kinds::OPERATE, body };
        peers.call(to, message, within).await
    }

    /// How long ago a node was heard of last; nothing for one of which nothing was heard since this one was started.
    pub fn heard(&self, node: NodeId) -> Option<Duration> {
        if node == self.inner.me {
            return Some(Duration::ZERO);
        }
        let at = self.inner.board.heard(node)?;
        Some(self.inner.env.clock.monotonic().saturating_sub(at))
    }

    /// Who votes in a partition's group, as far as this node knows.
    pub fn voters(&self, id: PartitionId) -> Vec<NodeId> {
        let (heard, now) = (self.inner.heard(), self.inner.env.clock.monotonic());
        group_view(id, &heard, now).voters
    }

    /// Whether a node is taken to be up: it was heard of lately.
    pub fn is_up(&self, node: NodeId) -> bool {
        self.heard(node).is_some_and(|ago| ago < DOWN_AFTER)
    }
}
