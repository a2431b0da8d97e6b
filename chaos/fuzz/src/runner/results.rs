//! What came of it: of one run in a line, of all runs in a file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::{fs, io};

use serde::{Deserialize, Serialize};
use serde_json::json;

/// How one run of one target ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) target: String,
    pub(crate) executions: u64,
    /// On stores, of the target that does them.
    pub(crate) operations: u64,
    pub(crate) seconds: f64,
    /// Places in our code that were reached.
    pub(crate) coverage: u64,
    /// The same, told apart by how often.
    pub(crate) features: u64,
    /// Inputs that are kept because each reaches something of its own.
    pub(crate) corpus: u64,
    /// The input that broke it; its log where there is no such input.
    pub(crate) crash: Option<PathBuf>,
    pub(crate) log: PathBuf,
}

impl Ended {
    fn per_second(&self) -> f64 {
        (self.executions as f64 / self.seconds.max(0.001)).round()
    }

    fn replay(&self) -> Option<String> {
        let crash = self.crash.as_ref()?;
        Some(format!("cargo fuzz-all --only {} --replay {}", self.target, crash.display()))
    }

    /// For programs.
    pub(crate) fn line(&self) -> String {
        json!({
            "target": self.target,
            "ok": self.crash.is_none(),
            "executions": self.executions,
            "operations": self.operations,
            "seconds": (self.seconds * 10.0).round() / 10.0,
            "executions_per_second": self.per_second(),
            "coverage": self.coverage,
            "features": self.features,
            "corpus": self.corpus,
            "crash": self.crash,
            "replay": self.replay(),
            "log": self.log,
        })
        .to_string()
    }

    /// For people.
    pub(crate) fn sentence(&self) -> String {
        let Ended { target, executions, seconds, coverage, corpus, .. } = self;
        let per_second = self.per_second();
        let operations = match self.operations {
            0 => String::new(),
            operations => format!(", {operations} operations"),
        };
        let done = format!(
            "{target:9} {executions:>10} executions{operations} in {seconds:.0} s ({per_second}/s), {coverage} places, {corpus} inputs"
        );
        match self.replay() {
            None => done,
            Some(replay) => {
                format!("{done}\n          BROKEN: {replay}\n          log: {}", self.log.display())
            }
        }
    }
}

/// The totals of all runs.
pub(crate) struct Results {
    file: PathBuf,
    totals: Totals,
}

#[derive(Default, Deserialize, Serialize)]
struct Totals {
    /// The commits that were attacked, in their order; one that was changed has a plus sign.
    commits: Vec<String>,
    targets: BTreeMap<String, Total>,
}

#[derive(Default, Deserialize, Serialize)]
struct Total {
    executions: u64,
    operations: u64,
    seconds: f64,
    runs: u64,
    coverage: u64,
    features: u64,
    corpus: u64,
    /// What broke and was not fixed since; each is an input that can be replayed.
    crashes: Vec<PathBuf>,
}

impl Results {
    /// Goes on with the totals in `file`, or begins new ones.
    pub(crate) fn open(file: PathBuf, fresh: bool) -> io::Result<Results> {
        let mut totals = match fs::read(&file) {
            Ok(bytes) if !fresh => serde_json::from_slice(&bytes)?,
            Ok(_) => Totals::default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Totals::default(),
            Err(error) => return Err(error),
        };
        let commit = commit();
        if totals.commits.last() != Some(&commit) {
            totals.commits.push(commit);
        }
        Ok(Results { file, totals })
    }

    /// Adds a run, durably enough for whoever resumes.
    pub(crate) fn add(&mut self, ended: &Ended) -> io::Result<()> {
        let total = self.totals.targets.entry(ended.target.clone()).or_default();
        total.executions += ended.executions;
        total.operations += ended.operations;
        total.seconds += ended.seconds.round();
        total.runs += 1;
        total.coverage = total.coverage.max(ended.coverage);
        total.features = total.features.max(ended.features);
        total.corpus = ended.corpus;
        total.crashes.extend(ended.crash.clone());
        if let Some(dir) = self.file.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(&self.file, serde_json::to_string_pretty(&self.totals)? + "\n")
    }
}

fn commit() -> String {
    let git = |args: &[&str]| {
        let asked = Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        asked
            .ok()
            .filter(|said| said.status.success())
            .map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    if changed { commit + "+" } else { commit }
}
