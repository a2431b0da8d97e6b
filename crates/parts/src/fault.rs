//! What can be wrong with a part, and which file it is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a part could not be read or written. Never an answer: what was asked is not known.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Bytes are not what was written: damaged, cut short, exchanged, or at odds with each other. Nothing of them was
    /// handed out. Retrying does not help; the file must not be served.
    #[error("{} is corrupt{}: {what}; run `chronos verify`; what is lost is in a backup (`chronos restore`)", file.display(), At(*offset))]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// The byte at which the damage begins, as far as it is known: the start of the block or page.
        offset: Option<u64>,
        /// What was found, and what should have been.
        what: String,
    },
    /// The system refused; its sentence names operation and file. Nothing is known to be damaged; retrying a read may
    /// help.
    #[error("{0}")]
    Io(Arc<io::Error>),
    /// A file of a format that this release does not read. Nothing is damaged; a newer release reads it.
    #[error("{} has format version {found}, and this release reads {read}; start the release that wrote it, or a later one", file.display())]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// Its format version.
        found: u64,
        /// The version, or the range of versions, that this release reads.
        read: &'static str,
    },
}

impl Fault {
    /// Damage in `file`, at `offset` if the place is known.
    pub(crate) fn corrupt(file: &Path, offset: impl Into<Option<u64>>, what: impl Into<String>) -> Fault {
        Fault::Corrupt { file: file.to_owned(), offset: offset.into(), what: what.into() }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Io(Arc::new(error))
    }
}

/// The place of damage, as part of a sentence.
struct At(Option<u64>);

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(offset) => write!(f, " at byte {offset}"),
            None => Ok(()),
        }
    }
}
