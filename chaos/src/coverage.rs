//! What the runs of a campaign have met, and what none of them has.
//!
//! A campaign in which something rare never happened has not tested what comes of it, and a place for a crash at which
//! nothing crashed has not been tried. So both are failures, and are named.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chronos_env::coverage::{RARE, Rare};
use serde::{Deserialize, Serialize};

use crate::sim::Report;

/// What one run has met, with how often: part of its line among the results.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    /// Rare events.
    pub sometimes: BTreeMap<String, u64>,
    /// Crash points that were passed.
    pub passed: BTreeMap<String, u64>,
    /// Crash points at which a node ended.
    pub crashed: BTreeMap<String, u64>,
}

impl From<&Report> for Met {
    fn from(report: &Report) -> Met {
        let owned = |counts: &BTreeMap<&'static str, u64>| {
            counts.iter().map(|(name, times)| ((*name).to_owned(), *times)).collect()
        };
        let points = &report.points;
        Met { sometimes: owned(&report.rare), passed: owned(&points.passed), crashed: owned(&points.crashed) }
    }
}

/// Runs added up.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    runs: u64,
    sometimes: BTreeMap<String, Hits>,
    passed: BTreeMap<String, Hits>,
    crashed: BTreeMap<String, Hits>,
}

/// How often, and in how many runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// Over all runs.
    pub times: u64,
    /// With at least one.
    pub runs: u64,
}

/// Why lines of results say nothing about coverage.
#[derive(Debug)]
pub struct NoResult {
    /// From 1.
    pub line: usize,
    why: String,
}

impl fmt::Display for NoResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NoResult { line, why } = self;
        write!(
            f,
            "line {line} is no result of a run of this release: {why}; give files with one line for each seed"
        )
    }
}

impl std::error::Error for NoResult {}

impl Coverage {
    /// Adds what a run has met.
    pub fn add(&mut self, met: &Met) {
        self.runs += 1;
        for (all, one) in [
            (&mut self.sometimes, &met.sometimes),
            (&mut self.passed, &met.passed),
            (&mut self.crashed, &met.crashed),
        ] {
            for (name, times) in one {
                let hits = all.entry(name.clone()).or_default();
                (hits.times, hits.runs) = (hits.times + times, hits.runs + 1);
            }
        }
    }

    /// Adds results as they were printed: a JSON object for each run, whatever else follows it on its line.
    ///
    /// # Errors
    /// The first line that is none, or that has met what this release does not know: what came before it is added.
    pub fn read(&mut self, results: &str) -> Result<(), NoResult> {
        for (line, text) in (1..).zip(results.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let first = serde_json::Deserializer::from_str(text).into_iter::<Met>().next();
            let met = match first {
                Some(Ok(met)) => met,
                Some(Err(error)) => return Err(NoResult { line, why: error.to_string() }),
                None => return Err(NoResult { line, why: "it is empty".to_owned() }),
            };
            if let Some(name) = unknown(&met) {
                return Err(NoResult { line, why: format!("there is no {name}") });
            }
            self.add(&met);
        }
        Ok(())
    }

    /// Rare events that no run has met.
    pub fn never(&self) -> impl Iterator<Item = &'static Rare> {
        RARE.iter().filter(|rare| !self.sometimes.contains_key(rare.name))
    }

    /// Crash points at which no node ended.
    pub fn never_crashed_at(&self) -> impl Iterator<Item = &'static str> {
        crate::crash_points().filter(|point| !self.crashed.contains_key(*point))
    }

    /// Whether every rare event was met, and some node has ended at every crash point.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.never().next().is_none() && self.never_crashed_at().next().is_none()
    }
}

/// A name that is not of this release.
fn unknown(met: &Met) -> Option<&str> {
    let events: BTreeSet<&str> = RARE.iter().map(|rare| rare.name).collect();
    let points: BTreeSet<&str> = crate::crash_points().collect();
    let mut names = met.sometimes.keys().filter(|name| !events.contains(name.as_str()));
    let mut others =
        met.passed.keys().chain(met.crashed.keys()).filter(|name| !points.contains(name.as_str()));
    names.next().or_else(|| others.next()).map(String::as_str)
}

