//! One simulated run of a plan, from empty disks to the final logs.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use chronos_env::CrashTally;
use chronos_env::sim::World;

use super::cluster::SimCluster;
use crate::attack::cluster::Cluster;
use crate::attack::{Ending, Outcome, attack, header};
use crate::plan::Plan;
use crate::workload::{Origin, Recorder, Tally};

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of the plan.
    pub seed: u64,
    /// How the cluster came through.
    pub outcome: Outcome,
    /// Of everything that happened: the same for the same plan and code.
    pub trace_hash: u64,
    /// Virtual time, from the first start to the last read.
    pub virtual_time: Duration,
    /// How operations ended.
    pub tally: Tally,
    /// Episodes, by the kind of their fault.
    pub faults: BTreeMap<&'static str, u64>,
    /// Which crash points were passed, and at which of them nodes ended.
    pub points: CrashTally,
    /// Which rare events have happened, and how often.
    pub rare: BTreeMap<&'static str, u64>,
    /// Promises that were not durable when they were made (S16): what replicas lacked of their votes and acknowledgements
    /// although no disk had lost anything, as the nodes themselves have found.
    pub broken_promises: Option<String>,
    /// Processes that were started.
    pub lives: u64,
    /// Why processes ended by themselves.
    pub ends: Vec<String>,
}

/// Runs a plan and writes its history to `sink`, and everything that happened in the world to `trace`, if it is asked for:
/// to compare two runs whose hashes differ.
///
/// # Panics
/// When the product does, or the history or the trace cannot be written.
pub fn run(plan: &Plan, sink: Box<dyn Write + Send>, trace: Option<&Path>) -> Report {
    let world = World::new(plan.seed);
    if trace.is_some() {
        world.trace().keep_lines();
    }
    let (outcome, tally, cluster) = world.run(async {
        let cluster = SimCluster::new(&world, plan);
        let recorder =
            Recorder::new(cluster.env().clock.clone(), Origin::default(), sink, header(plan, "sim"));
        let recorder = recorder.expect("the history can be written");
        let outcome = attack(plan, &cluster, &recorder, Ending::Cold).await;
        (outcome, recorder.tally(), cluster)
    });
    if let Some(path) = trace {
        world.trace().dump_to(path).expect("the trace can be written");
    }
    let mut faults = BTreeMap::new();
    for episode in &plan.episodes {
        *faults.entry(episode.fault.kind()).or_default() += 1;
    }
    let rare = world.rare();
    let stories: Vec<_> = cluster.all().into_iter().map(|seat| cluster.story(seat)).collect();
    Report {
        seed: plan.seed,
        outcome,
        trace_hash: world.trace().hash(),
        virtual_time: world.elapsed(),
        tally,
        faults,
        points: world.crash_tally(),
        broken_promises: broken_promises(plan, &rare),
        rare,
        lives: stories.iter().map(|story| story.lives).sum(),
        ends: stories.into_iter().flat_map(|story| story.ends).collect(),
    }
}

fn broken_promises(plan: &Plan, rare: &BTreeMap<&'static str, u64>) -> Option<String> {
    let times = |name| rare.get(name).copied().unwrap_or(0);
    let (at_start, in_use) = (times("raft.promise_broken"), times("raft.acknowledged_entry_lost"));
    let is_sound = !plan.episodes.iter().any(|episode| episode.fault.harms_the_disk());
    (is_sound && at_start + in_use > 0).then(|| {
        format!(
            "replicas lacked what they had promised, {at_start} times when they started and {in_use} times later, and no \
             disk had lost anything"
        )
    })
}
