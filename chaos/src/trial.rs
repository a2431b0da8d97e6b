//! One plan, run and judged.
//!
//! ```text
//!  Runner ── a process of its own ──▶ stand ── sim::run ──▶ history ── checker
//!     ▲                                 │
//!     └───── beats, then what is told ──┘
//! ```
//!
//! Each plan has a process of its own, so that nothing of one run can reach the next, and as many run at a time as the
//! machine has cores.
//!
//! Invariants: each run has a record, whatever becomes of its process; a number in a record was counted, and is absent
//! where nobody could count.

mod failure;
mod process;
mod record;
mod stand;

pub use failure::{Failure, Way};
pub use process::{Ask, Error, Runner};
pub use record::{Found, Measured, Record};
pub use stand::{Told, stand};

use std::path::{Path, PathBuf};

/// Where a run leaves what it leaves: files of one directory that begin with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The directory.
    pub dir: PathBuf,
    /// The name.
    pub name: String,
}

impl Place {
    /// That directory and name.
    #[must_use]
    pub fn new(dir: &Path, name: &str) -> Place {
        Place { dir: dir.to_owned(), name: name.to_owned() }
    }

    /// What was done.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.dir.join(format!("{}.plan.json", self.name))
    }

    /// What happened, as clients and the nemesis saw it.
    #[must_use]
    pub fn history(&self) -> PathBuf {
        self.dir.join(format!("{}.jsonl", self.name))
    }

    /// What the process said: what nodes log, if that was asked for, and panics.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.name))
    }

    /// Moves what was left to another place, over what was left there.
    ///
    /// # Errors
    /// What the system says.
    #[expect(clippy::disallowed_methods, reason = "what runs leave are files of this machine")]
    pub fn move_to(&self, to: &Place) -> std::io::Result<()> {
        std::fs::rename(self.plan(), to.plan())?;
        std::fs::rename(self.history(), to.history())?;
        std::fs::rename(self.log(), to.log())
    }

    /// Removes what was left.
    #[expect(clippy::disallowed_methods, reason = "what runs leave are files of this machine")]
    pub fn clear(&self) {
        for file in [self.plan(), self.history(), self.log()] {
            // What is not there need not be removed, and what cannot be does no harm.
            let _ = std::fs::remove_file(file);
        }
    }
}
