//! `chaos replay`: runs one plan again.

use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};

use chronos_chaos::Profile;
use chronos_chaos::plan::Plan;
use chronos_chaos::plan_file::PlanFile;
use chronos_chaos::shrink::shrink;
use chronos_chaos::trial::{Ask, Failure, Place, Record, Runner};

use super::{Problem, Verdict};

/// Runs one plan again, in a process of its own.
///
/// Exit code: 0 when the run is clean, and its trace the same if it was asked for twice; 1 otherwise; 2 when it could
/// not be done.
#[derive(clap::Args)]
pub(crate) struct Replay {
    /// A seed, or a file with a plan: as `sim` leaves it, or one of chaos/seeds.
    #[arg(value_name = "SEED|FILE")]
    what: String,
    /// What makes a plan of the seed.
    #[arg(long, value_enum, default_value_t = Profile::Swarm)]
    profile: Profile,
    /// Virtual minutes of attack of a seed's plan [default: 5 for a swarm and beyond, 10080 for a week].
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
    /// Run it twice and compare the traces.
    #[arg(long)]
    twice: bool,
    /// When it fails, look for a smaller plan that fails in the same way.
    #[arg(long)]
    shrink: bool,
    /// Where the plan, the history and the log are left [default: a temporary directory].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where everything that happens is written down; a second run has `.second` behind the name.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Have nodes log, into the log that is left.
    #[arg(long)]
    log: bool,
}

impl Replay {
    pub(crate) fn run(&self) -> Result<Verdict, Problem> {
        let (name, plan) = self.plan()?;
        let temporary = || std::env::temp_dir().join(format!("chronos-chaos-{}", std::process::id()));
        let place = Place::new(&self.out.clone().unwrap_or_else(temporary), &name);
        let runner = Runner::same()?;
        let ask = Ask { trace: self.trace.clone(), log: self.log };
        let record = runner.run(&plan, &place, &ask)?;
        println!("{name}: {record}");
        println!(
            "  left {}, {}, {}",
            place.plan().display(),
            place.history().display(),
            place.log().display()
        );
        let mut verdict = Verdict::clean_if(record.is_ok());
        if self.twice && !self.is_repeated(&runner, &plan, &place, &record)? {
            verdict = Verdict::Failed;
        }
        match (&record.failure, self.shrink) {
            (Some(failure), true) => smallest(&runner, plan, &place, failure)?,
            (None, true) => println!("nothing failed, so there is nothing to shrink"),
            (_, false) => {}
        }
        Ok(verdict)
    }

    /// What it is called, and the plan.
    fn plan(&self) -> Result<(String, Plan), Problem> {
        if let Ok(seed) = self.what.parse() {
            let minutes = self.profile.minutes(self.minutes)?;
            return Ok((self.what.clone(), self.profile.plan(seed, minutes)));
        }
        let path = Path::new(&self.what);
        if !path.exists() {
            let what = &self.what;
            return Err(format!(
                "{what} is neither a seed (a number) nor a file: give one that `chaos sim` left"
            )
            .into());
        }
        let file = PlanFile::read(path)?;
        if let Some(found) = &file.found {
            println!("{} once found: {found}", file.name());
        }
        Ok((file.name(), file.plan))
    }

    /// Whether a second run has the same trace.
    fn is_repeated(
        &self,
        runner: &Runner,
        plan: &Plan,
        place: &Place,
        first: &Record,
    ) -> Result<bool, Problem> {
        let trace = self.trace.as_ref().map(|trace| {
            let mut name = trace.clone().into_os_string();
            name.push(".second");
            PathBuf::from(name)
        });
        let place = Place::new(&place.dir, &format!("{}.second", place.name));
        let second = runner.run(plan, &place, &Ask { trace: trace.clone(), log: self.log })?;
        println!("{}: {second}", place.name);
        let hash = |record: &Record| record.measured.as_ref().map(|measured| measured.trace_hash.clone());
        let is_same = hash(first).is_some() && hash(first) == hash(&second);
        println!("{}", if is_same { "both runs have the same trace" } else { "THE TWO RUNS DIFFER" });
        match (&self.trace, trace) {
            (Some(first), Some(second)) if !is_same => println!("{}", first_difference(first, &second)?),
            (None, _) if !is_same => println!("  give --trace to see where"),
            _ => {}
        }
        Ok(is_same)
    }
}

/// Looks for the smallest plan that fails in the same way, and keeps the smallest found so far in a file.
fn smallest(runner: &Runner, plan: Plan, place: &Place, failure: &Failure) -> Result<(), Problem> {
    let small = Place::new(&place.dir, &format!("{}.small", place.name));
    let attempt = Place::new(&place.dir, &format!("{}.attempt", place.name));
    let (mut attempts, mut left) = (0, place);
    let kept = shrink(plan, &mut |plan| -> Result<bool, Problem> {
        attempts += 1;
        let record = runner.run(plan, &attempt, &Ask::default())?;
        let fails = record.failure.as_ref().is_some_and(|other| failure.is_like(other));
        let how = if fails {
            "fails in the same way"
        } else if record.is_ok() {
            "is clean"
        } else {
            "fails otherwise"
        };
        println!("attempt {attempts}: {}; {how}; {:.1} s", size(plan), record.wall_seconds);
        if fails {
            attempt.move_to(&small)?;
            left = &small;
        }
        Ok(fails)
    });
    attempt.clear();
    println!("smallest after {attempts} attempts: {}", size(&kept?));
    println!("  run it again: cargo chaos replay {}", left.plan().display());
    Ok(())
}

fn size(plan: &Plan) -> String {
    let (episodes, deeds) = (plan.episodes.len(), plan.load.mix.len());
    format!("{episodes} episodes, {deeds} deeds, {} clients, {} seconds", plan.load.clients, plan.seconds)
}

/// The first line in which two traces differ.
fn first_difference(first: &Path, second: &Path) -> Result<String, Problem> {
    let (mut firsts, mut seconds) = (lines(first)?, lines(second)?);
    for number in 1u64.. {
        let (one, other) = (firsts.next().transpose()?, seconds.next().transpose()?);
        if one.is_none() && other.is_none() {
            break;
        }
        if one != other {
            let shown = |line: Option<String>| line.unwrap_or_else(|| "(its end)".to_owned());
            return Ok(format!(
                "  they differ first in line {number}:\n  {}\n  {}",
                shown(one),
                shown(other)
            ));
        }
    }
    Ok("  what they wrote down is the same".to_owned())
}

fn lines(path: &Path) -> Result<Lines<BufReader<File>>, Problem> {
    #[expect(clippy::disallowed_methods, reason = "traces are files of this machine")]
    let file =
        File::open(path).map_err(|error| format!("cannot read the trace {}: {error}", path.display()))?;
    Ok(BufReader::new(file).lines())
}
