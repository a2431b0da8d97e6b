//! Partitions that other nodes hold, for SQL questions, which read them on threads of their own that may wait.

use std::sync::Arc;

use chronos_app::{Error, Node as _};
use chronos_block::{Filter, Page, Range, Recorded};
use chronos_domain::{EventId, ForkId, PartitionId, TenantId};
use chronos_env::{Env, Task};
use chronos_query::Elsewhere;
use tokio::sync::{mpsc, oneshot};

use crate::engine::Engine;

/// Pages that are asked for and not fetched yet. Each waits for its own thread anyway.
const WAITING: usize = 64;

/// Fetches pages for one question, as long as it is kept.
pub(super) struct Reader {
    wanted: mpsc::Sender<Wanted>,
    task: Task<()>,
}

enum Wanted {
    Page { of: PartitionId, range: Range, filter: Filter, tell: oneshot::Sender<Result<Page, Error>> },
    Event { of: PartitionId, id: EventId, tell: oneshot::Sender<Result<Option<Recorded>, Error>> },
}

impl Reader {
    pub(super) fn start(env: &Env, engine: Engine, tenant: &TenantId) -> Self {
        let (wanted, mut asked) = mpsc::channel(WAITING);
        let tenant = tenant.clone();
        let task = env.tasks.spawn("sql elsewhere", async move {
            while let Some(wanted) = asked.recv().await {
                fetch(&engine, &tenant, wanted).await;
            }
        });
        Self { wanted, task }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whoever no longer waits for the answer does not miss it.
async fn fetch(engine: &Engine, tenant: &TenantId, wanted: Wanted) {
    let space = (tenant, ForkId::MAIN);
    match wanted {
        Wanted::Page { of, range, filter, tell } => {
            let _ = tell.send(engine.scan(of, space, range, &filter).await);
        }
        Wanted::Event { of, id, tell } => {
            let _ = tell.send(engine.event(of, space, id).await);
        }
    }
}

/// One such partition.
pub(super) struct Away {
    of: PartitionId,
    wanted: mpsc::Sender<Wanted>,
}

impl Away {
    pub(super) fn new(of: PartitionId, reader: &Arc<Reader>) -> Self {
        Self { of, wanted: reader.wanted.clone() }
    }

    fn ask<T>(&self, wanted: Wanted, told: oneshot::Receiver<Result<T, Error>>) -> Result<T, String> {
        let over = || "the question was given up".to_owned();
        self.wanted.blocking_send(wanted).map_err(|_| over())?;
        told.blocking_recv().map_err(|_| over())?.map_err(|error| error.message)
    }
}

impl std::fmt::Debug for Away {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Away").field("of", &self.of).finish_non_exhaustive()
    }
}

impl Elsewhere for Away {
    fn partition(&self) -> PartitionId {
        self.of
    }

    fn page(&self, range: Range, filter: &Filter) -> Result<Page, String> {
        let (tell, told) = oneshot::channel();
        self.ask(Wanted::Page { of: self.of, range, filter: filter.clone(), tell }, told)
    }

    fn event(&self, id: EventId) -> Result<Option<Recorded>, String> {
        let (tell, told) = oneshot::channel();
        self.ask(Wanted::Event { of: self.of, id, tell }, told)
    }
}