/// Everything there is, with how often it was met; what never was comes last, with what it means.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |all: &BTreeMap<String, Hits>, name: &str| all.get(name).copied().unwrap_or_default();
        writeln!(f, "{:>10} {:>6}  rare event", "times", "runs")?;
        for Rare { name, .. } in RARE {
            let Hits { times, runs } = of(&self.sometimes, name);
            writeln!(f, "{times:>10} {runs:>6}  {name}")?;
        }
        writeln!(f, "\n{:>10} {:>6}  crash point", "passed", "ended")?;
        for point in crate::crash_points() {
            writeln!(
                f,
                "{:>10} {:>6}  {point}",
                of(&self.passed, point).times,
                of(&self.crashed, point).times
            )?;
        }
        let (events, points) = (RARE.len(), crate::crash_points().count());
        let (met, ended) = (events - self.never().count(), points - self.never_crashed_at().count());
        writeln!(
            f,
            "\nof {} runs: {met} of {events} rare events, {ended} of {points} crash points",
            self.runs
        )?;
        for Rare { name, file, means } in self.never() {
            writeln!(f, "never: {name} ({file}): {means}")?;
        }
        self.never_crashed_at().try_for_each(|point| writeln!(f, "nothing crashed at: {point}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(sometimes: &[(&str, u64)], crashed: &[(&str, u64)]) -> Met {
        let owned = |counts: &[(&str, u64)]| {
            counts.iter().map(|(name, times)| ((*name).to_owned(), *times)).collect()
        };
        Met { sometimes: owned(sometimes), passed: owned(crashed), crashed: owned(crashed) }
    }

    fn everything() -> Met {
        let events: Vec<_> = RARE.iter().map(|rare| (rare.name, 1)).collect();
        let points: Vec<_> = crate::crash_points().map(|point| (point, 1)).collect();
        met(&events, &points)
    }

    #[test]
    fn runs_add_up_whether_they_are_had_or_read() {
        let one = met(&[("raft.vote_split", 2)], &[("wal.cut.before", 1)]);
        let other = met(&[("raft.vote_split", 5), ("raft.two_leaders", 1)], &[]);
        let lines = [&one, &other].map(|met| format!("{} clean\n", serde_json::to_string(met).unwrap()));
        let (mut had, mut read) = (Coverage::default(), Coverage::default());
        had.add(&one);
        had.add(&other);
        read.read(&lines.concat()).unwrap();
        for coverage in [had, read] {
            assert_eq!(coverage.runs, 2);
            assert_eq!(coverage.sometimes["raft.vote_split"], Hits { times: 7, runs: 2 });
            assert_eq!(coverage.sometimes["raft.two_leaders"], Hits { times: 1, runs: 1 });
            assert_eq!(coverage.crashed["wal.cut.before"], Hits { times: 1, runs: 1 });
        }
    }

    #[test]
    fn a_campaign_that_lacks_one_event_or_one_crash_is_told_which() {
        let mut all = Coverage::default();
        all.add(&everything());
        assert!(all.is_complete(), "{all}");

        let mut without = everything();
        without.sometimes.remove("raft.vote_split");
        let mut coverage = Coverage::default();
        coverage.add(&without);
        assert!(!coverage.is_complete());
        assert!(
            coverage.to_string().contains("never: raft.vote_split (cluster/src/raft/network.rs)"),
            "{coverage}"
        );

        let mut without = everything();
        without.crashed.remove("wal.cut.before");
        let mut coverage = Coverage::default();
        coverage.add(&without);
        assert!(!coverage.is_complete());
        assert!(coverage.to_string().contains("nothing crashed at: wal.cut.before"), "{coverage}");
    }

    #[test]
    fn lines_that_are_no_results_of_this_release_are_refused_by_their_number() {
        let good = serde_json::to_string(&met(&[("raft.vote_split", 1)], &[])).unwrap();
        let strange = serde_json::to_string(&met(&[("raft.was_renamed", 1)], &[])).unwrap();
        for bad in ["{}", "seed 7 failed", &strange] {
            let error = Coverage::default().read(&format!("{good}\n\n{bad}\n")).unwrap_err();
            assert_eq!(error.line, 3, "{error}");
        }
    }
}
