//! `chaos bugs`: plants bugs, one after the other, and looks whether they are caught.

use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;

use chronos_bugs::{Bug, CAN_BE_PLANTED};
use chronos_chaos::bugs::{self, Hunt, Hunted, Plant, Sought};
use serde_json::json;

use super::{Problem, Verdict};

/// How a program is built in which bugs can be planted: as fast as a release, and none.
const BUILD: [&str; 7] = [
    "run",
    "--profile=dst",
    "--package=chronos-chaos",
    "--features=seeded-bugs",
    "--quiet",
    "--locked",
    "--",
];

/// Plants bugs, one after the other, and looks whether they are caught.
///
/// Each seed is run in a process of its own. A bug is caught by a seed that fails with it and passes without it.
#[derive(clap::Args)]
pub(crate) struct Bugs {
    /// Only these, as in M7; all of them otherwise.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The first seed and the one after the last.
    #[arg(long, default_value = "1..201")]
    seeds: String,
    /// Virtual minutes of attack.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// The same in seconds.
    #[arg(long, hide = true)]
    seconds: Option<u64>,
    /// Processes at once.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Makes one run in this process, with the bug named by `only` or without any, and prints how it ended.
    #[arg(long, hide = true)]
    here: bool,
}

impl Bugs {
    /// Whether all of them were caught.
    pub(crate) fn run(&self) -> Result<Verdict, Problem> {
        if !CAN_BE_PLANTED {
            return build_and_run();
        }
        let wanted = self.wanted()?;
        if self.here {
            return self.run_here(wanted.first().copied());
        }
        let wanted = if wanted.is_empty() { Bug::ALL.to_vec() } else { wanted };
        let mut is_all = true;
        for bug in wanted {
            is_all &= self.hunt(bug)?;
        }
        Ok(Verdict::clean_if(is_all))
    }

    fn wanted(&self) -> Result<Vec<Bug>, Problem> {
        let named = |name: &String| {
            Bug::named(name).ok_or_else(|| format!("there is no bug {name}; give M1 to M20").into())
        };
        self.only.iter().map(named).collect()
    }

    fn range(&self) -> Result<Range<u64>, Problem> {
        let (first, end) = self.seeds.split_once("..").ok_or("--seeds wants A..B, as in 1..201")?;
        Ok(first.parse()?..end.parse()?)
    }

    fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(self.minutes * 60)
    }

    /// Hunts a bug, and says what became of it; whether it was caught.
    fn hunt(&self, bug: Bug) -> Result<bool, Problem> {
        let quarry = bugs::quarry(bug);
        let sought = match quarry.plant {
            Plant::Here(sought) => sought,
            Plant::NotYet(why) => {
                println!(
                    "{}",
                    json!({ "bug": bug.name(), "statement": bug.statement(), "caught": false, "not_plantable": why })
                );
                eprintln!("{bug:<3} NOT PLANTED, AND NOT COUNTED AS CAUGHT: {why}");
                return Ok(false);
            }
        };
        let (exe, seconds) = (std::env::current_exe()?, self.seconds());
        let process = move |planted: Option<Bug>, seed| run_of(&exe, bug, planted, seed, seconds);
        let hunt = Hunt { process: Box::new(process), jobs: self.jobs };
        let hunted = hunt.until_caught(bug, self.range()?);
        tell(bug, sought, &hunted, seconds);
        Ok(hunted.catch.is_some())
    }

    /// What a process of a hunt does.
    fn run_here(&self, of: Option<Bug>) -> Result<Verdict, Problem> {
        let of = of.ok_or("--here wants --only: plans differ from bug to bug")?;
        let Plant::Here(Sought { plan, .. }) = bugs::quarry(of).plant else {
            return Err("it cannot be planted".into());
        };
        if let Some(planted) = std::env::var_os(PLANTED) {
            let planted = planted
                .to_str()
                .and_then(Bug::named)
                .ok_or("what is to be planted is not named M1 to M20")?;
            chronos_bugs::plant(planted)?;
        }
        let seed = self.range()?.start;
        let history = Scratch::new(seed);
        let ending = bugs::attempt(&plan(seed, self.seconds()), &history.0)?;
        println!("{}", serde_json::to_string(&ending)?);
        Ok(Verdict::Clean)
    }
}

/// Names the bug that a process of a hunt plants.
const PLANTED: &str = "CHRONOS_BUG";

/// The process that runs a seed of the hunt for `of`.
fn run_of(exe: &std::path::Path, of: Bug, planted: Option<Bug>, seed: u64, seconds: u64) -> Command {
    let mut command = Command::new(exe);
    command.args(["bugs", "--here", "--only", of.name(), "--seconds", &seconds.to_string()]);
    command.args(["--seeds", &format!("{seed}..{}", seed + 1)]).env_remove(PLANTED);
    if let Some(planted) = planted {
        command.env(PLANTED, planted.name());
    }
    command
}

fn tell(bug: Bug, sought: Sought, hunted: &Hunted, seconds: u64) {
    let Hunted { seeds, seconds: took, catch, spoiled } = hunted;
    let ending = catch.as_ref().map(|catch| &catch.ending);
    let line = json!({
        "bug": bug.name(),
        "statement": bug.statement(),
        "ground": bugs::quarry(bug).ground,
        "caught": catch.is_some(),
        "seed": catch.as_ref().map(|catch| catch.seed),
        "seeds": seeds,
        "seconds": (took * 10.0).round() / 10.0,
        "plans": sought.plans,
        "attack_seconds": seconds,
        "expected": sought.by,
        "by": ending.map(|ending| &ending.signs),
        "what": ending.map(|ending| &ending.what),
        "fail_without": spoiled,
    });
    println!("{line}");
    match catch {
        Some(catch) => eprintln!(
            "{bug:<3} caught by seed {}, after {seeds} seeds and {took:.1} s, by {}: {}",
            catch.seed,
            catch.ending.signs.join(", "),
            catch.ending.what.first().map_or("", String::as_str)
        ),
        None => eprintln!("{bug:<3} NOT CAUGHT by {seeds} seeds in {took:.1} s: {}", bug.statement()),
    }
    for (seed, ending) in spoiled {
        eprintln!(
            "    seed {seed} fails without it, too, by {}: {}",
            ending.signs.join(", "),
            ending.what.join(" ")
        );
    }
}

/// This program can plant nothing: the one that can is built, and asked.
fn build_and_run() -> Result<Verdict, Problem> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    eprintln!("this program can plant nothing; what can is built and run: cargo {}", BUILD.join(" "));
    let status = Command::new(cargo).args(BUILD).args(std::env::args_os().skip(1)).status()?;
    Ok(Verdict::clean_if(status.success()))
}

/// A file that goes when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(seed: u64) -> Scratch {
        Scratch(std::env::temp_dir().join(format!("chronos-bugs-{}-{seed}.jsonl", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "histories are files of this machine")]
        let removed = std::fs::remove_file(&self.0);
        // Whoever cleans up temporary files removes what is left.
        drop(removed);
    }
}
