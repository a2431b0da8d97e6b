//! What was begun in a partition's directory and has not come to its end: notes of an exchange or a repair during which
//! the node died. They are no damage, and what they stand for is not judged as if it were finished: the next start
//! finishes it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronos_domain::{LogIndex, PartitionId};
use chronos_env::Disk;
use chronos_parts::{Cache, Fault, Manifest, Part, incoming, unfinished};

use super::kept::blamed;
use super::report::Damage;
use crate::withheld::{self, Withheld};

/// Something that was begun and is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// The parts of another replica are being taken over.
    Install {
        /// The last entry of the log that they have taken in.
        up_to: LogIndex,
    },
    /// Everything the replica has is being discarded, so that it begins anew.
    Reset,
    /// Its votes are withheld, because of damage that is being repaired from other nodes.
    Withheld(Withheld),
}

/// What is unfinished of a partition. Displays as a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Of which one.
    pub partition: PartitionId,
    /// The note.
    pub file: PathBuf,
    /// What it says.
    pub what: Unfinished,
}

impl Unfinished {
    /// What will come of it.
    pub fn next(&self) -> &'static str {
        match self {
            Unfinished::Install { .. } => {
                "the next start finishes that, and lets the log go on behind them; nothing is lost"
            }
            Unfinished::Reset => {
                "the next start finishes that, and the replica gets everything from its leader again"
            }
            Unfinished::Withheld(Withheld::Damaged) => {
                "started among the other nodes, it asks them what they know, discards its log and gets everything from its \
                 leader; it neither serves nor votes before"
            }
            Unfinished::Withheld(Withheld::CatchingUp { .. } | Withheld::Discarded { .. }) => {
                "started among the other nodes, it goes on catching up; it neither serves nor votes before it has come so \
                 far and has proven its digest"
            }
            Unfinished::Withheld(Withheld::Diverged { .. }) => {
                "it stays as it is and out of service, because entries that were acknowledged may exist only here: keep a \
                 copy of this directory before it is given up"
            }
        }
    }

    /// Whether what the partition has now is given up anyway.
    pub(super) fn gives_up(&self) -> bool {
        matches!(self, Unfinished::Reset)
    }

    /// Whether parts and log need not fit together before it is finished.
    pub(super) fn is_exchange(&self) -> bool {
        matches!(self, Unfinished::Install { .. } | Unfinished::Reset)
    }
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfinished::Install { up_to } => {
                write!(f, "it was taking over the parts of another replica, up to log entry {up_to}")
            }
            Unfinished::Reset => f.write_str("it was discarding all it had, to begin anew"),
            Unfinished::Withheld(Withheld::Damaged) => {
                f.write_str("its log was found damaged, and its votes are withheld")
            }
            Unfinished::Withheld(Withheld::Discarded { reach }) => {
                write!(
                    f,
                    "it was discarded on purpose, and its votes are withheld until it has entry {reach} again"
                )
            }
            Unfinished::Withheld(Withheld::Diverged { index, term, leader, leader_term }) => {
                write!(
                    f,
                    "it has diverged: what it has applied up to entry {index} of term {term} is not what n{leader} had, \
                     which led in term {leader_term}"
                )
            }
            Unfinished::Withheld(Withheld::CatchingUp { term, reach: 0 }) => {
                write!(f, "its log was begun anew in term {term}, and its votes are withheld")
            }
            Unfinished::Withheld(Withheld::CatchingUp { term, reach }) => {
                write!(
                    f,
                    "its log was begun anew in term {term}, and its votes are withheld until it has entry {reach}"
                )
            }
        }
    }
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pending { partition, file, what } = self;
        write!(f, "partition {partition}: {what} ({}); {}", file.display(), what.next())
    }
}

/// All notes of a data directory.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) pending: Vec<Pending>,
    pub(super) damages: Vec<Damage>,
    /// Parts that are being taken over, and must be somewhere.
    arriving: BTreeMap<PartitionId, Manifest>,
}

impl Notes {
    /// Reads those of one partition, in its directory of parts.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn read(&mut self, disk: &dyn Disk, dir: &Path, partition: PartitionId) -> io::Result<()> {
        if !disk.exists(dir)? {
            return Ok(());
        }
        let note = |name: &str, what| Pending { partition, file: dir.join(name), what };
        match unfinished(disk, dir) {
            Ok(None) => {}
            Ok(Some(chronos_parts::Unfinished::Reset(_))) => {
                self.pending.push(note("RESET", Unfinished::Reset));
            }
            Ok(Some(chronos_parts::Unfinished::Install(manifest))) => {
                let up_to = manifest.applied;
                self.pending.push(note("INSTALL", Unfinished::Install { up_to }));
                self.arriving.insert(partition, *manifest);
            }
            Err(fault) => self.damages.push(blamed(dir, partition, fault)?),
        }
        match Withheld::read(disk, dir)? {
            // A replica that was taken away on purpose: so it stays until the node is given it again.
            None | Some(Withheld::Discarded { .. }) => {}
            Some(withheld) => self.pending.push(note(withheld::FILE, Unfinished::Withheld(withheld))),
        }
        Ok(())
    }

    /// Whether parts and log of a partition are not to be held against each other.
    pub(super) fn in_exchange(&self, partition: PartitionId) -> bool {
        self.of(partition).any(Unfinished::is_exchange)
    }

    /// Whether all that a partition has is about to be discarded: what is damaged of it does not matter any more.
    pub(super) fn gives_up(&self, partition: PartitionId) -> bool {
        self.of(partition).any(Unfinished::gives_up)
    }

    fn of(&self, partition: PartitionId) -> impl Iterator<Item = &Unfinished> {
        self.pending.iter().filter(move |pending| pending.partition == partition).map(|pending| &pending.what)
    }

    /// Reads the parts that a partition is taking over, wherever they are by now; gives their bytes.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn check_arriving(
        &mut self,
        disk: &Arc<dyn Disk>,
        dir: &Path,
        partition: PartitionId,
    ) -> io::Result<u64> {
        let Some(manifest) = self.arriving.get(&partition) else { return Ok(0) };
        let (arrived, cache, mut bytes) = (incoming(dir), Cache::new(1 << 20), 0);
        for meta in &manifest.parts {
            let read = |dir: &Path| -> Result<u64, Fault> {
                let part = Part::open(disk.clone(), dir, meta.clone(), partition, &cache)?;
                Ok(part.verify(&mut |_| {})?.bytes)
            };
            // Files move one by one: those of one part may be in both places for a moment.
            let is_moving = disk.exists(&arrived.join(meta.parquet_name()))?
                != disk.exists(&arrived.join(meta.index_name()))?;
            match read(dir).or_else(|_| read(&arrived)) {
                Ok(read) => bytes += read,
                Err(_) if is_moving => {}
                Err(fault) => {
                    let damage = blamed(&arrived.join(meta.parquet_name()), partition, fault)?;
                    self.damages.push(damage);
                }
            }
        }
        Ok(bytes)
    }
}
