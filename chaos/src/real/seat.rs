//! The place of one node: its process, and somebody who starts it again when it ends.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chronos_env::{Clock, Entropy};
use chronos_inject::{Process, Recipe, Result, crash_at};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::blocking;
use super::life::{Life, Running};
use crate::attack::cluster::Story;

/// Who ended by itself is started again after so long, up to twice of it.
const RESTART_AFTER_MS: u64 = 1000;
/// Between two looks whether a process still runs.
const LOOK: Duration = Duration::from_millis(20);
/// A node that was asked to stop and has not after so long is killed, which is a finding.
const STOPS_WITHIN: Duration = Duration::from_secs(60);

/// The place of one node.
pub(super) struct Seat {
    recipe: Recipe,
    logs: PathBuf,
    name: String,
    is_wanted: watch::Sender<bool>,
    /// Whoever kills a process takes it out first.
    process: Mutex<Option<Process>>,
    story: Mutex<Story>,
    /// Whether somebody ends the process, so that its end is no news.
    is_excused: AtomicBool,
    /// The crash point at which the next process is to end.
    crash: Mutex<Option<(String, u64)>>,
}

impl Seat {
    /// A place for processes of `recipe`, whose logs go to files of that name.
    pub(super) fn new(recipe: Recipe, logs: &Path, name: String) -> Seat {
        Seat {
            recipe,
            logs: logs.to_owned(),
            name,
            is_wanted: watch::Sender::new(false),
            process: Mutex::default(),
            story: Mutex::default(),
            is_excused: AtomicBool::new(false),
            crash: Mutex::default(),
        }
    }

    /// What became of its processes.
    pub(super) fn story(&self) -> Story {
        self.story.lock().clone()
    }

    /// The id of the process, while one runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.lock().as_ref().and_then(|process| process.id().ok())
    }

    /// Has a process run from now on.
    pub(super) fn want(&self) {
        self.is_wanted.send_replace(true);
    }

    /// From now on nobody starts it, and how it ends is no news.
    pub(super) fn dismiss(&self) {
        self.is_excused.store(true, Ordering::SeqCst);
        self.is_wanted.send_replace(false);
    }

    /// The next process ends at the `nth` pass of this point; `None` takes that back.
    pub(super) fn crash_next(&self, order: Option<(String, u64)>) {
        *self.crash.lock() = order;
    }

    /// Kills the process; returns when it is gone.
    pub(super) async fn kill(&self) -> Result<()> {
        self.dismiss();
        // Whatever comes next is another attempt, also where nothing runs now.
        self.story.lock().stillborn = 0;
        let taken = self.process.lock().take();
        let Some(mut process) = taken else { return Ok(()) };
        blocking(move || process.kill()).await
    }

    /// Does something to the process, if one runs.
    pub(super) fn with<T>(&self, act: impl FnOnce(&Process) -> Result<T>) -> Option<Result<T>> {
        self.process.lock().as_ref().map(act)
    }

    /// Asks it to stop; returns when it has.
    pub(super) async fn stop(&self, clock: &Clock) {
        self.is_wanted.send_replace(false);
        let asked = self.with(|process| process.resume().and_then(|()| process.terminate()));
        let began = clock.monotonic();
        while matches!(asked, Some(Ok(()))) && self.story.lock().is_running {
            if clock.monotonic() - began > STOPS_WITHIN {
                self.note(format!("was asked to stop and still ran after {} s", STOPS_WITHIN.as_secs()));
                break;
            }
            clock.sleep(LOOK).await;
        }
        // Who could not be asked, because it was about to end, is made to.
        if let Err(error) = self.kill().await {
            self.note(error.to_string());
        }
        while self.story.lock().is_running {
            clock.sleep(LOOK).await;
        }
    }

    /// Starts a process whenever one is wanted and none runs, for ever.
    pub(super) async fn keep(&self, clock: &Clock, dice: &Entropy) {
        let mut wanted = self.is_wanted.subscribe();
        loop {
            wanted.wait_for(|is_wanted| *is_wanted).await.expect("a seat lives as long as its keeper");
            self.live(clock).await;
            let pause = RESTART_AFTER_MS + dice.below(RESTART_AFTER_MS);
            clock.sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn live(&self, clock: &Clock) {
        self.is_excused.store(false, Ordering::SeqCst);
        let mut recipe = self.recipe.clone();
        if let Some((point, nth)) = self.crash.lock().clone() {
            let (name, value) = crash_at(&point, u32::try_from(nth).unwrap_or(u32::MAX));
            recipe = recipe.env(name, value);
        }
        let life = match Life::begin(recipe, &self.logs, &self.name) {
            Ok((life, process)) => {
                *self.process.lock() = Some(process);
                life
            }
            Err(error) => {
                self.note(format!("could not be started: {error}"));
                return;
            }
        };
        {
            let mut story = self.story.lock();
            story.lives += 1;
            story.is_running = true;
        }
        if !*self.is_wanted.borrow() && self.kill().await.is_err() {
            self.note("was not wanted any more and could not be killed".to_owned());
        }
        let ended = loop {
            clock.sleep(LOOK).await;
            let running = self.process.try_lock().map(|mut process| Running::look(&mut process));
            match running {
                None | Some(Running::On) => {}
                Some(Running::Ended(how)) => break Some(how),
                Some(Running::Taken) => break None,
            }
        };
        let end = ended.and_then(|how| self.judge(&life, &how));
        let mut story = self.story.lock();
        story.is_running = false;
        story.stillborn = match (&end, life.was_ready()) {
            (Some(_), false) => story.stillborn + 1,
            _ => 0,
        };
        story.ends.extend(end);
    }

    /// What is to be told of an end, if anything.
    fn judge(&self, life: &Life, how: &std::process::ExitStatus) -> Option<String> {
        let was_asked = !*self.is_wanted.borrow() && how.success();
        let was_told = self.crash.lock().is_some() && life.met_its_crash_point();
        if was_asked || was_told || self.is_excused.load(Ordering::SeqCst) {
            return None;
        }
        let when = if life.was_ready() { "" } else { "did not start: " };
        Some(format!("{} {when}{how}: {}", self.name, life.last_words()))
    }

    fn note(&self, what: String) {
        self.story.lock().ends.push(format!("{} {what}", self.name));
    }
}
