//! The answers of a verification, as they arrive.

use chronos_proto::admin::VerifiedPartition;
use chronos_proto::{Failure, v1};
use tonic::Streaming;

use crate::outcome::ReadError;
use crate::pace::{Deadline, wait_until};

/// What a verification has found so far, partition by partition.
pub struct Verification {
    answers: Streaming<v1::VerifyResponse>,
    until: Option<Deadline>,
}

impl Verification {
    /// All of it has to be there by `until`.
    pub(super) const fn new(answers: Streaming<v1::VerifyResponse>, until: Option<Deadline>) -> Self {
        Self { answers, until }
    }

    /// The next partition that is done; `None` when all are.
    ///
    /// # Errors
    /// See [`ReadError`]: the verification ends there.
    pub async fn next(&mut self) -> Result<Option<VerifiedPartition>, ReadError> {
        let answer = wait_until(self.until, "not everything was read", self.answers.message()).await;
        let answer = answer.map_err(ReadError::new)?;
        let answer = answer.map_err(|status| ReadError::new(Failure::from_status(&status)))?;
        let verified = answer.map(VerifiedPartition::try_from).transpose();
        verified.map_err(|invalid| ReadError::protocol(&invalid))
    }
}

impl std::fmt::Debug for Verification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verification").finish_non_exhaustive()
    }
}
