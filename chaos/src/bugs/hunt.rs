//! Seeds, one after the other, until one of them catches a bug.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chronos_bugs::Bug;
use parking_lot::Mutex;

use super::Ending;

/// A process that has not come to an end after so long never will.
const RUN_MAX: Duration = Duration::from_secs(900);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Who runs seeds, each in a process of its own.
pub struct Hunt {
    /// The process that makes one run, with this bug or without any, of this seed, and prints its [`Ending`] as the last line
    /// of its output.
    pub process: Box<dyn Fn(Option<Bug>, u64) -> Command + Sync>,
    /// Processes at once.
    pub jobs: usize,
}

/// What became of the hunt for a bug.
#[derive(Clone, Debug)]
pub struct Hunted {
    /// Seeds that were run with the bug.
    pub seeds: u64,
    /// Seconds that they took, all together.
    pub seconds: f64,
    /// The seed that has caught it.
    pub catch: Option<Catch>,
    /// Seeds that fail without the bug too, and so say nothing about it.
    pub spoiled: BTreeMap<u64, Ending>,
}

/// A seed that has caught a bug.
#[derive(Clone, Debug)]
pub struct Catch {
    /// Which.
    pub seed: u64,
    /// How the run with the bug ended.
    pub ending: Ending,
}

#[derive(Default)]
struct Progress {
    next: u64,
    seconds: f64,
    catch: Option<Catch>,
    spoiled: BTreeMap<u64, Ending>,
}

impl Hunt {
    /// Runs these seeds in their order until one catches the bug.
    #[must_use]
    pub fn until_caught(&self, bug: Bug, seeds: Range<u64>) -> Hunted {
        let progress = Mutex::new(Progress { next: seeds.start, ..Progress::default() });
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| self.work(bug, seeds.end, &progress));
            }
        });
        let Progress { next, seconds, catch, spoiled } = progress.into_inner();
        // Seeds behind the first that has caught it were run for nothing.
        let last = catch.as_ref().map_or(next, |catch| catch.seed + 1);
        Hunted { seeds: last - seeds.start, seconds, catch, spoiled }
    }

    fn work(&self, bug: Bug, end: u64, progress: &Mutex<Progress>) {
        loop {
            let seed = {
                let mut progress = progress.lock();
                if progress.catch.is_some() || progress.next >= end {
                    return;
                }
                progress.next += 1;
                progress.next - 1
            };
            let (ending, seconds) = self.run(Some(bug), seed);
            progress.lock().seconds += seconds;
            if !ending.has_failed() {
                continue;
            }
            let (without, _) = self.run(None, seed);
            let mut progress = progress.lock();
            if without.has_failed() {
                progress.spoiled.insert(seed, without);
            } else if progress.catch.as_ref().is_none_or(|catch| seed < catch.seed) {
                progress.catch = Some(Catch { seed, ending });
            }
        }
    }

    /// One run, and how many seconds it took.
    #[must_use]
    pub fn run(&self, bug: Option<Bug>, seed: u64) -> (Ending, f64) {
        #[expect(clippy::disallowed_methods, reason = "how long a simulation takes is no part of it")]
        let began = Instant::now();
        let ending = (self.process)(bug, seed)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .and_then(|child| ending_of(child, began))
            .unwrap_or_else(|error| panic!("a process for seed {seed} cannot be started: {error}"));
        (ending, began.elapsed().as_secs_f64())
    }
}

fn ending_of(mut child: Child, began: Instant) -> std::io::Result<Ending> {
    let (said, complained) = (gather(child.stdout.take()), gather(child.stderr.take()));
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() > RUN_MAX {
            child.kill()?;
            child.wait()?;
            return Ok(Ending::of("silent", format!("it had not come to an end after {RUN_MAX:?}")));
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "processes are waited for outside of every simulation"
        )]
        thread::sleep(LOOK_AGAIN);
    };
    let (said, complained) = (said.finish(), complained.finish());
    let told = said.lines().last().and_then(|line| serde_json::from_str(line).ok());
    Ok(told.unwrap_or_else(|| {
        let last: Vec<&str> = complained.lines().rev().take(3).collect();
        Ending::of(
            "panic",
            format!(
                "it ended with {status} and said: {}",
                last.into_iter().rev().collect::<Vec<_>>().join(" ")
            ),
        )
    }))
}

/// Reads on the side, so that no process waits for somebody to read.
struct Gathered(thread::JoinHandle<String>);

fn gather(from: Option<impl Read + Send + 'static>) -> Gathered {
    let mut from = from.expect("the process was started with pipes");
    #[expect(clippy::disallowed_methods, reason = "pipes are read outside of every simulation")]
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        // What it could not say any more is not missed: its end is judged without it.
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    });
    Gathered(reader)
}

impl Gathered {
    fn finish(self) -> String {
        self.0.join().expect("reading a pipe does not panic")
    }
}
