//! Disk errors that say which file, without losing what the system said.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What is inside every [`io::Error`] of a [`crate::Disk`]: the operation, the path and the cause. The outer error
/// has the cause's kind; the system's error number is at [`PathError::raw_os_error`].
#[derive(Debug)]
pub struct PathError {
    op: &'static str,
    path: PathBuf,
    cause: io::Error,
}

impl PathError {
    pub(crate) fn wrap(op: &'static str, path: &Path, cause: io::Error) -> io::Error {
        io::Error::new(cause.kind(), PathError { op, path: path.to_owned(), cause })
    }

    /// The path error inside `error`, if a disk made it.
    pub fn of(error: &io::Error) -> Option<&PathError> {
        error.get_ref()?.downcast_ref()
    }

    /// The file or directory at fault.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The system's error number, such as `ENOSPC`, if the system was the one to refuse.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.cause.raw_os_error()
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.op, self.path.display(), self.cause)
    }
}

impl Error for PathError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

/// The cause of every error of a simulated disk without power: the call reached nothing and did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerLost;

impl PowerLost {
    /// Whether `error` came from a simulated disk that had lost power.
    pub fn caused(error: &io::Error) -> bool {
        let cause = PathError::of(error).map_or(error, |with_path| &with_path.cause);
        cause.get_ref().is_some_and(|inner| inner.is::<PowerLost>())
    }
}

impl fmt::Display for PowerLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated disk has lost power")
    }
}

impl Error for PowerLost {}
