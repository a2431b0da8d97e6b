//! Whether this process is the node it takes itself for. It alone cannot know: its directory may be a copy of one that is
//! served elsewhere, or the node was removed from the cluster since. The others can.
//!
//! Invariant: one no that may be about the past (the connection of our own previous life, which has not been noticed to
//! be dead) convinces nobody; the same no from the same node for [`CONVINCED_AFTER`], without a yes in between, does.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::hello::{Turned, Why};
use crate::NodeId;

/// Several times as long as it takes to notice that a connection is dead.
const CONVINCED_AFTER: Duration = Duration::from_secs(15);

/// What the others say about who we are.
pub(super) struct Doubts {
    /// Since when a node has held us for a double.
    since: Mutex<BTreeMap<NodeId, Duration>>,
    verdict: watch::Sender<Option<Turned>>,
}

impl Default for Doubts {
    fn default() -> Self {
        Doubts { since: Mutex::default(), verdict: watch::Sender::new(None) }
    }
}

impl Doubts {
    /// `by` knows us as who we say.
    pub(super) fn dispelled(&self, by: NodeId) {
        self.since.lock().remove(&by);
    }

    /// `by` turned us away, `now`.
    pub(super) fn turned_away(&self, by: NodeId, turned: &Turned, now: Duration) {
        let is_certain = match turned.why {
            // Nobody says the last before nothing of the node is needed any more.
            Why::Outdated | Why::Copy | Why::Removed => true,
            Why::Duplicate => {
                now.saturating_sub(*self.since.lock().entry(by).or_insert(now)) >= CONVINCED_AFTER
            }
            _ => return self.dispelled(by),
        };
        if is_certain {
            self.verdict.send_if_modified(|verdict| {
                let is_first = verdict.is_none();
                verdict.get_or_insert_with(|| turned.clone());
                is_first
            });
        }
    }

    /// Resolves when it is certain that another process is this node, or has been it since, or that the node is none of the
    /// cluster any more. Cancel-safe.
    pub(super) async fn certain(&self) -> Turned {
        let mut verdict = self.verdict.subscribe();
        match verdict.wait_for(Option::is_some).await.map(|turned| turned.clone()) {
            Ok(Some(turned)) => turned,
            // The sender lives in `self`, and the wait was for a verdict.
            _ => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const BY: NodeId = NodeId::FIRST;

    fn no(why: Why) -> Turned {
        Turned { why, by: BY, text: String::new(), of: 0 }
    }

    #[test]
    fn a_later_life_of_ours_or_our_removal_convinces_at_once() {
        for why in [Why::Outdated, Why::Copy, Why::Removed] {
            let doubts = Doubts::default();
            assert!(doubts.certain().now_or_never().is_none());
            doubts.turned_away(BY, &no(why), Duration::ZERO);
            assert_eq!(doubts.certain().now_or_never().unwrap().why, why);
        }
    }

    #[test]
    fn a_double_must_stay_one() {
        let doubts = Doubts::default();
        let duplicate = no(Why::Duplicate);
        let (early, late) = (CONVINCED_AFTER / 2, CONVINCED_AFTER);
        doubts.turned_away(BY, &duplicate, Duration::ZERO);
        doubts.turned_away(BY, &duplicate, early);
        doubts.dispelled(BY);
        doubts.turned_away(BY, &duplicate, late);
        doubts.turned_away(NodeId::new(2), &no(Why::Cluster), late * 9);
        assert!(doubts.certain().now_or_never().is_none());
        doubts.turned_away(BY, &duplicate, late * 2);
        assert!(doubts.certain().now_or_never().is_some());
    }
}
