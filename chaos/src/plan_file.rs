//! Plans as files: as a run leaves them, and those that are kept because they once found something.
//!
//! A file holds a plan, or `{ "found": "what it found", "plan": … }`. Kept ones lie in `chaos/seeds`; each is run
//! before any campaign, for ever.
//!
//! Invariant: a plan that was read can be carried out. Whatever it names exists.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;
use serde_json::Value;

use crate::plan::{Episode, Fault, Plan, Victim};

/// Partitions that a victim can be named by.
const PARTITIONS: u8 = 32;

/// A plan, and the file that it came from.
#[derive(Clone, Debug)]
pub struct PlanFile {
    /// Which file.
    pub path: PathBuf,
    /// What the plan once found, if it is kept for that.
    pub found: Option<String>,
    /// The plan.
    pub plan: Plan,
}

/// Why a file gives no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the plan {path}: {cause}; name a file as `chaos sim` leaves it", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// It holds something else, or a plan that cannot be carried out.
    #[error("{path} holds no plan that can be run: {what}; mend it there, or have `chaos sim` write a new one", path = path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where in it.
        what: String,
    },
}

impl PlanFile {
    /// Reads a plan.
    ///
    /// # Errors
    /// The file cannot be read, or what it holds cannot be carried out.
    pub fn read(path: &Path) -> Result<PlanFile, Error> {
        let text =
            fs::read_to_string(path).map_err(|cause| Error::Unreadable { path: path.into(), cause })?;
        let parsed = parse(&text).map_err(|what| Error::Malformed { path: path.into(), what })?;
        Ok(PlanFile { path: path.into(), found: parsed.found, plan: parsed.plan })
    }

    /// Reads all plans of a directory, in the order of their names.
    ///
    /// # Errors
    /// There is no such directory, or one of its files gives no plan.
    pub fn read_all(dir: &Path) -> Result<Vec<PlanFile>, Error> {
        let unreadable = |cause| Error::Unreadable { path: dir.into(), cause };
        let entries = fs::read_dir(dir).map_err(unreadable)?.collect::<Result<Vec<_>, _>>();
        let mut paths: Vec<PathBuf> =
            entries.map_err(unreadable)?.into_iter().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        paths.iter().map(|path| PlanFile::read(path)).collect()
    }

    /// What the file is called, without what all are called.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        name.trim_end_matches(".json").trim_end_matches(".plan").to_owned()
    }
}

/// Where the plans lie that once found something.
#[must_use]
pub fn kept_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds")
}

#[derive(Debug, PartialEq)]
struct Parsed {
    found: Option<String>,
    plan: Plan,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    found: String,
    plan: Value,
}

fn parse(text: &str) -> Result<Parsed, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let (found, value) = if value.get("plan").is_some() {
        let kept: Kept = serde_json::from_value(value).map_err(|error| error.to_string())?;
        (Some(kept.found), kept.plan)
    } else {
        (None, value)
    };
    let plan = plan(value)?;
    can_be_carried_out(&plan)?;
    Ok(Parsed { found, plan })
}

/// Episodes are read one by one, so that it can be said which of them is wrong.
fn plan(mut value: Value) -> Result<Plan, String> {
    let episodes =
        value.get_mut("episodes").map(|episodes| std::mem::replace(episodes, Value::Array(Vec::new())));
    let mut plan: Plan = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let Some(Value::Array(episodes)) = episodes else { return Err("episodes are no list".to_owned()) };
    for (number, episode) in episodes.into_iter().enumerate() {
        let episode: Episode =
            serde_json::from_value(episode).map_err(|error| format!("episode {number} (from 0): {error}"))?;
        plan.episodes.push(episode);
    }
    Ok(plan)
}

fn can_be_carried_out(plan: &Plan) -> Result<(), String> {
    if ![1, 3, 5].contains(&plan.nodes) {
        return Err(format!("a cluster has 1, 3 or 5 nodes, not {}", plan.nodes));
    }
    if !plan.load.rate.is_finite() || plan.load.rate <= 0.0 {
        return Err(format!("clients begin some operations in a second, not {}", plan.load.rate));
    }
    if plan.load.mix.iter().all(|(_, weight)| *weight == 0) {
        return Err("no deed has a weight, so clients have nothing to do".to_owned());
    }
    for (number, episode) in plan.episodes.iter().enumerate() {
        names_what_exists(&episode.fault, plan.nodes)
            .map_err(|what| format!("episode {number} (from 0): {what}"))?;
    }
    Ok(())
}

