//! How a command ends when it does not succeed: an exit code that scripts can tell apart, and a sentence.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// What the exit code says. The numbers are part of the interface and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Something broke: no server, a damaged file, an I/O error. Nothing was rejected, nothing is in doubt.
    Failed = 1,
    /// The command line, a configuration file or an argument makes no sense.
    Usage = 2,
    /// What was asked for does not exist.
    NotFound = 3,
    /// A rule said no. Repeating the same request gives the same answer.
    Rejected = 4,
    /// It may or may not have happened. Repeating the command with the same event ids finds out.
    Unknown = 5,
    /// What was looked at is there and not as it should be; what exactly was printed.
    Unwell = 6,
}

/// An [`Exit`] and the sentence that goes to standard error.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

/// What every command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    pub(crate) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, message)
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The failure whose reason was already printed as part of the output (a damage report, a proof that failed).
    pub(crate) fn already_told(exit: Exit) -> Self {
        Self { exit, message: String::new() }
    }

    /// A failed write to standard output. A reader that has seen enough (`chronos export | head`) is no failure:
    /// there is nobody left to tell.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::already_told(Exit::Failed);
        }
        Self::failed(format!("cannot write to standard output: {error}"))
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Prints the sentence, as usage errors are printed too, and gives the code to leave with.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            eprintln!("error: {}", self.message);
        }
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}
