//! What operators see of a cluster, and what comes of what they do to it.

mod change;
mod config;
mod enums;
mod node;
mod partition;
mod plan;
mod status;
mod upkeep;

use chronos_domain::{Invalid, PartitionId};

pub use change::{Change, ChangeKind};
pub use chronos_domain::NodeId;
pub use config::{NodeConfig, Setting, SettingChanged};
pub use node::{Addresses, Node, NodeState};
pub use partition::{Health, Partition, Replica, Role};
pub use plan::{Plan, PlannedStep};
pub use status::Status;
pub use upkeep::{Compacted, Comparison, Repaired, ReplicaDigest, ScrubBegun, Verdict, VerifiedReplica};

/// Version 1 of the operators' protocol, as generated.
#[expect(missing_docs, reason = "every message is documented in the .proto file")]
#[allow(clippy::all, unreachable_pub, unused_qualifications, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("chronos.admin.v1");

    /// The encoded descriptors of this package and of `chronos.v1`, for server reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/chronos.admin.v1.bin"));
}

/// A partition as operators number it: with the system partition, which clients do not know.
///
/// # Errors
/// [`Invalid`] for a number that no partition has.
pub fn partition(number: u32) -> Result<PartitionId, Invalid> {
    u8::try_from(number).ok().and_then(PartitionId::of_group).ok_or_else(|| {
        let system = PartitionId::SYSTEM;
        let reason = format!("is {number}; give 0 to {system}, where {system} is the system partition");
        Invalid::new("partition", reason)
    })
}

/// Partitions as a request lists them, each once, ascending. None stands for all; what all are is for the server to say.
///
/// # Errors
/// [`Invalid`] for a number that no partition has.
pub fn partitions(numbers: &[u32]) -> Result<Vec<PartitionId>, Invalid> {
    let mut listed = numbers.iter().map(|number| partition(*number)).collect::<Result<Vec<_>, _>>()?;
    listed.sort_unstable();
    listed.dedup();
    Ok(listed)
}

/// 16 bytes, big-endian.
fn uuid(field: &'static str, bytes: &[u8]) -> Result<u128, Invalid> {
    let bytes = <[u8; 16]>::try_from(bytes).map_err(|_| Invalid::new(field, "is no id of 16 bytes"))?;
    Ok(u128::from_be_bytes(bytes))
}

/// A field that is always there.
fn there<T>(field: &'static str, value: Option<T>) -> Result<T, Invalid> {
    value.ok_or_else(|| Invalid::new(field, "is missing"))
}

fn small<T: TryFrom<u32>>(field: &'static str, number: u32) -> Result<T, Invalid> {
    T::try_from(number).map_err(|_| Invalid::new(field, format!("is {number}, which is too large")))
}

fn each<T, M>(messages: Vec<M>) -> Result<Vec<T>, Invalid>
where
    T: TryFrom<M, Error = Invalid>,
{
    messages.into_iter().map(T::try_from).collect()
}

fn numbers(nodes: Vec<NodeId>) -> Vec<u64> {
    nodes.into_iter().map(NodeId::get).collect()
}

fn nodes(numbers: Vec<u64>) -> Vec<NodeId> {
    numbers.into_iter().map(NodeId::new).collect()
}
