//! A replica that starts asks what it has promised, before it takes part.
//!
//! Until it is known that its disk keeps all of it, nothing of the group runs here: no vote is cast, none asked for, and
//! no entry acknowledged. That lasts as long as it takes to hear from everybody who can be reached. Where nobody listens,
//! there is no process that could remember anything, and nothing to wait for; nor is there where one has only just been
//! started itself, as when all nodes start at once. For others it is waited a moment: their link may be on its way.
//!
//! Everybody is asked who is known, whoever the members are by the log, for it is the log that may be too old.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use chronos_env::Clock;
use futures::future::join_all;

use super::codec::decode_promise;
use super::lost::Losses;
use super::network::PROMISED;
use super::promises::Promise;
use crate::node::NodeId;
use crate::peer::{CallError, Cause, Message, Refusal};

/// How long a start waits for answers.
const ASKED_WITHIN: Duration = Duration::from_secs(1);
/// Who was not reached is tried again after this long.
const AGAIN: Duration = Duration::from_millis(50);

impl Losses {
    /// Asks the other nodes what this replica has promised. If it does not keep all of it, no vote of it is cast any more,
    /// durably, and it has left service to be repaired when this returns: then the answer says why. Nothing of its group
    /// may run yet.
    ///
    /// # Errors
    /// When that its votes are withheld could not be written down.
    pub(crate) async fn ask(&self, me: NodeId) -> Result<Option<String>, Refusal> {
        let (clock, link) = (&self.0.env.clock, &self.0.link);
        let others: BTreeSet<NodeId> = link.others().into_iter().filter(|node| *node != me).collect();
        let until = clock.monotonic() + ASKED_WITHIN;
        let asking = others.into_iter().map(|node| self.ask_one(clock, node, until));
        let promises: Vec<_> = join_all(asking).await.into_iter().flatten().collect();
        let broken = self.broken(&promises);
        if let Some(why) = &broken {
            chronos_env::sometimes!("raft.promise_broken");
            self.leave(why).await?;
        }
        Ok(broken)
    }

    async fn ask_one(&self, clock: &Clock, node: NodeId, until: Duration) -> Option<(NodeId, Promise)> {
        let group = self.0.partition.id().get();
        loop {
            let left = until.saturating_sub(clock.monotonic());
            let message = Message { group, kind: PROMISED, body: Bytes::new() };
            match self.0.link.call(node, message, left).await {
                Ok(answer) => {
                    let (term, reached) = decode_promise(&answer).ok()?;
                    return Some((node, Promise { term, reached }));
                }
                Err(error) if left.is_zero() || knows_nothing(&error) => {
                    tracing::debug!(partition = group, %node, %error, "what was promised to a node is not known");
                    return None;
                }
                Err(_) => clock.sleep(AGAIN.min(left)).await,
            }
        }
    }
}

/// Whether it is of no use to ask again: there is nobody, or nobody who could know, or who would tell.
fn knows_nothing(error: &CallError) -> bool {
    match error {
        CallError::Refused { refusal, .. } => refusal.code != Refusal::BUSY,
        CallError::Unreachable { cause, .. } | CallError::Unknown { cause, .. } => matches!(
            cause,
            Cause::NotAPeer
                | Cause::NobodyThere(_)
                | Cause::Turned(_)
                | Cause::Stopping
                | Cause::TooLarge { .. }
        ),
    }
}
