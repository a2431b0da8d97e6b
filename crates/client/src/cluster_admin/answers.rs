//! Answers that come one after the other.

use chronos_domain::Invalid;
use chronos_proto::{Class, Failure};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use tonic::{Status, Streaming};

use crate::outcome::ReadError;
use crate::pace::{Deadline, wait_until};

/// The answers of one call, each as it comes.
///
/// A node that is lost while they come is noticed: its connection is probed
/// ([`Options::keepalive_interval`](crate::Options::keepalive_interval)), also where nothing is due.
pub struct Answers<T> {
    messages: BoxStream<'static, Result<T, ReadError>>,
    until: Option<Deadline>,
}

impl<T: Send + 'static> Answers<T> {
    /// All of them have to be there by `until`.
    pub(super) fn new<M>(messages: Streaming<M>, until: Option<Deadline>) -> Self
    where
        M: Send + 'static,
        T: TryFrom<M, Error = Invalid>,
    {
        let read = messages.map(|message| {
            let message = message.map_err(|status| ReadError::new(ended(&status)))?;
            T::try_from(message).map_err(|invalid| ReadError::protocol(&invalid))
        });
        Self { messages: read.boxed(), until }
    }

    /// The next answer; `None` when there is none any more.
    ///
    /// # Errors
    /// See [`ReadError`]: the answers end there.
    pub async fn next(&mut self) -> Result<Option<T>, ReadError> {
        let next = wait_until(self.until, "not everything was answered", self.messages.try_next()).await;
        next.map_err(ReadError::new)?
    }
}

/// Why there are no more answers: what the node said, or that it is lost.
fn ended(status: &Status) -> Failure {
    Failure::said(status).unwrap_or_else(|| {
        let text = format!(
            "the node that was asked was lost before it had answered everything ({}); what it had answered holds: ask again, \
             or ask another node",
            status.message()
        );
        Failure::new(Class::Failed, "UNAVAILABLE", text)
    })
}

impl<T> std::fmt::Debug for Answers<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}
