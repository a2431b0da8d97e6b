//! Why a compaction has not come to its end.

use std::io;

use chronos_domain::PartitionId;

use crate::fault::Fault;

/// A compaction that stopped half-way. The parts are as they were, the log has everything that is not in them, and the
/// partition goes on serving, unless its data are damaged.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Setback {
    /// The disk is full. What was written is removed again; to be tried again later.
    #[error("{0}")]
    NoSpace(Fault),
    /// The disk refused, or did not give back what was written just now. Nothing that is needed is known to be damaged,
    /// but the disk is not to be trusted with more.
    #[error("{0}")]
    Failed(Fault),
    /// What was to be compacted is damaged: the partition must not be served.
    #[error("{0}")]
    Damaged(Fault),
    /// Everything here was exchanged for the parts of another replica, or discarded: what was being compacted is no longer
    /// needed. No failure.
    #[error("partition {0} has other parts now")]
    Superseded(PartitionId),
}

impl Setback {
    /// What the parts of a partition said.
    pub(super) fn of_parts(partition: PartitionId) -> impl Fn(chronos_parts::Fault) -> Setback {
        move |fault| {
            let fresh = matches!(&fault, chronos_parts::Fault::Corrupt { file, .. } if is_temporary(file));
            let setback = Setback::from(Fault::of_parts(partition)(fault));
            match setback {
                Setback::Damaged(fault) if fresh => Setback::Failed(fault),
                other => other,
            }
        }
    }

    /// What a part said that no manifest names yet: if it is damaged, nothing is lost.
    pub(super) fn of_new_part(partition: PartitionId) -> impl Fn(chronos_parts::Fault) -> Setback {
        move |fault| match Setback::of_parts(partition)(fault) {
            Setback::Damaged(fault) => Setback::Failed(fault),
            other => other,
        }
    }
}

impl From<Fault> for Setback {
    fn from(fault: Fault) -> Setback {
        match &fault {
            Fault::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Setback::NoSpace(fault)
            }
            Fault::Io { .. } | Fault::Stopped(_) => Setback::Failed(fault),
            Fault::Corrupt(_) => Setback::Damaged(fault),
        }
    }
}

/// Whether a file is one that is being written: if it is damaged, nothing is lost.
fn is_temporary(file: &std::path::Path) -> bool {
    file.extension().is_some_and(|extension| extension == "tmp")
}
