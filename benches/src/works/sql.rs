//! SQL over the wire, over events of which all are in parts: everything once, and one entity.

use std::time::Instant;

use chronos_client::{Client, Query, QueryStats};
use chronos_domain::Batch as _;

use crate::Failure;
use crate::clock::{Run, Series};
use crate::orders::{Orders, Stock};
use crate::report::Line;
use crate::server::Server;
use crate::suite::Bench;
use crate::works::caller;

const EVENTS: usize = 400_000;
const QUICK_EVENTS: usize = 3_200;
/// Events of one request.
const BATCH: usize = 100;

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let server = Server::start(bench)?;
    let stock = Stock::new();
    let mut orders = Orders::new(&stock, 1);
    let runtime = caller::runtime(1)?;
    runtime.block_on(async {
        let client = Client::connect(&server.address().to_string())?;
        let events = bench.size(EVENTS, QUICK_EVENTS);
        let mut entities = Vec::new();
        for _ in 0..events / BATCH {
            let block = orders.next_block(BATCH);
            entities.push(block.entity(0).to_owned());
            client.append_block(&block).await?;
        }
        caller::check_stored(server.address(), events as u64).await?;
        caller::compact(&client).await?;
        let whole = "SELECT event_type, count(*), max(recorded_at) FROM events GROUP BY event_type";
        let mut lines = vec![asked(bench, &client, events, "group by over all", |_| whole.to_owned()).await?];
        let one = |_| {
            let entity = &entities[orders.below(entities.len())];
            format!("SELECT version, event_type, payload FROM events WHERE entity_id = '{entity}' ORDER BY version")
        };
        lines.push(asked(bench, &client, events, "one entity", one).await?);
        Ok(lines)
    })
}

/// Asks again and again until the time is over.
async fn asked(
    bench: &Bench<'_>,
    client: &Client,
    events: usize,
    variant: &'static str,
    mut sql: impl FnMut(u64) -> String,
) -> Result<Line, Failure> {
    let (mut series, mut questions, mut rows, mut files) = (Series::default(), 0, 0, 0);
    for _ in 0..bench.runs() {
        let (mut run, end) = (Run::new(), Instant::now() + bench.time());
        while Instant::now() < end {
            let question = sql(questions);
            let start = Instant::now();
            let stats = answer(client, question).await?;
            run.add(1, start.elapsed());
            questions += 1;
            rows += stats.file_rows_read + stats.tail_rows_read;
            files += stats.files_read;
        }
        series.0.push(run);
    }
    let each = |count: u64| count as f64 / questions as f64;
    Ok(Line::latency("sql", &series, &bench.conditions.with_server())
        .variant(variant)
        .figure("rows_read_per_question", each(rows))
        .figure("files_read_per_question", each(files))
        .figure("events_asked_about", events as f64))
}

/// Reads an answer to its end.
pub(crate) async fn answer(client: &Client, sql: String) -> Result<QueryStats, Failure> {
    let mut answer = client.query(Query::sql(sql.as_str())).await?;
    while answer.next().await?.is_some() {}
    let stats = answer.stats().cloned().ok_or("an answer has no end")?;
    if stats.rows_returned > 0 {
        return Ok(stats);
    }
    Err(format!("{sql} was answered with {stats:?}").into())
}
