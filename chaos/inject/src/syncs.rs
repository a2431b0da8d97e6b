//! Syncs of one node's files that fail with EIO, by a small library in its processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::episode::Episode;
use crate::error::{Error, Result, While};

/// Which syncs fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncFailure {
    /// A part of the paths of the files concerned; empty for all files.
    pub path_part: String,
    /// How many syncs of such files still succeed in each process.
    pub after: u64,
    /// How many fail then; later ones succeed again, as they do on Linux after the error was reported.
    pub times: u64,
}

/// The order book that one node's processes read at each sync.
#[derive(Debug)]
pub(crate) struct Syncs {
    file: PathBuf,
}

impl Syncs {
    pub(crate) fn new(file: PathBuf) -> Syncs {
        Syncs { file }
    }

    pub(crate) fn environment(&self) -> (&'static str, &Path) {
        ("CHRONOS_SYNC_FAILS", &self.file)
    }

    pub(crate) fn fail(&self, failure: &SyncFailure) -> Result<Episode> {
        let text = order(failure, next_order())?;
        if self.file.exists() {
            return Err(Error::Unfit("syncs of this node fail already: heal that first".into()));
        }
        let (file, draft) = (self.file.clone(), self.file.with_extension("draft"));
        let doing = || format!("ordering failing syncs in {}", self.file.display());
        fs::write(&draft, text).during(doing)?;
        fs::rename(&draft, &self.file).during(doing)?;
        Ok(Episode::new(format!("syncs fail: {failure:?}"), move || match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).during(|| format!("ending failing syncs in {}", file.display()))
            }
            _ => Ok(()),
        }))
    }

    /// How many syncs of this node failed by order, ever.
    pub(crate) fn hits(&self) -> u64 {
        let mut hits = self.file.clone().into_os_string();
        hits.push(".hits");
        fs::metadata(hits).map_or(0, |found| found.len())
    }
}

fn order(failure: &SyncFailure, number: u64) -> Result<String> {
    let SyncFailure { path_part, after, times } = failure;
    if path_part.contains('\n') {
        return Err(Error::Unfit(format!("no path with a line break can be matched: {path_part:?}")));
    }
    Ok(format!("{path_part}\n{after}\n{times}\n{number}\n"))
}

/// Each order has a number of its own, so that a process begins to count anew.
fn next_order() -> u64 {
    static ORDERS: AtomicU64 = AtomicU64::new(1);
    ORDERS.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(path_part: &str) -> SyncFailure {
        SyncFailure { path_part: path_part.into(), after: 3, times: 1 }
    }

    #[test]
    fn an_order_is_there_while_it_is_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let syncs = Syncs::new(dir.path().join("syncs"));
        let episode = syncs.fail(&failure(".wal")).unwrap();
        let text = fs::read_to_string(&syncs.file).unwrap();
        assert!(text.starts_with(".wal\n3\n1\n"), "{text}");
        assert!(syncs.fail(&failure("other")).is_err());
        episode.heal().unwrap();
        assert!(!syncs.file.exists());
        assert_eq!(syncs.hits(), 0);
    }

    #[test]
    fn each_order_is_told_apart_from_the_one_before() {
        assert_ne!(order(&failure("a"), next_order()).unwrap(), order(&failure("a"), next_order()).unwrap());
        assert!(order(&failure("a\nb"), 1).is_err());
    }
}
