//! One file for machines about a soak: what `chaos/results/soak.json` is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::disk;
use crate::drift::{Drift, judge};
use crate::ledger::{Entry, Ledger, Sums, Why};
use crate::sample::{Sample, Summary};
use crate::settings::Settings;

/// Everything that was found, in one place: the report for people shows the same.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Builds of the product that ran.
    pub commits: Vec<String>,
    /// What they ran on.
    pub machines: Vec<String>,
    /// What the soak was made with.
    #[serde(flatten)]
    pub settings: Settings,
    /// When it was made and when it last stopped.
    pub from: String,
    /// As `from`.
    pub to: Option<String>,
    /// How the last stretch ended; none while it goes on.
    pub ended: Option<Why>,
    /// Whether every promise and every limit was kept.
    pub ok: bool,
    /// Why not.
    pub failure: Option<String>,
    /// How long, in seconds under load.
    pub under_load_seconds: Sums,
    /// Rounds that were judged.
    pub rounds: u64,
    /// Operations that began.
    pub operations: u64,
    /// Events that were acknowledged.
    pub acked: u64,
    /// Acknowledged events that are not there.
    pub lost: u64,
    /// Events that are there twice.
    pub duplicates: u64,
    /// Positions and versions without an event.
    pub gaps: u64,
    /// How often an invariant was put to the test.
    pub checked: u64,
    /// Events that were read again from the very beginning.
    pub reread_events: u64,
    /// Episodes, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Kinds of faults that could not be had, and why: not run.
    pub not_run: BTreeMap<String, String>,
    /// Processes that ended although nobody ended them.
    pub deaths: u64,
    /// Operations in a second, on average under load.
    pub operations_per_second: f64,
    /// What drifts, with its limits.
    pub drifts: Vec<Drift>,
    /// Bytes on all disks beside the model, at the end of the last round.
    pub disk: Disk,
}

/// Bytes on all disks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Disk {
    /// As they are.
    pub bytes: u64,
    /// By the model.
    pub model_bytes: u64,
}

impl Results {
    /// Of a soak with these samples.
    #[must_use]
    pub fn of(ledger: &Ledger, samples: &[Sample]) -> Results {
        let disks = disks(ledger);
        let ratios: Vec<f64> =
            disks.iter().map(|disk| disk.bytes as f64 / disk.model_bytes.max(1) as f64).collect();
        let drifts = judge(samples, &ratios);
        let failure = ledger.failure().or_else(|| drifts.beyond().next().map(ToString::to_string));
        let rounds = || ledger.rounds();
        let sum = |of: fn(&crate::ledger::Round) -> u64| rounds().map(of).sum();
        let mut results = Results {
            commits: Vec::new(),
            machines: Vec::new(),
            settings: ledger.settings.clone(),
            from: String::new(),
            to: None,
            ended: None,
            ok: failure.is_none() && rounds().count() > 0,
            failure,
            under_load_seconds: Ledger::sums(std::slice::from_ref(ledger)),
            rounds: rounds().count() as u64,
            operations: sum(|round| round.operations),
            acked: sum(|round| round.acked),
            lost: sum(|round| round.verdict.lost),
            duplicates: sum(|round| round.verdict.duplicates),
            gaps: sum(|round| round.verdict.gaps),
            checked: sum(|round| round.verdict.checked),
            reread_events: 0,
            faults: BTreeMap::new(),
            not_run: rounds().flat_map(|round| round.skipped.clone()).collect(),
            deaths: sum(|round| round.deaths.len() as u64),
            operations_per_second: Summary::of(samples).operations_per_second,
            drifts: drifts.0,
            disk: disks.last().copied().unwrap_or_default(),
        };
        for (kind, count) in rounds().flat_map(|round| &round.faults) {
            *results.faults.entry(kind.clone()).or_default() += count;
        }
        ledger.entries.iter().for_each(|entry| results.take_in(entry));
        results
    }

    fn take_in(&mut self, entry: &Entry) {
        let once = |list: &mut Vec<String>, what: &String| {
            if !list.contains(what) {
                list.push(what.clone());
            }
        };
        match entry {
            Entry::Made { at, .. } => self.from.clone_from(at),
            Entry::Start { commit, machine, .. } => {
                once(&mut self.commits, commit);
                once(&mut self.machines, machine);
                (self.to, self.ended) = (None, None);
            }
            Entry::Stop { at, why } => (self.to, self.ended) = (Some(at.clone()), Some(*why)),
            Entry::Reread { events, .. } => self.reread_events += events,
            Entry::Begin { .. } | Entry::Round(_) => {}
        }
    }

    /// As a file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self).expect("results are plain data");
        fs::write(file, text + "\n")
    }
}

/// What was on all disks at the end of each round, beside what should be.
fn disks(ledger: &Ledger) -> Vec<Disk> {
    let (mut events, mut bytes) = (0, 0);
    let disk = |round: &crate::ledger::Round| {
        events += round.acked;
        bytes += round.bytes;
        let model_bytes = disk::model(ledger.settings.nodes, events, bytes);
        Disk { bytes: round.samples.disk_bytes, model_bytes }
    };
    ledger.rounds().map(disk).filter(|disk| disk.bytes > 0).collect()
}
