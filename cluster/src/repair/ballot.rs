//! Whose votes are withheld: in memory, and durably in the file `WITHHOLD` of the partition's directory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chronos_domain::PartitionId;
use chronos_domain::xxh64::xxh64;
use chronos_env::{Disk, Env};
use futures::future::BoxFuture;
use parking_lot::RwLock;

use crate::node::NodeId;
use crate::peer::{Handler, Message, Refusal};
use crate::raft::{Post, asks_for_a_vote};

const FILE: &str = "WITHHOLD";
const FIRST_LINE: &str = "chronos withhold 1";

/// Why a partition's votes are withheld, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withheld {
    /// Its log is damaged, or is being discarded: what it promised is not known. No group of it may run.
    Damaged,
    /// Its log was begun anew, and no promise of a term up to `term` was made by what it holds now. It may take entries,
    /// but casts no vote until its log has the entry `reach` of the leader.
    CatchingUp {
        /// The greatest term any replica knew of after the damage.
        term: u64,
        /// The entry; zero while no leader has named one.
        reach: u64,
    },
    /// Everything was discarded on purpose. The log is sound and its vote stands, but entries that were acknowledged are
    /// gone with it: no vote is cast and none asked for until everything up to `reach` is applied again.
    Discarded {
        /// The last entry that the log had.
        reach: u64,
    },
}

impl Withheld {
    /// What the file in `dir` says; `None` without one. One that cannot be understood says the worst. Blocks.
    ///
    /// # Errors
    /// When the system does not give it.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Withheld>> {
        let path = dir.join(FILE);
        if !disk.exists(&path)? {
            return Ok(None);
        }
        Ok(Some(Withheld::decode(&disk.read_file(&path)?).unwrap_or(Withheld::Damaged)))
    }

    /// Durable when it returns. Blocks.
    pub(crate) fn write(self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        make_durably(disk, dir)?;
        disk.write_atomic(&dir.join(FILE), self.encode().as_bytes())
    }

    /// The votes are free again; durable when it returns. Blocks.
    pub(crate) fn remove(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let path = dir.join(FILE);
        if disk.exists(&path)? {
            disk.remove(&path)?;
        }
        disk.sync_dir(dir)
    }

    fn encode(self) -> String {
        let says = match self {
            Withheld::Damaged => "damaged".to_owned(),
            Withheld::CatchingUp { term, reach } => format!("catching up: term {term} reach {reach}"),
            Withheld::Discarded { reach } => format!("discarded: reach {reach}"),
        };
        let text = format!("{FIRST_LINE}\n{says}\n");
        format!("{text}sum {:016x}\n", xxh64(text.as_bytes(), 0))
    }

    fn decode(bytes: &[u8]) -> Option<Withheld> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut words = text.lines().nth(1)?.split(' ');
        let says = words.next()?;
        let mut number =
            |word: &str| words.find(|found| *found == word).and_then(|_| words.next()?.parse().ok());
        let says = match says {
            "damaged" => Withheld::Damaged,
            "catching" => Withheld::CatchingUp { term: number("term")?, reach: number("reach")? },
            "discarded:" => Withheld::Discarded { reach: number("reach")? },
            _ => return None,
        };
        (says.encode() == text).then_some(says)
    }
}

fn make_durably(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let missing: Vec<PathBuf> =
        dir.ancestors().map(Path::to_owned).take_while(|path| !disk.exists(path).unwrap_or(true)).collect();
    disk.create_dir_all(dir)?;
    missing.iter().filter_map(|path| path.parent()).try_for_each(|parent| disk.sync_dir(parent))
}

/// The partitions of this node whose votes are withheld; of those that were discarded on purpose with the entry that frees
/// them. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Ballots(Arc<RwLock<BTreeMap<u8, Option<u64>>>>);

impl Ballots {
    /// No vote is cast from now on, and none asked for by a group that is started from now on. A group that is running
    /// must be ended before.
    pub(crate) fn withhold(&self, id: PartitionId) {
        self.0.write().insert(id.get(), None);
    }

    /// The same, until everything up to `reach` is applied.
    pub(crate) fn withhold_until(&self, id: PartitionId, reach: u64) {
        self.0.write().insert(id.get(), Some(reach));
    }

    /// The entry that frees the votes; `None` where no entry does, or where they are free.
    pub(crate) fn reach(&self, id: PartitionId) -> Option<u64> {
        self.0.read().get(&id.get()).copied().flatten()
    }

    pub(crate) fn release(&self, id: PartitionId) {
        self.0.write().remove(&id.get());
    }

    pub(crate) fn are_withheld(&self, id: PartitionId) -> bool {
        self.0.read().contains_key(&id.get())
    }
}

/// Hands the messages of other nodes to the groups, but none that asks for a vote which is withheld.
pub(crate) struct Gate {
    pub(crate) post: Post,
    pub(crate) ballots: Ballots,
}

impl Gate {
    fn withholds(&self, message: &Message) -> bool {
        asks_for_a_vote(message.kind) && self.ballots.0.read().contains_key(&message.group)
    }
}

impl Handler for Gate {
    fn handle(&self, from: NodeId, message: Message) -> BoxFuture<'static, Result<Bytes, Refusal>> {
        if self.withholds(&message) {
            let text = format!(
                "votes of group {} are withheld: this replica does not have everything again",
                message.group
            );
            return Box::pin(async move { Err(Refusal::new(Refusal::FAILED, text)) });
        }
        self.post.handle(from, message)
    }
}

/// Reads the file of a partition on a thread that may block.
pub(crate) async fn withheld(env: &Env, dir: PathBuf) -> io::Result<Option<Withheld>> {
    let disk = Arc::clone(&env.disk);
    env.tasks.blocking(move || Withheld::read(disk.as_ref(), &dir)).await
}

/// Writes it, or removes it, durably.
pub(crate) async fn set_withheld(env: &Env, dir: PathBuf, to: Option<Withheld>) -> io::Result<()> {
    let disk = Arc::clone(&env.disk);
    env.tasks
        .blocking(move || match to {
            Some(withheld) => withheld.write(disk.as_ref(), &dir),
            None => Withheld::remove(disk.as_ref(), &dir),
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_back_as_written_and_says_the_worst_when_it_is_damaged() {
        let env = chronos_env::sim::World::new(1).env();
        let dir = Path::new("/parts/p07");
        assert_eq!(Withheld::read(env.disk.as_ref(), dir).unwrap(), None);
        let catching_up = Withheld::CatchingUp { term: 7, reach: 120 };
        for says in [Withheld::Damaged, Withheld::Discarded { reach: 9 }, catching_up] {
            says.write(env.disk.as_ref(), dir).unwrap();
            assert_eq!(Withheld::read(env.disk.as_ref(), dir).unwrap(), Some(says));
        }
        let whole = env.disk.read_file(&dir.join(FILE)).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert_eq!(Withheld::decode(&damaged), None, "byte {at}");
        }
        env.disk.write_atomic(&dir.join(FILE), b"chronos withhold 1\ncatching up: term 7 re").unwrap();
        assert_eq!(Withheld::read(env.disk.as_ref(), dir).unwrap(), Some(Withheld::Damaged));
        Withheld::remove(env.disk.as_ref(), dir).unwrap();
        assert_eq!(Withheld::read(env.disk.as_ref(), dir).unwrap(), None);
    }
}
