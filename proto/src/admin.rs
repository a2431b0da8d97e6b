//! What is asked about a whole history: digests, what it holds, whether it is unharmed, how far it is compacted.

mod holdings;

use chronos_domain::{Invalid, PartitionId, Position};
use chronos_proof::Hash;

use crate::error::Failure;
use crate::v1;

pub use holdings::{Holdings, PartitionHoldings, TypeHoldings};

/// The digest of a partition's first events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// How many events it covers.
    pub position: Position,
    /// The digest, which covers the other two.
    pub digest: Hash,
    /// The running hash chain.
    pub chain: Hash,
    /// The root of the Merkle tree.
    pub root: Hash,
}

/// One partition's digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDigest {
    /// Which one.
    pub partition: PartitionId,
    /// Its digest, or why there is none.
    pub digest: Result<Digest, Failure>,
}

impl From<PartitionDigest> for v1::PartitionDigest {
    fn from(of: PartitionDigest) -> Self {
        let partition = of.partition.get().into();
        let bytes = |hash: Hash| hash.0.to_vec().into();
        match of.digest {
            Err(failure) => Self { partition, failure: Some(failure.into()), ..Self::default() },
            Ok(digest) => Self {
                partition,
                position: digest.position.get(),
                digest: bytes(digest.digest),
                chain: bytes(digest.chain),
                root: bytes(digest.root),
                failure: None,
            },
        }
    }
}

impl TryFrom<v1::PartitionDigest> for PartitionDigest {
    type Error = Invalid;

    fn try_from(message: v1::PartitionDigest) -> Result<Self, Invalid> {
        let partition = crate::cluster::partition(message.partition)?;
        let digest = match message.failure {
            Some(failure) => Err(Failure::try_from(failure)?),
            None => Ok(Digest {
                position: Position::new(message.position),
                digest: hash("digest", &message.digest)?,
                chain: hash("chain", &message.chain)?,
                root: hash("root", &message.root)?,
            }),
        };
        Ok(Self { partition, digest })
    }
}

fn hash(field: &'static str, bytes: &[u8]) -> Result<Hash, Invalid> {
    let bytes = <[u8; 32]>::try_from(bytes);
    bytes.map(Hash).map_err(|_| Invalid::new(field, "is no hash of 32 bytes"))
}

/// How far one partition is, or soon will be, compacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactedPartition {
    /// Which one.
    pub partition: PartitionId,
    /// Everything up to here, or why not.
    pub position: Result<Position, Failure>,
}

impl From<CompactedPartition> for v1::CompactedPartition {
    fn from(of: CompactedPartition) -> Self {
        let partition = of.partition.get().into();
        match of.position {
            Ok(position) => Self { partition, position: position.get(), failure: None },
            Err(failure) => Self { partition, position: 0, failure: Some(failure.into()) },
        }
    }
}

impl TryFrom<v1::CompactedPartition> for CompactedPartition {
    type Error = Invalid;

    fn try_from(message: v1::CompactedPartition) -> Result<Self, Invalid> {
        let position = match message.failure {
            Some(failure) => Err(Failure::try_from(failure)?),
            None => Ok(Position::new(message.position)),
        };
        Ok(Self { partition: crate::cluster::partition(message.partition)?, position })
    }
}

/// What a partition has on disk, read in full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Parts that are whole, each of them two files.
    pub parts: u64,
    /// Events in them.
    pub events: u64,
    /// Entries of the log that are whole.
    pub log_entries: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Everything that is not as it was written, or could not be read, each with its place.
    pub findings: Vec<String>,
}

/// Whether one partition is as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPartition {
    /// Which one.
    pub partition: PartitionId,
    /// What was read of it and found, or why it is not served.
    pub outcome: Result<Verified, Failure>,
}

impl From<VerifiedPartition> for v1::VerifyResponse {
    fn from(of: VerifiedPartition) -> Self {
        let partition = of.partition.get().into();
        match of.outcome {
            Err(failure) => Self { partition, failure: Some(failure.into()), ..Self::default() },
            Ok(verified) => Self {
                partition,
                parts: verified.parts,
                events: verified.events,
                log_entries: verified.log_entries,
                bytes: verified.bytes,
                findings: verified.findings,
                failure: None,
            },
        }
    }
}

impl TryFrom<v1::VerifyResponse> for VerifiedPartition {
    type Error = Invalid;

    fn try_from(message: v1::VerifyResponse) -> Result<Self, Invalid> {
        let outcome = match message.failure {
            Some(failure) => Err(Failure::try_from(failure)?),
            None => Ok(Verified {
                parts: message.parts,
                events: message.events,
                log_entries: message.log_entries,
                bytes: message.bytes,
                findings: message.findings,
            }),
        };
        Ok(Self { partition: crate::cluster::partition(message.partition)?, outcome })
    }
}

/// Partitions as a request lists them; all of them when it lists none.
///
/// # Errors
/// [`Invalid`] for a number that no partition has.
pub fn partitions(numbers: &[u32]) -> Result<Vec<PartitionId>, Invalid> {
    if numbers.is_empty() {
        return Ok(PartitionId::all().collect());
    }
    let listed = numbers.iter().map(|number| crate::partition(*number));
    let mut listed = listed.collect::<Result<Vec<_>, _>>()?;
    listed.sort_unstable();
    listed.dedup();
    Ok(listed)
}
