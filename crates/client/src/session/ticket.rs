//! What becomes of one event of a session.

use std::sync::Arc;

use chronos_domain::{PartitionId, Position, Timestamp, Token, Version};
use chronos_proto::{Class, Failure};
use tokio::sync::watch;

use crate::client::Appended;
use crate::outcome::{AppendError, NotDone};

/// One event that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where it lives.
    pub partition: PartitionId,
    /// Its number within the partition.
    pub position: Position,
    /// Its number within its entity.
    pub version: Version,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// It had been stored before: the numbers are the original ones.
    pub deduplicated: bool,
    /// Covers this event.
    pub token: Token,
}

/// The outcome of a block: of one after the other of the requests that it was sent as.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) parts: Vec<Part>,
}

/// The outcome of one request: which event of the block it began with, and how it ended.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) first: usize,
    pub(super) result: Result<Appended, AppendError>,
}

pub(super) type Resolved = Option<Arc<Outcome>>;

/// A claim on the outcome of one pushed event.
#[derive(Clone, Debug)]
#[must_use = "dropping it leaves the event's outcome unknown"]
pub struct Ticket {
    pub(super) block: watch::Receiver<Resolved>,
    pub(super) place: usize,
}

impl Ticket {
    /// Waits until the event is durable.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn stored(mut self) -> Result<Stored, AppendError> {
        match self.block.wait_for(Option::is_some).await {
            Ok(resolved) => resolved.as_ref().expect("it was waited for").of(self.place),
            Err(_) => {
                let text = "the runtime of the session has stopped";
                let failure = Box::new(Failure::new(Class::Unknown, "UNAVAILABLE", text));
                Err(AppendError::Unknown(NotDone { failure, attempts: 0, event_ids: Vec::new() }))
            }
        }
    }
}

impl Outcome {
    fn of(&self, place: usize) -> Result<Stored, AppendError> {
        let after = self.parts.partition_point(|part| part.first <= place);
        let part = &self.parts[after.checked_sub(1).expect("the first part begins with the first event")];
        let appended = part.result.clone()?;
        let i = place - part.first;
        Ok(Stored {
            partition: appended.partition,
            position: appended.position(i),
            version: appended.versions[i],
            recorded_at: appended.recorded_at,
            deduplicated: appended.deduplicated,
            token: appended.token,
        })
    }
}
