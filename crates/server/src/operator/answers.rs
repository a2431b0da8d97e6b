//! What nodes do to their replicas when an operator asks, replica by replica.

use std::collections::BTreeMap;
use std::time::Duration;

use chronos_app::Error;
use chronos_app::authority::{Action, authorize};
use chronos_domain::PartitionId;
use chronos_proto::Failure;
use chronos_proto::admin::{CompactedPartition, VerifiedPartition};
use chronos_proto::cluster::v1::node_request::{
    Ask, CompactHere, ConfigHere, RepairHere, ScrubHere, SetHere, VerifyHere,
};
use chronos_proto::cluster::v1::node_response::Answer;
use chronos_proto::cluster::{
    Compacted, NodeConfig, NodeId, Repaired, ScrubBegun, SettingChanged, Status, VerifiedReplica,
};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::{self, BoxStream};

use super::ask::{REPLICA_WITHIN, Within, odd, unavailable, unreadable};
use super::permit::Wish;
use super::{Operators, telling};

/// How long a node may take to say or set something.
const WORD_WITHIN: Duration = Duration::from_secs(5);
/// The setting that is not a node's but the cluster's.
const REPLICATION: &str = "cluster.replication";

/// Which replicas are meant: those of these partitions on these nodes; all where a list is empty.
pub(crate) struct Which {
    pub(crate) partitions: Vec<PartitionId>,
    pub(crate) nodes: Vec<NodeId>,
}

impl Operators {
    /// Has partitions compacted, each on the node that leads it.
    ///
    /// # Errors
    /// When the caller may not administer.
    pub(crate) async fn compact(
        &self,
        wanted: &[PartitionId],
        wait: bool,
        deadline: Duration,
    ) -> Result<Vec<Compacted>, Error> {
        authorize(self.edge.principal(), Action::Administer)?;
        let status = self.look();
        let mut by_leader: BTreeMap<Option<NodeId>, Vec<PartitionId>> = BTreeMap::new();
        for partition in status.partitions.iter().filter(|of| wanted.is_empty() || wanted.contains(&of.id)) {
            by_leader.entry(partition.leader).or_default().push(partition.id);
        }
        // Its caller leaves room for what nodes say that are not done by then.
        let within = self.within(deadline.saturating_sub(self.edge.env.clock.monotonic()), None);
        let asked =
            by_leader.into_iter().map(|(leader, ids)| self.compact_on(&status, leader, ids, wait, within));
        let mut all: Vec<Compacted> = join_all(asked).await.into_iter().flatten().collect();
        all.sort_by_key(|one| one.outcome.partition);
        Ok(all)
    }

    async fn compact_on(
        &self,
        status: &Status,
        leader: Option<NodeId>,
        ids: Vec<PartitionId>,
        wait: bool,
        within: Within,
    ) -> Vec<Compacted> {
        let each = |failure: Failure| {
            let one = |partition: &PartitionId| Compacted {
                node: leader,
                outcome: CompactedPartition { partition: *partition, position: Err(failure.clone()) },
            };
            ids.iter().map(one).collect::<Vec<_>>()
        };
        let Some(node) = leader else {
            return each(unavailable("it has no leader now; try again when it has one".to_owned()));
        };
        let ask = CompactHere { partitions: numbers(&ids), wait, within_ms: within.work_ms() };
        let answer = match self.ask(status, node, Ask::Compact(ask), within).await {
            Ok(Answer::Compact(answer)) => answer.partitions,
            Ok(_) => return each(odd(node)),
            Err(failure) => return each(failure),
        };
        let read = answer.into_iter().map(CompactedPartition::try_from).collect::<Result<Vec<_>, _>>();
        match read {
            Ok(read) => read.into_iter().map(|outcome| Compacted { node: leader, outcome }).collect(),
            Err(invalid) => each(unreadable(node, &invalid)),
        }
    }

    /// Has nodes begin to look for damage.
    ///
    /// # Errors
    /// When the caller may not administer, or names a node that there is not.
    pub(crate) async fn scrub(&self, which: &Which) -> Result<Vec<ScrubBegun>, Error> {
        authorize(self.edge.principal(), Action::Administer)?;
        let (status, within) = (self.look(), self.within(WORD_WITHIN, None));
        let asked = self.of_nodes(&status, which)?.into_iter().map(|(node, ids)| {
            let status = &status;
            async move {
                let ask = Ask::Scrub(ScrubHere { partitions: numbers(&ids) });
                let of = |answer| if let Answer::Scrub(begun) = answer { Some(begun) } else { None };
                let begun = self.ask_for(status, node, ask, within, of).await;
                begun.unwrap_or_else(|failure| ScrubBegun { node, partitions: Err(failure) })
            }
        });
        Ok(join_all(asked).await)
    }

