//! A data directory, its log and some partitions, driven as a quorum of one drives them.

use std::path::{Path, PathBuf};

use chronos_domain::PartitionId;
use chronos_env::Env;
use chronos_store::{Command, Config, CutLimits, DataDir, Fault, Options, Outcome, Partition, entry};
use chronos_wal::{Entry, LogId, Wal};

pub(crate) const DATA: &str = "/data/node";
/// The partitions the tests write to; they share two lanes.
pub(crate) const USED: [u8; 3] = [0, 1, 31];
pub(crate) const SEGMENT_BYTES: u64 = 64 << 10;
/// Small enough that a short history has many generations.
const CUTS: CutLimits = CutLimits { events: 25, bytes: 6_000 };

pub(crate) struct Node {
    pub(crate) wal: Wal,
    pub(crate) partitions: Vec<Result<Partition, Fault>>,
    dir: DataDir,
}

impl Node {
    /// Opens everything; a partition that is refused stays refused, as on a real node.
    pub(crate) fn open(env: &Env, cache_bytes: usize) -> Result<Node, String> {
        Node::open_in(env, Path::new(DATA), cache_bytes)
    }

    /// The same in another directory than [`DATA`].
    pub(crate) fn open_in(env: &Env, data: &Path, cache_bytes: usize) -> Result<Node, String> {
        let options = Options { cluster: None, release: "test".to_owned() };
        let mut dir = DataDir::open(env, data, &options).map_err(|error| error.to_string())?;
        let config = chronos_wal::Config {
            lanes: 2,
            segment_bytes: SEGMENT_BYTES,
            ..chronos_wal::Config::new(dir.wal_dir.clone(), dir.identity.cluster)
        };
        let (wal, _) = Wal::open(env, config).map_err(|error| error.to_string())?;
        dir.seal(env).map_err(|error| error.to_string())?;
        let parts = Config::new(data.join("parts"), dir.identity.cluster);
        let parts = Config { cache_bytes, cuts: CUTS, ..parts };
        let partitions = USED.iter().map(|number| {
            let log = wal.log(LogId::new(*number));
            let id = PartitionId::new(*number).unwrap();
            Partition::open(env, id, log, parts.of(id))
        });
        Ok(Node { partitions: partitions.collect(), wal, dir })
    }

    /// Ends this life in order: all that was written is on disk.
    pub(crate) async fn close(self) {
        drop(self.partitions);
        self.wal.close().await;
        drop(self.dir);
    }

    pub(crate) fn partition(&self, at: usize) -> &Partition {
        self.partitions[at].as_ref().expect("this partition was opened")
    }

    /// Makes commands durable as one entry and applies them; an error means that nobody was told anything.
    pub(crate) async fn append(&self, at: usize, commands: &[Command]) -> Result<Vec<Outcome>, String> {
        let partition = self.partition(at);
        let index = partition.applied_index().next();
        let payload = entry::encode(commands, partition.head());
        let (done, synced) = tokio::sync::oneshot::channel();
        let entry = Entry { index: index.get(), term: 1, payload };
        let tell = Box::new(move |result| drop(done.send(result)));
        self.wal.log(LogId::new(USED[at])).append(vec![entry], tell);
        synced.await.map_err(|_| "the lane died".to_owned())?.map_err(|fault| fault.to_string())?;
        partition
            .apply(chronos_wal::Mark { index: index.get(), term: 1 }, commands)
            .map_err(|fault| fault.to_string())
    }

    /// Takes in up to so many cuts of a partition, and lets the log go of what is in parts then, if it shall.
    pub(crate) async fn compact(&self, at: usize, cuts: usize, purge: bool) -> Result<(), String> {
        let partition = self.partition(at);
        for _ in 0..cuts {
            if partition.compact_step(|_| {}).map_err(|setback| setback.to_string())?.is_none() {
                break;
            }
        }
        let purgeable = partition.debt().purgeable;
        if purge && !purgeable.is_zero() {
            let (done, purged) = tokio::sync::oneshot::channel();
            let log = self.wal.log(LogId::new(USED[at]));
            log.purge(purgeable.get(), Box::new(move |result| drop(done.send(result))));
            purged.await.map_err(|_| "the lane died".to_owned())?.map_err(|fault| fault.to_string())?;
            partition.raise_purged(purgeable);
        }
        Ok(())
    }
}

pub(crate) fn data_dir() -> PathBuf {
    PathBuf::from(DATA)
}
