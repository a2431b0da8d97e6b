//! `chronos bench`

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chronos_client::{EventId, Read};
use chronos_domain::limits::{BATCH_EVENTS_MAX, PAYLOAD_BYTES_MAX};
use chronos_env::Env;
use clap::{Args, ValueEnum};
use tempfile::TempDir;

use crate::bench::load::{Act, Measured, run};
use crate::bench::report::Report;
use crate::bench::workload::{Population, pack};
use crate::cli::Context;
use crate::connect::{ClientSink, Connection};
use crate::demo::dice::Dice;
use crate::failure::{Failure, Outcome};
use crate::ingest::progress::per_second;
use crate::ingest::settle::Sink;
use crate::moment;
use crate::own_server::OwnServer;
use crate::stop_request;

const EXAMPLES: &str = "\
  append   requests of --batch events for one partition, each awaited until it is durable
  read     one event by its id
  query    the 100 newest events of one entity

Without --addr (or CHRONOS_ADDR) a server of its own is started in a temporary directory and removed afterwards; then
server and load share the machine. With it, events of entities named bench-… stay behind on that server.

A rate is never printed without its conditions: durability, batch, payload, concurrency, nodes.

Examples:
  chronos bench append --batch 1000 --payload 256 --concurrency 32
  chronos bench append --batch 1 --concurrency 1 --duration 30s
  chronos bench query --entities 10000 --output json";

/// Events that a query reads.
const QUERY_EVENTS: u64 = 100;

/// Ids that a read may ask for.
const IDS_MAX: usize = 100_000;

/// Measure a server under closed-loop load
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    /// What to do
    #[arg(value_enum)]
    workload: Workload,
    /// Events per append
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = batch)]
    batch: usize,
    /// Requests on the way at once
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = at_least_one)]
    concurrency: usize,
    /// Bytes of one payload
    #[arg(long, default_value_t = 256, value_name = "BYTES", value_parser = payload)]
    payload: usize,
    /// For how long, such as 10s or 500ms
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = moment::parse_duration)]
    duration: Duration,
    /// Entities the events are about
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = at_least_one)]
    entities: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// Durable appends.
    Append,
    /// Single events by id.
    Read,
    /// Pages of one entity's events.
    Query,
}

impl Bench {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let stopped = stop_request::signalled()?;
        let report = tokio::select! {
            biased; // an interrupted measurement is none; dropping it stops the server and removes its directory
            () = stopped => return Err(Failure::failed("interrupted; everything was cleaned up")),
            report = Box::pin(self.report(context)) => report?,
        };
        report.print(context.output)
    }

    async fn report(&self, context: &Context) -> Outcome<Report> {
        let (own, connection, server) = target(context).await?;
        let measured = self.measure(&connection).await?;
        let info = connection.info().await?;
        let latencies = &measured.latencies;
        let report = Report {
            workload: self.workload.name(),
            durability: info.durability,
            batch: self.events_per_request(),
            payload: self.payload,
            concurrency: self.concurrency,
            nodes: info.nodes,
            entities: self.entities,
            duration_seconds: measured.seconds,
            server,
            release: info.release,
            requests: latencies.count(),
            events: measured.events,
            requests_per_second: per_second(latencies.count(), measured.seconds),
            events_per_second: per_second(measured.events, measured.seconds),
            latency_us: latencies.summary(),
        };
        if let Some((server, home)) = own {
            server.stop().await?;
            home.close()
                .map_err(|e| Failure::failed(format!("cannot remove the temporary directory: {e}")))?;
        }
        Ok(report)
    }

    fn events_per_request(&self) -> usize {
        match self.workload {
            Workload::Append => self.batch,
            Workload::Read => 1,
            Workload::Query => QUERY_EVENTS as usize,
        }
    }

    async fn measure(&self, connection: &Connection) -> Outcome<Measured> {
        let seed = Env::real().entropy.u64();
        let population = Population::new(seed, self.entities, self.payload);
        let (callers, duration) = (self.concurrency, self.duration);
        let sink = connection.sink();
        match self.workload {
            Workload::Append => {
                let appends = Appends { population, sink, batch: self.batch };
                run(Arc::new(appends), callers, duration, seed).await
            }
            Workload::Read => {
                let ids = fill(&population, &sink, seed).await?;
                run(Arc::new(Reads { ids, connection: connection.clone() }), callers, duration, seed).await
            }
            Workload::Query => {
                fill(&population, &sink, seed).await?;
                run(Arc::new(Queries { population, connection: connection.clone() }), callers, duration, seed)
                    .await
            }
        }
    }
}

impl Workload {
    const fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Read => "read",
            Self::Query => "query",
        }
    }
}

/// The server that was named, or one of our own with its directory.
async fn target(context: &Context) -> Outcome<(Option<(OwnServer, TempDir)>, Connection, String)> {
    if !context.addr.is_empty() {
        return Ok((None, Connection::open(context).await?, context.addr.join(",")));
    }
    let home = tempfile::Builder::new()
        .prefix("chronos-bench-")
        .tempdir()
        .map_err(|e| Failure::failed(format!("cannot make a temporary directory: {e}")))?;
    let server = OwnServer::start(home.path()).await?;
    let connection = Connection::to(&[server.address().to_owned()], context.timeout).await?;
    Ok((Some((server, home)), connection, "own, same machine".to_owned()))
}

struct Appends {
    population: Population,
    sink: ClientSink,
    batch: usize,
}

impl Act for Appends {
    async fn act(&self, dice: &mut Dice) -> Outcome<u64> {
        let drafts = self.population.batch(dice, now_ms(), self.batch);
        let block = pack(drafts).map_err(|e| Failure::from(&e))?;
        let ack = self.sink.append(&block).await?;
        Ok(ack.versions.len() as u64)
    }
}

struct Reads {
    ids: Vec<EventId>,
    connection: Connection,
}

impl Act for Reads {
    async fn act(&self, dice: &mut Dice) -> Outcome<u64> {
        self.connection.get(dice.pick(&self.ids)).await.map(|_| 1)
    }
}

struct Queries {
    population: Population,
    connection: Connection,
}

impl Act for Queries {
    async fn act(&self, dice: &mut Dice) -> Outcome<u64> {
        let entity = self.population.entity(dice);
        let mut events =
            self.connection.read(Read::entity(entity.as_str()).backward().limit(QUERY_EVENTS)).await?;
        let mut count = 0;
        while events.next().await?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

/// Gives every entity what a query reads; returns the ids of some of it.
async fn fill(population: &Population, sink: &ClientSink, seed: u64) -> Outcome<Vec<EventId>> {
    let mut dice = Dice::new(seed);
    let mut ids = Vec::new();
    for entity in population.entities() {
        let drafts: Vec<_> =
            (0..QUERY_EVENTS).map(|_| population.draft(&mut dice, now_ms(), entity)).collect();
        if ids.len() < IDS_MAX {
            ids.extend(drafts.iter().map(|draft| draft.event_id));
        }
        sink.append(&pack(drafts).map_err(|e| Failure::from(&e))?).await?;
    }
    Ok(ids)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn batch(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(events) if (1..=BATCH_EVENTS_MAX).contains(&events) => Ok(events),
        _ => Err(format!("give 1 to {BATCH_EVENTS_MAX} events")),
    }
}

fn payload(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes) if (2..=PAYLOAD_BYTES_MAX).contains(&bytes) => Ok(bytes),
        _ => Err(format!("give 2 to {PAYLOAD_BYTES_MAX} bytes")),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n >= 1).ok_or_else(|| "give a number from 1".to_owned())
}