    /// Has replicas read in full, those of one node one after the other; what is not done `until` then says so.
    ///
    /// # Errors
    /// As [`scrub`](Self::scrub), and when the node knows of no member yet.
    pub(crate) fn verify(
        &self,
        which: &Which,
        until: Option<Duration>,
    ) -> Result<BoxStream<'static, VerifiedReplica>, Error> {
        self.each_replica(which, move |operators, status, node, partition| async move {
            let ask = Ask::Verify(VerifyHere { partition: partition.get().into() });
            let within = operators.within(REPLICA_WITHIN, until);
            let of = |answer| if let Answer::Verify(seen) = answer { Some(seen) } else { None };
            let seen = operators.ask_for(&status, node, ask, within, of).await;
            let refused = |failure| VerifiedPartition { partition, outcome: Err(failure) };
            VerifiedReplica { node, outcome: seen.unwrap_or_else(refused) }
        })
    }

    /// Has replicas made whole, those of one node one after the other; what is not done `until` then says so.
    ///
    /// # Errors
    /// As [`scrub`](Self::scrub), and when the node knows of no member yet.
    pub(crate) fn repair(
        &self,
        which: &Which,
        until: Option<Duration>,
    ) -> Result<BoxStream<'static, Repaired>, Error> {
        let is_named = !which.partitions.is_empty() && !which.nodes.is_empty();
        self.each_replica(which, move |operators, status, node, partition| async move {
            let within = operators.within(REPLICA_WITHIN, until);
            let within_ms = within.work_ms();
            let ask = Ask::Repair(RepairHere { partition: partition.get().into(), within_ms, is_named });
            let of = |answer| if let Answer::Repair(done) = answer { Some(done) } else { None };
            let done = operators.ask_for(&status, node, ask, within, of).await;
            done.unwrap_or_else(|failure| Repaired { node, partition, did: Err(failure) })
        })
    }

    /// Nodes side by side, and the replicas of each in order, as the caller takes the answers.
    fn each_replica<T, F, A>(&self, which: &Which, work: F) -> Result<BoxStream<'static, T>, Error>
    where
        T: Send + 'static,
        F: Fn(Self, Status, NodeId, PartitionId) -> A + Copy + Send + Sync + 'static,
        A: Future<Output = T> + Send + 'static,
    {
        authorize(self.edge.principal(), Action::Administer)?;
        let status = telling(self.look())?;
        let of_nodes = self.of_nodes(&status, which)?.into_iter().map(|(node, ids)| {
            let (operators, status) = (self.clone(), status.clone());
            stream::iter(ids).then(move |id| work(operators.clone(), status.clone(), node, id)).boxed()
        });
        Ok(stream::select_all(of_nodes).boxed())
    }

    /// The replicas that are meant, by node. A node is asked about what its group says it has.
    fn of_nodes(&self, status: &Status, which: &Which) -> Result<Vec<(NodeId, Vec<PartitionId>)>, Error> {
        let nodes = self.meant(status, &which.nodes)?;
        let is_meant = |id: &PartitionId| which.partitions.is_empty() || which.partitions.contains(id);
        let has = |node: NodeId| {
            let held = status.partitions.iter().filter(move |of| of.members().any(|member| member == node));
            held.map(|of| of.id).filter(is_meant).collect::<Vec<_>>()
        };
        Ok(nodes.into_iter().map(|node| (node, has(node))).filter(|(_, ids)| !ids.is_empty()).collect())
    }

    /// What nodes were told about how to run.
    ///
    /// # Errors
    /// When the caller may not observe, or names a node that there is not.
    pub(crate) async fn config(&self, nodes: &[NodeId]) -> Result<Vec<NodeConfig>, Error> {
        authorize(self.edge.principal(), Action::Observe)?;
        let (status, within) = (self.look(), self.within(WORD_WITHIN, None));
        let asked = self.meant(&status, nodes)?.into_iter().map(|node| {
            let status = &status;
            async move {
                let of = |answer| if let Answer::Config(config) = answer { Some(config) } else { None };
                let config = self.ask_for(status, node, Ask::Config(ConfigHere {}), within, of).await;
                config.unwrap_or_else(|failure| NodeConfig { node, settings: Err(failure) })
            }
        });
        let mut configs = join_all(asked).await;
        // What a node was founded with is not what the cluster has by now.
        for setting in configs.iter_mut().flat_map(|config| config.settings.iter_mut().flatten()) {
            if setting.key == REPLICATION {
                setting.value = status.replication.to_string();
                setting.is_live = true;
            }
        }
        Ok(configs)
    }

    /// Changes a setting: on each node, or of the cluster where it is the cluster's.
    ///
    /// # Errors
    /// When the caller may not administer, names a node that there is not, or names a setting of the cluster and nodes.
    pub(crate) async fn set(
        &self,
        key: &str,
        value: &str,
        nodes: &[NodeId],
        deadline: Duration,
    ) -> Result<Vec<SettingChanged>, Error> {
        authorize(self.edge.principal(), Action::Administer)?;
        let status = self.look();
        if key == REPLICATION {
            return self.set_replication(&status, value, nodes, deadline).await.map(|changed| vec![changed]);
        }
        let within = self.within(WORD_WITHIN, None);
        let asked = self.meant(&status, nodes)?.into_iter().map(|node| {
            let status = &status;
            async move {
                let ask = Ask::Set(SetHere { key: key.to_owned(), value: value.to_owned() });
                let of = |answer| if let Answer::Set(changed) = answer { Some(changed) } else { None };
                let changed = self.ask_for(status, node, ask, within, of).await;
                changed.unwrap_or_else(|failure| SettingChanged { node, outcome: Err(failure) })
            }
        });
        Ok(join_all(asked).await)
    }

    async fn set_replication(
        &self,
        status: &Status,
        value: &str,
        nodes: &[NodeId],
        deadline: Duration,
    ) -> Result<SettingChanged, Error> {
        if !nodes.is_empty() {
            let text = format!("{REPLICATION} is the same for all nodes; name none");
            return Err(Error::invalid(text).with("field", "nodes"));
        }
        let replicas = value.parse().unwrap_or(0);
        self.steer(Wish::Replication(replicas), deadline).await?;
        let outcome = Ok((status.replication.to_string(), replicas.to_string(), true));
        Ok(SettingChanged { node: status.me, outcome })
    }
}

fn numbers(partitions: &[PartitionId]) -> Vec<u32> {
    partitions.iter().map(|partition| partition.get().into()).collect()
}
