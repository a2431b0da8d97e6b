//! Why a partition cannot go on.

use std::io;
use std::sync::Arc;

use chronos_domain::PartitionId;
use chronos_wal::ReadError;

/// A fault of storage. Never a verdict about a command: what was asked has no answer here.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Fault {
    /// Bytes that were once written are damaged, missing or contradict each other. The sentence names the place.
    /// The partition must not be served; retrying does not help.
    #[error("{0}")]
    Corrupt(String),
    /// The system failed to read. Nothing is known to be damaged; retrying may help.
    #[error("partition {partition} could not be read: {source}")]
    Io {
        /// Whose log.
        partition: PartitionId,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The partition has stopped; the sentence says why.
    #[error("{0}")]
    Stopped(String),
}

impl Fault {
    /// Damage that the log itself did not see.
    pub fn corrupt(partition: PartitionId, what: impl std::fmt::Display) -> Fault {
        Fault::Corrupt(format!(
            "partition {partition} is corrupt: {what}; run `chronos verify` on the data directory"
        ))
    }

    /// What reading or writing the parts of `partition` ran into.
    pub(crate) fn of_parts(partition: PartitionId) -> impl Fn(chronos_parts::Fault) -> Fault {
        move |fault| match fault {
            chronos_parts::Fault::Io(source) => Fault::Io { partition, source },
            other => Fault::Corrupt(format!("partition {partition}: {other}")),
        }
    }

    /// What reading the log of `partition` ran into.
    pub(crate) fn read(partition: PartitionId, error: ReadError) -> Fault {
        match error {
            ReadError::Io(source) => Fault::Io { partition, source: Arc::new(source) },
            other => Fault::corrupt(partition, other),
        }
    }
}
