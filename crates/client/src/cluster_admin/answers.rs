//! Answers that come one after the other.

use chronos_domain::Invalid;
use chronos_proto::Failure;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use tonic::Streaming;

use crate::outcome::ReadError;

/// The answers of one call, each as it comes.
pub struct Answers<T>(BoxStream<'static, Result<T, ReadError>>);

impl<T: Send + 'static> Answers<T> {
    pub(super) fn new<M>(messages: Streaming<M>) -> Self
    where
        M: Send + 'static,
        T: TryFrom<M, Error = Invalid>,
    {
        let read = messages.map(|message| {
            let message = message.map_err(|status| ReadError::new(Failure::from_status(&status)))?;
            T::try_from(message).map_err(|invalid| ReadError::protocol(&invalid))
        });
        Self(read.boxed())
    }

    /// The next answer; `None` when there is none any more.
    ///
    /// # Errors
    /// See [`ReadError`]: the answers end there.
    pub async fn next(&mut self) -> Result<Option<T>, ReadError> {
        self.0.try_next().await
    }
}

impl<T> std::fmt::Debug for Answers<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}
