//! The state of one long entity as of random moments of its past, over the wire, after everything has gone into parts
//! and the server was started again.

use std::time::Instant;

use chronos_client::{Append, Client, Event, Moment, Read, State};
use chronos_domain::{EntityId, Timestamp};
use futures::TryStreamExt;
use serde_json::Value;

use crate::Failure;
use crate::clock::{Run, Series};
use crate::orders::{Orders, Stock};
use crate::report::Line;
use crate::server::Server;
use crate::suite::Bench;
use crate::works::caller;

const EVENTS: usize = 9_000;
const QUICK_EVENTS: usize = 300;
const MOMENTS: usize = 1_000;
const QUICK_MOMENTS: usize = 20;
/// Events of one request: each request is a moment of its own.
const BATCH: usize = 10;

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let (events, moments) = (bench.size(EVENTS, QUICK_EVENTS), bench.size(MOMENTS, QUICK_MOMENTS));
    let mut server = Server::start(bench)?;
    let mut orders = Orders::new(&Stock::new(), 1);
    let entity = EntityId::parse("a-long-story")?;
    let runtime = caller::runtime(1)?;
    let story = runtime.block_on(write(&server, &mut orders, &entity, events))?;
    let mut series = Series::default();
    for _ in 0..bench.runs() {
        server = server.restart(bench)?;
        series.0.push(runtime.block_on(states(&server, &mut orders, &story, moments))?);
    }
    let line = Line::latency("state.as_of", &series, &bench.conditions.with_server());
    Ok(vec![line.variant("random moments, after a restart").figure("entity_events", events as f64)])
}

/// Appends the story among others, has it compacted, and gives it back as it was recorded.
async fn write(
    server: &Server,
    orders: &mut Orders,
    entity: &EntityId,
    events: usize,
) -> Result<Vec<Event>, Failure> {
    let client = Client::connect(&server.address().to_string())?;
    for _ in 0..events / BATCH {
        let drafts = (0..BATCH).map(|_| orders.draft_for(entity.clone())).collect();
        client.append(Append::of(drafts)).await?;
        client.append(Append::of(orders.next_batch(BATCH))).await?;
    }
    caller::compact(&client).await?;
    let story: Vec<Event> = client.read(Read::entity(entity.as_str())).await?.try_collect().await?;
    if story.len() == events {
        return Ok(story);
    }
    Err(format!("{events} events were appended, {} were read", story.len()).into())
}

/// Asks for the state at random moments, and checks each.
async fn states(
    server: &Server,
    orders: &mut Orders,
    story: &[Event],
    moments: usize,
) -> Result<Run, Failure> {
    let client = Client::connect(&server.address().to_string())?;
    let (first, last) = (story[0].recorded_at.get(), story[story.len() - 1].recorded_at.get());
    let mut run = Run::new();
    for _ in 0..moments {
        let moment = first + orders.below((last - first).unsigned_abs() as usize + 1) as i64;
        let due = story.partition_point(|event| event.recorded_at.get() <= moment);
        let asked = State::of(story[0].entity_id.as_str()).as_of(Moment::Time(Timestamp::new(moment)));
        let start = Instant::now();
        let state = client.state(asked).await?;
        run.add(1, start.elapsed());
        // Every payload has the same keys, so the last one is what all of them merge to.
        let merged: Value = serde_json::from_slice(&story[due - 1].payload)?;
        let found: Value = serde_json::from_slice(&state.json)?;
        if state.version.get() != due as u64 || found != merged {
            return Err(format!("at {moment} the state is {state:?} instead of that of version {due}").into());
        }
    }
    Ok(run)
}
