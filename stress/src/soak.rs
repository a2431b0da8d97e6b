//! The soak itself: one round after the other, until it has gone its whole length.

mod look;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{LineWriter, Write};
use std::path::{Path, PathBuf};

use chronos_chaos::real::{Rounded, Settings as Ground, Standing};
use chronos_chaos::{Ending, Origin, Window};
use chronos_history::{Line, check_lines};

use self::look::Looker;
use crate::ledger::{Book, Ends, Entry, Ledger, Round, Why};
use crate::machine::{boot, commit, machine, now};
use crate::plan::{ending, plan, weak};
use crate::sample::{Samples, Summary};
use crate::settings::Settings;
use crate::splice::{read_cut, splice};
use crate::tap::{Pulse, Tap};
use crate::verdict::Verdict;
use crate::view::{Standing as Shown, View, clock};

/// Why a soak could not go on.
pub type Problem = Box<dyn Error + Send + Sync>;

/// A soak that runs.
pub struct Soak<W> {
    dir: PathBuf,
    settings: Settings,
    book: Book,
    samples: Samples,
    view: View<W>,
    cluster: Standing,
    shown: Shown,
    /// Where every round that was judged ended, in their order.
    windows: Vec<Window>,
    next: u16,
    /// Seconds that the soak has been running, over all its starts.
    age: f64,
}

impl<W: Write + Send> Soak<W> {
    /// Has a soak run whose ledger is open, with this binary of the product.
    ///
    /// # Errors
    /// When it has failed before, or the machine cannot give its nodes what they need.
    pub fn begin(
        dir: &Path,
        (mut book, ledger): (Book, Ledger),
        binary: &Path,
        view: View<W>,
    ) -> Result<Soak<W>, Problem> {
        if let Some(why) = ledger.failure() {
            let dir = dir.display();
            return Err(
                format!("the soak in {dir} has failed and does not go on ({why}); begin another").into()
            );
        }
        let settings = ledger.settings.clone();
        let ground = Ground { scratch: dir.join("ground"), ..Ground::new(binary, dir.join("logs")) };
        let cluster = Standing::begin(&ground, settings.nodes, settings.seed, &dir.join("disks"))?;
        book.write(&Entry::Start {
            at: now(),
            commit: commit(),
            machine: format!("{}; nodes on {}", machine(), cluster.ground),
        })?;
        let samples = Samples::open(dir)?;
        let age = crate::sample::read(dir)?.last().map_or(0.0, |last| last.age);
        let mut soak = Soak {
            dir: dir.into(),
            shown: Shown::of(&ledger),
            windows: windows(&ledger),
            next: ledger.next_round(),
            settings,
            book,
            samples,
            view,
            cluster,
            age,
        };
        soak.cluster.unable.clone().iter().for_each(|unable| soak.view.say(&format!("not run: {unable}")));
        soak.cluster.was_damaged(weak(&soak.settings, soak.next.saturating_sub(1)));
        if let Some(round) = ledger.cut_off() {
            soak.conclude(round, is_same_boot(&ledger))?;
        }
        Ok(soak)
    }

    /// Lets it run its whole length, or as far as it comes. Says why it ended; its cluster has ended then, too.
    ///
    /// # Errors
    /// When something fails that is not the cluster.
    pub fn run(mut self) -> Result<Why, Problem> {
        let why = loop {
            let left = self.settings.profile.seconds() as f64 - self.shown.done.0;
            if self.has_failed() {
                break Why::Failed;
            }
            if left <= 0.0 {
                break Why::Complete;
            }
            let is_last = left <= self.settings.profile.round_seconds() as f64;
            let ending = ending(&self.settings, self.next, is_last);
            if let Some(signal) = self.round(ending)? {
                self.view.say(&format!("{signal} came; go on with --resume {}", self.dir.display()));
                break Why::Interrupted;
            }
            if ending == Ending::Cold && !self.has_failed() {
                self.reread()?;
            }
        };
        self.book.write(&Entry::Stop { at: now(), why })?;
        Ok(why)
    }

