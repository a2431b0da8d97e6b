//! One partition in this process, filled through apply and without its log being written.

use chronos_block::Block;
use chronos_domain::{ForkId, LogIndex, PartitionId, Space, TenantId, Timestamp, Verdict};
use chronos_env::Env;
use chronos_store::{AppendCommand, Command, Config, CutLimits, Outcome, Partition};
use chronos_wal::{LogId, Wal};
use tempfile::TempDir;

use crate::Failure;
use crate::clock::Run;
use crate::suite::Bench;

/// Nothing is written to the log, so its files may be small.
const UNUSED_SEGMENT_BYTES: u64 = 64 << 10;

/// A partition that holds everything in memory.
pub(crate) struct Filled {
    pub(crate) partition: Partition,
    tenant: TenantId,
    index: LogIndex,
    /// The partition only needs it to exist.
    _wal: Wal,
    _dir: TempDir,
}

impl Filled {
    pub(crate) fn empty(bench: &Bench<'_>, id: PartitionId) -> Result<Filled, Failure> {
        let env = Env::real();
        let dir = bench.fresh_dir()?;
        let mut wal_config = chronos_wal::Config::new(dir.path().join("wal"), 1);
        wal_config.segment_bytes = UNUSED_SEGMENT_BYTES;
        let (wal, _) = Wal::open(&env, wal_config)?;
        // Everything stays in memory, in one generation: what is measured is memory.
        let cuts = CutLimits { events: u64::MAX, bytes: u64::MAX };
        let config =
            Config { cache_bytes: usize::MAX >> 8, cuts, ..Config::new(dir.path().join("parts"), 1) };
        let partition = Partition::open(&env, id, wal.log(LogId::new(id.get())), config)?;
        let tenant = TenantId::default_tenant();
        Ok(Filled { partition, tenant, index: LogIndex::ZERO, _wal: wal, _dir: dir })
    }

    pub(crate) fn space(&self) -> Space<'_> {
        Space { tenant: self.tenant.as_str(), fork: ForkId::MAIN }
    }

    /// Applies one block, timed as one operation on `events` events.
    pub(crate) fn apply(&mut self, block: Block, run: &mut Run, events: u64) -> Result<(), Failure> {
        self.index = self.index.next();
        let recorded_at = Timestamp::new(self.index.get().cast_signed());
        let tenant = self.tenant.clone();
        let command = Command::from(AppendCommand { tenant, fork: ForkId::MAIN, recorded_at, block });
        let outcomes = run.time(events, || {
            self.partition.apply(chronos_wal::Mark { index: self.index.get(), term: 1 }, &[&command])
        })?;
        match outcomes.as_slice() {
            [Outcome::Append(Verdict::Stored(_))] => Ok(()),
            other => Err(format!("apply of a new request said {other:?}").into()),
        }
    }
}
