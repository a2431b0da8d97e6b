//! openraft's storage suite, on the simulated disk.
//!
//! The log store passes all of it, beside a state machine that keeps everything in memory: the suite applies entries with
//! gaps and takes snapshots of what was applied a moment ago, neither of which a partition does. What the suite asks of a
//! state machine that is given every entry, the partition is asked too.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chronos_domain::PartitionId;
use chronos_env::Env;
use chronos_env::sim::World;
use chronos_store::Partition;
use chronos_wal::{LogId as WalLogId, Wal};
use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{OptionalSend, StorageError};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::raft::machine::{Known, Machine};
use crate::raft::types::{Entry, LogId, Snapshot, SnapshotMeta, StoredMembership, Types};
use crate::raft::{LogStore, Trouble};

/// Makes a directory of its own for every test of the suite.
struct Builder {
    env: Env,
    made: Mutex<u64>,
}

impl Builder {
    fn new(world: &World) -> Builder {
        Builder { env: world.env(), made: Mutex::new(0) }
    }

    fn dir(&self) -> PathBuf {
        let mut made = self.made.lock();
        *made += 1;
        let dir = PathBuf::from(format!("/suite-{made}"));
        self.env.disk.create_dir_all(&dir).unwrap();
        dir
    }

    fn wal(&self, dir: &std::path::Path) -> Wal {
        let config =
            chronos_wal::Config { segment_bytes: 64 << 10, ..chronos_wal::Config::new(dir.join("wal"), 7) };
        Wal::open(&self.env, config).unwrap().0
    }
}

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Held>>);

#[derive(Clone, Default)]
struct Held {
    applied: Option<LogId>,
    members: StoredMembership,
    snapshot: Option<SnapshotMeta>,
}

impl RaftStateMachine<Types> for Memory {
    type SnapshotData = ();
    type SnapshotBuilder = Memory;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let held = self.0.lock().clone();
        Ok((held.applied, held.members))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (Entry { log_id, payload }, _) = next?;
            let mut held = self.0.lock();
            if let openraft::EntryPayload::Membership(members) = payload {
                held.members = StoredMembership::new(Some(log_id), members);
            }
            held.applied = Some(log_id);
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Memory {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, (): ()) -> io::Result<()> {
        *self.0.lock() = Held {
            applied: meta.last_log_id,
            members: meta.last_membership.clone(),
            snapshot: Some(meta.clone()),
        };
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot<()>>> {
        Ok(self.0.lock().snapshot.clone().map(|meta| Snapshot { meta, snapshot: () }))
    }
}

impl RaftSnapshotBuilder<Types> for Memory {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> io::Result<Snapshot<()>> {
        let mut held = self.0.lock();
        let meta = SnapshotMeta { last_log_id: held.applied, last_membership: held.members.clone() };
        held.snapshot = Some(meta.clone());
        Ok(Snapshot { meta, snapshot: () })
    }
}

impl StoreBuilder<Types, LogStore, Memory, Wal> for Builder {
    async fn build(&self) -> Result<(Wal, LogStore, Memory), StorageError<Types>> {
        let wal = self.wal(&self.dir());
        let log = LogStore::new(&self.env, wal.log(WalLogId::new(3)), Trouble::default(), true);
        Ok((wal, log, Memory::default()))
    }
}

impl StoreBuilder<Types, LogStore, Machine, Wal> for Builder {
    async fn build(&self) -> Result<(Wal, LogStore, Machine), StorageError<Types>> {
        let dir = self.dir();
        let wal = self.wal(&dir);
        let log = wal.log(WalLogId::new(3));
        let id = PartitionId::new(3).unwrap();
        let store = chronos_store::Config::new(dir.join("parts"), 7).of(id);
        let partition = Partition::open(&self.env, id, log.clone(), store).unwrap();
        let trouble = Trouble::default();
        let log = LogStore::new(&self.env, log, trouble.clone(), true);
        let machine = Machine {
            env: self.env.clone(),
            partition,
            log: log.clone(),
            trouble,
            applied: Arc::new(|_| {}),
            members: Known::Nobody,
            _alive: mpsc::channel(1).0,
        };
        Ok((wal, log, machine))
    }
}

#[test]
fn the_log_store_passes_openrafts_whole_suite() {
    let world = World::new(1);
    world.run(async {
        Suite::<Types, LogStore, Memory, Builder, Wal>::test_all(Builder::new(&world)).await.unwrap();
    });
}

#[test]
fn the_partition_passes_what_the_suite_asks_of_a_gapless_state_machine() {
    type OfMachine = Suite<Types, LogStore, Machine, Builder, Wal>;
    let world = World::new(2);
    world.run(async {
        let builder = Builder::new(&world);
        let (_wal, log, machine) =
            StoreBuilder::<Types, LogStore, Machine, Wal>::build(&builder).await.unwrap();
        OfMachine::get_membership_initial(log, machine).await.unwrap();
        let (_wal, log, machine) =
            StoreBuilder::<Types, LogStore, Machine, Wal>::build(&builder).await.unwrap();
        OfMachine::apply_single(log, machine).await.unwrap();
        let (_wal, log, machine) =
            StoreBuilder::<Types, LogStore, Machine, Wal>::build(&builder).await.unwrap();
        OfMachine::apply_multiple(log, machine).await.unwrap();
    });
}
