//! A conversation with a victim: a line is said to it, a line comes back, unless a fault keeps it from answering.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::error::{Error, Result, While};
use crate::process::Process;
use crate::recipe::Recipe;

/// How long a healthy victim may take: far longer than any does.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// For how long an answer that must not come is waited for.
const SILENT_FOR: Duration = Duration::from_millis(300);

pub(super) struct Talk {
    pub(super) process: Process,
    stdin: ChildStdin,
    answers: Receiver<String>,
}

impl Talk {
    /// Starts a victim by `recipe`.
    pub(super) fn with(recipe: Recipe) -> Result<Talk> {
        let mut process = Process::start(move || {
            let mut command = recipe.command();
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            command
        })?;
        let child = process.child().expect("it was just started");
        let stdin = child.stdin.take().expect("the standard input was asked for as a pipe");
        let stdout = child.stdout.take().expect("the standard output was asked for as a pipe");
        let (heard, answers) = channel();
        std::thread::spawn(move || {
            // Ends with the victim, or when nobody listens any more.
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| heard.send(line))
        });
        Ok(Talk { process, stdin, answers })
    }

    pub(super) fn say(&mut self, line: &str) -> Result<()> {
        writeln!(self.stdin, "{line}").during(|| "speaking to a victim".into())
    }

    /// Says a line and waits for the answer.
    pub(super) fn ask(&mut self, line: &str) -> Result<String> {
        self.say(line)?;
        self.hear()
    }

    pub(super) fn hear(&mut self) -> Result<String> {
        let answer = self.answers.recv_timeout(ANSWER_WITHIN);
        answer.map_err(|error| Error::Ineffective(format!("a victim that should answer does not: {error}")))
    }

    /// Whether no answer comes for a while.
    pub(super) fn is_silent(&mut self) -> bool {
        self.answers.recv_timeout(SILENT_FOR).is_err()
    }

    /// How it ends, once it does.
    pub(super) fn end(&mut self) -> Result<ExitStatus> {
        let ended = self.process.wait(ANSWER_WITHIN)?;
        ended.ok_or_else(|| Error::Ineffective("a victim that should end does not".into()))
    }
}
