//! One attack on a cluster, in whichever world it lives: load and faults, then what must hold when they are over.
//!
//! ```text
//!  begin ─ load + episodes ─ a core alone ─ all heal ─ agree ─ fence ─ cold start ─ every replica is read
//!          (safety)          (liveness)     (L2)       (S15)
//! ```
//!
//! Beyond the atlas nothing has to be whole again; what is still there is looked at all the same ([`beyond`]).

mod beyond;
mod caretaker;
pub(crate) mod cluster;
mod converge;
mod final_logs;
mod nemesis;
mod observer;
pub(crate) mod operators;
mod recheck;

use std::time::Duration;

use chronos_history::Node;
use chronos_history::fact::{End, Header};
use serde::{Deserialize, Serialize};

pub(crate) use self::caretaker::Caretaker;
use self::cluster::{Cluster, Seat, status_of_any};
use self::converge::converge;
use self::final_logs::{fence_and_read, start_cold};
use self::nemesis::Nemesis;
use self::observer::{agree, observe};
use crate::plan::Plan;
use crate::workload::{Bearings, Recorder, live, reread, touch_all};

pub use self::nemesis::Skipped;
pub use self::recheck::Window;
pub(crate) use self::recheck::recheck;

/// How long a cluster may take to begin, and to be whole again.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long before the end of a round nothing new happens.
const PEACE: Duration = Duration::from_secs(60);
/// How long a healthy core may take until it serves every partition again (L1).
const CORE_PATIENCE: Duration = Duration::from_secs(60);

/// What came of an attack besides its history.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Why the cluster failed, if it did, by what it is rather than by what it said.
    pub failure: Option<String>,
    /// How long a healthy core that was left alone took to serve every partition (L1).
    pub core_served_after: Option<Duration>,
    /// How long the cluster took to be whole again when everything was healed (L2).
    pub whole_after: Option<Duration>,
    /// Faults that could not be had.
    pub skipped: Vec<Skipped>,
    /// What the operator had to do.
    pub care: Vec<String>,
    /// Elections: by how many terms the groups went on.
    pub elections: u64,
    /// Partitions that nobody serves in the end, and why; only beyond the atlas.
    pub unserved: Vec<String>,
}

/// How an attack ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// A healthy core is left alone; in the end all nodes are stopped, and read after a cold start.
    Cold,
    /// Whoever runs goes on to run, and is read as it is: for a cluster that is to grow old.
    Warm,
}

/// Attacks a cluster by a plan; what happened is in the history.
pub(crate) async fn attack<C: Cluster>(
    plan: &Plan,
    cluster: &C,
    recorder: &Recorder,
    ending: Ending,
) -> Outcome {
    attack_again(plan, cluster, (recorder, &Caretaker::default()), ending).await
}

/// The same on a cluster that was attacked before: `caretaker` knows whose disks were damaged then.
pub(crate) async fn attack_again<C: Cluster>(
    plan: &Plan,
    cluster: &C,
    who: (&Recorder, &Caretaker),
    ending: Ending,
) -> Outcome {
    let mut outcome = Outcome::default();
    outcome.failure = go(plan, cluster, who, ending, &mut outcome).await.err();
    outcome
}

/// Ends a history whose attack was cut off with everybody who was at work in it: all that was under way then has happened
/// or never will when this returns.
///
/// # Errors
/// When the cluster does not get to where it can be read.
pub(crate) async fn conclude<C: Cluster>(
    cluster: &C,
    recorder: &Recorder,
    caretaker: &Caretaker,
) -> Result<(), String> {
    let care = cluster.env().tasks.spawn("caretaker", caretaker.clone().work(cluster.clone()));
    let began = begin(cluster).await;
    care.abort();
    began?;
    agree(cluster, recorder, PATIENCE).await?;
    let (replicas, _) = fence_and_read(cluster, recorder, Ending::Warm).await?;
    recorder.finish(End { replicas, ..End::default() });
    Ok(())
}

/// Has all nodes run.
pub(crate) async fn begin<C: Cluster>(cluster: &C) -> Result<(), String> {
    for seat in cluster.all() {
        cluster.start(seat);
    }
    converge(cluster, PATIENCE).await.map_err(|why| format!("at the beginning: {why}"))?;
    Ok(())
}

async fn go<C: Cluster>(
    plan: &Plan,
    cluster: &C,
    (recorder, caretaker): (&Recorder, &Caretaker),
    ending: Ending,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let tasks = &cluster.env().tasks;
    // Beyond the atlas, whoever has a node begin anew may throw away the last good copy: nobody does.
    let is_cared_for = !plan.beyond_atlas;
    let (kind, there) = (caretaker.clone(), cluster.clone());
    let care = tasks.spawn("caretaker", async move {
        if is_cared_for {
            kind.work(there).await;
        }
    });
    if let Err(why) = begin(cluster).await {
        care.abort();
        return Err(why);
    }
    let watch = observe(cluster.clone(), recorder.clone(), Duration::from_millis(plan.beats.look_ms));
    let watch = tasks.spawn("observer", watch);
    let survived = survive(plan, cluster, (recorder, caretaker), ending, outcome).await;
    for watcher in [care, watch] {
        watcher.abort();
        // It works for ever: however it ended, it is over.
        let _ = watcher.await;
    }
    recorder.finish(survived?);
    Ok(())
}

