//! The note of a replica that has lost what it promised: `WITHHOLD` in the partition's directory.
//!
//! Who may write it when, and why that is enough, is said where replicas are repaired, in the crate of the cluster. It is
//! kept here because whoever checks a directory offline has to read it as well.

use std::io;
use std::path::{Path, PathBuf};

use chronos_domain::xxh64::xxh64;
use chronos_env::Disk;

/// Its name.
pub(crate) const FILE: &str = "WITHHOLD";
const FIRST_LINE: &str = "chronos withhold 1";

/// Why a partition's votes are withheld, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
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
    /// Nothing it promised is lost, but what it has applied is not what its leader has: entries that were acknowledged may
    /// exist only here. It is left as it is, and no group of it may run.
    Diverged {
        /// The last entry that is applied here.
        index: u64,
        /// Its term.
        term: u64,
        /// The number of the node that leads.
        leader: u64,
        /// The term in which it does.
        leader_term: u64,
    },
}

impl Withheld {
    /// What the file in `dir` says; `None` without one. One that cannot be understood says the worst. Blocks.
    ///
    /// # Errors
    /// When the system does not give it.
    pub fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Withheld>> {
        let path = dir.join(FILE);
        if !disk.exists(&path)? {
            return Ok(None);
        }
        Ok(Some(Withheld::decode(&disk.read_file(&path)?).unwrap_or(Withheld::Damaged)))
    }

    /// Durable when it returns. Blocks.
    ///
    /// # Errors
    /// What the system says: whether it is noted shows when it is read.
    pub fn write(self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        make_durably(disk, dir)?;
        disk.write_atomic(&dir.join(FILE), self.encode().as_bytes())
    }

    /// The votes are free again; durable when it returns. Blocks.
    ///
    /// # Errors
    /// What the system says: whether it is gone shows when it is read.
    pub fn remove(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
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
            Withheld::Diverged { index, term, leader, leader_term } => {
                format!("diverged: entry {index} term {term} leader {leader} since {leader_term}")
            }
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
            "diverged:" => Withheld::Diverged {
                index: number("entry")?,
                term: number("term")?,
                leader: number("leader")?,
                leader_term: number("since")?,
            },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_back_as_written_and_says_the_worst_when_it_is_damaged() {
        let env = chronos_env::sim::World::new(1).env();
        let dir = Path::new("/parts/p07");
        assert_eq!(Withheld::read(env.disk.as_ref(), dir).unwrap(), None);
        let catching_up = Withheld::CatchingUp { term: 7, reach: 120 };
        let diverged = Withheld::Diverged { index: 60, term: 1, leader: 3, leader_term: 4 };
        for says in [Withheld::Damaged, Withheld::Discarded { reach: 9 }, diverged, catching_up] {
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
