//! A few partitions over a real log, and a plain list of what they hold.

use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chronos_block::{Compression, Draft, Packer, Range, Recorded};
use chronos_domain::{
    EntityId, EventId, EventType, ForkId, PartitionId, Position, Space, Tag, TenantId, Timestamp, Version,
    place,
};
use chronos_env::Env;
use chronos_query::{Answer, Engine, Error, Held, Limits, Question, Stats};
use chronos_store::{
    AppendCommand, Command, Config, CutLimits, DataDir, Filter, Options, Partition, TruncateCommand, entry,
};
use chronos_wal::{Entry, LogId, Wal};

pub(crate) const USED: [u8; 3] = [0, 7, 31];
pub(crate) const MINUTE: i64 = 60_000_000;
pub(crate) const START: i64 = 1_767_225_600_000_000;

pub(crate) struct Node {
    pub(crate) partitions: Vec<Partition>,
    pub(crate) engine: Engine,
    wal: Wal,
    _data: DataDir,
    _dir: tempfile::TempDir,
    next: AtomicU64,
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

/// Names of entities of a tenant that live in one of the partitions in use.
pub(crate) fn entities(owner: &str, at: usize, count: usize) -> Vec<String> {
    let home = PartitionId::new(USED[at]).unwrap();
    let names = (0..).map(|number| format!("thing-{number}"));
    names.filter(|name| place(owner, name) == home).take(count).collect()
}

impl Node {
    pub(crate) fn open() -> Node {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::real();
        let options = Options { cluster: None, release: "test".to_owned() };
        let mut data = DataDir::open(&env, dir.path(), &options).unwrap();
        let config = chronos_wal::Config::new(data.wal_dir.clone(), data.identity.cluster);
        let config = chronos_wal::Config { lanes: 1, segment_bytes: 1 << 20, ..config };
        let (wal, _) = Wal::open(&env, config).unwrap();
        data.seal(&env).unwrap();
        let parts = Config::new(dir.path().join("parts"), data.identity.cluster);
        let parts = Config { cuts: CutLimits { events: 40, bytes: 1 << 20 }, ..parts };
        let partitions = USED.iter().map(|number| {
            let id = PartitionId::new(*number).unwrap();
            Partition::open(&env, id, wal.log(LogId::new(*number)), parts.of(id)).unwrap()
        });
        let partitions = partitions.collect();
        let engine = Engine::new(Limits::default());
        Node { partitions, engine, wal, _data: data, _dir: dir, next: AtomicU64::new(1) }
    }

    async fn apply(&self, at: usize, commands: &[Command]) {
        let partition = &self.partitions[at];
        let index = partition.applied_index().next();
        let (done, synced) = tokio::sync::oneshot::channel();
        let entry = Entry { index: index.get(), term: 1, payload: entry::encode(commands, partition.head()) };
        let tell = Box::new(move |result| drop(done.send(result)));
        self.wal.log(LogId::new(USED[at])).append(vec![entry], tell);
        synced.await.unwrap().unwrap();
        partition.apply(chronos_wal::Mark { index: index.get(), term: 1 }, commands).unwrap();
    }

    /// One entry with an event of each of these entities.
    pub(crate) async fn append(&self, at: usize, owner: &str, entities: &[String]) {
        let commands: Vec<Command> = entities.iter().map(|entity| self.command(owner, entity)).collect();
        self.apply(at, &commands).await;
    }

    fn command(&self, owner: &str, entity: &str) -> Command {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let payload = format!("{{\"n\":{number},\"by\":\"{owner}\"}}");
        let mut draft = Draft::json(
            EventId::from_u128(u128::from(number) << 64 | 7),
            EntityId::parse(entity).unwrap(),
            EventType::parse(["made", "moved", "gone"][(number % 3) as usize]).unwrap(),
            payload,
        );
        draft.tags = vec![Tag::parse("all").unwrap()];
        draft.occurred_at = number.is_multiple_of(4).then_some(Timestamp::new(START - 5));
        let mut packer = Packer::new();
        packer.push(draft).unwrap();
        Command::Append(AppendCommand {
            tenant: tenant(owner),
            fork: ForkId::MAIN,
            recorded_at: Timestamp::new(START + number as i64 * MINUTE),
            block: packer.finish(Compression::None).unwrap(),
        })
    }

    pub(crate) async fn truncate(&self, at: usize, owner: &str, entity: &str, before: u64) {
        let command = TruncateCommand {
            tenant: tenant(owner),
            fork: ForkId::MAIN,
            recorded_at: Timestamp::new(START),
            entity: EntityId::parse(entity).unwrap(),
            before: Version::new(before),
        };
        self.apply(at, &[Command::Truncate(command)]).await;
    }

    /// Takes in up to so many cuts.
    pub(crate) fn compact(&self, at: usize, cuts: usize) {
        for _ in 0..cuts {
            if self.partitions[at].compact_step(|_| {}).unwrap().is_none() {
                break;
            }
        }
    }

    /// Everything of a tenant up to the bounds, as the partitions themselves give it.
    pub(crate) fn events(&self, owner: &str, bounds: &[u64]) -> Vec<Recorded> {
        let space = Space { tenant: owner, fork: ForkId::MAIN };
        let mut events = Vec::new();
        for (partition, bound) in self.partitions.iter().zip(bounds) {
            let mut from = Some(1);
            while let Some(next) = from {
                let range = Range { bound: Position::new(*bound), ..Range::forward().starting(next) };
                let page = partition.scan(space, range, &Filter::default()).unwrap();
                events.extend(page.events);
                from = page.next;
            }
        }
        events
    }

    pub(crate) fn heads(&self) -> Vec<u64> {
        self.partitions.iter().map(|partition| partition.head().get()).collect()
    }

    /// The partitions as they are now, up to the bounds.
    pub(crate) fn held(&self, bounds: &[u64]) -> Vec<Held> {
        let held = |(partition, bound): (&Partition, &u64)| Held {
            partition: partition.clone(),
            life: partition.life(),
            bound: Position::new(*bound),
        };
        self.partitions.iter().zip(bounds).map(held).collect()
    }

    /// Begins to ask.
    pub(crate) async fn begin(&self, owner: &str, held: Vec<Held>, sql: &str) -> Result<Answer, Error> {
        let question = Question {
            tenant: tenant(owner),
            sql: sql.to_owned(),
            partitions: held,
            elsewhere: Vec::new(),
            rows: 100_000,
        };
        self.engine.run(question, std::future::pending()).await
    }

    /// Asks as of the bounds.
    pub(crate) async fn ask(
        &self,
        owner: &str,
        bounds: &[u64],
        sql: &str,
    ) -> Result<(Vec<Vec<String>>, Stats), Error> {
        let mut answer = self.begin(owner, self.held(bounds), sql).await?;
        let mut rows = Vec::new();
        while let Some(batch) = answer.next().await? {
            rows.extend(texts(&batch));
        }
        Ok((rows, answer.stats()))
    }
}

fn texts(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect();
    (0..batch.num_rows()).map(row).collect()
}
