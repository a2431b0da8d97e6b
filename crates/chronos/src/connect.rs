//! The SDK with this binary's manners: its errors become exit codes and sentences, here and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use chronos_client::{
    Answer, Append, AppendError, Appended, Backup, Block, Client, CompactedPartition, Consistency, Counters,
    Digests, EntityState, EventId, Events, Info, Moment, Options, PartitionHoldings, PartitionId, Placement,
    Proof, Query, Read, ReadError, Rejection, Rule, Sample, State, Token, Truncation, Verification, Version,
    Watermarks,
};
use chronos_domain::Batch as _;
use chronos_proto::Event;
use futures::TryStreamExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::Context;
use crate::commands::backup;
use crate::failure::{Exit, Failure, Outcome};
use crate::ingest::same;
use crate::ingest::settle::{Ack, Sink};

const DEFAULT_ADDRESS: &str = "127.0.0.1:7400";

/// How long to wait for somebody to pick up at all.
const DIAL_MAX: Duration = Duration::from_secs(3);

/// A way to a server.
#[derive(Clone)]
pub(crate) struct Connection {
    client: Client,
    counters: Arc<Counters>,
}

impl Connection {
    /// To the servers that the command line names.
    pub(crate) async fn open(context: &Context) -> Outcome<Self> {
        let (deadline, work_deadline) = (context.timeout(), context.asked_timeout());
        let options = Options { deadline, work_deadline, ..Options::default() };
        match context.addr.as_slice() {
            [] => Self::dial(&[DEFAULT_ADDRESS.to_owned()], options).await,
            given => Self::dial(given, options).await,
        }
    }

    /// To the first of these that answers, with requests that may take so long.
    pub(crate) async fn to(addresses: &[String], patience: Duration) -> Outcome<Self> {
        Self::dial(addresses, Options { deadline: patience, ..Options::default() }).await
    }

    /// Nobody answering is told at once: the SDK would wait for a server that restarts, which is right in the middle of the
    /// work but not before it.
    async fn dial(addresses: &[String], options: Options) -> Outcome<Self> {
        let counters = Arc::new(Counters::default());
        let options = Options { observer: Some(counters.clone()), ..options };
        let client = Client::connect_with(&addresses.join(","), options).map_err(Failure::usage)?;
        picked_up(addresses).await.map_err(|silence| {
            Failure::failed(format!(
                "no server answers at {silence}; start one with `chronos server --data DIR`, or name another with --addr"
            ))
        })?;
        Ok(Self { client, counters })
    }

    /// Counts what finding the way has cost.
    pub(crate) fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// For many batches.
    pub(crate) fn sink(&self) -> ClientSink {
        ClientSink { client: self.client.clone() }
    }

    pub(crate) async fn append(&self, append: Append) -> Outcome<Appended> {
        self.client.append(append).await.map_err(|e| Failure::from(&e))
    }

    /// The event, or the exit code that says there is none.
    pub(crate) async fn get(&self, event_id: EventId) -> Outcome<Event> {
        let found = self.client.get(event_id).await.map_err(|e| Failure::from(&e))?;
        found.ok_or_else(|| Failure::new(Exit::NotFound, format!("no event has the id {event_id}")))
    }

    pub(crate) async fn read(&self, read: Read) -> Outcome<Reading> {
        self.client.read(read).await.map(Reading).map_err(|e| Failure::from(&e))
    }

    pub(crate) async fn state(&self, state: State) -> Outcome<EntityState> {
        self.client.state(state).await.map_err(|e| Failure::from(&e))
    }

    /// Whether the entity has any event at all, now.
    pub(crate) async fn exists(&self, entity: &str) -> Outcome<bool> {
        let mut events = self.read(Read::entity(entity).limit(1)).await?;
        Ok(events.next().await?.is_some())
    }

    /// The present moment of all partitions: everything that was acknowledged before the call belongs to it.
    pub(crate) async fn now(&self) -> Outcome<Token> {
        let nothing = Read::all().limit(0).consistency(Consistency::Linearizable);
        let mut events = self.client.read(nothing).await.map_err(|e| Failure::from(&e))?;
        while events.try_next().await.map_err(|e| Failure::from(&e))?.is_some() {}
        let token = events.token().cloned();
        token.ok_or_else(|| Failure::failed("the server answered a read without the moment that it is of"))
    }

    /// Asks in SQL.
    pub(crate) async fn query(&self, query: Query) -> Outcome<Answer> {
        self.client.query(query).await.map_err(|e| Failure::from(&e))
    }

    /// Begins a copy of everything the server has at rest.
    pub(crate) async fn backup(&self) -> Outcome<Backup> {
        self.client.backup_telling(backup::told).await.map_err(|e| Failure::from(&e))
    }

    pub(crate) async fn watermarks(&self) -> Outcome<Watermarks> {
        self.client.watermarks().await.map_err(|e| Failure::from(&e))
    }

    pub(crate) async fn digests(&self, as_of: Option<Moment>) -> Outcome<Digests> {
        self.client.admin().digests(as_of).await.map_err(|e| Failure::from(&e))
    }

