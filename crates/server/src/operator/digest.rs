//! Whether the replicas of a partition hold the same, bit for bit.
//!
//! All are asked at one position: the furthest that any replica was seen to have applied. A digest of a position never
//! changes again, so it does not matter that the partition goes on meanwhile; and a replica that is behind answers once it
//! has come so far, so that two equal answers are about everything that was there when the question was put. Who does not
//! get there in time, or does not get on, or has fallen silent says so: the verdict is then *incomplete* and never *equal*.
//!
//! All replicas of all partitions are asked at once, and each node computes as many digests side by side as it can bear. So a
//! node that does not answer, or a replica that is behind, is waited for beside all others, and not before them.

use std::sync::Arc;
use std::time::Duration;

use chronos_app::Error;
use chronos_app::authority::{Action, authorize};
use chronos_domain::{PartitionId, Position};
use chronos_proto::Failure;
use chronos_proto::admin::PartitionDigest;
use chronos_proto::cluster::v1::node_request::{Ask, DigestHere};
use chronos_proto::cluster::v1::node_response::Answer;
use chronos_proto::cluster::{Comparison, NodeId, Partition, ReplicaDigest, Status};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::{BoxStream, FuturesOrdered};

use super::ask::{REPLICA_WITHIN, unavailable};
use super::{Operators, telling};

impl Operators {
    /// Compares partitions (all, when none is named), in their order; what is not compared `until` then says so.
    ///
    /// # Errors
    /// When the caller may not observe, or the node knows of no member yet.
    pub(crate) fn compare(
        &self,
        wanted: &[PartitionId],
        until: Option<Duration>,
    ) -> Result<BoxStream<'static, Comparison>, Error> {
        authorize(self.edge.principal(), Action::Observe)?;
        let is_wanted = |of: &&Partition| wanted.is_empty() || wanted.contains(&of.id);
        let status = Arc::new(telling(self.look())?);
        let compared = status.partitions.iter().filter(is_wanted).cloned().map(|of| {
            let (operators, status) = (self.clone(), Arc::clone(&status));
            async move { operators.compare_one(&status, &of, until).await }
        });
        Ok(compared.collect::<FuturesOrdered<_>>().boxed())
    }

    async fn compare_one(&self, status: &Status, of: &Partition, until: Option<Duration>) -> Comparison {
        let position =
            of.replicas.iter().map(|replica| replica.marks.applied).max().unwrap_or(Position::ZERO);
        let mut members: Vec<NodeId> = of.members().collect();
        members.sort_unstable();
        let asked = members.into_iter().map(|node| self.digest_of(status, of.id, node, (position, until)));
        Comparison::of(of.id, position, join_all(asked).await)
    }

    async fn digest_of(
        &self,
        status: &Status,
        partition: PartitionId,
        node: NodeId,
        (position, until): (Position, Option<Duration>),
    ) -> ReplicaDigest {
        let within = self.within(REPLICA_WITHIN, until);
        let within_ms = within.work_ms();
        let ask = DigestHere { partition: partition.get().into(), position: position.get(), within_ms };
        let of = |answer| if let Answer::Digest(digest) = answer { Some(digest) } else { None };
        let digest = self.ask_for(status, node, Ask::Digest(ask), within, of).await;
        let digest: PartitionDigest = digest.unwrap_or_else(|failure| none(partition, failure));
        let is_other = digest.digest.as_ref().is_ok_and(|digest| digest.position != position);
        let digest = if is_other { none(partition, elsewhere(node, position)) } else { digest };
        ReplicaDigest { node, digest }
    }
}

const fn none(partition: PartitionId, why: Failure) -> PartitionDigest {
    PartitionDigest { partition, digest: Err(why) }
}

/// Digests of different positions are not to be compared.
fn elsewhere(node: NodeId, position: Position) -> Failure {
    unavailable(format!("{node} gave the digest of another position than {position}; ask again"))
}
