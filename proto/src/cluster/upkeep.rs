//! What nodes did to partitions when an operator asked.

use chronos_domain::{Invalid, PartitionId, Position};

use super::enums::travels;
use super::{NodeId, each, there, v1};
use crate::admin::{CompactedPartition, PartitionDigest, VerifiedPartition};
use crate::error::Failure;

/// How far a partition was compacted, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Who did it; `None` when there was nobody to ask.
    pub node: Option<NodeId>,
    /// How far it came.
    pub outcome: CompactedPartition,
}

impl From<Compacted> for v1::Compacted {
    fn from(of: Compacted) -> Self {
        Self { node: of.node.map(NodeId::get), outcome: Some(of.outcome.into()) }
    }
}

impl TryFrom<v1::Compacted> for Compacted {
    type Error = Invalid;

    fn try_from(message: v1::Compacted) -> Result<Self, Invalid> {
        let outcome = there("outcome", message.outcome)?.try_into()?;
        Ok(Self { node: message.node.map(NodeId::new), outcome })
    }
}

/// Whether a node looks for damage now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrubBegun {
    /// Which node.
    pub node: NodeId,
    /// How many partitions it is going to read, or why it is not.
    pub partitions: Result<u32, Failure>,
}

impl From<ScrubBegun> for v1::ScrubBegun {
    fn from(of: ScrubBegun) -> Self {
        let node = of.node.get();
        match of.partitions {
            Ok(partitions) => Self { node, partitions, failure: None },
            Err(failure) => Self { node, partitions: 0, failure: Some(failure.into()) },
        }
    }
}

impl TryFrom<v1::ScrubBegun> for ScrubBegun {
    type Error = Invalid;

    fn try_from(message: v1::ScrubBegun) -> Result<Self, Invalid> {
        let partitions = match message.failure {
            Some(failure) => Err(failure.try_into()?),
            None => Ok(message.partitions),
        };
        Ok(Self { node: NodeId::new(message.node), partitions })
    }
}

/// Whether one replica is as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReplica {
    /// Where it is.
    pub node: NodeId,
    /// What was read of it and found, or why not.
    pub outcome: VerifiedPartition,
}

impl From<VerifiedReplica> for v1::VerifyResponse {
    fn from(of: VerifiedReplica) -> Self {
        Self { node: of.node.get(), outcome: Some(of.outcome.into()) }
    }
}

impl TryFrom<v1::VerifyResponse> for VerifiedReplica {
    type Error = Invalid;

    fn try_from(message: v1::VerifyResponse) -> Result<Self, Invalid> {
        let outcome = there("outcome", message.outcome)?.try_into()?;
        Ok(Self { node: NodeId::new(message.node), outcome })
    }
}

/// What comes of comparing the replicas of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every replica gave the same digest.
    Equal,
    /// Two replicas gave different ones.
    Different,
    /// Those that answered agree, but not all answered.
    Incomplete,
}

travels!(Verdict as v1::digest_response::Verdict, "verdict", Equal, Different, Incomplete);

/// The digest of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaDigest {
    /// Where it is.
    pub node: NodeId,
    /// What it gave, or why not.
    pub digest: PartitionDigest,
}

impl From<ReplicaDigest> for v1::ReplicaDigest {
    fn from(of: ReplicaDigest) -> Self {
        Self { node: of.node.get(), digest: Some(of.digest.into()) }
    }
}

impl TryFrom<v1::ReplicaDigest> for ReplicaDigest {
    type Error = Invalid;

    fn try_from(message: v1::ReplicaDigest) -> Result<Self, Invalid> {
        let digest = there("digest", message.digest)?.try_into()?;
        Ok(Self { node: NodeId::new(message.node), digest })
    }
}

/// The replicas of one partition, compared at one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Which partition.
    pub partition: PartitionId,
    /// Where all were asked.
    pub position: Position,
    /// What comes of it.
    pub verdict: Verdict,
    /// What each gave.
    pub replicas: Vec<ReplicaDigest>,
}

impl Comparison {
    /// Compares what the replicas of a partition gave at one position.
    #[must_use]
    pub fn of(partition: PartitionId, position: Position, replicas: Vec<ReplicaDigest>) -> Self {
        let mut given = replicas.iter().filter_map(|one| one.digest.digest.as_ref().ok());
        let first = given.next();
        let verdict = match first {
            None => Verdict::Incomplete,
            Some(first) if given.any(|other| other != first) => Verdict::Different,
            Some(_) if replicas.iter().all(|one| one.digest.digest.is_ok()) => Verdict::Equal,
            Some(_) => Verdict::Incomplete,
        };
        Self { partition, position, verdict, replicas }
    }
}

impl From<Comparison> for v1::DigestResponse {
    fn from(of: Comparison) -> Self {
        Self {
            partition: of.partition.get().into(),
            position: of.position.get(),
            verdict: of.verdict.to_wire(),
            replicas: of.replicas.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::DigestResponse> for Comparison {
    type Error = Invalid;

    fn try_from(message: v1::DigestResponse) -> Result<Self, Invalid> {
        Ok(Self {
            partition: super::partition(message.partition)?,
            position: Position::new(message.position),
            verdict: Verdict::from_wire(message.verdict)?,
            replicas: each(message.replicas)?,
        })
    }
}

/// What became of a replica that was to be made whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Where it is.
    pub node: NodeId,
    /// Of which partition.
    pub partition: PartitionId,
    /// What was wrong and what was done, nothing when it was whole; or why it is not whole.
    pub did: Result<Vec<String>, Failure>,
}

impl From<Repaired> for v1::RepairResponse {
    fn from(of: Repaired) -> Self {
        let (node, partition) = (of.node.get(), of.partition.get().into());
        match of.did {
            Ok(did) => Self { node, partition, did, failure: None },
            Err(failure) => Self { node, partition, did: Vec::new(), failure: Some(failure.into()) },
        }
    }
}

impl TryFrom<v1::RepairResponse> for Repaired {
    type Error = Invalid;

    fn try_from(message: v1::RepairResponse) -> Result<Self, Invalid> {
        let did = match message.failure {
            Some(failure) => Err(failure.try_into()?),
            None => Ok(message.did),
        };
        Ok(Self { node: NodeId::new(message.node), partition: super::partition(message.partition)?, did })
    }
}
