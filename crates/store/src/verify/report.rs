//! What a check found.

use std::fmt;
use std::path::{Path, PathBuf};

use chronos_domain::{LogIndex, PartitionId, Position};
use chronos_wal::Corrupt;

use super::partition_of;
use super::pending::Pending;
use crate::identity::Identity;

/// The findings about a data directory.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub(super) identity: Option<Identity>,
    /// Every partition whose log holds or has lost an entry, in order.
    pub partitions: Vec<PartitionReport>,
    /// Everything that is not as it was written. Empty: all is well.
    pub damages: Vec<Damage>,
    /// What was begun and is not finished: the next start goes on with it. No damage.
    pub pending: Vec<Pending>,
    /// What a crash left behind of writes that were never acknowledged. No damage: the next start cuts it off.
    pub torn_tails: Vec<TornTail>,
    /// Frames of the log that were checked.
    pub frames: u64,
    /// Bytes of the log that were checked.
    pub bytes: u64,
    /// Bytes of parts that were checked.
    pub part_bytes: u64,
}

impl Report {
    /// Whether nothing is damaged.
    pub fn is_clean(&self) -> bool {
        self.damages.is_empty()
    }

    /// Events in all data partitions. What the cluster keeps about itself is not counted.
    pub fn events(&self) -> u64 {
        let data = self.partitions.iter().filter(|partition| partition.partition != PartitionId::SYSTEM);
        data.map(|partition| partition.head.get()).sum()
    }
}

/// The findings about one partition, up to its first damage if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionReport {
    /// Which one.
    pub partition: PartitionId,
    /// Position of the last event.
    pub head: Position,
    /// Entities with an event, over all tenants and forks.
    pub entities: u64,
    /// The last of its positions that is in a part.
    pub compacted: Position,
    /// Entries of its log that were applied, those that were purged since included.
    pub entries: u64,
    /// Whether all of its entries were applied and its numbers are gapless.
    pub whole: bool,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// In which file, or which file or directory is gone.
    pub file: PathBuf,
    /// At which byte.
    pub offset: u64,
    /// Which partition it hurts, where that is known.
    pub partition: Option<PartitionId>,
    /// The entry of the partition's log.
    pub index: Option<LogIndex>,
    /// The last position before the damage, where the replay reached it.
    pub position: Option<Position>,
    /// What is wrong.
    pub what: String,
}

impl Damage {
    pub(super) fn of_file(file: &Path, what: impl Into<String>) -> Damage {
        let (partition, index, position) = (None, None, None);
        Damage { file: file.to_path_buf(), offset: 0, partition, index, position, what: what.into() }
    }
}

impl From<Corrupt> for Damage {
    fn from(corrupt: Corrupt) -> Damage {
        Damage {
            file: corrupt.file,
            offset: corrupt.offset,
            partition: corrupt.log.and_then(partition_of),
            index: corrupt.index.map(LogIndex::new),
            position: None,
            what: corrupt.what,
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.file.display(), self.offset)?;
        if let Some(partition) = self.partition {
            write!(f, ", partition {partition}")?;
        }
        if let Some(index) = self.index {
            write!(f, ", log entry {index}")?;
        }
        if let Some(position) = self.position {
            write!(f, ", after position {position}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// The end of a write that a crash cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// In which file.
    pub file: PathBuf,
    /// From which byte.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
}
