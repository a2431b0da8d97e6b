//! Backups as one call: a cut, its listing, then the files that are asked for.
//!
//! The work is done by a task of the call's own, ahead of the caller by two messages and what the connection buffers. A
//! caller that does not read holds up nobody else; one that neither reads nor asks for [`IDLE_MAX`] is given up, so that
//! what it holds of merged and removed parts is let go.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chronos_app::authority::{Action, authorize};
use chronos_app::{Class, Error, Reason};
use chronos_domain::xxh64::xxh64;
use chronos_domain::{Invalid, Rejection};
use chronos_proto::v1;
use chronos_proto::v1::backup_server::Backup;
use chronos_proto::v1::copy_request::{Ask, Fetch};
use chronos_proto::v1::copy_response::{Answer, Chunk, Listing, Waiting};
use futures::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::{deadline, failure};
use crate::backup::{self, Cut, Steps};
use crate::edge::{Edge, Routing};
use crate::engine::Engine;

/// Bytes of one message.
const PIECE_BYTES: usize = 256 << 10;
/// Messages that wait for the connection.
const AHEAD: usize = 2;
/// Backups at once. Each holds parts that would be gone otherwise.
const BACKUPS_MAX: usize = 4;
/// How often whoever wants to know is told what is waited for.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How long a caller may neither read nor ask.
const IDLE_MAX: Duration = Duration::from_secs(120);

type Answers = Pin<Box<dyn Stream<Item = Result<v1::CopyResponse, Status>> + Send>>;

/// The service. Clones share the room.
#[derive(Clone)]
pub(super) struct Service {
    edge: Arc<Edge>,
    /// This node, and those that it may ask for what it does not hold.
    engine: Engine,
    room: Arc<Semaphore>,
}

impl Service {
    pub(super) fn new(edge: Arc<Edge>, engine: Engine) -> Self {
        Self { edge, engine, room: Arc::new(Semaphore::new(BACKUPS_MAX)) }
    }
}

#[tonic::async_trait]
impl Backup for Service {
    type CopyStream = Answers;

