//! Many seeds, each in a process of its own, and one file of results.
//!
//! Plans that once found something are run first. A campaign that was interrupted goes on where it was when it is run
//! again with the same file of results. Results are of one commit: a file of another one, or of a tree with changes that
//! nobody committed, is left alone and the campaign refused, so that no number is ever a sum over two programs.
//!
//! Invariant: each seed that was asked for ends up in the results once, as clean or as failed.

mod machine;
mod results;
mod totals;

pub use machine::{Machine, commit};
pub use results::{Failed, Results};
pub use totals::Totals;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use parking_lot::Mutex;

use crate::plan::Plan;
use crate::plan_file::PlanFile;
use crate::trial::{self, Ask, Place, Record, Runner};
use crate::{Profile, Seeds, plan_file};

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Of what is attacked, as [`commit`] says it.
    pub commit: String,
    /// What makes plans of seeds.
    pub profile: Profile,
    /// Virtual minutes of attack in each run of a seed.
    pub minutes: u64,
    /// The seeds.
    pub seeds: Seeds,
    /// The plans that are run before them.
    pub kept: Vec<PlanFile>,
    /// How many run at a time.
    pub jobs: usize,
    /// Where runs leave what they leave.
    pub dir: PathBuf,
    /// Whether clean runs leave it, too.
    pub leave_all: bool,
    /// Where results are written, and where those of an earlier start are.
    pub results: Option<PathBuf>,
    /// What each run is asked for.
    pub ask: Ask,
}

/// One of a campaign's runs.
#[derive(Clone, Debug)]
pub struct Run {
    /// Why it was run.
    pub origin: Origin,
    /// What came of it.
    pub record: Record,
    /// The command that runs it again.
    pub replay: String,
    /// Where it left its files, if it left them.
    pub left: Option<Place>,
}

/// Why a plan is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It once found something, and is kept under this name.
    Kept(String),
    /// Its seed was asked for.
    Seed(u64),
}

/// Why a campaign could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A run could not be tried.
    #[error(transparent)]
    Trial(#[from] trial::Error),
    /// The results cannot be read or written, or are of something else.
    #[error(transparent)]
    Results(#[from] results::Error),
}

/// Does what a campaign asks for and was not done before, and gives back the results of all of it. `tell` hears of each
/// run when it has ended.
///
/// # Errors
/// A run could not be tried, or the results cannot be kept.
pub fn run(campaign: &Campaign, runner: &Runner, tell: &mut dyn FnMut(&Run)) -> Result<Results, Error> {
    let mut results = Results::begin_or_resume(campaign)?;
    results.keep(campaign.results.as_deref())?;
    let done_before = results.clone();
    let errands = Mutex::new(campaign.errands().filter(|errand| !done_before.has(&errand.origin())));
    let is_over = AtomicBool::new(false);
    let (done, runs) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..campaign.jobs.max(1) {
            let (done, errands, is_over) = (done.clone(), &errands, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let Some(errand) = errands.lock().next() else { return };
                    if done.send(errand.run(campaign, runner)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        let end = collect(campaign, &mut results, &runs, tell);
        is_over.store(true, Ordering::Relaxed);
        end
    })?;
    Ok(results)
}

/// Takes in runs until there are no more.
fn collect(
    campaign: &Campaign,
    results: &mut Results,
    runs: &mpsc::Receiver<Result<Run, trial::Error>>,
    tell: &mut dyn FnMut(&Run),
) -> Result<(), Error> {
    let mut last = now();
    for run in runs {
        let (run, now) = (run?, now());
        tell(&run);
        results.add(&run, (now - last).as_millis() as f64 / 1000.0);
        results.keep(campaign.results.as_deref())?;
        last = now;
    }
    Ok(())
}

/// One run that is to be done.
enum Errand<'a> {
    Kept(&'a PlanFile),
    Seed(u64),
}

impl Campaign {
    /// All runs: first what once found something.
    fn errands(&self) -> impl Iterator<Item = Errand<'_>> {
        self.kept.iter().map(Errand::Kept).chain(self.seeds.iter().map(Errand::Seed))
    }
}

impl Errand<'_> {
    fn origin(&self) -> Origin {
        match self {
            Errand::Kept(kept) => Origin::Kept(kept.name()),
            Errand::Seed(seed) => Origin::Seed(*seed),
        }
    }

    fn plan(&self, campaign: &Campaign) -> Plan {
        match self {
            Errand::Kept(kept) => kept.plan.clone(),
            Errand::Seed(seed) => campaign.profile.plan(*seed, campaign.minutes),
        }
    }

    fn replay(&self, campaign: &Campaign) -> String {
        let (profile, minutes) = (campaign.profile.name(), campaign.minutes);
        match self {
            Errand::Kept(kept) => format!("cargo chaos replay {}", kept.path.display()),
            Errand::Seed(seed) => {
                format!("cargo chaos replay {seed} --profile {profile} --minutes {minutes}")
            }
        }
    }

    fn run(&self, campaign: &Campaign, runner: &Runner) -> Result<Run, trial::Error> {
        let origin = self.origin();
        let place = Place::new(&campaign.dir, &origin.name());
        let record = runner.run(&self.plan(campaign), &place, &campaign.ask)?;
        let is_left = campaign.leave_all || !record.is_ok();
        if !is_left {
            place.clear();
        }
        Ok(Run { origin, record, replay: self.replay(campaign), left: is_left.then_some(place) })
    }
}

impl Origin {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Origin::Kept(name) => name.clone(),
            Origin::Seed(seed) => seed.to_string(),
        }
    }
}

/// The plans that once found something.
///
/// # Errors
/// They are not where they were when this program was built, or one of them cannot be run.
pub fn kept() -> Result<Vec<PlanFile>, plan_file::Error> {
    PlanFile::read_all(&plan_file::kept_dir())
}

#[expect(clippy::disallowed_methods, reason = "how long a campaign takes is no part of any run")]
fn now() -> Instant {
    Instant::now()
}
