//! How long a node takes to be ready again, per gigabyte of log.

use std::time::{Duration, Instant};

use chronos_app::Principal;
use chronos_block::Block;
use chronos_env::Env;
use chronos_server::{Config, Node};

use crate::Failure;
use crate::clock::{Run, Series};
use crate::files;
use crate::orders::{Orders, Stock};
use crate::report::Line;
use crate::server;
use crate::suite::Bench;

/// What is written before the node is started again.
const LOG_BYTES: usize = 512 << 20;
const QUICK_BYTES: usize = 1 << 20;
const EVENTS: usize = 1000;
const QUICK_EVENTS: usize = 100;
/// Requests in flight while the log is written.
const IN_FLIGHT: usize = 8;

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let dir = bench.fresh_dir()?;
    let config = server::config(dir.path().join("node"), bench.lanes(), bench.segment_bytes());
    let runtime = server::runtime(bench.workers())?;
    let per_request = bench.size(EVENTS, QUICK_EVENTS);
    let written = runtime.block_on(write(&config, bench.size(LOG_BYTES, QUICK_BYTES), per_request))?;
    let [mut warm, mut cold] = [Series::default(), Series::default()];
    for _ in 0..bench.runs() {
        files::evict(&config.data)?;
        cold.0.push(runtime.block_on(reopen(&config, written.events))?);
        warm.0.push(runtime.block_on(reopen(&config, written.events))?);
    }
    let gigabytes = written.bytes as f64 / 1e9;
    let line = |series: &Series, variant| {
        let seconds = series.spread(|run| run.elapsed.as_secs_f64() / gigabytes);
        Line::new("recovery", seconds, "s/GB", series, bench.conditions)
            .variant(variant)
            .load(1, per_request)
            .figure("events_per_s", series.spread(Run::rate).median)
            .figure("log_gb", gigabytes)
    };
    Ok(vec![line(&warm, "log in the page cache"), line(&cold, "log evicted from the page cache")])
}

/// What the log holds.
#[derive(Default)]
struct Written {
    events: u64,
    /// Of the packed requests; frames and headers come on top.
    bytes: u64,
}

/// Fills the log through the node, as callers do.
async fn write(config: &Config, bytes: usize, per_request: usize) -> Result<Written, Failure> {
    let node = Node::start(Env::real(), config).await?;
    let (app, principal) = (node.app().clone(), Principal::default());
    let mut orders = Orders::new(&Stock::new(), 1);
    let mut written = Written::default();
    while written.bytes < bytes as u64 {
        let blocks: Vec<Block> = (0..IN_FLIGHT).map(|_| orders.next_block(per_request)).collect();
        written.events += (blocks.len() * per_request) as u64;
        written.bytes += blocks.iter().map(|block| block.bytes().len() as u64).sum::<u64>();
        let appends = blocks.into_iter().map(|block| app.append(&principal, block, Duration::MAX));
        futures::future::try_join_all(appends).await?;
    }
    node.stop().await;
    Ok(written)
}

/// Starts the node on what is there.
async fn reopen(config: &Config, events: u64) -> Result<Run, Failure> {
    let start = Instant::now();
    let node = Node::start(Env::real(), config).await?;
    let elapsed = start.elapsed();
    let found = stored(&node).await?;
    node.stop().await;
    if found != events {
        return Err(format!("{events} events were acknowledged, {found} are there after a restart").into());
    }
    let mut run = Run::new();
    run.add(events, elapsed);
    Ok(run)
}

/// How many events a node of this process serves.
async fn stored(node: &Node) -> Result<u64, Failure> {
    let mut events = 0;
    for (_, marks) in node.app().watermarks(&Principal::default()).await? {
        events += marks?.applied.get();
    }
    Ok(events)
}
