//! What both surfaces, gRPC and HTTP, share: one way to append, one clock for deadlines, one place for counters.

use std::sync::Arc;
use std::time::Duration;

use chronos_app::{App, Appended, Class, Error, Principal, Quota, Reason, Watermarks};
use chronos_block::Block;
use chronos_domain::{EventId, Token};
use chronos_env::{Entropy, Env};
use chronos_store::Identity;
use chronos_wal::Wal;
use http::HeaderMap;
use parking_lot::RwLock;
use tokio::sync::{Semaphore, watch};

use crate::engine::Engine;
use crate::http::sql::ANSWERS_BYTES_MAX;
use crate::limits::Limits;
use crate::metrics::Metrics;

/// The header, of gRPC as well as HTTP, by which a caller says who may serve him.
const ROUTING: &str = "chronos-routing";
/// Only the node that he asks.
const DIRECT: &str = "direct";

/// The header, of both as well, by which a caller says which cluster he means, by its UUID.
const CLUSTER: &str = "chronos-cluster";

/// Who may serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routing {
    /// Whichever node can.
    Open,
    /// The one that was asked, or nobody.
    Direct,
}

impl Routing {
    /// As the caller says.
    pub(crate) fn of(headers: &HeaderMap) -> Routing {
        let is_direct = headers.get(ROUTING).is_some_and(|routing| routing == DIRECT);
        if is_direct { Routing::Direct } else { Routing::Open }
    }
}

/// What a step's own reason why it is late is left to arrive, before it is said for the step.
const LATER: Duration = Duration::from_millis(250);

/// When a read is due, on the node's clock, and the use cases that keep to it.
pub(crate) struct Due {
    pub(crate) app: App<Engine>,
    /// It has to begin by then.
    pub(crate) opened: Duration,
    /// All of it has to be done by then, where its caller says so.
    pub(crate) whole: Option<Duration>,
}

/// One node as its callers meet it.
pub(crate) struct Edge {
    pub(crate) app: App<Engine>,
    /// The same for callers who want no other node to be asked.
    direct: App<Engine>,
    pub(crate) env: Env,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) query: chronos_query::Engine,
    /// Bytes of memory for answers to SQL questions over HTTP.
    pub(crate) sql_answers: Arc<Semaphore>,
    pub(crate) identity: Identity,
    /// Taken when the node stops.
    wal: RwLock<Option<Arc<Wal>>>,
    principal: Principal,
    ids: Entropy,
    stopping: watch::Sender<bool>,
}

impl Edge {
    pub(crate) fn new(env: Env, engine: Engine, wal: Wal, identity: Identity, limits: Limits) -> Self {
        let ids = env.entropy.child("event-ids");
        let app = App::new(engine);
        let app = match limits.events_per_second_max {
            Some(rate) => app.with_quota(Quota::new(rate.get())),
            None => app,
        };
        let direct = app.over(app.node().direct());
        let metrics = Metrics::new();
        let query = chronos_query::Engine::new(limits.query());
        let sql_answers = Arc::new(Semaphore::new(ANSWERS_BYTES_MAX));
        let wal = RwLock::new(Some(Arc::new(wal)));
        let (principal, stopping) = (Principal::default(), watch::Sender::new(false));
        Self {
            app,
            direct,
            env,
            limits,
            metrics,
            query,
            sql_answers,
            identity,
            wal,
            principal,
            ids,
            stopping,
        }
    }

    /// The log, while the node runs.
    pub(crate) fn wal(&self) -> Option<Arc<Wal>> {
        self.wal.read().clone()
    }

    /// Lets go of the log, so that it can be closed.
    pub(crate) fn take_wal(&self) -> Option<Arc<Wal>> {
        self.wal.write().take()
    }

    /// Resolves when the log can take nothing any more or a group has stopped, with the first reason.
    pub(crate) async fn faulted(&self) -> String {
        let Some(wal) = self.wal() else { return std::future::pending().await };
        tokio::select! {
            biased; // a group that stops because the log did says so less directly
            fault = wal.faulted() => fault.to_string(),
            reason = self.app.node().faulted() => reason.to_string(),
        }
    }

    /// Who asks. There are no credentials yet.
    pub(crate) const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// When a request must be done that arrives now and may take so long, on the node's clock.
    pub(crate) fn deadline(&self, asked: Option<Duration>) -> Duration {
        self.env.clock.monotonic() + self.limits.patience(asked)
    }

