//! One process of a node, from its start to its end, and what it said.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use chronos_inject::{Error, Process, Recipe, Result};

/// The line on its standard output that says that it serves.
const READY: &str = "listening on ";
/// What it says when it ends at a crash point.
const CRASHED: &str = "CHRONOS_CRASH_AT: aborting at crash point";
/// Bytes of its log in which its last words are looked for.
const LAST_BYTES: u64 = 4096;
/// Lines of its log that are told when it ended.
const LAST_LINES: usize = 3;

/// One process. What it says is added to what those before it said.
pub(super) struct Life {
    log: PathBuf,
    log_from: u64,
    said: PathBuf,
    said_from: u64,
}

/// Whether a process runs.
pub(super) enum Running {
    /// It does.
    On,
    /// It ended by itself.
    Ended(ExitStatus),
    /// Somebody took it away, to kill it.
    Taken,
}

impl Running {
    pub(super) fn look(process: &mut Option<Process>) -> Running {
        let Some(running) = process else { return Running::Taken };
        match running.ended() {
            Ok(Some(how)) => {
                *process = None;
                Running::Ended(how)
            }
            _ => Running::On,
        }
    }
}

impl Life {
    /// Starts a process.
    pub(super) fn begin(recipe: Recipe, logs: &Path, name: &str) -> Result<(Life, Process)> {
        let (log, said) = (logs.join(format!("{name}.log")), logs.join(format!("{name}.out")));
        let life = Life { log_from: length(&log), said_from: length(&said), log, said };
        let (log, said) = (append(&life.log)?, append(&life.said)?);
        let mut command = Some((recipe.command(), log, said));
        let process = Process::start(move || {
            let (mut first, log, said) = command.take().expect("every life is a process of its own");
            first.stdin(std::process::Stdio::null()).stderr(log).stdout(said);
            first
        })?;
        Ok((life, process))
    }

    /// Whether it came to serve.
    pub(super) fn was_ready(&self) -> bool {
        tail(&self.said, self.said_from).contains(READY)
    }

    /// Whether it ended where it was told to.
    pub(super) fn met_its_crash_point(&self) -> bool {
        self.last().contains(CRASHED)
    }

    /// The last lines of its log.
    pub(super) fn last_words(&self) -> String {
        let last = self.last();
        let lines: Vec<&str> = last.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join(" | ")
    }

    fn last(&self) -> String {
        tail(&self.log, self.log_from.max(length(&self.log).saturating_sub(LAST_BYTES)))
    }
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

fn append(path: &Path) -> Result<File> {
    let opened = File::options().create(true).append(true).open(path);
    opened.map_err(|source| Error::Os { what: format!("opening {}", path.display()), source })
}

/// What a file holds from there on; nothing if it cannot be read.
#[expect(clippy::disallowed_methods, reason = "logs of nodes are files of this machine")]
fn tail(path: &Path, from: u64) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut bytes)
    });
    read.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&bytes).into_owned())
}
