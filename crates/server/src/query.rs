//! SQL questions, as both surfaces ask them.

mod away;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use chronos_app::{AsOf, Class, Error, Reason};
use chronos_domain::{PartitionId, Position, Token};
use chronos_query::{Answer, Elsewhere, Question, Stats};
use futures::future::try_join_all;

use crate::edge::Edge;

use away::{Away, Reader};

/// What a caller asks.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) sql: String,
    /// The moment whose past is asked about.
    pub(crate) as_of: Option<AsOf>,
    /// Rows of the answer.
    pub(crate) rows: Option<u64>,
    /// How long it may take.
    pub(crate) time: Option<Duration>,
    /// How long the caller waits for the answer, if that is known.
    pub(crate) within: Option<Duration>,
}

/// An answer on its way.
pub(crate) struct Answering {
    edge: Arc<Edge>,
    answer: Answer,
    token: Token,
    began: Duration,
    /// What waits for another node is let go with the answer.
    _reader: Arc<Reader>,
}

/// After how long a caller may ask again whose question found no memory.
const NO_MEMORY_RETRY_MS: u64 = 1000;

/// Opens an answer: its moment is fixed, its first rows are being made.
pub(crate) async fn open(edge: &Arc<Edge>, asked: Asked) -> Result<Answering, Error> {
    let patience = edge.limits.query_patience(asked.time);
    let patience = asked.within.map_or(patience, |within| within.min(patience));
    let deadline = edge.env.clock.monotonic() + patience;
    let opened = edge.in_time(deadline, begin(edge, asked, deadline)).await;
    edge.metrics.query(&opened);
    opened
}

async fn begin(edge: &Arc<Edge>, asked: Asked, deadline: Duration) -> Result<Answering, Error> {
    let clock = edge.env.clock.clone();
    let began = clock.monotonic();
    let rows = edge.limits.query_rows(asked.rows)?;
    edge.app
        .node()
        .all_here("a question in SQL", "ask a node that passes on, or one that holds everything")?;
    let app = edge.app.over(edge.app.node().until(deadline));
    let token = app.snapshot(edge.principal(), asked.as_of.as_ref(), deadline).await?;
    let engine = app.node();
    let (here, elsewhere): (Vec<_>, Vec<_>) = PartitionId::all().partition(|id| engine.serves(*id));
    let here = here.into_iter().map(|id| engine.bounded(id, token.get(id), deadline));
    let tenant = edge.principal().tenant().clone();
    let reader = Arc::new(Reader::start(&edge.env, engine.clone(), &tenant));
    let remote = |id| -> (Arc<dyn Elsewhere>, Position) { (Arc::new(Away::new(id, &reader)), token.get(id)) };
    let question = Question {
        partitions: try_join_all(here).await?,
        elsewhere: elsewhere.into_iter().map(remote).collect(),
        tenant,
        sql: asked.sql,
        rows,
    };
    let left = deadline.saturating_sub(clock.monotonic());
    let expiry = async move { clock.sleep(left).await };
    let answer = edge.query.run(question, expiry).await.map_err(|error| failed(edge, &error))?;
    Ok(Answering { edge: edge.clone(), answer, token, began, _reader: reader })
}

impl Answering {
    /// The columns of the answer.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.answer.schema()
    }

    /// The next rows; `None` when the answer is whole.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        self.answer.next().await.map_err(|error| {
            let error = failed(&self.edge, &error);
            self.edge.metrics.query_failed(&error);
            error
        })
    }

    /// The moment that was asked about.
    pub(crate) const fn token(&self) -> &Token {
        &self.token
    }

    /// What answering has cost so far, and how long it has taken.
    pub(crate) fn cost(&self) -> (Stats, Duration) {
        (self.answer.stats(), self.edge.env.clock.monotonic().saturating_sub(self.began))
    }
}

/// The error in the words that all surfaces share.
fn failed(edge: &Edge, error: &chronos_query::Error) -> Error {
    use chronos_query::Error as Failed;
    let text = error.to_string();
    match error {
        Failed::Refused { what } => Error::invalid(text).with("statement", what),
        Failed::Invalid { .. } => Error::invalid(text).with("field", "sql"),
        Failed::TooManyRows { rows } => {
            Error::new(Class::Rejected, Reason::TooLarge, text).with("limit", "rows").with("max", rows)
        }
        Failed::OutOfMemory { bytes } => Error::new(Class::Failed, Reason::ResourceExhausted, text)
            .with("limit", "query memory bytes")
            .with("max", bytes)
            .retry_after_ms(NO_MEMORY_RETRY_MS),
        Failed::OutOfTime { rows } => {
            Error::new(Class::Failed, Reason::DeadlineExceeded, text).with("rows_read", rows)
        }
        Failed::Storage { partition, fault } => edge.app.node().failed(*partition, fault),
        Failed::Internal { .. } => Error::new(Class::Failed, Reason::Internal, text),
    }
}
