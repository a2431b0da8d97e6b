//! Which file a block belongs to.

use chronos_domain::xxh64::xxh64;
use chronos_domain::{PartitionId, Position};

/// Which of the two files of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Parquet,
    Index,
}

/// What makes the blocks of one file different from equal blocks elsewhere: the seed of its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity(u64);

impl Identity {
    /// The file of this kind of the part that begins at `first` in `partition`.
    pub(crate) fn new(partition: PartitionId, first: Position, kind: FileKind) -> Identity {
        let kind = match kind {
            FileKind::Parquet => 1,
            FileKind::Index => 2,
        };
        let mut bytes = [0; 10];
        bytes[0] = kind;
        bytes[1] = partition.get();
        bytes[2..].copy_from_slice(&first.get().to_le_bytes());
        Identity(xxh64(&bytes, 0))
    }

    /// The seed of the sum of block `number`.
    pub(crate) const fn seed(self, number: u64) -> u64 {
        self.0.wrapping_add(number)
    }
}
