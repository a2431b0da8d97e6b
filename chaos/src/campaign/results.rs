//! The one file that says what a campaign did.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::totals::seconds_sum;
use super::{Campaign, Machine, Origin, Run, Totals};
use crate::Profile;
use crate::trial::Failure;

/// The form of the file.
const FORMAT: &str = "chronos-campaign/1";

/// What a campaign did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// `chronos-campaign/1`
    pub format: String,
    /// Of what was attacked. Ends in `-dirty` if that was changed since.
    pub commit: String,
    /// What made plans of seeds.
    pub profile: Profile,
    /// Virtual minutes of attack in each run of a seed.
    pub minutes: u64,
    /// Where it was run.
    pub machine: Machine,
    /// Seconds that the campaign took, over all its starts.
    pub elapsed_seconds: f64,
    /// Sums over seeds. Plans that are kept do not count.
    pub totals: Totals,
    /// What failed, kept plans included.
    pub failures: Vec<Failed>,
    /// The hash of the trace of each plan that is kept and was run, by name; none if the process died.
    pub kept: BTreeMap<String, Option<String>>,
    /// The same of each seed.
    pub seeds: BTreeMap<u64, Option<String>>,
}

/// A run that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// The seed, or the name of the plan.
    pub name: String,
    /// In what way.
    pub failure: Failure,
    /// The command that runs it again.
    pub replay: String,
}

/// Why results cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("cannot {what} the results {path}: {cause}; give another file with --results", path = path.display())]
    Io {
        /// What could not be done.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It holds something else.
    #[error("{path} holds no results of a campaign: {cause}; give another file with --results", path = path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
    /// It holds the results of something else.
    #[error(
        "{path} has the results of {theirs}, and this is {ours}: give another file with --results, or remove that one",
        path = path.display()
    )]
    Other {
        /// Which file.
        path: PathBuf,
        /// Of what its results are.
        theirs: String,
        /// What would be added.
        ours: String,
    },
    /// It holds the results of a program that nobody can get again.
    #[error(
        "{path} has results of {commit}, a tree with changes of its own, and nobody knows whether they are those of today: \
         remove it, or give another file with --results; commit the changes to have a campaign that can be resumed",
        path = path.display()
    )]
    Changed {
        /// Which file.
        path: PathBuf,
        /// Of what its results are.
        commit: String,
    },
}

impl Results {
    /// The results that a campaign goes on with: those of its file, if there is one.
    pub(super) fn begin_or_resume(campaign: &Campaign) -> Result<Results, Error> {
        let new = Results {
            format: FORMAT.to_owned(),
            commit: campaign.commit.clone(),
            profile: campaign.profile,
            minutes: campaign.minutes,
            machine: Machine::this(),
            elapsed_seconds: 0.0,
            totals: Totals::default(),
            failures: Vec::new(),
            kept: BTreeMap::new(),
            seeds: BTreeMap::new(),
        };
        match campaign.results.as_deref() {
            Some(path) if path.exists() => new.resumed_from(path, Results::read(path)?),
            _ => Ok(new),
        }
    }

    /// Reads results.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Results, Error> {
        let text = fs::read_to_string(path);
        let text = text.map_err(|cause| Error::Io { what: "read", path: path.into(), cause })?;
        serde_json::from_str(&text).map_err(|cause| Error::Malformed { path: path.into(), cause })
    }

    fn resumed_from(self, path: &Path, earlier: Results) -> Result<Results, Error> {
        if earlier.of() != self.of() {
            return Err(Error::Other { path: path.into(), theirs: earlier.of(), ours: self.of() });
        }
        if earlier.commit.ends_with("-dirty") || earlier.commit == "unknown" {
            return Err(Error::Changed { path: path.into(), commit: earlier.commit });
        }
        Ok(earlier)
    }

    /// What has to be the same for two numbers to be added.
    fn of(&self) -> String {
        let Results { format, commit, profile, minutes, machine, .. } = self;
        let Machine { cpu, cores, build, .. } = machine;
        let cores = cores.map_or_else(String::new, |cores| format!("{cores} cores of "));
        let profile = profile.name();
        format!(
            "{minutes} minutes of {profile} at commit {commit}, {build} build on {cores}{cpu}, as {format}"
        )
    }

    /// Whether this was run.
    #[must_use]
    pub fn has(&self, origin: &Origin) -> bool {
        match origin {
            Origin::Kept(name) => self.kept.contains_key(name),
            Origin::Seed(seed) => self.seeds.contains_key(seed),
        }
    }

    /// Whether nothing failed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }

    /// Takes in one more run, and that the campaign took so much longer.
    pub(super) fn add(&mut self, run: &Run, seconds: f64) {
        self.elapsed_seconds = seconds_sum(self.elapsed_seconds, seconds);
        let hash = run.record.measured.as_ref().map(|measured| measured.trace_hash.clone());
        match &run.origin {
            Origin::Kept(name) => {
                self.kept.insert(name.clone(), hash);
            }
            Origin::Seed(seed) => {
                self.seeds.insert(*seed, hash);
                self.totals.add(&run.record);
            }
        }
        if let Some(failure) = run.record.failure.clone() {
            self.failures.push(Failed { name: run.origin.name(), failure, replay: run.replay.clone() });
        }
    }

    /// Writes the results, whole or not at all.
    pub(super) fn keep(&self, path: Option<&Path>) -> Result<(), Error> {
        let Some(path) = path else { return Ok(()) };
        let text = serde_json::to_string_pretty(self).expect("results are plain data");
        let beside = path.with_extension("json.new");
        #[expect(clippy::disallowed_methods, reason = "results are files of this machine")]
        let written = fs::write(&beside, text + "\n").and_then(|()| fs::rename(&beside, path));
        written.map_err(|cause| Error::Io { what: "write", path: path.into(), cause })
    }
}
