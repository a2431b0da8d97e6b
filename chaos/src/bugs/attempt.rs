//! One run with a bug, or without any, and how it ended.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;

use chronos_history::{Invariant, Report};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::sim;

/// Sentences that are kept of all that went wrong.
const SENTENCES_MAX: usize = 3;

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// What it failed by: invariants by their names; `undecided`; `not whole`, of a cluster that did not become what it
    /// should be; `panic`. None when it passed.
    pub signs: Vec<String>,
    /// What was wrong, in sentences.
    pub what: Vec<String>,
}

impl Ending {
    /// It failed by one sign.
    #[must_use]
    pub fn of(sign: &str, what: String) -> Ending {
        Ending { signs: vec![sign.to_owned()], what: vec![what] }
    }

    /// Whether anything was wrong.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        !self.signs.is_empty()
    }

    fn add(&mut self, sign: &str, what: impl IntoIterator<Item = String>) {
        self.signs.push(sign.to_owned());
        let room = SENTENCES_MAX.saturating_sub(self.what.len());
        self.what.extend(what.into_iter().take(room));
    }
}

/// Runs a plan in this process, with whatever bug is planted in it, and judges it. The history goes to `history`.
///
/// To be called once in a process: it notes every panic there is from then on. A node whose task panics ends and is started
/// again, which a cluster survives, and is wrong all the same.
///
/// # Errors
/// When the history cannot be written.
pub fn attempt(plan: &Plan, history: &Path) -> io::Result<Ending> {
    let panics = note_panics();
    #[expect(clippy::disallowed_methods, reason = "histories are files of this machine")]
    let sink = BufWriter::new(File::create(history)?);
    let report = sim::run(plan, Box::new(sink), None);
    let mut ending = Ending::default();
    let panics = panics.lock();
    if !panics.is_empty() {
        ending.add("panic", panics.iter().cloned());
    }
    if let Some(what) = report.broken_promises {
        ending.add(&Invariant::S16.to_string(), [format!("S16: {what}")]);
    }
    match report.outcome.failure {
        // Its history has no end, which says nothing more.
        Some(why) => ending.add("not whole", [why]),
        None => match chronos_history::check(&[history]) {
            Ok(report) => judge(&mut ending, &report),
            Err(error) => ending.add("undecided", [error.to_string()]),
        },
    }
    Ok(ending)
}

fn judge(ending: &mut Ending, report: &Report) {
    for (invariant, verdict) in report.verdicts.iter().filter(|(_, verdict)| verdict.violated > 0) {
        ending
            .add(&invariant.to_string(), verdict.violations.iter().map(|one| format!("{invariant}: {one}")));
    }
    if !report.undecided.is_empty() {
        ending.add("undecided", report.undecided.iter().map(ToString::to_string));
    }
}

fn note_panics() -> Arc<Mutex<Vec<String>>> {
    let noted: Arc<Mutex<Vec<String>>> = Arc::default();
    let (notes, before) = (Arc::clone(&noted), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        notes.lock().push(panic.to_string());
        before(panic);
    }));
    noted
}