    pub(crate) async fn verify(&self, partitions: &[PartitionId]) -> Outcome<Verification> {
        self.client.admin().verify(partitions).await.map_err(|e| Failure::from(&e))
    }

    pub(crate) async fn prove(&self, event: EventId, as_of: Option<Moment>) -> Outcome<Proof> {
        self.client.admin().prove(event, as_of).await.map_err(|e| Failure::from(&e))
    }

    pub(crate) async fn compact(&self, partitions: &[PartitionId]) -> Outcome<Vec<CompactedPartition>> {
        self.client.admin().compact(partitions).await.map_err(|e| Failure::from(&e))
    }

    pub(crate) async fn compact_and_wait(
        &self,
        partitions: &[PartitionId],
    ) -> Outcome<Vec<CompactedPartition>> {
        self.client.admin().compact_and_wait(partitions).await.map_err(|e| Failure::from(&e))
    }

    pub(crate) async fn truncate(&self, entity: &str, before: Version) -> Outcome<Truncation> {
        self.client.admin().truncate(entity, before).await.map_err(|e| Failure::from(&e))
    }

    pub(crate) async fn sample(&self, events: u32, types: &[String], seed: Option<u64>) -> Outcome<Sample> {
        self.client.admin().sample(events, types, seed).await.map_err(|e| Failure::from(&e))
    }

    pub(crate) async fn holdings(&self) -> Outcome<Vec<PartitionHoldings>> {
        self.client.admin().holdings().await.map_err(|e| Failure::from(&e))
    }

    pub(crate) async fn placement(&self) -> Outcome<Placement> {
        self.client.placement().await.map_err(|e| Failure::from(&e))
    }

    pub(crate) async fn info(&self) -> Outcome<Info> {
        self.client.info().await.map_err(|e| Failure::from(&e))
    }
}

/// Waits until somebody picks up at one of these addresses, and asks nothing.
///
/// # Errors
/// The addresses, each with what it came to.
pub(crate) async fn picked_up(addresses: &[String]) -> Result<(), String> {
    let mut silence = Vec::new();
    for address in addresses {
        let address = address.trim();
        match timeout(DIAL_MAX, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => silence.push(format!("{address} ({error})")),
            Err(_) => silence.push(format!("{address} (it took nobody in for {DIAL_MAX:?})")),
        }
    }
    Err(silence.join(", "))
}

/// The events of a read.
pub(crate) struct Reading(Events);

impl Reading {
    /// Where a read of all partitions stands after its last event.
    pub(crate) fn cursor(&self) -> &str {
        self.0.cursor()
    }

    /// The version before which the entity was truncated, as far as was read; 0 when it was not.
    pub(crate) const fn truncated_before(&self) -> Version {
        self.0.truncated_before()
    }

    /// The next event, `None` at the end.
    pub(crate) async fn next(&mut self) -> Outcome<Option<Event>> {
        self.0.try_next().await.map_err(|e| Failure::from(&e))
    }
}

/// Takes batches.
#[derive(Clone)]
pub(crate) struct ClientSink {
    client: Client,
}

impl Sink for ClientSink {
    async fn append(&self, block: &Block) -> Outcome<Ack> {
        match self.client.append_block(block).await {
            Ok(appended) => Ok(Ack {
                first: appended.first_position,
                versions: appended.versions,
                deduplicated: appended.deduplicated,
            }),
            Err(error) => match self.stored_as_exported(block, &error).await? {
                Some(ack) => Ok(ack),
                None => Err(Failure::from(&error)),
            },
        }
    }
}

impl ClientSink {
    /// Whether a single event conflicts only because a line cannot say how its JSON was laid out.
    async fn stored_as_exported(&self, block: &Block, error: &AppendError) -> Outcome<Option<Ack>> {
        let AppendError::Rejected(rejected) = error else { return Ok(None) };
        let Rule::IdempotencyConflict { event_id } = rejected.rule else { return Ok(None) };
        if block.events() != 1 {
            return Ok(None);
        }
        let stored = self.client.get(event_id).await.map_err(|e| Failure::from(&e))?;
        let same = stored.filter(|stored| same::is_exported_as(stored, block));
        Ok(same.map(|event| Ack { first: event.position, versions: vec![event.version], deduplicated: true }))
    }
}

impl From<&Rejection> for Failure {
    fn from(rejection: &Rejection) -> Self {
        Self::new(Exit::Rejected, format!("{}: {rejection}", rejection.reason()))
    }
}

impl From<&AppendError> for Failure {
    fn from(error: &AppendError) -> Self {
        let exit = match error {
            AppendError::Rejected(_) => Exit::Rejected,
            AppendError::NotApplied(_) => Exit::Failed,
            AppendError::Unknown(_) => Exit::Unknown,
        };
        Self::new(exit, error)
    }
}

impl From<&ReadError> for Failure {
    fn from(error: &ReadError) -> Self {
        let exit = match error {
            ReadError::NotFound(_) => Exit::NotFound,
            ReadError::Rejected(_) => Exit::Rejected,
            _ => Exit::Failed,
        };
        Self::new(exit, error)
    }
}
