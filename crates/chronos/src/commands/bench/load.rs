//! `chronos bench append`, `read`, `query`: closed-loop load.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chronos_client::{EventId, Read};
use chronos_domain::limits::{BATCH_EVENTS_MAX, PAYLOAD_BYTES_MAX};
use chronos_env::Env;
use clap::Args;
use tempfile::TempDir;

use crate::bench::load::{Act, Measured, run};
use crate::bench::report::Report;
use crate::bench::workload::{Population, pack};
use crate::cli::Context;
use crate::connect::{ClientSink, Connection};
use crate::demo::dice::Dice;
use crate::failure::{Failure, Outcome};
use crate::fleet::Fleet;
use crate::fleet::ground::Ground;
use crate::ingest::progress::per_second;
use crate::ingest::settle::Sink;
use crate::moment;
use crate::own_server::OwnServer;

/// Events that a query reads.
const QUERY_EVENTS: u64 = 100;

/// Ids that a read may ask for.
const IDS_MAX: usize = 100_000;

/// How the load is made.
#[derive(Args)]
pub(crate) struct Load {
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
    /// Nodes of the server of its own
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = at_least_one)]
    nodes: usize,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Durable appends.
    Append,
    /// Single events by id.
    Read,
    /// Pages of one entity's events.
    Query,
}

impl Load {
    /// Does it for as long as was asked for.
    pub(crate) async fn measured(&self, workload: Workload, context: &Context) -> Outcome<Report> {
        let (own, connection, server) = self.target(context).await?;
        let measured = self.measure(workload, &connection).await?;
        let info = connection.info().await?;
        let latencies = &measured.latencies;
        let report = Report {
            workload: workload.name(),
            durability: info.durability,
            batch: self.events_per_request(workload),
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
        own.stop().await?;
        Ok(report)
    }

    fn events_per_request(&self, workload: Workload) -> usize {
        match workload {
            Workload::Append => self.batch,
            Workload::Read => 1,
            Workload::Query => QUERY_EVENTS as usize,
        }
    }

    async fn measure(&self, workload: Workload, connection: &Connection) -> Outcome<Measured> {
        let seed = Env::real().entropy.u64();
        let population = Population::new(seed, self.entities, self.payload);
        let (callers, duration) = (self.concurrency, self.duration);
        let sink = connection.sink();
        match workload {
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

/// What is measured, as far as it is our own.
enum Own {
    Nothing,
    Server(Box<OwnServer>, TempDir),
    Cluster(Fleet),
}

impl Own {
    async fn stop(self) -> Outcome {
        match self {
            Self::Nothing => Ok(()),
            Self::Server(server, home) => {
                server.stop().await?;
                home.close()
                    .map_err(|e| Failure::failed(format!("cannot remove the temporary directory: {e}")))
            }
            Self::Cluster(mut fleet) => fleet.stop_all().await,
        }
    }
}

impl Load {
    /// The servers that were named, or our own with their directories; a way there; how to call them.
    async fn target(&self, context: &Context) -> Outcome<(Own, Connection, String)> {
        if !context.addr.is_empty() {
            if self.nodes > 1 {
                return Err(Failure::usage("--nodes starts nodes of its own; leave it out, or --addr"));
            }
            return Ok((Own::Nothing, Connection::open(context).await?, context.addr.join(",")));
        }
        if self.nodes > 1 {
            let fleet = Fleet::found(self.nodes, Ground::loopback()).await?;
            fleet.settled().await?;
            let connection = fleet.connection(context.timeout()).await?;
            return Ok((Own::Cluster(fleet), connection, format!("{} own, same machine", self.nodes)));
        }
        let home = tempfile::Builder::new()
            .prefix("chronos-bench-")
            .tempdir()
            .map_err(|e| Failure::failed(format!("cannot make a temporary directory: {e}")))?;
        let server = OwnServer::start(home.path()).await?;
        let connection = Connection::to(&[server.address().to_owned()], context.timeout()).await?;
        Ok((Own::Server(Box::new(server), home), connection, "own, same machine".to_owned()))
    }
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
