//! Asks and answers.

use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use chronos_domain::{Position, TenantId};
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::answer::{Answer, Work};
use crate::columns;
use crate::elsewhere::{Elsewhere, Remote};
use crate::error::Error;
use crate::explain;
use crate::guard::{self, Watch};
use crate::limits::{BATCHES_WAITING, Limits, STACK_BYTES, STREAMS, TABLES_MAX};
use crate::session;
use crate::source::Source;
use crate::statement::{self, Asked};
use crate::stats::Counters;
use crate::stored::{Held, Stored};
use crate::table::Events;

/// What is asked, and of which moment.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whose events it is about; of nobody else's it learns anything.
    pub tenant: TenantId,
    /// One statement.
    pub sql: String,
    /// The partitions that this node holds.
    pub partitions: Vec<Held>,
    /// Those that it does not hold, each with the last position that the question may see.
    pub elsewhere: Vec<(Arc<dyn Elsewhere>, Position)>,
    /// How many rows the answer may have.
    pub rows: u64,
}

/// Answers questions. Clones share threads, memory and turns.
///
/// It computes on two threads of its own, started by the first question, so that a question that keeps a processor
/// busy delays neither appends nor other reads. Time spent there is not simulated: a deterministic simulation
/// must not ask.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    limits: Limits,
    base: OnceLock<SessionState>,
    runtime: OnceLock<Threads>,
    turns: Arc<Semaphore>,
}

impl Engine {
    /// An engine within bounds. Costs nothing until it is asked.
    pub fn new(limits: Limits) -> Engine {
        let turns = Arc::new(Semaphore::new(limits.questions));
        let shared = Shared { limits, base: OnceLock::new(), runtime: OnceLock::new(), turns };
        Engine { shared: Arc::new(shared) }
    }

    /// The bounds.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Answers a question, until `expiry` resolves. Reads nothing before the answer's rows are asked for, but for the
    /// first few.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run(
        &self,
        question: Question,
        expiry: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Answer, Error> {
        let Question { tenant, sql, partitions, elsewhere, rows } = question;
        let stored = |held| -> Arc<dyn Source> { Arc::new(Stored::new(held, tenant.clone())) };
        let remote = |(of, bound)| -> Arc<dyn Source> { Arc::new(Remote::new(of, bound)) };
        let sources = partitions.into_iter().map(stored).chain(elsewhere.into_iter().map(remote)).collect();
        self.ask(&tenant, &sql, sources, rows, expiry).await
    }

    /// Answers one question over some sources, with at most `rows` rows, until `expiry` resolves.
    pub(crate) async fn ask(
        &self,
        tenant: &TenantId,
        sql: &str,
        sources: Vec<Arc<dyn Source>>,
        rows: u64,
        expiry: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Answer, Error> {
        let sql = sql.to_owned();
        let watch = Watch::default();
        let counters = Arc::new(Counters::default());
        let events = Events::new(tenant.as_str().to_owned(), sources, counters.clone());
        let (begun, begins) = oneshot::channel();
        let (out, batches) = mpsc::channel(BATCHES_WAITING);
        let question = Answering {
            base: self.base().clone(),
            memory_bytes: self.shared.limits.memory_bytes,
            rows,
            counters: counters.clone(),
            out,
            watch: watch.clone(),
        };
        let turns = self.shared.turns.clone();
        let task = self.runtime().spawn(async move {
            let _turn = turns.acquire_owned().await;
            // Reading it needs the stack of these threads.
            let asked = statement::parse(&sql)?;
            question.answer(asked, events, begun).await
        });
        let mut work = Work::new(task, watch, Box::pin(expiry));
        let schema = work.first(begins, &counters).await?;
        Ok(Answer::new(schema, batches, work, counters))
    }

    fn base(&self) -> &SessionState {
        self.shared.base.get_or_init(|| session::base(self.shared.limits.memory_bytes))
    }

    fn runtime(&self) -> &Runtime {
        self.shared
            .runtime
            .get_or_init(|| Threads::start(self.shared.limits.questions))
            .0
            .as_ref()
            .expect("taken only when dropped")
    }
}

/// The engine's threads; what runs on them is given up when it goes.
struct Threads(Option<Runtime>);

impl Threads {
    /// With a thread for every stream that `questions` at once may read.
    fn start(questions: usize) -> Threads {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(STREAMS)
            .thread_name("chronos-query")
            .thread_stack_size(STACK_BYTES)
            .max_blocking_threads(questions.saturating_mul(TABLES_MAX * STREAMS).max(1))
            .enable_time()
            .build()
            .expect("a runtime without network asks nothing of the system but two threads");
        Threads(Some(runtime))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waiting is not allowed on an async thread, and there is nothing to wait for: questions change nothing.
            runtime.shutdown_background();
        }
    }
}