    fn has_failed(&self) -> bool {
        self.shown.failed.is_some()
    }

    /// One round, from its plan to its verdict. Gives the signal that came meanwhile, if one did.
    fn round(&mut self, ending: Ending) -> Result<Option<&'static str>, Problem> {
        let round = self.next;
        let plan = plan(&self.settings, round, ending);
        let (origin, history) = (self.origin(round), self.history(round));
        self.book.write(&Entry::Begin { round, at: now(), boot: boot() })?;
        let pulse = Pulse::default();
        let sink = Box::new(Tap::new(create(&history)?, pulse.clone()));
        let mut looker = Looker::new(
            (&mut self.samples, &mut self.view, &mut self.shown),
            &pulse,
            (round, plan.seconds, self.settings.profile.sample_seconds()),
            self.age,
        );
        let rounded =
            self.cluster.round(&plan, origin.clone(), ending, sink, &mut |nodes| looker.look(nodes))?;
        let seen = looker.finish();
        self.age = seen.age;
        if let Some(signal) = rounded.signal {
            return Ok(Some(signal));
        }
        let lines = chronos_history::read(&[&history])?;
        let judged = Judged { lines: &lines, plan_seconds: plan.seconds, was_cut: false, is_whole: true };
        let mut entry = self.judge(round, &origin, &pulse, judged, rounded.outcome.failure.clone());
        entry.wall_seconds = seen.seconds;
        entry.samples = Summary::of(&seen.samples);
        entry.bytes = rounded.tally.bytes;
        self.close(note_faults(entry, rounded))?;
        Ok(None)
    }

    /// Judges a round that was cut off, with whatever was under way in it.
    fn conclude(&mut self, round: u16, is_same_boot: bool) -> Result<(), Problem> {
        self.view.say(&format!("round {round} was cut off: it is concluded and judged first"));
        let (origin, history) = (self.origin(round), self.history(round));
        let added = history.with_extension("added.jsonl");
        let sink = Box::new(create(&added)?);
        self.cluster.conclude(self.settings.nodes, origin.clone(), sink)?;
        let first = if history.exists() { read_cut(&history).unwrap_or_default() } else { Vec::new() };
        let second = chronos_history::read(&[&added])?;
        let lines = if first.is_empty() { second } else { splice(first, second) };
        let pulse = Pulse::default();
        lines.iter().for_each(|line| pulse.see(line));
        let plan_seconds = self.settings.profile.round_seconds();
        let judged = Judged { lines: &lines, plan_seconds, was_cut: true, is_whole: is_same_boot };
        let entry = self.judge(round, &origin, &pulse, judged, None);
        self.next = self.next.max(round + 1);
        self.close(entry)
    }

    fn judge(
        &self,
        round: u16,
        origin: &Origin,
        pulse: &Pulse,
        judged: Judged<'_>,
        failure: Option<String>,
    ) -> Round {
        let sum = pulse.sum();
        let verdict = match (&failure, judged.is_whole) {
            (Some(why), _) => Verdict::failed(why.clone()),
            // Lines that were not yet on disk are missing: what came of them would count as events that nobody sent.
            (None, false) => Verdict { told: vec![NOT_JUDGED.into()], ..Verdict::default() },
            (None, true) => Verdict::of(&check_lines(judged.lines), None),
        };
        Round {
            round,
            at: now(),
            was_cut: judged.was_cut,
            seconds: sum.seconds.min(judged.plan_seconds as f64),
            operations: sum.operations,
            acked: sum.acked,
            faults: sum.episodes,
            verdict,
            ends: if failure.is_none() { pulse.ends(&origin.heads) } else { Ends::new() },
            ..Round::default()
        }
    }

    /// Notes what a round came to.
    fn close(&mut self, entry: Round) -> Result<(), Problem> {
        self.book.write(&Entry::Round(Box::new(entry.clone())))?;
        self.windows.push(Window { origin: self.origin(entry.round), ends: entry.ends.clone() });
        self.shown.take_in(&entry);
        let episodes: u64 = entry.faults.values().sum();
        self.view.say(&format!(
            "round {} ({}): {} operations, {} acknowledged, {episodes} episodes: {}",
            entry.round,
            clock(entry.seconds),
            entry.operations,
            entry.acked,
            entry.verdict
        ));
        entry.verdict.told.iter().for_each(|what| self.view.say(&format!("  {what}")));
        entry.deaths.iter().for_each(|what| self.view.say(&format!("  ended by itself: {what}")));
        self.next = entry.round + 1;
        self.forget(entry.round);
        Ok(())
    }

    /// Compares everything that was ever stored with what the rounds said.
    fn reread(&mut self) -> Result<(), Problem> {
        let compared = self.cluster.reread(&self.windows);
        let (events, failure) = match compared {
            Ok(events) => (events, None),
            Err(why) => (0, Some(why)),
        };
        let told = failure.clone().unwrap_or_else(|| "all as it was".into());
        self.view.say(&format!("read again from the beginning, {events} events: {told}"));
        self.shown.failed = self.shown.failed.take().or_else(|| failure.clone());
        Ok(self.book.write(&Entry::Reread { at: now(), events, failure })?)
    }

    fn origin(&self, round: u16) -> Origin {
        let heads = self.windows.last().map_or_else(BTreeMap::new, |window| {
            window.ends.iter().map(|(partition, (last, _))| (*partition, *last)).collect()
        });
        Origin { round, heads }
    }

    fn history(&self, round: u16) -> PathBuf {
        self.dir.join("histories").join(format!("round-{round:05}.jsonl"))
    }

    /// Removes the history of a round that is long over. Who has a verdict has what it says.
    fn forget(&self, round: u16) {
        if let Some(old) = round.checked_sub(self.settings.profile.histories_kept()) {
            #[expect(clippy::disallowed_methods, reason = "histories are files of this machine")]
            let _ = std::fs::remove_file(self.history(old));
        }
    }
}

