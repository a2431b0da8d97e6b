//! One simulated run of a plan, from empty disks to the final logs.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use chronos_env::sim::World;
use chronos_history::Node;
use chronos_history::fact::{End, Header};

use super::cluster::Cluster;
use super::converge::converge;
use super::final_logs::fence_and_read;
use super::nemesis::Nemesis;
use crate::Tally;
use crate::plan::Plan;
use crate::workload::{Bearings, Recorder, live};

/// How long a cluster may take to begin, and to be whole again.
const PATIENCE: Duration = Duration::from_secs(900);

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of the plan.
    pub seed: u64,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// Of everything that happened: the same for the same plan and code.
    pub trace_hash: u64,
    /// Virtual time, from the first start to the last read.
    pub virtual_time: Duration,
    /// How operations ended.
    pub tally: Tally,
    /// Episodes, by the kind of their fault.
    pub faults: BTreeMap<&'static str, u64>,
    /// How often each crash point was passed.
    pub passed: BTreeMap<&'static str, u64>,
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
    let (failure, tally, cluster) = world.run(async {
        let cluster = Cluster::new(&world, plan.nodes);
        let recorder =
            Recorder::new(cluster.clock().clone(), sink, header(plan)).expect("the history can be written");
        let failure = attack(plan, &cluster, &recorder).await.err();
        (failure, recorder.tally(), cluster)
    });
    if let Some(path) = trace {
        world.trace().dump_to(path).expect("the trace can be written");
    }
    let mut faults = BTreeMap::new();
    for episode in &plan.episodes {
        *faults.entry(episode.fault.kind()).or_default() += 1;
    }
    let stories: Vec<_> = cluster.nodes().map(|node| cluster.story(node)).collect();
    Report {
        seed: plan.seed,
        failure,
        trace_hash: world.trace().hash(),
        virtual_time: world.elapsed(),
        tally,
        faults,
        passed: cluster.passed(),
        lives: stories.iter().map(|story| story.lives).sum(),
        ends: stories.into_iter().flat_map(|story| story.ends).collect(),
    }
}

async fn attack(plan: &Plan, cluster: &Cluster, recorder: &Recorder) -> Result<(), String> {
    for node in cluster.nodes() {
        cluster.start(node);
    }
    converge(cluster, PATIENCE).await.map_err(|why| format!("at the beginning: {why}"))?;
    let until = cluster.clock().monotonic() + Duration::from_secs(plan.seconds);
    let (env, _) = cluster.client("c0", cluster.nodes());
    let bearings = Bearings::new(env, recorder.clone(), plan.load.clone(), until);
    let clients: Vec<_> = (1..=plan.load.clients)
        .map(|number| {
            let (env, sdk) = cluster.client(&format!("c{number}"), cluster.nodes());
            env.tasks.clone().spawn("client", live(bearings.from(env), sdk, number))
        })
        .collect();
    let episodes = Nemesis::new(cluster, recorder).unleash(&plan.episodes);
    for task in episodes.into_iter().chain(clients) {
        task.await.map_err(|died| died.to_string())?;
    }
    converge(cluster, PATIENCE).await?;
    let replicas = fence_and_read(cluster, recorder).await?;
    recorder.finish(End { replicas });
    Ok(())
}

fn header(plan: &Plan) -> Header {
    Header {
        v: 1,
        run: format!("sim-{}", plan.seed),
        seed: plan.seed,
        git: String::new(),
        mode: "sim".to_owned(),
        partitions: 32,
        nodes: (1..=plan.nodes).map(Node).collect(),
    }
}
