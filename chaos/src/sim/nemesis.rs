//! Carries out the episodes of a plan, each at its time, and undoes what it did.

use std::sync::Arc;
use std::time::Duration;

use chronos_client::{Client, NodeId, PartitionId};
use chronos_env::Task;
use chronos_history::Node;
use chronos_history::fact::{NemesisValue, Phase};

use super::cluster::Cluster;
use super::strike::Striker;
use crate::plan::{Episode, Fault, Victim};
use crate::workload::Recorder;

/// Whoever knows when what goes wrong.
pub(super) struct Nemesis {
    cluster: Cluster,
    recorder: Recorder,
    /// To ask who leads.
    eyes: Client,
    striker: Striker,
}

impl Nemesis {
    pub(super) fn new(cluster: &Cluster, recorder: &Recorder) -> Arc<Nemesis> {
        let (_, eyes) = cluster.client("nemesis", cluster.nodes());
        let striker = Striker::new(cluster);
        Arc::new(Nemesis { cluster: cluster.clone(), recorder: recorder.clone(), eyes, striker })
    }

    /// Begins all episodes at their times, counted from now. Each task ends when its episode is over.
    pub(super) fn unleash(self: &Arc<Self>, episodes: &[Episode]) -> Vec<Task<()>> {
        let tasks = self.cluster.tasks();
        let begin = |(number, episode): (usize, &Episode)| {
            let (nemesis, episode) = (self.clone(), episode.clone());
            tasks.spawn("episode", async move { nemesis.carry_out(number as u64, &episode).await })
        };
        episodes.iter().enumerate().map(begin).collect()
    }

    async fn carry_out(&self, number: u64, episode: &Episode) {
        let clock = self.cluster.clock();
        clock.sleep(Duration::from_millis(episode.at_ms)).await;
        let (fault, kind) = (&episode.fault, episode.fault.kind());
        let nodes = self.whom(fault).await;
        self.recorder.nemesis(kind, Phase::Start, told(fault, &nodes));
        let lasts = Duration::from_millis(episode.lasts_ms);
        let dice = self.cluster.entropy(&format!("episode {number}"));
        self.striker.strike(fault, &nodes, lasts, &dice).await;
        self.recorder.nemesis(kind, Phase::End, told(fault, &nodes));
    }

    async fn whom(&self, fault: &Fault) -> Vec<u32> {
        let all: Vec<u32> = self.cluster.nodes().collect();
        match fault.victim() {
            None | Some(Victim::All) => all,
            Some(Victim::Majority) => all[..all.len() / 2 + 1].to_vec(),
            Some(Victim::Node(node)) => vec![node],
            Some(Victim::Leader(partition)) => vec![self.leader(partition).await],
            Some(Victim::Follower(partition)) => {
                let leader = self.leader(partition).await;
                vec![1 + leader % all.len() as u32]
            }
        }
    }

    /// Who leads a partition as far as anybody can be asked; otherwise the first node.
    async fn leader(&self, partition: u8) -> u32 {
        let asked = self.cluster.clock().timeout(Duration::from_secs(2), self.eyes.placement()).await;
        let placement = asked.ok().and_then(Result::ok);
        let id = PartitionId::new(partition);
        let placed = placement.and_then(|all| all.partitions.into_iter().find(|of| Some(of.partition) == id));
        let leader = placed.and_then(|placed| placed.leader).map_or(1, NodeId::get);
        u32::try_from(leader)
            .ok()
            .filter(|node| self.cluster.nodes().any(|other| other == *node))
            .unwrap_or(1)
    }
}

fn told(fault: &Fault, nodes: &[u32]) -> NemesisValue {
    NemesisValue {
        kind: fault.kind().to_owned(),
        nodes: nodes.iter().copied().map(Node).collect(),
        args: [("fault".to_owned(), serde_json::to_string(fault).expect("a fault is plain data"))].into(),
        ..NemesisValue::default()
    }
}