/// Why a round that was cut off together with the machine has no verdict.
const NOT_JUDGED: &str =
    "not judged: the machine was started anew, and the last lines of the history were not on disk yet";

/// What is judged.
struct Judged<'a> {
    lines: &'a [Line],
    plan_seconds: u64,
    was_cut: bool,
    /// Whether all is there that was written.
    is_whole: bool,
}

fn note_faults(mut entry: Round, rounded: Rounded) -> Round {
    for skipped in rounded.outcome.skipped {
        if let Some(count) = entry.faults.get_mut(skipped.kind) {
            *count = count.saturating_sub(1);
        }
        entry.skipped.insert(skipped.kind.to_owned(), skipped.why);
    }
    entry.faults.retain(|_, count| *count > 0);
    entry.deaths = rounded.ends;
    entry
}

/// Line by line in the hands of the system, so that a crash of this program loses none.
fn create(file: &Path) -> Result<LineWriter<File>, Problem> {
    let directory = file.parent().ok_or("a history lies in a directory")?;
    std::fs::create_dir_all(directory)?;
    #[expect(clippy::disallowed_methods, reason = "histories are files of this machine")]
    let made = File::create(file);
    Ok(LineWriter::new(made.map_err(|error| format!("making {}: {error}", file.display()))?))
}

/// Where every round that was judged ended.
fn windows(ledger: &Ledger) -> Vec<Window> {
    let mut heads = BTreeMap::new();
    let window = |round: &Round| {
        let next = round.ends.iter().map(|(partition, (last, _))| (*partition, *last)).collect();
        let origin = Origin { round: round.round, heads: std::mem::replace(&mut heads, next) };
        Window { origin, ends: round.ends.clone() }
    };
    ledger.rounds().map(window).collect()
}

/// Whether the machine has been running since the last round began.
fn is_same_boot(ledger: &Ledger) -> bool {
    let last = ledger.entries.iter().rev().find_map(|entry| match entry {
        Entry::Begin { boot, .. } => Some(boot),
        _ => None,
    });
    last == Some(&boot())
}
