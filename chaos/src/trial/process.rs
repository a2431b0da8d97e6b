//! A run in a process of its own.
//!
//! The process says that it gets on by an empty line, and in the end how the run ended by a line that is not. One that
//! dies, or of which nothing is heard for long, has failed.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Failure, Place, Record, Told, Way};
use crate::plan::Plan;

/// Seconds of silence after which a process counts as one that hangs. What takes longest without a sign of life is
/// judging a long history.
const SILENCE_MAX: Duration = Duration::from_secs(600);
/// What a process said last that is quoted when it died, in bytes.
const LAST_WORDS_MAX: usize = 1000;

/// Whoever starts processes for runs.
#[derive(Clone, Debug)]
pub struct Runner {
    program: PathBuf,
    silence_max: Duration,
}

/// What a run is asked for, besides a record.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Where everything that happens is written down.
    pub trace: Option<PathBuf>,
    /// Whether nodes log.
    pub log: bool,
}

/// Why a run could not be tried at all. That says nothing about the product.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {cause}; see that there is room and that {path} can be used", path = path.display())]
pub struct Error {
    what: &'static str,
    path: PathBuf,
    cause: io::Error,
}

impl Runner {
    /// Runs are done by `program`, which is `chronos-chaos` wherever it lies.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Runner {
        Runner { program: program.into(), silence_max: SILENCE_MAX }
    }

    /// Runs are done by the program that this process is: the very same, even where a build has put another one in its
    /// place since.
    ///
    /// # Errors
    /// The system does not say which that is.
    pub fn same() -> io::Result<Runner> {
        let this = Path::new("/proc/self/exe");
        Ok(Runner::new(if this.exists() { this.to_owned() } else { std::env::current_exe()? }))
    }

    /// Runs a plan. The plan, the history and what the process said are left at the place.
    ///
    /// # Errors
    /// The plan cannot be left there, or the program cannot be started.
    pub fn run(&self, plan: &Plan, place: &Place, ask: &Ask) -> Result<Record, Error> {
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |cause| Error { what, path, cause }
        };
        fs::create_dir_all(&place.dir).map_err(failed("make a directory for what runs leave", &place.dir))?;
        let text = serde_json::to_string_pretty(plan).expect("a plan is plain data");
        fs::write(place.plan(), text).map_err(failed("leave a plan", &place.plan()))?;
        #[expect(clippy::disallowed_methods, reason = "what runs leave are files of this machine")]
        let log = File::create(place.log()).map_err(failed("leave a log", &place.log()))?;
        let mut command = Command::new(&self.program);
        command.arg("trial").arg(&place.dir).arg(&place.name).stderr(log);
        if let Some(trace) = &ask.trace {
            command.arg("--trace").arg(trace);
        }
        if ask.log {
            command.arg("--log");
        }
        let began = now();
        let end = watch(&mut command, self.silence_max).map_err(failed("start a run", &self.program))?;
        let wall_seconds = began.elapsed().as_millis() as f64 / 1000.0;
        let (failure, measured) = match end.told() {
            Ok(told) => (told.failure, Some(told.measured)),
            Err(way) => {
                let what = format!("{}{}", end.how(), last_words(&place.log()));
                (Some(Failure { way, what }), None)
            }
        };
        Ok(Record { seed: plan.seed, failure, measured, wall_seconds })
    }
}

/// How a process ended.
struct End {
    status: ExitStatus,
    /// For how long it had been silent when it was ended, if it was for that.
    silent: Option<Duration>,
    /// The last line that was not empty.
    last: String,
}

impl End {
    /// What it told, or in what way it failed without telling.
    fn told(&self) -> Result<Told, Way> {
        match serde_json::from_str(&self.last) {
            _ if self.silent.is_some() => Err(Way::Silent),
            Ok(told) if self.status.success() => Ok(told),
            _ => Err(Way::Died),
        }
    }

    fn how(&self) -> String {
        match self.silent {
            Some(silent) => format!("nothing for {} s", silent.as_secs()),
            None => self.status.to_string(),
        }
    }
}

/// Starts a process and listens to it until it ends. One that is silent for too long is ended.
fn watch(command: &mut Command, silence_max: Duration) -> io::Result<End> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
    let (heard, hear) = mpsc::channel();
    let (mut last, mut silent) = (String::new(), None);
    thread::scope(|scope| {
        scope.spawn(move || {
            for line in lines.map_while(Result::ok) {
                if heard.send(line).is_err() {
                    return;
                }
            }
        });
        loop {
            match hear.recv_timeout(silence_max) {
                Ok(line) if line.is_empty() => {}
                Ok(line) => last = line,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    silent = Some(silence_max);
                    return child.kill();
                }
            }
        }
        Ok(())
    })?;
    Ok(End { status: child.wait()?, silent, last })
}

/// What a process that died said last: the last panic, or its last lines.
fn last_words(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    let panic = text.rfind("panicked at").map(|at| &text[at..]);
    let words = panic.unwrap_or_else(|| {
        let begin = text.char_indices().rev().take(LAST_WORDS_MAX).last().map_or(0, |(at, _)| at);
        &text[begin..]
    });
    let words: String =
        words.split("note: run with").next().unwrap_or_default().chars().take(LAST_WORDS_MAX).collect();
    if words.is_empty() { words } else { format!(", having said: {}", words.trim().replace('\n', " ")) }
}

#[expect(clippy::disallowed_methods, reason = "how long a run takes is no part of it")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stderr(Stdio::null());
        command
    }

    fn of(script: &str) -> End {
        watch(&mut shell(script), Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn a_process_that_dies_of_a_signal_has_failed() {
        let end = of("kill -9 $$");
        assert_eq!(end.told(), Err(Way::Died));
        assert!(end.how().contains("signal: 9"), "{}", end.how());
    }

    #[test]
    fn a_process_that_says_nothing_or_something_else_has_failed() {
        for script in ["exit 0", "echo; echo; exit 0", "echo hello", "exit 101"] {
            assert_eq!(of(script).told(), Err(Way::Died), "{script}");
        }
    }

    #[test]
    fn a_process_of_which_nothing_is_heard_is_ended_and_has_failed() {
        let end = watch(&mut shell("echo; exec sleep 100000"), Duration::from_millis(200)).unwrap();
        assert_eq!(end.told(), Err(Way::Silent));
        assert!(!end.status.success());
    }

    #[test]
    fn the_last_panic_is_quoted_on_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        assert_eq!(last_words(&log), "", "nothing was said");
        fs::write(
            &log,
            "much\nthread 'main' panicked at a.rs:1:2:\nindex 7\nnote: run with `RUST_BACKTRACE=1`\n",
        )
        .unwrap();
        assert_eq!(last_words(&log), ", having said: panicked at a.rs:1:2: index 7");
        fs::write(&log, "x".repeat(5000) + "\nno room").unwrap();
        assert!(last_words(&log).ends_with("x no room"), "{}", last_words(&log));
        assert!(last_words(&log).len() < 1100);
    }
}
