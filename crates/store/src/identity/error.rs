//! Why a data directory is refused.

use std::io;
use std::path::{Path, PathBuf};

use chronos_domain::limits::PARTITIONS;
use chronos_domain::{EventId, NodeId};

/// What is left to a node of a cluster whose directory cannot be used any more. It comes back under a number of its own: who
/// has lost a part of what it promised must not vote as who it was.
const REPLACE: &str = "a node among others is given up instead: start an empty directory in its place with --join, then run \
                       `chronos cluster replace` with the number of the one that is lost";

/// A data directory that cannot be opened. It is left as it was found.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process serves it.
    #[error(
        "data directory is locked by a running server ({}); stop that server, or give this one a directory of its own",
        file.display()
    )]
    Locked {
        /// The lock file.
        file: PathBuf,
    },
    /// It holds files, and none of them is ours.
    #[error(
        "{} is not a data directory: it holds {found:?} but no IDENTITY file; give an empty directory or one that \
         chronos made",
        dir.display()
    )]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// One of the files in it.
        found: String,
    },
    /// Its restore is not finished.
    #[error(
        "{} is the directory of a restore that has not come to its end; run `chronos restore` again, and start from \
         the directory that it makes",
        dir.display()
    )]
    Restoring {
        /// The directory.
        dir: PathBuf,
    },
    /// It holds a log that nobody vouches for.
    #[error(
        "{} is missing although there is a log beside it; restore the file from a backup, because without it the log \
         cannot be told from another cluster's; {REPLACE}",
        file.display()
    )]
    IdentityMissing {
        /// The file that should be there.
        file: PathBuf,
    },
    /// The identity file has been changed since it was written.
    #[error("{} is damaged: {what}; restore it from a backup{}; {REPLACE}", file.display(), of_this_life(file))]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A later release wrote it.
    #[error(
        "{} has format {found}, newer than this release reads ({supported}); run the release that wrote it or a later \
         one",
        file.display()
    )]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// The format found.
        found: u16,
        /// The newest one this release reads.
        supported: u16,
    },
    /// It belongs to another cluster.
    #[error(
        "{} belongs to cluster {}, not to cluster {}; give the directory of this cluster or an empty one",
        file.display(), uuid(*found), uuid(*wanted)
    )]
    OtherCluster {
        /// The identity file.
        file: PathBuf,
        /// Its cluster.
        found: u128,
        /// The cluster asked for.
        wanted: u128,
    },
    /// It was made with another number of partitions.
    #[error(
        "{} was made with {found} partitions, this release has {PARTITIONS}; the number decides where every entity \
         lives and never changes for a cluster, so export from a release with {found} and import here",
        file.display()
    )]
    Partitions {
        /// The identity file.
        file: PathBuf,
        /// Its number of partitions.
        found: u8,
    },
    /// A node that joined a cluster does not know any more which one it is.
    #[error(
        "{} is missing, but this directory joined a cluster as one of its nodes; {REPLACE}",
        file.display()
    )]
    NodeMissing {
        /// The file that should be there.
        file: PathBuf,
    },
    /// Two files tell of different nodes.
    #[error(
        "{} and the IDENTITY file beside it belong to different nodes; restore both from one backup; {REPLACE}",
        file.display()
    )]
    NodeOfAnother {
        /// The file that says which node this is.
        file: PathBuf,
    },
    /// It is a copy of the directory of a node that went on without it.
    #[error(
        "{} says that this data directory is a copy: in incarnation {incarnation} it was served while node {node}, from whose \
         directory it was made, went on elsewhere, as {by} has seen; what {node} has promised since is not in it, so it is \
         never served again: remove it, and start {node} from its own directory, or, if that is gone for good, have an empty \
         directory join (--join) and give {node} up (chronos cluster replace {node})",
        file.display()
    )]
    Copy {
        /// The file that says so.
        file: PathBuf,
        /// Whose directory it was made from.
        node: NodeId,
        /// The node that has seen both.
        by: NodeId,
        /// The incarnation in which it was served, as the copy counts.
        incarnation: u64,
    },
    /// It asked to join a cluster and has no answer.
    #[error(
        "{} has asked to join a cluster and was not admitted yet; start with --join again, or remove the directory",
        dir.display()
    )]
    Asking {
        /// The directory.
        dir: PathBuf,
    },
    /// The log was there once and is gone.
    #[error(
        "{} is missing or empty, but this data directory has been in use; restore it from a backup, or remove the \
         whole data directory to start empty; {REPLACE}",
        dir.display()
    )]
    LogMissing {
        /// Where the log was.
        dir: PathBuf,
    },
    /// The system refused a step.
    #[error("data directory could not be opened at {}: {source}", path.display())]
    Io {
        /// At which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(path: &Path, source: io::Error) -> OpenError {
        OpenError::Io { path: path.to_path_buf(), source }
    }
}

/// Which backups of a file are of use.
fn of_this_life(file: &Path) -> &'static str {
    match file.file_name() {
        Some(name) if name == super::NODE => {
            " that was made since the last start, because other nodes turn away who has forgotten a start"
        }
        _ => "",
    }
}

/// A UUID in its usual text form, which is that of an event id.
fn uuid(bits: u128) -> EventId {
    EventId::from_u128(bits)
}