fn names_what_exists(fault: &Fault, nodes: u32) -> Result<(), String> {
    match fault.victim() {
        Some(Victim::Node(node)) if node == 0 || node > nodes => {
            return Err(format!("there is no node {node}, only 1 to {nodes}"));
        }
        Some(Victim::Leader(partition) | Victim::Follower(partition)) if partition >= PARTITIONS => {
            return Err(format!("there is no partition {partition}, only 0 to {}", PARTITIONS - 1));
        }
        _ => {}
    }
    match fault {
        Fault::Crash { point, .. } if !crate::crash_points().any(|known| known == point) => {
            Err(format!("no place in the code is called {point}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(plan: &Plan) -> String {
        serde_json::to_string_pretty(plan).unwrap()
    }

    fn refused(text: &str) -> String {
        parse(text).unwrap_err()
    }

    #[test]
    fn what_a_run_leaves_is_read_back_as_it_was() {
        for seed in 0..50 {
            let plan = Plan::swarm(seed, 1800);
            assert_eq!(parse(&text(&plan)), Ok(Parsed { found: None, plan }), "seed {seed}");
        }
    }

    #[test]
    fn a_kept_plan_says_what_it_found() {
        let plan = Plan::swarm(7, 60);
        let kept = format!("{{\"found\": \"an event was lost\", \"plan\": {}}}", text(&plan));
        assert_eq!(parse(&kept), Ok(Parsed { found: Some("an event was lost".to_owned()), plan }));
        let forgotten = format!("{{\"plan\": {}}}", text(&Plan::swarm(7, 60)));
        assert!(refused(&forgotten).contains("found"), "{}", refused(&forgotten));
    }

    #[test]
    fn what_is_no_json_is_refused_with_the_place() {
        assert!(
            refused("{\n  \"seed\": 1,\n  oops").contains("line 3"),
            "{}",
            refused("{\n  \"seed\": 1,\n  oops")
        );
    }

    #[test]
    fn an_episode_that_cannot_be_is_named() {
        let mut plan = Plan::swarm(7, 60);
        plan.nodes = 3;
        plan.episodes.truncate(1);
        let mut with = |fault| {
            plan.episodes.truncate(1);
            plan.episodes.push(Episode { at_ms: 0, lasts_ms: 1, fault });
            refused(&text(&plan))
        };
        let of = |victim| Fault::Kill { victim };
        assert_eq!(with(of(Victim::Node(4))), "episode 1 (from 0): there is no node 4, only 1 to 3");
        assert_eq!(with(of(Victim::Node(0))), "episode 1 (from 0): there is no node 0, only 1 to 3");
        assert!(with(of(Victim::Leader(32))).contains("partition 32"));
        let crash = Fault::Crash { victim: Victim::All, point: "nowhere".to_owned(), nth: 1 };
        assert!(with(crash).contains("called nowhere"));
        let unknown = text(&plan).replace("\"crash\"", "\"crush\"");
        assert!(
            refused(&unknown).starts_with("episode 1 (from 0): unknown variant `crush`"),
            "{}",
            refused(&unknown)
        );
    }

    #[test]
    fn a_load_that_does_nothing_is_refused() {
        let mut plan = Plan::swarm(7, 60);
        plan.load.mix.iter_mut().for_each(|(_, weight)| *weight = 0);
        assert!(refused(&text(&plan)).contains("nothing to do"));
        plan = Plan::swarm(7, 60);
        plan.load.rate = -1.0;
        assert!(refused(&text(&plan)).contains("in a second"));
        plan = Plan::swarm(7, 60);
        plan.nodes = 4;
        assert!(refused(&text(&plan)).contains("1, 3 or 5 nodes"));
    }

    #[test]
    fn all_kept_plans_can_be_read_and_say_what_they_found() {
        for kept in PlanFile::read_all(&kept_dir()).unwrap() {
            assert!(kept.found.is_some(), "{} does not say what it found", kept.path.display());
        }
    }
}
