//! Reads over gRPC by one caller: one event by its id, and an entity of 100 events.

use std::time::Instant;

use chronos_client::{Client, Event, EventId, Read, SessionOptions};
use chronos_domain::EntityId;
use futures::TryStreamExt;

use crate::Failure;
use crate::clock::{Run, Series};
use crate::orders::{Orders, Stock};
use crate::report::Line;
use crate::server::Server;
use crate::suite::Bench;
use crate::works::caller;

/// Events of one entity.
const HISTORY: usize = 100;

/// An entity and the ids of its events, by version.
struct Story {
    entity: EntityId,
    ids: Vec<EventId>,
}

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let server = Server::start(bench)?;
    let mut orders = Orders::new(&Stock::new(), 1);
    caller::runtime(1)?.block_on(async {
        let client = Client::connect(&server.address().to_string())?;
        let stories = write(&client, &mut orders, bench.size(1000, 10)).await?;
        caller::check_stored(server.address(), (stories.len() * HISTORY) as u64).await?;
        let [mut points, mut entities] = [Series::default(), Series::default()];
        for _ in 0..bench.runs() {
            points.0.push(point(bench, &client, &mut orders, &stories).await?);
            entities.0.push(entity(bench, &client, &mut orders, &stories).await?);
        }
        let conditions = bench.conditions.with_server();
        Ok(vec![
            Line::latency("remote.point_read", &points, &conditions).variant("by id"),
            Line::latency("remote.entity_read", &entities, &conditions).load(1, HISTORY),
        ])
    })
}

/// Appends the stories, interleaved.
async fn write(client: &Client, orders: &mut Orders, count: usize) -> Result<Vec<Story>, Failure> {
    let name = |n: usize| EntityId::parse(&format!("story-{n:018}"));
    let mut stories = (0..count)
        .map(|n| Ok(Story { entity: name(n)?, ids: Vec::with_capacity(HISTORY) }))
        .collect::<Result<Vec<_>, Failure>>()?;
    let session = client.session(SessionOptions::default());
    let mut tickets = Vec::new();
    for _ in 0..HISTORY {
        for story in &mut stories {
            let draft = orders.draft_for(story.entity.clone());
            story.ids.push(draft.event_id);
            tickets.push(session.push(draft).await?);
        }
    }
    session.flush().await;
    for ticket in tickets {
        ticket.stored().await?;
    }
    Ok(stories)
}

async fn point(
    bench: &Bench<'_>,
    client: &Client,
    orders: &mut Orders,
    stories: &[Story],
) -> Result<Run, Failure> {
    let mut run = Run::new();
    let end = Instant::now() + bench.time();
    while Instant::now() < end {
        let (story, slot) = (&stories[orders.below(stories.len())], orders.below(HISTORY));
        let start = Instant::now();
        let found = client.get(story.ids[slot]).await?;
        run.add(1, start.elapsed());
        let right = |event: &Event| {
            event.event_id == story.ids[slot]
                && event.entity_id == story.entity
                && event.version.get() == slot as u64 + 1
        };
        if !found.as_ref().is_some_and(right) {
            return Err(format!("event {} of {} was read as {found:?}", slot + 1, story.entity).into());
        }
    }
    Ok(run)
}

async fn entity(
    bench: &Bench<'_>,
    client: &Client,
    orders: &mut Orders,
    stories: &[Story],
) -> Result<Run, Failure> {
    let mut run = Run::new();
    let end = Instant::now() + bench.time();
    while Instant::now() < end {
        let story = &stories[orders.below(stories.len())];
        let start = Instant::now();
        let events: Vec<Event> =
            client.read(Read::entity(story.entity.as_str())).await?.try_collect().await?;
        run.add(HISTORY as u64, start.elapsed());
        if !events.iter().map(|event| &event.event_id).eq(&story.ids) {
            return Err(
                format!("{} has {} events of {HISTORY}, or others", story.entity, events.len()).into()
            );
        }
    }
    Ok(run)
}
