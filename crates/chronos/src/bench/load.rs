//! The loop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::report::Latencies;
use crate::demo::dice::Dice;
use crate::failure::{Failure, Outcome};

/// One kind of request.
pub(crate) trait Act: Send + Sync + 'static {
    /// Makes one request and waits for its answer; gives the number of events it moved.
    fn act(&self, dice: &mut Dice) -> impl Future<Output = Outcome<u64>> + Send;
}

/// What the callers saw.
pub(crate) struct Measured {
    pub(crate) latencies: Latencies,
    pub(crate) events: u64,
    pub(crate) seconds: f64,
}

/// Runs `concurrency` callers for a while. The first failure ends it: a rate with failures in it means nothing.
pub(crate) async fn run<A: Act>(
    act: Arc<A>,
    concurrency: usize,
    duration: Duration,
    seed: u64,
) -> Outcome<Measured> {
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..concurrency as u64 {
        callers.spawn(call(act.clone(), Dice::new(seed ^ (caller << 32)), start, duration));
    }
    let mut latencies = Latencies::new();
    let mut events = 0;
    while let Some(ended) = callers.join_next().await {
        let (its_latencies, its_events) =
            ended.map_err(|died| Failure::failed(format!("a caller died: {died}")))??;
        latencies.add(&its_latencies);
        events += its_events;
    }
    Ok(Measured { latencies, events, seconds: start.elapsed().as_secs_f64() })
}

async fn call<A: Act>(
    act: Arc<A>,
    mut dice: Dice,
    start: Instant,
    duration: Duration,
) -> Outcome<(Latencies, u64)> {
    let mut latencies = Latencies::new();
    let mut events = 0;
    while start.elapsed() < duration {
        let sent = Instant::now();
        events += act.act(&mut dice).await?;
        latencies.record(sent.elapsed());
    }
    Ok((latencies, events))
}
