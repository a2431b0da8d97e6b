//! One partition in this process with a log of its own, whose events have gone into parts.

use std::sync::mpsc;

use chronos_block::Draft;
use chronos_domain::{
    EntityId, EventId, ForkId, LogIndex, PartitionId, Space, TenantId, Timestamp, Verdict, Version,
};
use chronos_env::Env;
use chronos_parts::Cache;
use chronos_store::{AppendCommand, Command, Config, CutCommand, CutLimits, Done, Outcome, Partition, entry};
use chronos_wal::{Entry, Fault, Log, LogId, Wal};
use tempfile::TempDir;

use crate::Failure;
use crate::files;
use crate::orders::{Orders, Stock, pack};
use crate::suite::Bench;
use crate::works::caller;

/// Events of one request.
const BATCH: usize = 1000;
const QUICK_BATCH: usize = 100;
/// When a generation is cut in a run that only has to show that it works.
const QUICK_CUTS: CutLimits = CutLimits { events: 500, bytes: u64::MAX };
/// Nobody else's.
const CLUSTER: u128 = 1;
/// Memory for pages of parts, as a node has it by default.
pub(crate) const CACHE_BYTES: usize = 128 << 20;

/// A partition whose log, parts and memory are its own.
pub(crate) struct Kept {
    pub(crate) partition: Partition,
    tenant: TenantId,
    log: Log,
    wal: Wal,
    cuts: CutLimits,
    dir: TempDir,
}

/// An event to look for.
pub(crate) struct Known {
    pub(crate) id: EventId,
    pub(crate) entity: EntityId,
    pub(crate) version: Version,
}

impl Kept {
    /// An empty one.
    pub(crate) fn empty(bench: &Bench<'_>) -> Result<Kept, Failure> {
        let cuts = if bench.is_quick() { QUICK_CUTS } else { CutLimits::default() };
        Kept::open(bench.fresh_dir()?, cuts, CACHE_BYTES)
    }

    /// One with so many events of random entities, all of them in parts.
    pub(crate) fn filled(
        bench: &Bench<'_>,
        events: usize,
        orders: &mut Orders,
        stock: &Stock,
    ) -> Result<(Kept, Vec<Known>), Failure> {
        let kept = Kept::empty(bench)?;
        let known = kept.fill(bench, events, orders, stock)?;
        kept.compact(|_| ())?;
        Ok((kept, known))
    }

    fn open(dir: TempDir, cuts: CutLimits, parts_cache_bytes: usize) -> Result<Kept, Failure> {
        let env = Env::real();
        let (wal, _) = Wal::open(&env, chronos_wal::Config::new(dir.path().join("wal"), CLUSTER))?;
        let log = wal.log(LogId::new(id().get()));
        let usual = Config::new(dir.path().join("parts"), CLUSTER);
        let config =
            Config { cuts, cache_bytes: 512 << 20, parts_cache: Cache::new(parts_cache_bytes), ..usual };
        let partition = Partition::open(&env, id(), log.clone(), config.of(id()))?;
        Ok(Kept { partition, tenant: TenantId::default_tenant(), log, wal, cuts, dir })
    }

    /// Closes it, has the system forget the contents of its files, and opens it with so much memory for pages of parts.
    pub(crate) fn reopened(self, parts_cache_bytes: usize) -> Result<Kept, Failure> {
        let Kept { partition, log, wal, cuts, dir, .. } = self;
        drop((partition, log));
        caller::runtime(1)?.block_on(wal.close());
        files::evict(dir.path())?;
        Kept::open(dir, cuts, parts_cache_bytes)
    }

    pub(crate) fn space(&self) -> Space<'_> {
        Space { tenant: self.tenant.as_str(), fork: ForkId::MAIN }
    }

    /// Stores so many events of random entities, and ends with a cut.
    pub(crate) fn fill(
        &self,
        bench: &Bench<'_>,
        events: usize,
        orders: &mut Orders,
        stock: &Stock,
    ) -> Result<Vec<Known>, Failure> {
        let entities = stock.entities(id());
        let mut versions = vec![Version::ZERO; entities.len()];
        let mut known = Vec::with_capacity(events);
        while known.len() < events {
            let mut drafts: Vec<Draft> = Vec::new();
            for _ in 0..bench.size(BATCH, QUICK_BATCH) {
                let chosen = orders.below(entities.len());
                versions[chosen] = versions[chosen].next();
                let draft = orders.draft_for(entities[chosen].clone());
                let (id, entity) = (draft.event_id, draft.entity_id.clone());
                known.push(Known { id, entity, version: versions[chosen] });
                drafts.push(draft);
            }
            let (tenant, block) = (self.tenant.clone(), pack(drafts));
            let append = AppendCommand { tenant, fork: ForkId::MAIN, recorded_at: self.now(), block };
            match self.apply(&Command::Append(append))? {
                Outcome::Append(Verdict::Stored(_)) => {}
                other => return Err(format!("apply of a new request said {other:?}").into()),
            }
        }
        self.apply(&Command::Cut(CutCommand { recorded_at: self.now(), settle: false }))?;
        Ok(known)
    }

    /// Makes a command durable and applies it.
    fn apply(&self, command: &Command) -> Result<Outcome, Failure> {
        let index = self.partition.applied_index().next();
        let payload = entry::encode(&[command], self.partition.head());
        let (done, synced) = mpsc::channel::<Result<(), Fault>>();
        let entry = Entry { index: index.get(), term: 1, payload };
        self.log.append(vec![entry], Box::new(move |result| drop(done.send(result))));
        synced.recv()??;
        let mut outcomes =
            self.partition.apply(chronos_wal::Mark { index: index.get(), term: 1 }, &[command])?;
        outcomes.pop().ok_or_else(|| "a command has no outcome".into())
    }

    /// Takes all that waits into parts and lets go of the log. `each` is told of every cut that was taken in.
    pub(crate) fn compact(&self, mut each: impl FnMut(&Done)) -> Result<(), Failure> {
        let mut purge = LogIndex::ZERO;
        while let Some(done) = self.partition.compact_step(|_| ())? {
            purge = done.purge_to;
            each(&done);
        }
        let (done, purged) = mpsc::channel::<Result<(), Fault>>();
        self.log.purge(purge.get(), Box::new(move |result| drop(done.send(result))));
        purged.recv()??;
        self.partition.raise_purged(purge);
        let (head, compacted) = (self.partition.head(), self.partition.shelf().compacted());
        if head == compacted {
            return Ok(());
        }
        Err(format!("{head} events are stored, {compacted} are in parts").into())
    }

    /// The leader's clock: one tick for each entry.
    fn now(&self) -> Timestamp {
        Timestamp::new(self.partition.applied_index().next().get().cast_signed())
    }
}

/// The partition there is.
pub(crate) fn id() -> PartitionId {
    PartitionId::all().next().expect("there are partitions")
}
