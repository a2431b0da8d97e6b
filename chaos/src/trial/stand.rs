//! A run in this process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chronos_history::fact::{Fact, Nemesis, Phase};
use chronos_history::line::Body;
use chronos_history::{Invariant, Line, Report as Judged, check_lines};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{Failure, Found, Measured, Place, Way};
use crate::Skipped;
use crate::coverage::Met;
use crate::plan::Plan;
use crate::sim::{self, Report};

/// Between two signs of life, at least.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// Violations that a failure quotes.
const QUOTED: usize = 3;

/// What a run says of itself in the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// What it counted.
    pub measured: Measured,
}

/// Runs a plan in this process, leaves its history at its place and judges it. Gives a sign of life now and then as long
/// as it gets on.
///
/// # Errors
/// The history cannot be written.
///
/// # Panics
/// When the product does.
pub fn stand(
    plan: &Plan,
    place: &Place,
    trace: Option<&Path>,
    mut beat: impl FnMut() + Clone + Send + 'static,
) -> io::Result<Told> {
    let history = History::create(&place.history())?;
    let began = now();
    let report = sim::run(
        plan,
        Box::new(Beating { history: history.clone(), last: began, beat: beat.clone() }),
        trace,
    );
    // Tasks that outlive a run that got stuck still hold the history.
    history.0.lock().flush()?;
    let ended = now();
    beat();
    let lines = chronos_history::read(&[place.history()]);
    let judged = lines.as_ref().map(|lines| check_lines(lines)).map_err(ToString::to_string);
    let measured = Measured {
        found: judged.as_ref().ok().filter(|_| report.outcome.failure.is_none()).map(found),
        faults: begun(lines.as_deref().unwrap_or_default(), &report.outcome.skipped),
        run_seconds: seconds(ended - began),
        judge_seconds: seconds(ended.elapsed()),
        ..measured(plan, &report)
    };
    Ok(Told { failure: failure(&report, &judged), measured })
}

/// What a run says of itself without its history.
fn measured(plan: &Plan, report: &Report) -> Measured {
    let outcome = &report.outcome;
    Measured {
        trace_hash: format!("{:016x}", report.trace_hash),
        nodes: plan.nodes,
        virtual_seconds: report.virtual_time.as_secs(),
        operations: report.tally.operations,
        acked: report.tally.acknowledged,
        refused: report.tally.refused,
        undone: report.tally.undone,
        unknown: report.tally.unknown,
        read: report.tally.read,
        found: None,
        // They are counted in the end, if it comes to that.
        elections: outcome.failure.is_none().then_some(outcome.elections),
        snapshots: Some(report.rare.get("raft.snapshot_installed").copied().unwrap_or(0)),
        core_served_seconds: outcome.core_served_after.map(seconds),
        whole_seconds: outcome.whole_after.map(seconds),
        faults: BTreeMap::new(),
        skipped: count(outcome.skipped.iter().map(|skipped| skipped.kind.to_owned())),
        care: outcome.care.clone(),
        unserved: outcome.unserved.clone(),
        met: Met::from(report),
        lives: report.lives,
        ends: report.ends.clone(),
        run_seconds: 0.0,
        judge_seconds: 0.0,
    }
}

/// Episodes that began and were had, by kind: a run that got stuck early did not have all of its plan.
fn begun(lines: &[Line], skipped: &[Skipped]) -> BTreeMap<String, u64> {
    let begun = lines.iter().filter_map(|line| match &line.body {
        Body::Fact(Fact::Nemesis(Nemesis { phase: Phase::Start, value, .. })) => Some(value.kind.clone()),
        _ => None,
    });
    let mut begun = count(begun);
    for skipped in skipped {
        if let Some(times) = begun.get_mut(skipped.kind) {
            *times -= 1;
        }
    }
    begun.retain(|_, times| *times > 0);
    begun
}

fn count(names: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// To the millisecond.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}

fn found(judged: &Judged) -> Found {
    let of = |invariant| judged.verdicts.get(&invariant).map_or(0, |verdict| verdict.violated);
    Found {
        lost: of(Invariant::S1),
        duplicates: of(Invariant::S6),
        gaps: of(Invariant::S3) + of(Invariant::S10),
    }
}

/// A promise that was broken says more than a cluster that is stuck, and that more than what its history leaves open.
fn failure(report: &Report, judged: &Result<Judged, String>) -> Option<Failure> {
    let judged = match judged {
        Ok(judged) => judged,
        Err(error) => return Some(Failure { way: Way::Undecided, what: error.clone() }),
    };
    if !judged.violated().is_empty() {
        let violations = judged.verdicts.iter().flat_map(|(invariant, verdict)| {
            verdict.violations.iter().map(move |violation| format!("{invariant} in {violation}"))
        });
        let what = violations.take(QUOTED).collect::<Vec<_>>().join("; ");
        return Some(Failure { way: Way::Violated(judged.violated().into_iter().collect()), what });
    }
    if let Some(what) = &report.broken_promises {
        let way = Way::Violated([Invariant::S16].into());
        return Some(Failure { way, what: format!("S16: {what}") });
    }
    if let Some(why) = &report.outcome.failure {
        return Some(Failure { way: Way::Stuck, what: why.clone() });
    }
    let open: Vec<String> = judged.undecided.iter().take(QUOTED).map(ToString::to_string).collect();
    (!open.is_empty()).then(|| Failure { way: Way::Undecided, what: open.join("; ") })
}

/// A history on the disk of this machine. Clones are the same one.
#[derive(Clone)]
struct History(Arc<Mutex<BufWriter<File>>>);

impl History {
    #[expect(clippy::disallowed_methods, reason = "histories are files of this machine")]
    fn create(path: &Path) -> io::Result<History> {
        Ok(History(Arc::new(Mutex::new(BufWriter::new(File::create(path)?)))))
    }
}

/// A history that shows by what is written to it that the run gets on.
struct Beating<B> {
    history: History,
    last: Instant,
    beat: B,
}

impl<B: FnMut()> Write for Beating<B> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = now();
        if now - self.last >= BEAT_EVERY {
            self.last = now;
            (self.beat)();
        }
        self.history.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.history.0.lock().flush()
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a simulation takes is no part of it")]
fn now() -> Instant {
    Instant::now()
}
