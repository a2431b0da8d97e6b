//! Ingest over gRPC: requests of 1,000 events, many in flight.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chronos_block::Block;
use chronos_client::{Client, SessionOptions};
use chronos_proto::v1;
use chronos_proto::v1::append_stream_response::Outcome;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use crate::Failure;
use crate::clock::{Run, Series, note};
use crate::orders::{Orders, Stock};
use crate::process::Usage;
use crate::report::Line;
use crate::server::Server;
use crate::suite::Bench;
use crate::works::caller::{self, Rpc};

/// Events of one request.
const BATCH: usize = 1000;
/// Requests of one stream without an answer.
const WINDOW: usize = 8;
/// Events sent for each second that was asked for.
const EVENTS_PER_SECOND: usize = 400_000;
const QUICK_EVENTS: usize = 10 * BATCH;

/// How events become requests.
#[derive(Clone, Copy)]
enum Way {
    /// Packed before the clock starts, and sent over so many streams with a connection each.
    Prepacked { streams: usize },
    /// Pushed one by one into a session of the SDK, which packs them.
    Session,
}

const WAYS: [Way; 3] = [Way::Prepacked { streams: 1 }, Way::Prepacked { streams: 4 }, Way::Session];

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Way::Prepacked { .. } => "packed ahead",
            Way::Session => "packed by an SDK session",
        }
    }

    const fn clients(self) -> usize {
        match self {
            Way::Prepacked { streams } => streams,
            Way::Session => 1,
        }
    }
}

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let mut all = WAYS.map(|_| (Series::default(), Usage::default(), Usage::default()));
    for seed in 0..bench.runs() {
        for (way, (series, server, load)) in WAYS.into_iter().zip(&mut all) {
            let (run, server_used, load_used) = ingest(bench, way, u64::from(seed) << 32)?;
            series.0.push(run);
            *server = server.plus(server_used);
            *load = load.plus(load_used);
        }
    }
    let line = |(way, (series, server, load)): (Way, &(Series, Usage, Usage))| {
        let cpu = |used: &Usage| used.cpu_nanos as f64 / series.events() as f64 / 1000.0;
        Line::rate("ingest", series, &bench.conditions.with_server())
            .variant(way.name())
            .load(way.clients(), BATCH)
            .durable()
            .figure("server_cpu_us_per_event", cpu(server))
            .figure("load_cpu_us_per_event", cpu(load))
    };
    Ok(WAYS.into_iter().zip(&all).map(line).collect())
}

/// One run against a server of its own, and what it cost each side.
fn ingest(bench: &Bench<'_>, way: Way, seed: u64) -> Result<(Run, Usage, Usage), Failure> {
    let server = Server::start(bench)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let real = (bench.time().as_secs_f64() * EVENTS_PER_SECOND as f64) as usize;
    let events = bench.size(real, QUICK_EVENTS).next_multiple_of(BATCH * way.clients());
    let stock = Stock::new();
    let mut supplies: Vec<Orders> =
        (0..way.clients()).map(|client| Orders::new(&stock, seed + client as u64)).collect();
    runtime.block_on(async {
        let (run, server_used, load_used) = match way {
            Way::Prepacked { .. } => {
                let requests = events / BATCH / supplies.len();
                let packed: Vec<Vec<Block>> = supplies
                    .iter_mut()
                    .map(|orders| (0..requests).map(|_| orders.next_block(BATCH)).collect())
                    .collect();
                metered(&server, streams(server.address(), packed)).await?
            }
            Way::Session => {
                let orders = supplies.pop().expect("a session has one supply");
                metered(&server, session(server.address(), orders, events)).await?
            }
        };
        if run.events != events as u64 {
            return Err(format!("{events} events were sent, {} are acknowledged", run.events).into());
        }
        caller::check_stored(server.address(), run.events).await?;
        Ok((run, server_used, load_used))
    })
}

/// Runs the load and reads what both sides used meanwhile.
async fn metered(
    server: &Server,
    load: impl Future<Output = Result<Run, Failure>>,
) -> Result<(Run, Usage, Usage), Failure> {
    let before = (server.usage(), Usage::of(std::process::id()));
    let run = load.await?;
    let after = (server.usage(), Usage::of(std::process::id()));
    Ok((run, after.0.since(before.0), after.1.since(before.1)))
}

/// Sends each list of blocks on a stream and a connection of its own, all at once.
async fn streams(address: SocketAddr, packed: Vec<Vec<Block>>) -> Result<Run, Failure> {
    let mut rpcs = Vec::new();
    for _ in &packed {
        rpcs.push(caller::connect(address).await?);
    }
    let start = Instant::now();
    let streams: Vec<JoinHandle<_>> =
        rpcs.into_iter().zip(packed).map(|(rpc, blocks)| tokio::spawn(stream(rpc, blocks))).collect();
    let mut all = Run::new();
    for stream in streams {
        all.merge(&stream.await??);
    }
    all.elapsed = start.elapsed();
    Ok(all)
}

/// Sends blocks on one stream, [`WINDOW`] unanswered at a time, until all are acknowledged.
async fn stream(mut rpc: Rpc, blocks: Vec<Block>) -> Result<Run, Failure> {
    let mut run = Run::new();
    let (requests, source) = mpsc::channel(WINDOW);
    let mut answers = rpc.append_stream(ReceiverStream::new(source)).await?.into_inner();
    let mut sent: Vec<Instant> = Vec::with_capacity(blocks.len());
    let mut answered = 0;
    while answered < blocks.len() {
        while sent.len() < blocks.len() && sent.len() - answered < WINDOW {
            let block = blocks[sent.len()].bytes().clone();
            let request = v1::AppendStreamRequest { request_id: sent.len() as u64, block, deadline_ms: None };
            sent.push(Instant::now());
            requests.send(request).await?;
        }
        let answer = answers.message().await?.ok_or("the stream ended before all was answered")?;
        let Some(Outcome::Stored(stored)) = answer.outcome else {
            return Err(format!("a new request was answered with {answer:?}").into());
        };
        note(&mut run.latencies, sent[answer.request_id as usize].elapsed());
        run.events += stored.versions.len() as u64;
        answered += 1;
    }
    Ok(run)
}

/// Pushes events of all partitions into a session, one by one, until all are acknowledged. Timed is one in a thousand.
async fn session(address: SocketAddr, mut orders: Orders, events: usize) -> Result<Run, Failure> {
    let session = Client::connect(&address.to_string())?.session(SessionOptions::default());
    let mut run = Run::new();
    let mut timed: Vec<JoinHandle<Result<Duration, Failure>>> = Vec::new();
    let mut tickets = Vec::with_capacity(events);
    let start = Instant::now();
    for n in 0..events {
        let partition = orders.next_partition();
        let draft = orders.draft(partition);
        let pushed = Instant::now();
        let ticket = session.push(draft).await?;
        if n % BATCH == 0 {
            let ticket = ticket.clone();
            timed.push(tokio::spawn(async move {
                ticket.stored().await?;
                Ok(pushed.elapsed())
            }));
        }
        tickets.push(ticket);
    }
    session.flush().await;
    run.elapsed = start.elapsed();
    for ticket in tickets {
        run.events += u64::from(!ticket.stored().await?.deduplicated);
    }
    for latency in timed {
        note(&mut run.latencies, latency.await??);
    }
    Ok(run)
}
