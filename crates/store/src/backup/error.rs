//! Why a backup is not made, or not restored.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronos_domain::{EventId, Timestamp};

/// A backup or a restore that did not happen. Whatever stood before stands.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory holds something that is no backup.
    #[error(
        "{} is no backup: it holds {found:?}; give an empty directory or one that `chronos backup` made",
        dir.display()
    )]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// One of the files in it.
        found: String,
    },
    /// There is no finished backup.
    #[error(
        "{} is missing, so there is no finished backup; run `chronos backup` into this directory to its end, \
         or give another",
        file.display()
    )]
    Unfinished {
        /// The file that names everything.
        file: PathBuf,
    },
    /// A file is not what was written.
    #[error("{} is damaged: {what}; {advice}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// A later release made it.
    #[error(
        "{} has format {found}, made by release {release}; this release reads format {supported}: run that \
         release or a later one",
        file.display()
    )]
    Newer {
        /// The file.
        file: PathBuf,
        /// The format found.
        found: u16,
        /// The newest one this release reads.
        supported: u16,
        /// The release that wrote it.
        release: String,
    },
    /// The directory holds the backup of another cluster.
    #[error(
        "{} is the backup of cluster {}, and this node belongs to cluster {}; give another directory",
        dir.display(), uuid(*found), uuid(*node)
    )]
    OtherCluster {
        /// The directory.
        dir: PathBuf,
        /// Whose backup it is.
        found: u128,
        /// The node's cluster.
        node: u128,
    },
    /// The directory holds a backup that this node's events do not continue.
    #[error(
        "{} holds a backup that this node does not continue: {what}; give another directory, and keep this \
         one",
        dir.display()
    )]
    OtherHistory {
        /// The directory.
        dir: PathBuf,
        /// Where they part.
        what: String,
    },
    /// Somebody else is at work there.
    #[error("{} is in use: {what}", file.display())]
    InUse {
        /// The lock.
        file: PathBuf,
        /// By whom, and what to do.
        what: &'static str,
    },
    /// The target of a restore holds something.
    #[error(
        "{} is not empty: it holds {found:?}; a restore makes a new directory, so name one that is not there",
        dir.display()
    )]
    NotEmpty {
        /// The target.
        dir: PathBuf,
        /// One of the files in it.
        found: String,
    },
    /// Files of the backup are not what was written.
    #[error("the backup is damaged, and nothing was restored: {}", sentences(.0))]
    DamagedFiles(Vec<Error>),
    /// The name of the target is that of an unfinished restore.
    #[error(
        "{} ends in .{}, which only unfinished restores do; give the new directory another name",
        dir.display(),
        super::RESTORING
    )]
    Reserved {
        /// The target.
        dir: PathBuf,
    },
    /// A moment that the backup does not reach.
    #[error("the backup ends before that: {0}")]
    Beyond(String),
    /// A time that the backup does not reach.
    #[error(
        "the backup ends before that: it has what was recorded up to {end} (in µs since the epoch), and {asked} is asked for; \
         give a time up to then, or a later backup"
    )]
    Later {
        /// Up to when it goes.
        end: Timestamp,
        /// What was asked for.
        asked: Timestamp,
    },
    /// The target's file system is too small.
    #[error(
        "{} has {free} bytes free, and the restore needs {needed}; free some, or name a directory elsewhere",
        dir.display()
    )]
    NoSpace {
        /// The directory that is to hold the target.
        dir: PathBuf,
        /// What is free there.
        free: u64,
        /// What the files of the backup take.
        needed: u64,
    },
    /// The system refused; its sentence names operation and file. The same command may be repeated.
    #[error("{0}; run the same command again once that is mended")]
    Io(Arc<io::Error>),
    /// The log of the new directory could not be made.
    #[error("the log of the new directory could not be made: {0}; run the same command again")]
    Log(String),
}

/// What to do about a damaged file that the node has too.
pub(super) const FETCH_AGAIN: &str =
    "run `chronos backup` into this directory to fetch it again, or use another backup";
/// What to do about a file of a later format.
pub(super) const LATER_RELEASE: &str = "run the release that wrote it or a later one";
/// What to do about a damaged `BACKUP`.
pub(super) const NAME_AGAIN: &str = "use another backup, or move this file away and run `chronos backup` into this \
                                     directory: it keeps every file that is whole";
/// What to do about a file that does not arrive as the node announced it.
pub(super) const VERIFY_NODE: &str =
    "the node's own copy may be: run `chronos verify` there, then this again";

impl Error {
    pub(super) fn damaged(file: &Path, what: impl Into<String>, advice: &'static str) -> Error {
        Error::Damaged { file: file.to_path_buf(), what: what.into(), advice }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(Arc::new(error))
    }
}

fn sentences(damages: &[Error]) -> String {
    damages.iter().map(Error::to_string).collect::<Vec<_>>().join("; ")
}

/// A UUID in its usual text form, which is that of an event id.
fn uuid(bits: u128) -> EventId {
    EventId::from_u128(bits)
}
