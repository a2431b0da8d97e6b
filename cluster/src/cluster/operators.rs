//! What operators have done on another node, as messages between nodes. What they ask and are told is the server's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_domain::PartitionId;

use super::Cluster;
use crate::exchange::kinds;
use crate::node::NodeId;
use crate::peer::{CallError, Cause, Handler, Message};

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
}
