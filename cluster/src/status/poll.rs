//! Asks the other nodes how they do, and what their clocks say.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronos_env::Env;
use futures::future::join_all;

use super::board::Board;
use super::wire;
use crate::clocks::Clocks;
use crate::exchange::kinds;
use crate::node::NodeId;
use crate::peer::{CallError, Message, Peers};

/// From one question to the next.
pub(crate) const EVERY: Duration = Duration::from_secs(1);
/// The same while no other clock is known: who is elected must not stamp by its own for long.
const AT_FIRST: Duration = Duration::from_millis(100);
/// An answer takes no longer than this.
const WITHIN: Duration = Duration::from_millis(900);

/// Asks, and writes down what is answered.
pub(crate) struct Poll {
    pub(crate) env: Env,
    pub(crate) peers: Peers,
    pub(crate) board: Board,
    pub(crate) clocks: Arc<Clocks>,
}

impl Poll {
    /// Asks everybody once a second, for ever. The moments differ from node to node, so that answers do not come all at
    /// once.
    pub(crate) async fn run(self: Arc<Self>) {
        let dice = self.env.entropy.child("status");
        loop {
            self.everybody().await;
            let others: BTreeSet<NodeId> = self.peers.status().into_iter().map(|link| link.node).collect();
            self.clocks.compare(&others);
            if !others.is_empty() && !self.clocks.knows_others() {
                // Who is not reached is not asked either, so that this costs nothing.
                self.env.clock.sleep(AT_FIRST).await;
                continue;
            }
            let spread = u64::try_from(EVERY.as_micros() / 8).expect("an eighth of a second");
            let pause = EVERY - EVERY / 16 + Duration::from_micros(dice.below(spread));
            self.env.clock.sleep(pause).await;
        }
    }

    /// Asks everybody now, and returns when all have answered or cannot be waited for any longer.
    pub(crate) async fn everybody(&self) {
        let links = self.peers.status();
        join_all(links.iter().map(|link| self.one(link.node))).await;
    }

    async fn one(&self, node: NodeId) {
        let message = Message { group: 0, kind: kinds::STATUS, body: Bytes::new() };
        let asked = self.env.clock.monotonic();
        match self.peers.call(node, message, WITHIN).await {
            Ok(answer) => match wire::decode(&answer) {
                Ok(report) if report.node == node => {
                    if let Some(wall) = report.wall {
                        self.clocks.hear(node, wall, asked);
                    }
                    self.board.note(report, self.env.clock.monotonic());
                }
                Ok(report) => {
                    tracing::warn!(%node, claims = %report.node, "a node reports under another's number");
                }
                Err(error) => tracing::warn!(%node, %error, "a report could not be read"),
            },
            // Who is away shows on the board by its silence, and in the links' own log.
            Err(CallError::Unreachable { .. } | CallError::Unknown { .. }) => {}
            Err(error) => tracing::debug!(%node, %error, "a node does not report"),
        }
    }
}
