//! Questions in SQL: whatever is asked, it is answered within its bounds or refused, and nothing of another tenant is told.
//!
//! Answers are computed on threads of their own in real time, so this target alone may take more or less of it, and an input
//! that takes too long may end as refused one time and as answered another.

use std::sync::OnceLock;
use std::time::Duration;

use arrow::util::pretty::pretty_format_batches;
use chronos_domain::{Position, TenantId};
use chronos_env::sim::World;
use chronos_env::{Clock, Env};
use chronos_query::{Engine, Error, Held, Limits, Question};
use tokio::runtime::{Builder, Runtime};

use super::support::commands::{CANARY, TENANTS};
use super::support::node::{Node, USED};
use super::{Target, history};

pub(super) static TARGET: Target = Target {
    input_bytes_max: 2048,
    memory_bytes_max: 1 << 30,
    tried_by_test: 400,
    ..Target::new(
        "sql",
        "a question is answered or refused within its bounds, and tells nothing of other tenants",
        run,
        seeds,
    )
};

const ROWS_MAX: u64 = 200;
const TIME_MAX: Duration = Duration::from_secs(2);

struct Asking {
    runtime: Runtime,
    clock: Clock,
    engine: Engine,
    partitions: Vec<Held>,
}

fn asking() -> &'static Asking {
    static ASKING: OnceLock<Asking> = OnceLock::new();
    ASKING.get_or_init(|| {
        let world = World::new(1);
        let disk = std::sync::Arc::new(history::history().disk.fork(1));
        let env = Env { disk, ..world.env() };
        // Reads need no task of the node: it stays as it is when its run is over.
        let node = world.run(async { Node::open(&env, 64 << 10).expect("what was written is opened") });
        let held = |at| {
            let partition = node.partition(at).clone();
            Held { life: partition.life(), bound: partition.head(), partition }
        };
        let partitions = (0..USED.len()).map(held).collect();
        std::mem::forget(node);
        let runtime = Builder::new_current_thread().enable_time().build().expect("a thread has a timer");
        let engine = Engine::new(Limits { memory_bytes: 64 << 20, rows: ROWS_MAX, questions: 1 });
        Asking { runtime, clock: Env::real().clock, engine, partitions }
    })
}

/// An input is a question.
fn run(input: &[u8]) {
    let Ok(sql) = std::str::from_utf8(input) else { return };
    let asking = asking();
    assert!(asking.partitions.iter().all(|held| held.bound > Position::ZERO));
    let Ok((rows, text)) = asking.runtime.block_on(answer(asking, sql)) else { return };
    assert!(rows <= ROWS_MAX, "an answer has {rows} rows");
    let says_so_itself = sql.contains(CANARY) || sql.contains(TENANTS[1]);
    let foreign = format!("{CANARY}{}", TENANTS[1]);
    assert!(says_so_itself || !text.contains(&foreign), "another tenant's event is in an answer:\n{text}");
}

/// The rows and the text of an answer.
async fn answer(asking: &Asking, sql: &str) -> Result<(u64, String), Error> {
    let question = Question {
        tenant: TenantId::parse(TENANTS[0]).expect("a plain name"),
        sql: sql.to_owned(),
        partitions: asking.partitions.clone(),
        elsewhere: Vec::new(),
        rows: ROWS_MAX,
    };
    let clock = asking.clock.clone();
    let mut answer = asking.engine.run(question, async move { clock.sleep(TIME_MAX).await }).await?;
    let mut batches = Vec::new();
    while let Some(batch) = answer.next().await? {
        batches.push(batch);
    }
    let text = pretty_format_batches(&batches).expect("what is answered can be shown");
    Ok((batches.iter().map(|batch| batch.num_rows() as u64).sum(), text.to_string()))
}

fn seeds() -> Vec<Vec<u8>> {
    let questions = [
        "SELECT * FROM events",
        "SELECT event_type, count(*) FROM events GROUP BY event_type ORDER BY 2 DESC",
        "SELECT position, payload FROM events WHERE entity_id = 'entity-1' AND position > 5 LIMIT 3",
        "SELECT max(recorded_at), min(version), avg(position) FROM events WHERE event_type IN ('kind.1', 'kind.2')",
        "SELECT a.position FROM events a JOIN events b ON a.entity_id = b.entity_id AND a.version = b.version - 1",
        "WITH x AS (SELECT entity_id e, count(*) c FROM events GROUP BY 1) SELECT * FROM x WHERE c > (SELECT avg(c) FROM x)",
        "SELECT row_number() OVER (PARTITION BY entity_id ORDER BY version) FROM events",
        "EXPLAIN ANALYZE SELECT * FROM events WHERE event_id = '00000000-0000-0000-0000-000000000007'",
        "SELECT payload->>'n', payload->'pad' FROM events WHERE payload->>'n' LIKE '1%'",
        "SELECT upper(entity_id), tags[1], array_length(tags) FROM events ORDER BY recorded_at DESC NULLS LAST OFFSET 2",
        "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 1",
        "SELECT CASE WHEN position % 2 = 0 THEN 'a' ELSE NULL END, cast(version AS text) FROM events",
        "SELECT unnest(tags) t, count(DISTINCT entity_id) FROM events GROUP BY t HAVING count(*) > 1",
        "SELECT date_trunc('day', recorded_at), regexp_match(entity_id, 'e(.)') FROM events",
        "DROP TABLE events",
        "SELECT * FROM events WHERE tenant_id = 'x' OR 1 = 1",
    ];
    questions.iter().map(|question| question.as_bytes().to_vec()).collect()
}
