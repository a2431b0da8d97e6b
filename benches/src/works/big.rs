//! Ten million events of a million entities on one node: how much memory it takes to bring them in, to compact them and
//! to ask about them, how long the node takes to be ready again, and how much disk they take.

use std::path::Path;
use std::time::{Duration, Instant};

use chronos_block::Block;
use chronos_client::{Client, Options};
use chronos_domain::{Batch, EventId};
use futures::{StreamExt, TryStreamExt, stream};

use crate::Failure;
use crate::clock::{Run, Series, note};
use crate::files;
use crate::orders::{Orders, PAYLOAD_BYTES, Stock, pack};
use crate::process;
use crate::report::Line;
use crate::server::Server;
use crate::suite::Bench;
use crate::works::{caller, sql};

const EVENTS: usize = 10_000_000;
const ENTITIES: usize = 1_000_000;
const BATCH: usize = 1000;
const QUICK_EVENTS: usize = 6_400;
const QUICK_ENTITIES: usize = 1_000;
const QUICK_BATCH: usize = 100;
/// Requests in flight.
const IN_FLIGHT: usize = 8;
/// Of so many requests one event is remembered, to be read.
const REMEMBER: usize = 10;
/// Point reads.
const READS: usize = 1000;
const QUICK_READS: usize = 20;
/// How long a request may take that waits for compaction.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let stock = Stock::of(bench.size(ENTITIES, QUICK_ENTITIES));
    let mut orders = Orders::new(&stock, 1);
    let server = Server::start(bench)?;
    let runtime = caller::runtime(IN_FLIGHT)?;
    let events = bench.size(EVENTS, QUICK_EVENTS);
    let (ingest, known) = runtime.block_on(ingest(bench, &server, &mut orders, events))?;
    let ingest =
        line(bench, "ingest", ingest, &server)?.load(IN_FLIGHT, bench.size(BATCH, QUICK_BATCH)).durable();
    process::forget_peak(server.process())?;
    let compaction = runtime.block_on(compact(&server, events))?;
    let compaction = line(bench, "compaction of the rest", compaction, &server)?;
    let compaction = on_disk(compaction, &server.data(), events)?;
    let server = server.restart(bench)?;
    let mut started = Run::new();
    started.add(events as u64, server.ready_after());
    let started = line(bench, "start to ready", started, &server)?
        .figure("ready_after_s", server.ready_after().as_secs_f64());
    let points = runtime.block_on(points(&server, &known, bench.size(READS, QUICK_READS), &mut orders))?;
    let points = line(bench, "point reads by id after it", points, &server)?;
    let asked = runtime.block_on(ask(&server, &stock, &mut orders, events))?;
    let asked = line(bench, "sql: group by over all, and ten entities", asked, &server)?;
    Ok(vec![ingest, compaction, started, points, asked])
}

/// What was done, and the most memory that the server has had meanwhile.
fn line(bench: &Bench<'_>, variant: &'static str, run: Run, server: &Server) -> Result<Line, Failure> {
    let peak = process::peak_bytes(server.process())? as f64 / f64::from(1 << 20);
    let series = Series(vec![run]);
    let line = Line::rate("big", &series, &bench.conditions.with_server()).variant(variant);
    Ok(line.figure("server_peak_mib", peak).figure("elapsed_s", series.0[0].elapsed.as_secs_f64()))
}

/// Brings everything in, and remembers some of it.
async fn ingest(
    bench: &Bench<'_>,
    server: &Server,
    orders: &mut Orders,
    events: usize,
) -> Result<(Run, Vec<EventId>), Failure> {
    let options = Options { deadline: PATIENCE, ..Options::default() };
    let client = Client::connect_with(&server.address().to_string(), options)?;
    let (batch, mut known) = (bench.size(BATCH, QUICK_BATCH), Vec::new());
    let start = Instant::now();
    let blocks = (0..events / batch).map(|n| {
        let drafts = orders.next_batch(batch);
        if n % REMEMBER == 0 {
            known.push(drafts[n % batch].event_id);
        }
        pack(drafts)
    });
    let append = |block: Block| {
        let client = client.clone();
        async move {
            let sent = Instant::now();
            client.append_block(&block).await?;
            Ok::<_, Failure>((block.events() as u64, sent.elapsed()))
        }
    };
    let mut run = Run::new();
    let mut answers = stream::iter(blocks).map(append).buffer_unordered(IN_FLIGHT);
    while let Some((events, took)) = answers.try_next().await? {
        run.events += events;
        note(&mut run.latencies, took);
    }
    drop(answers);
    run.elapsed = start.elapsed();
    caller::check_stored(server.address(), run.events).await?;
    Ok((run, known))
}

/// Takes what is left into parts.
async fn compact(server: &Server, events: usize) -> Result<Run, Failure> {
    let client = Client::connect(&server.address().to_string())?;
    let (mut run, start) = (Run::new(), Instant::now());
    caller::compact(&client).await?;
    run.add(events as u64, start.elapsed());
    Ok(run)
}

/// Adds what the node's files take.
fn on_disk(line: Line, data: &Path, events: usize) -> Result<Line, Failure> {
    let ending =
        |ending: &'static str| move |file: &Path| file.extension().is_some_and(|found| found == ending);
    let mib = |takes: &dyn Fn(&Path) -> bool| {
        Ok::<_, Failure>(files::bytes(data, takes)? as f64 / f64::from(1 << 20))
    };
    let all = files::bytes(data, &|_| true)?;
    Ok(line
        .figure("parquet_mib", mib(&ending("parquet"))?)
        .figure("index_mib", mib(&ending("index"))?)
        .figure("disk_mib", all as f64 / f64::from(1 << 20))
        .figure("payload_mib", (events * PAYLOAD_BYTES) as f64 / f64::from(1 << 20))
        .figure("disk_bytes_per_event", all as f64 / events as f64))
}

/// Reads events that were remembered.
async fn points(
    server: &Server,
    known: &[EventId],
    reads: usize,
    orders: &mut Orders,
) -> Result<Run, Failure> {
    let client = Client::connect(&server.address().to_string())?;
    let mut run = Run::new();
    for _ in 0..reads {
        let id = known[orders.below(known.len())];
        let start = Instant::now();
        let found = client.get(id).await?;
        run.add(1, start.elapsed());
        if found.is_none_or(|event| event.event_id != id) {
            return Err(format!("event {id} was acknowledged and is not found").into());
        }
    }
    Ok(run)
}

/// Asks about everything once, and about some entities.
async fn ask(server: &Server, stock: &Stock, orders: &mut Orders, events: usize) -> Result<Run, Failure> {
    let options = Options { deadline: PATIENCE, ..Options::default() };
    let client = Client::connect_with(&server.address().to_string(), options)?;
    let mut run = Run::new();
    let whole = "SELECT event_type, count(*), max(recorded_at), sum(version) FROM events GROUP BY event_type";
    let start = Instant::now();
    sql::answer(&client, whole.to_owned()).await?;
    run.add(events as u64, start.elapsed());
    for _ in 0..10 {
        let partition = orders.next_partition();
        let entity = &stock.entities(partition)[orders.below(stock.entities(partition).len())];
        let one =
            format!("SELECT version, payload FROM events WHERE entity_id = '{entity}' ORDER BY version");
        let start = Instant::now();
        sql::answer(&client, one).await?;
        run.add(1, start.elapsed());
    }
    Ok(run)
}
