//! What the transport counted since it started.

use std::sync::atomic::{AtomicU64, Ordering};

use super::hello::Why;
use super::registrar::Denial;
use crate::NodeId;

/// Declares counters once: as atomics to count with, and as numbers to read.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: AtomicU64,)*
            turned_away: [AtomicU64; Why::ALL.len()],
            denied: [AtomicU64; Denial::ALL.len()],
        }

        /// What the transport counted since it started.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct PeerStats {
            $($(#[$doc])* pub $name: u64,)*
            /// Nodes that we turned away, at our door or because of what answered at theirs, in the order of
            /// [`Why::ALL`].
            pub turned_away: [u64; Why::ALL.len()],
            /// Machines that we did not admit to the cluster, in the order of [`Denial::ALL`].
            pub denied: [u64; Denial::ALL.len()],
        }

        impl Counters {
            pub(super) fn read(&self) -> PeerStats {
                PeerStats {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    turned_away: std::array::from_fn(|at| self.turned_away[at].load(Ordering::Relaxed)),
                    denied: std::array::from_fn(|at| self.denied[at].load(Ordering::Relaxed)),
                }
            }
        }
    };
}

counters! {
    /// Connections that arrived at our port.
    connections_accepted,
    /// Connections that arrived while too many were open.
    connections_too_many,
    /// Connections that did not get through TLS.
    strangers_tls,
    /// Connections that did not begin as HTTP/2.
    strangers_garbage,
    /// Calls to something other than the protocol between nodes.
    strangers_other_service,
    /// Connections that did not greet in time.
    strangers_silent,
    /// Links that came up, made by us.
    links_up,
    /// Attempts to make a link that failed.
    links_failed,
    /// Links that were up and broke, made by us.
    links_lost,
    /// Machines that were admitted to the cluster when they asked this node; those that asked again, too.
    joins_admitted,
    /// Times that another node turned us away.
    turned_away_by_others,
    /// Frames of requests sent.
    frames_sent,
    /// Requests sent.
    requests_sent,
    /// Bytes of requests sent.
    request_bytes_sent,
    /// Requests handled for others.
    requests_handled,
    /// Requests of others that were given up before there was an answer: cancelled, too late, or their link broke.
    requests_abandoned,
    /// Answers that came when nobody waited for them any more.
    answers_late,
    /// Handlers that panicked.
    handlers_panicked,
    /// Bytes of files sent.
    bulk_bytes_sent,
    /// Bytes of files received.
    bulk_bytes_received,
}

impl Counters {
    pub(super) fn turned_away(&self, why: Why) {
        let at = Why::ALL.iter().position(|one| *one == why).expect("every reason is listed");
        count(&self.turned_away[at], 1);
    }

    pub(super) fn denied(&self, why: Denial) {
        let at = Denial::ALL.iter().position(|one| *one == why).expect("every reason is listed");
        count(&self.denied[at], 1);
    }
}

impl PeerStats {
    /// Nodes that we turned away for this reason.
    pub fn turned_away(&self, why: Why) -> u64 {
        Why::ALL.iter().zip(&self.turned_away).find(|(one, _)| **one == why).map_or(0, |(_, count)| *count)
    }

    /// Machines that we did not admit for this reason.
    pub fn denied(&self, why: Denial) -> u64 {
        Denial::ALL.iter().zip(&self.denied).find(|(one, _)| **one == why).map_or(0, |(_, count)| *count)
    }
}

pub(super) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// The link to one node, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// To whom.
    pub node: NodeId,
    /// Where it is looked for.
    pub address: String,
    /// Whether requests go through, and if not, why not; `None` before the first attempt has ended.
    pub state: Option<Result<(), String>>,
    /// Requests that wait to be sent.
    pub waiting: usize,
    /// Requests that were sent and are unanswered.
    pub unanswered: usize,
}
