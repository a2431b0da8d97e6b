//! A session: a long sequence of events, appended fast.
//!
//! ```text
//!  push ─► lane of the event's partition ─► block ─► Client::append_block ─► Stored, for each event
//!            (one for each partition)        when full, or older than `linger`
//! ```
//!
//! Invariants:
//!
//! * one block of a partition is in flight at a time, so that events of one entity are stored in the order in which
//!   they were pushed, also across retries;
//! * a lane holds at most one open block beside the one in flight; who pushes more waits;
//! * events do not share a fate because they shared a block: when a block is refused because of one of its events,
//!   it is halved until that event stands alone.

mod lane;
mod split;
mod ticket;

use std::sync::Arc;
use std::time::Duration;

use chronos_block::Draft;
use chronos_domain::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use chronos_domain::{PartitionId, place};
use futures::future::join_all;
use tokio::sync::Semaphore;

use crate::client::{Client, TENANT};
use crate::outcome::AppendError;
use lane::Lane;

pub use ticket::{Stored, Ticket};

/// How a session batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Blocks in flight at once, over all partitions; a partition never has more than one. Default 32.
    pub in_flight_max: usize,
    /// Events of one block, at most 4096. Default 1000.
    pub batch_events: usize,
    /// Bytes of one block's events, at most 8 MiB. Default 1 MiB; a single larger event still passes.
    pub batch_bytes: usize,
    /// How long a block that is not full waits for more events. Default 5 ms.
    pub linger: Duration,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { in_flight_max: 32, batch_events: 1000, batch_bytes: 1 << 20, linger: Duration::from_millis(5) }
    }
}

/// A session; see [`Client::session`]. It may be used by several tasks at once.
///
/// Which events share a block depends on timing. That does not matter while the session lives, and a caller that
/// pushes everything again after it failed itself gets `deduplicated` answers too, in smaller blocks: an event that is
/// stored already is recognised by its id, whatever it shared a block with.
///
/// What was pushed before a session is dropped is still sent, but nobody learns what became of it:
/// [`flush`](Self::flush) first.
///
/// ```no_run
/// # async fn example(client: chronos_client::Client, drafts: Vec<chronos_client::Draft>)
/// #     -> Result<(), Box<dyn std::error::Error>> {
/// let session = client.session(Default::default());
/// let mut tickets = Vec::new();
/// for draft in drafts {
///     tickets.push(session.push(draft).await?); // waits while its partition is busy
/// }
/// session.flush().await;
/// for ticket in tickets {
///     println!("{}", ticket.stored().await?.version);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Session {
    lanes: Vec<Arc<Lane>>,
}

impl Session {
    pub(crate) fn new(client: Client, options: SessionOptions) -> Self {
        let options = SessionOptions {
            in_flight_max: options.in_flight_max.clamp(1, Semaphore::MAX_PERMITS),
            batch_events: options.batch_events.clamp(1, BATCH_EVENTS_MAX),
            batch_bytes: options.batch_bytes.clamp(1, BATCH_BYTES_MAX),
            linger: options.linger,
        };
        let permits = Arc::new(Semaphore::new(options.in_flight_max));
        let lane = |_: PartitionId| Lane::start(client.clone(), permits.clone(), options);
        Self { lanes: PartitionId::all().map(lane).collect() }
    }

    /// Hands over one event. Waits while its partition has a full block that cannot be sent yet.
    ///
    /// # Errors
    /// [`AppendError::Rejected`] when the event breaks a rule that can be checked here; it was not taken.
    pub async fn push(&self, event: Draft) -> Result<Ticket, AppendError> {
        let partition = place(TENANT, event.entity_id.as_str());
        self.lanes[partition.index()].push(event).await
    }

    /// Sends what waits for more events, and returns when the outcome of every event pushed before is known.
    pub async fn flush(&self) {
        join_all(self.lanes.iter().map(|lane| lane.flush())).await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for lane in &self.lanes {
            lane.close();
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