    /// An id for an event whose writer gave none.
    pub(crate) fn mint(&self) -> EventId {
        let millis = u64::try_from(self.env.clock.wall_micros() / 1000).unwrap_or(0);
        let random = u128::from(self.ids.u64()) << 64 | u128::from(self.ids.u64());
        EventId::new_v7(millis, random)
    }

    /// What a random choice begins with whose caller gave nothing.
    pub(crate) fn seed(&self) -> u64 {
        self.ids.u64()
    }

    /// The use cases as this request wants them: by whichever node can serve it, unless its caller finds the way himself
    /// and says so, as `chronos-routing: direct`.
    pub(crate) fn app_for(&self, headers: &HeaderMap) -> &App<Engine> {
        self.app_by(Routing::of(headers))
    }

    /// Whether this is the cluster that the caller means, if he says so. An address may be another one's from one moment to
    /// the next, also on a connection that was made before.
    ///
    /// # Errors
    /// That it is not, and which this is.
    pub(crate) fn is_meant(&self, headers: &HeaderMap) -> Result<(), Error> {
        let Some(meant) = headers.get(CLUSTER) else { return Ok(()) };
        let meant = meant.to_str().unwrap_or("what is no text");
        if EventId::parse(meant).is_ok_and(|meant| meant.as_u128() == self.identity.cluster) {
            return Ok(());
        }
        let ours = EventId::from_u128(self.identity.cluster);
        let text = format!(
            "this server belongs to cluster {ours}, and the caller means cluster {meant}: another cluster, or a directory \
             that was restored from a backup, is served at this address; nothing was done. Correct the address, or begin \
             anew with a new client if this cluster is meant from now on"
        );
        Err(Error::new(Class::NotApplied, Reason::Unavailable, text).with("other_cluster", ours))
    }

    /// The same for a request that is to be answered by `deadline`: no step of it waits longer.
    pub(crate) fn app_until(&self, headers: &HeaderMap, deadline: Duration) -> App<Engine> {
        let app = self.app_for(headers);
        app.over(app.node().until(deadline))
    }

    /// When a read is due that arrives now, of a caller who waits so long for its beginning and for the whole of it.
    pub(crate) fn due(&self, headers: &HeaderMap, begin: Option<Duration>, whole: Option<Duration>) -> Due {
        let whole = whole.map(|asked| self.env.clock.monotonic().saturating_add(asked));
        let app = whole.map_or_else(|| self.app_for(headers).clone(), |whole| self.app_until(headers, whole));
        Due { app, opened: self.deadline(begin), whole }
    }

    /// The outcome of something that keeps to `deadline` by itself; or, when a step of it does not, that it is late.
    pub(crate) async fn in_time<T>(
        &self,
        deadline: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let clock = &self.env.clock;
        let left = (deadline + LATER).saturating_sub(clock.monotonic());
        clock.timeout(left, work).await.unwrap_or_else(|_| Err(late()))
    }

    /// The same, where the headers have been read.
    pub(crate) const fn app_by(&self, routing: Routing) -> &App<Engine> {
        match routing {
            Routing::Open => &self.app,
            Routing::Direct => &self.direct,
        }
    }

    /// The use cases on this node alone.
    pub(crate) const fn app_here(&self) -> &App<Engine> {
        &self.direct
    }

    /// Appends one packed request and counts how it ended.
    pub(crate) async fn append(
        &self,
        app: &App<Engine>,
        block: Block,
        deadline: Duration,
    ) -> Result<Appended, Error> {
        let began = self.env.clock.monotonic();
        let bytes = block.bytes().len();
        let outcome = app.append(self.principal(), block, deadline).await;
        self.metrics.append(&outcome, bytes, self.env.clock.monotonic().saturating_sub(began));
        outcome
    }

    /// How far each partition has come, and what is applied in those that are served as a token.
    pub(crate) async fn watermarks(&self, app: &App<Engine>) -> Result<(Watermarks, Token), Error> {
        let all = app.watermarks(self.principal()).await?;
        let mut token = Token::new();
        for (partition, marks) in &all {
            if let Ok(marks) = marks {
                token.advance(*partition, marks.applied);
            }
        }
        Ok((all, token))
    }

    /// Tells open append sessions to finish what is in flight and end.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Follows whether the node is stopping.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }
}

fn late() -> Error {
    let text = "this node had no answer by the deadline: nodes that it needs may be gone, cut off or slow; see `chronos \
                cluster status`, ask again, ask another node, or allow more time";
    Error::new(Class::Failed, Reason::DeadlineExceeded, text)
}