    async fn copy(
        &self,
        request: Request<Streaming<v1::CopyRequest>>,
    ) -> Result<tonic::Response<Answers>, Status> {
        let principal = self.edge.principal();
        authorize(principal, Action::Administer).map_err(failure::status)?;
        let engine = match Routing::of(request.metadata().as_ref()) {
            Routing::Open => self.engine.clone(),
            Routing::Direct => self.engine.direct(),
        };
        let room = self.room.clone().try_acquire_owned().map_err(|_| failure::status(busy()))?;
        let (answers, stream) = mpsc::channel(AHEAD);
        let due = deadline::to_answer(request.metadata().as_ref());
        let due = due.map(|due| self.edge.env.clock.monotonic().saturating_add(due));
        let asks = request.into_inner();
        let call = Call { edge: self.edge.clone(), engine, asks, answers, due, _room: room };
        drop(self.edge.env.tasks.spawn("backup", call.run()));
        Ok(tonic::Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// One backup on its way.
struct Call {
    edge: Arc<Edge>,
    engine: Engine,
    asks: Streaming<v1::CopyRequest>,
    answers: mpsc::Sender<Result<v1::CopyResponse, Status>>,
    /// When the caller stops waiting, if he says so: what is to be copied has to be ready before.
    due: Option<Duration>,
    _room: OwnedSemaphorePermit,
}

/// Why a call ends.
enum End {
    /// The caller has all it wants, or is gone.
    Quiet,
    /// It is told why.
    Failed(Error),
}

impl Call {
    async fn run(mut self) {
        let mut stopping = self.edge.stopping();
        let end = tokio::select! {
            biased; // a node that stops does not begin another file
            _ = stopping.wait_for(|stopping| *stopping) => Err(End::Failed(stopped())),
            end = self.serve() => end,
        };
        if let Err(End::Failed(error)) = end {
            tracing::warn!(reason = %error.message, "a backup ended early");
            // Without room for it the caller is not reading, and learns it from the end of the stream.
            let _ = self.answers.try_send(Err(failure::status(error)));
        }
    }

    async fn serve(&mut self) -> Result<(), End> {
        let tells = match self.ask().await? {
            Some(Ask::Begin(begin)) => begin.tell,
            Some(Ask::Fetch(_)) => return Err(invalid("a backup starts with begin")),
            None => return Ok(()),
        };
        let instead = "run `chronos cluster backup`, or ask a node that passes on";
        self.engine.all_here("a backup", instead).map_err(End::Failed)?;
        let steps = Steps::default();
        let cut = backup::cut(&self.edge.env, self.engine.clone(), &self.edge.identity, self.due, &steps);
        let cut = tokio::select! {
            biased; // who is gone needs no cut
            () = self.answers.closed() => return Ok(()),
            cut = cut => cut.map_err(End::Failed)?,
            () = self.tell(&steps), if tells => unreachable!("there is always more to tell"),
        };
        self.send_listing(&cut).await?;
        while let Some(ask) = self.ask().await? {
            match ask {
                Ask::Fetch(fetch) => self.send_file(&cut, fetch).await?,
                Ask::Begin(_) => return Err(invalid("a backup begins once")),
            }
        }
        Ok(())
    }

    /// Says what is waited for, again and again. Who does not read it misses it.
    async fn tell(&self, steps: &Steps) {
        loop {
            self.edge.env.clock.sleep(TELL_EVERY).await;
            let text = steps.to_string();
            tracing::info!(waits = text, "a backup is being made ready");
            let answer = Some(Answer::Waiting(Waiting { text }));
            let _ = self.answers.try_send(Ok(v1::CopyResponse { answer }));
        }
    }

    /// What the caller asks next; `None` when it is done.
    async fn ask(&mut self) -> Result<Option<Ask>, End> {
        let next = self.edge.env.clock.timeout(IDLE_MAX, self.asks.message()).await;
        match next.map_err(|_| End::Failed(idle()))? {
            Ok(Some(message)) => match message.ask {
                Some(ask) => Ok(Some(ask)),
                None => Err(invalid("asks for nothing that this release knows")),
            },
            Ok(None) => Ok(None),
            Err(_) => Err(End::Quiet),
        }
    }

    async fn send_listing(&self, cut: &Cut) -> Result<(), End> {
        let mut rest = cut.listing().encode();
        loop {
            let bytes = rest.split_to(rest.len().min(PIECE_BYTES));
            let last = rest.is_empty();
            self.send(Answer::Listing(Listing { bytes, last })).await?;
            if last {
                return Ok(());
            }
        }
    }

    async fn send_file(&self, cut: &Cut, fetch: Fetch) -> Result<(), End> {
        let Fetch { name, mut offset, .. } = fetch;
        let partition = chronos_proto::partition(fetch.partition).map_err(|bad| rejected(bad.into()))?;
        let file = cut.file(partition, &name, offset);
        let mut file = file.ok_or_else(|| invalid(&format!("{name} is no file of the listing")))?;
        if offset > file.bytes() {
            return Err(invalid(&format!("{name} ends at byte {}", file.bytes())));
        }
        loop {
            let bytes = file.next(PIECE_BYTES).await.map_err(End::Failed)?;
            let (checksum, after) = (xxh64(&bytes, 0), offset + bytes.len() as u64);
            let last = after == file.bytes();
            self.send(Answer::Chunk(Chunk { offset, bytes, checksum, last })).await?;
            if last {
                return Ok(());
            }
            offset = after;
        }
    }

    async fn send(&self, answer: Answer) -> Result<(), End> {
        let message = Ok(v1::CopyResponse { answer: Some(answer) });
        let sent = self.edge.env.clock.timeout(IDLE_MAX, self.answers.send(message)).await;
        sent.map_err(|_| End::Failed(idle()))?.map_err(|_| End::Quiet)
    }
}

fn busy() -> Error {
    let text = format!("{BACKUPS_MAX} backups are being made of this node already; run this one again later");
    Error::new(Class::Failed, Reason::ResourceExhausted, text)
}

fn idle() -> Error {
    let text = format!(
        "the backup was given up after {} seconds in which its caller neither asked nor read; run it again, it goes on \
         where this one ended",
        IDLE_MAX.as_secs()
    );
    Error::new(Class::Failed, Reason::DeadlineExceeded, text)
}

fn stopped() -> Error {
    let text = "the node is stopping; run the backup again later, it goes on where this one ended";
    Error::new(Class::Failed, Reason::Unavailable, text)
}

fn invalid(what: &str) -> End {
    rejected(Invalid::new("ask", what).into())
}

fn rejected(rejection: Rejection) -> End {
    End::Failed(rejection.into())
}