/// One question while it is answered.
struct Answering {
    base: SessionState,
    memory_bytes: usize,
    rows: u64,
    counters: Arc<Counters>,
    out: mpsc::Sender<RecordBatch>,
    watch: Watch,
}

impl Answering {
    async fn answer(
        self,
        asked: Asked,
        events: Events,
        begun: oneshot::Sender<SchemaRef>,
    ) -> Result<(), Error> {
        let state = session::with_events(&self.base, Arc::new(events)).await;
        let state = state.map_err(|failure| self.failed(&failure))?;
        match asked {
            Asked::Rows(statement) => {
                let (_, stream) = self.start(&state, statement).await?;
                // Nobody waits for an answer that was dropped; sending its rows will tell.
                let schema = columns::told_apart(&stream.schema());
                let _ = begun.send(schema.clone());
                self.send(stream, &schema).await
            }
            Asked::Plan { of, analyze } => {
                let (plan, stream) = self.start(&state, of).await?;
                let _ = begun.send(explain::schema());
                self.count(stream).await?;
                let rows = explain::rows(plan.as_ref(), analyze, &self.counters.read());
                let _ = self.out.send(rows).await;
                Ok(())
            }
        }
    }

    async fn start(
        &self,
        state: &SessionState,
        statement: Statement,
    ) -> Result<(Arc<dyn ExecutionPlan>, SendableRecordBatchStream), Error> {
        let failed = |failure: DataFusionError| self.failed(&failure);
        let plan = state.statement_to_plan(statement).await.map_err(failed)?;
        // First, for any other walk over a plan takes as long as the plan is large.
        guard::asked::check(&plan).map_err(failed)?;
        statement::check(&plan)?;
        let plan = state.create_physical_plan(&plan).await.map_err(failed)?;
        let plan = guard::placed::watched(plan, &self.watch).map_err(failed)?;
        let stream = execute_stream(plan.clone(), state.task_ctx()).map_err(failed)?;
        Ok((plan, stream))
    }

    /// Hands on the rows up to the limit, and fails at the first beyond it.
    async fn send(&self, mut stream: SendableRecordBatchStream, schema: &SchemaRef) -> Result<(), Error> {
        let mut left = self.rows;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|failure| self.failed(&failure))?;
            let fits = batch.num_rows().min(usize::try_from(left).unwrap_or(usize::MAX));
            left -= fits as u64;
            let more = fits < batch.num_rows();
            self.counters.rows_returned.add(fits);
            let batch =
                columns::named(&batch.slice(0, fits), schema).map_err(|error| self.failed(&error.into()))?;
            if fits > 0 && self.out.send(batch).await.is_err() {
                return Ok(());
            }
            if more {
                return Err(Error::TooManyRows { rows: self.rows });
            }
        }
        Ok(())
    }

    /// Counts the rows that would be handed on.
    async fn count(&self, mut stream: SendableRecordBatchStream) -> Result<(), Error> {
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(|failure| self.failed(&failure))?;
            self.counters.rows_returned.add(batch.num_rows());
        }
        Ok(())
    }

    fn failed(&self, failure: &DataFusionError) -> Error {
        Error::of(failure, self.memory_bytes)
    }
}