/// From the first request to the last replica that was read.
async fn survive<C: Cluster>(
    plan: &Plan,
    cluster: &C,
    (recorder, caretaker): (&Recorder, &Caretaker),
    ending: Ending,
    outcome: &mut Outcome,
) -> Result<End, String> {
    let nemesis = Nemesis::new(cluster, recorder, caretaker);
    let clients = begin_load(plan, cluster, recorder);
    let began = cluster.now();
    let mut episodes = nemesis.unleash(&plan.episodes).into_iter();
    for (number, round) in (1..).zip(plan.rounds()) {
        for episode in episodes.by_ref().take(round.episodes) {
            episode.await.map_err(|died| died.to_string())?;
        }
        cluster.wait((began + round.ends).saturating_sub(cluster.now() + PEACE)).await;
        if !round.is_last {
            end_round(cluster, recorder, plan.is_days_end(number))
                .await
                .map_err(|why| format!("at the end of round {number}: {why}"))?;
        }
    }
    for client in clients {
        client.await.map_err(|died| died.to_string())?;
    }
    outcome.skipped = nemesis.skipped();
    if plan.beyond_atlas {
        return beyond::end(cluster, recorder, outcome).await;
    }
    if ending == Ending::Cold {
        outcome.core_served_after = core_alone(plan, cluster, recorder).await?;
    }
    let whole = converge(cluster, PATIENCE).await;
    outcome.care = caretaker.log();
    outcome.whole_after = Some(whole?);
    agree(cluster, recorder, PATIENCE).await?;
    let (replicas, elections) = fence_and_read(cluster, recorder, ending).await?;
    outcome.elections = elections;
    Ok(End { replicas, ..End::default() })
}

/// What has to hold in the midst of load when nothing is attacked for a while; at the end of a day also that everything is
/// there after all nodes were down.
async fn end_round<C: Cluster>(cluster: &C, recorder: &Recorder, is_days_end: bool) -> Result<(), String> {
    converge(cluster, PATIENCE).await?;
    agree(cluster, recorder, PATIENCE).await?;
    if is_days_end {
        start_cold(cluster, recorder).await?;
        let (_, client) = cluster.client("reader", &cluster.all());
        reread(recorder, &client).await?;
    }
    Ok(())
}

fn begin_load<C: Cluster>(plan: &Plan, cluster: &C, recorder: &Recorder) -> Vec<chronos_env::Task<()>> {
    let until = cluster.now() + Duration::from_secs(plan.seconds);
    let bearings = Bearings::new(cluster.env().clone(), recorder.clone(), plan.load.clone(), until);
    let client = |number| {
        let (env, sdk) = cluster.client(&format!("c{number}"), &cluster.all());
        env.tasks.clone().spawn("client", live(bearings.from(env), sdk, number))
    };
    (1..=plan.load.clients).map(client).collect()
}

/// Kills all but just enough nodes, and waits until those that are left serve every partition (L1): the others may stay
/// dead for ever (the two phases of a run are TigerBeetle's). Returns how long it took; a single node has no core.
async fn core_alone<C: Cluster>(
    plan: &Plan,
    cluster: &C,
    recorder: &Recorder,
) -> Result<Option<Duration>, String> {
    let seats = cluster.seats();
    if seats < 3 {
        return Ok(None);
    }
    // Whoever is out for repair now must not be missed: a quorum of good copies is what the promise needs.
    converge(cluster, PATIENCE).await.map_err(|why| format!("after the attack: {why}"))?;
    let replication = status_of_any(cluster).await.map_or(3, |status| u32::from(status.replication));
    // Damage may still lie where nobody has read: with another node dead that would be two faults.
    let drawn = (plan.seed % u64::from(seats)) as u32;
    let first = plan.weak_seat().map_or(drawn, |seat| seat - 1);
    let may_die = (replication.min(seats) - 1) / 2;
    let dead: Vec<Seat> = (0..may_die).map(|i| 1 + (first + i) % seats).collect();
    for seat in &dead {
        cluster.kill(*seat).await;
    }
    let core: Vec<Seat> = cluster.all().into_iter().filter(|seat| !dead.contains(seat)).collect();
    let (_, client) = cluster.client("core", &core);
    let began = cluster.now();
    let touched = cluster.env().clock.timeout(CORE_PATIENCE, touch_all(recorder, &client)).await;
    let took = cluster.now() - began;
    for seat in &dead {
        cluster.start(*seat);
    }
    match touched {
        Ok(Ok(())) => Ok(Some(took)),
        Ok(Err(why)) => Err(format!("seats {core:?} alone: {why}")),
        Err(_) => Err(format!("seats {core:?} alone do not serve every partition after {CORE_PATIENCE:?}")),
    }
}

/// What a history begins with.
pub(crate) fn header(plan: &Plan, mode: &str) -> Header {
    Header {
        v: 1,
        run: format!("{mode}-{}", plan.seed),
        seed: plan.seed,
        git: String::new(),
        mode: mode.to_owned(),
        partitions: 32,
        nodes: (1..=plan.nodes).map(Node).collect(),
        beyond_atlas: plan.beyond_atlas,
    }
}
