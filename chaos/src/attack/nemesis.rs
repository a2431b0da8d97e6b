//! Carries out the episodes of a plan, each at its time, and undoes what it did.

use std::sync::Arc;
use std::time::Duration;

use chronos_client::{Client, PartitionId};
use chronos_env::Task;
use chronos_history::Node;
use chronos_history::fact::{Nemesis as Record, NemesisValue, Phase};
use parking_lot::Mutex;

use super::caretaker::Caretaker;
use super::cluster::{Cluster, Seat, sitting, status_of_any};
use crate::plan::{Episode, Fault, Victim};
use crate::workload::Recorder;

/// Whoever knows when what goes wrong.
pub(super) struct Nemesis<C> {
    cluster: C,
    recorder: Recorder,
    caretaker: Caretaker,
    /// To ask who leads.
    eyes: Client,
    skipped: Mutex<Vec<Skipped>>,
}

/// A fault that this world cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its kind.
    pub kind: &'static str,
    /// Why not.
    pub why: String,
}

impl<C: Cluster> Nemesis<C> {
    pub(super) fn new(cluster: &C, recorder: &Recorder, caretaker: &Caretaker) -> Arc<Nemesis<C>> {
        let (_, eyes) = cluster.client("nemesis", &cluster.all());
        Arc::new(Nemesis {
            cluster: cluster.clone(),
            recorder: recorder.clone(),
            caretaker: caretaker.clone(),
            eyes,
            skipped: Mutex::default(),
        })
    }

    /// Begins all episodes at their times, counted from now. Each task ends when its episode is over.
    pub(super) fn unleash(self: &Arc<Self>, episodes: &[Episode]) -> Vec<Task<()>> {
        let tasks = &self.cluster.env().tasks;
        let begin = |(number, episode): (usize, &Episode)| {
            let (nemesis, episode) = (self.clone(), episode.clone());
            tasks.spawn("episode", async move { nemesis.carry_out(number as u64, &episode).await })
        };
        episodes.iter().enumerate().map(begin).collect()
    }

    /// What could not be done.
    pub(super) fn skipped(&self) -> Vec<Skipped> {
        self.skipped.lock().clone()
    }

    async fn carry_out(&self, number: u64, episode: &Episode) {
        self.cluster.wait(Duration::from_millis(episode.at_ms)).await;
        let fault = &episode.fault;
        let seats = self.whom(fault).await;
        if fault.harms_the_disk() {
            self.caretaker.damaged(&seats);
        }
        let nodes = self.sitting(&seats).await;
        self.record(fault, Phase::Start, &nodes);
        let lasts = Duration::from_millis(episode.lasts_ms);
        let dice =
            self.cluster.env().entropy.child(&self.recorder.origin().of_round(&format!("episode {number}")));
        if let Err(why) = self.cluster.strike(fault, &seats, lasts, &dice).await {
            self.skipped.lock().push(Skipped { kind: fault.kind(), why });
        }
        self.record(fault, Phase::End, &nodes);
    }

    async fn whom(&self, fault: &Fault) -> Vec<Seat> {
        let all = self.cluster.all();
        match fault.victim() {
            None | Some(Victim::All) => all,
            Some(Victim::Majority) => all[..all.len() / 2 + 1].to_vec(),
            Some(Victim::Node(seat)) => vec![seat.clamp(1, self.cluster.seats())],
            Some(Victim::Leader(partition)) => vec![self.leader(partition).await],
            Some(Victim::Follower(partition)) => {
                let leader = self.leader(partition).await;
                vec![1 + leader % self.cluster.seats()]
            }
        }
    }

    /// Where the leader of a partition sits, as far as anybody can be asked; otherwise the first seat.
    async fn leader(&self, partition: u8) -> Seat {
        let clock = &self.cluster.env().clock;
        let asked = clock.timeout(Duration::from_secs(2), self.eyes.placement()).await;
        let find = || {
            let placement = asked.ok()?.ok()?;
            let leader = placement.partition(PartitionId::new(partition)?)?.leader?;
            let node = placement.nodes.iter().find(|node| node.node == leader)?;
            self.cluster.seat_at(&node.address)
        };
        find().unwrap_or(1)
    }

    /// Which nodes sit there, as far as anybody can be asked.
    async fn sitting(&self, seats: &[Seat]) -> Vec<Node> {
        let clock = &self.cluster.env().clock;
        let asked = clock.timeout(Duration::from_secs(2), status_of_any(&self.cluster)).await;
        let Some(status) = asked.ok().flatten() else { return seats.iter().copied().map(Node).collect() };
        let nodes = seats.iter().flat_map(|seat| sitting(&self.cluster, &status, *seat));
        nodes.map(|node| Node(node.get() as u32)).collect()
    }

    fn record(&self, fault: &Fault, phase: Phase, nodes: &[Node]) {
        let name = if fault.harms_the_disk() { Record::DAMAGE } else { fault.kind() };
        self.recorder.nemesis(name, phase, told(fault, nodes));
    }
}

fn told(fault: &Fault, nodes: &[Node]) -> NemesisValue {
    NemesisValue {
        kind: fault.kind().to_owned(),
        nodes: nodes.to_vec(),
        args: [("fault".to_owned(), serde_json::to_string(fault).expect("a fault is plain data"))].into(),
        ..NemesisValue::default()
    }
}
