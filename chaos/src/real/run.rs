//! One real run of a plan, from empty disks to the final logs and the verdict.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use chronos_env::{Entropy, Env};

use super::cluster::RealCluster;
use super::place::Place;
use super::settings::Look;
use super::{Figures, Problem, Report, Settings};
use crate::attack::cluster::Cluster;
use crate::attack::{Ending, Outcome, attack, header};
use crate::plan::Plan;
use crate::workload::{Origin, Recorder, Tally};

/// Between two looks of whoever watches.
const LOOK: Duration = Duration::from_secs(1);
/// Processes of a node none of which came to serve.
const HOPELESS: u64 = 5;

/// What is known when the processes are gone.
struct Ran {
    outcome: Outcome,
    tally: Tally,
    wall: Duration,
    lives: u64,
    ends: Vec<String>,
}

/// Runs a plan against processes of this machine, judges what they did, and leaves `plan.json`, `history.jsonl`,
/// `verdict.json` and the nodes' logs. Takes as long as the plan, and some minutes more. A signal to end ends it, and is told
/// as its failure. To be called outside of any runtime.
///
/// # Errors
/// When it could not be begun, or what it left cannot be read again.
pub fn run(plan: &Plan, settings: &Settings) -> Result<Report, Problem> {
    let out = &settings.out;
    std::fs::create_dir_all(out).map_err(|error| format!("making {}: {error}", out.display()))?;
    write(&out.join("plan.json"), &serde_json::to_string_pretty(plan)?)?;
    let history = out.join("history.jsonl");
    let Place { ground, unable, given } = Place::lay(plan, settings)?;
    #[expect(clippy::disallowed_methods, reason = "histories are files of this machine")]
    let sink = File::create(&history).map_err(|error| format!("making {}: {error}", history.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ran = runtime.block_on(async {
        let env = Env { entropy: Entropy::seeded(plan.seed), ..Env::real() };
        let cluster = RealCluster::new(env, ground, &settings.binary, out);
        go(plan, settings, cluster, Box::new(BufWriter::new(sink))).await
    });
    // Ends all tasks, and with the last of them the processes and the ground.
    drop(runtime);
    let ran = ran?;
    let lines = chronos_history::read(&[&history])?;
    let report = Report {
        faults: had(plan, &ran.outcome),
        outcome: ran.outcome,
        tally: ran.tally,
        wall: ran.wall,
        unable,
        ground: given,
        lives: ran.lives,
        ends: ran.ends,
        verdict: chronos_history::check_lines(&lines),
        figures: Figures::of(plan, &lines),
    };
    write(&out.join("verdict.json"), &serde_json::to_string_pretty(&report.json(plan))?)?;
    Ok(report)
}

async fn go(
    plan: &Plan,
    settings: &Settings,
    cluster: RealCluster,
    sink: Box<dyn Write + Send>,
) -> Result<Ran, Problem> {
    let clock = cluster.env().clock.clone();
    let recorder = Recorder::new(clock.clone(), Origin::default(), sink, header(plan, "real"))?;
    let began = clock.monotonic();
    let outcome = tokio::select! {
        biased; // whoever wants it to end shall not wait
        signal = signalled() => {
            Outcome { failure: Some(format!("{} came", signal?)), ..Outcome::default() }
        }
        outcome = attack(plan, &cluster, &recorder, Ending::Cold) => outcome,
        why = look_on(settings, &cluster, &recorder) => Outcome { failure: Some(why), ..Outcome::default() },
    };
    let stories: Vec<_> = cluster.all().into_iter().map(|seat| cluster.story(seat)).collect();
    for seat in cluster.all() {
        cluster.kill(seat).await;
    }
    Ok(Ran {
        outcome,
        tally: recorder.tally(),
        wall: clock.monotonic() - began,
        lives: stories.iter().map(|story| story.lives).sum(),
        ends: stories.into_iter().flat_map(|story| story.ends).collect(),
    })
}

/// Shows how it goes, until there is no hope: a binary that never comes to serve never will.
async fn look_on(settings: &Settings, cluster: &RealCluster, recorder: &Recorder) -> String {
    let mut began = None;
    loop {
        cluster.wait(LOOK).await;
        if let Some(why) = hopeless(cluster) {
            return why;
        }
        let Some(watch) = &settings.watch else { continue };
        let tally = recorder.tally();
        if tally.operations > 0 {
            began.get_or_insert_with(|| cluster.now());
        }
        let elapsed = began.map_or(Duration::ZERO, |began| cluster.now() - began);
        watch(&Look { elapsed, tally, nodes: cluster.look() });
    }
}

/// Why a node will never come to serve, if that is so.
pub(super) fn hopeless(cluster: &RealCluster) -> Option<String> {
    let stories = cluster.all().into_iter().map(|seat| cluster.story(seat));
    let mut hopeless = stories.filter(|story| story.lives >= HOPELESS && story.stillborn == story.lives);
    let end = hopeless.find_map(|mut story| story.ends.pop())?;
    Some(format!("a node did not start {HOPELESS} times in a row, and never before: {end}"))
}

/// Which signal to end comes first.
pub(super) async fn signalled() -> std::io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        biased; // both mean the same
        _ = interrupt.recv() => Ok("SIGINT"),
        _ = terminate.recv() => Ok("SIGTERM"),
    }
}

/// Episodes that were had, by kind.
fn had(plan: &Plan, outcome: &Outcome) -> BTreeMap<&'static str, u64> {
    let mut had: BTreeMap<&'static str, u64> = BTreeMap::new();
    for episode in &plan.episodes {
        *had.entry(episode.fault.kind()).or_default() += 1;
    }
    for skipped in &outcome.skipped {
        if let Some(count) = had.get_mut(skipped.kind) {
            *count = count.saturating_sub(1);
        }
    }
    had.retain(|_, count| *count > 0);
    had
}

fn write(path: &Path, text: &str) -> Result<(), Problem> {
    std::fs::write(path, text).map_err(|error| format!("writing {}: {error}", path.display()).into())
}
