//! Why something could not be done to the machine.

use std::io;

/// What every verb of this crate may fail with. Nothing here is expected in a run that was probed first, so callers
/// mostly pass it on; [`Error::Missing`] names what to install.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that is needed is not on this machine.
    #[error("{program} is not installed; on Debian: apt-get install {package}")]
    Missing {
        /// The program that was looked for.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A program was run and did not succeed.
    #[error("`{command}` failed: {why}")]
    Refused {
        /// The command with its arguments.
        command: String,
        /// What it wrote to its standard error, or how it ended.
        why: String,
    },
    /// The operating system refused a call.
    #[error("{what}: {source}")]
    Os {
        /// What was tried, with the path or the name concerned.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A fault was brought about and what was measured is not its effect.
    #[error("the fault does not do what its name says: {0}")]
    Ineffective(String),
    /// The request does not fit the ground it was made on, or the state that it is in.
    #[error("{0}")]
    Unfit(String),
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Adds what was tried to an error of the system.
pub(crate) trait While<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> While<T> for Result<T, E> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Os { what: what(), source: source.into() })
    }
}
