//! A server in this process that does to its callers what a script says.

mod store;

use std::collections::VecDeque;
use std::sync::Arc;

use chronos_block::Block;
use chronos_client::{Client, EventId, Options};
use chronos_domain::Batch;
use chronos_proto::v1::append_stream_response::Outcome;
use chronos_proto::v1::event_store_server::{EventStore, EventStoreServer};
use chronos_proto::{Class, Failure, v1};
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

pub(crate) use store::Store;

/// What to do with the next request of an append stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Store it and say so.
    Store,
    /// Store it, and break the stream instead of saying so.
    StoreThenBreak,
    /// Break the stream without having stored it.
    Break,
    /// End the stream in good order without an answer.
    End,
    /// End the stream as a server does that stops: what has no answer certainly did not happen.
    Stop,
    /// Say that it was certainly not done.
    NotApplied,
    /// Say that nobody knows.
    Unknown,
    /// Store it, and say so when the gate opens.
    StoreBehindGate,
}

/// Shared by the test and the server it talks to.
#[derive(Clone)]
pub(crate) struct Server {
    inner: Arc<Inner>,
    address: String,
}

struct Inner {
    script: Mutex<VecDeque<Act>>,
    store: Mutex<Store>,
    /// The event ids of each append request, in the order of arrival.
    seen: Mutex<Vec<Vec<EventId>>>,
    streams: watch::Sender<usize>,
    arrived: watch::Sender<usize>,
    gate: watch::Sender<bool>,
    /// The last consistency that a read asked for.
    consistency: Mutex<Option<v1::Consistency>>,
    /// Which event of every read of an entity to leave out.
    leave_out: Mutex<Option<usize>>,
}

impl Server {
    /// Starts a server that follows the script, and then stores.
    pub(crate) async fn start(script: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let inner = Arc::new(Inner {
            script: Mutex::new(script.into_iter().collect()),
            store: Mutex::new(Store::default()),
            seen: Mutex::new(Vec::new()),
            streams: watch::Sender::new(0),
            arrived: watch::Sender::new(0),
            gate: watch::Sender::new(false),
            consistency: Mutex::new(None),
            leave_out: Mutex::new(None),
        });
        let service = EventStoreServer::new(Fake(inner.clone()));
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        spawn(async move { server.await.unwrap() });
        Self { inner, address }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn client(&self, options: Options) -> Client {
        Client::connect_with(&self.address, options).unwrap()
    }

    pub(crate) fn leave_out(&self, event: usize) {
        *self.inner.leave_out.lock() = Some(event);
    }

    /// The event ids of each append request that arrived.
    pub(crate) fn seen(&self) -> Vec<Vec<EventId>> {
        self.inner.seen.lock().clone()
    }

    pub(crate) fn consistency(&self) -> Option<v1::Consistency> {
        self.inner.consistency.lock().clone()
    }

    /// How many append streams were opened.
    pub(crate) fn streams(&self) -> usize {
        *self.inner.streams.borrow()
    }

    /// Waits until so many append requests have arrived.
    pub(crate) async fn arrived(&self, requests: usize) {
        self.inner.arrived.subscribe().wait_for(|arrived| *arrived >= requests).await.unwrap();
    }

    pub(crate) fn open_gate(&self) {
        self.inner.gate.send_replace(true);
    }

    pub(crate) fn with_store<T>(&self, look: impl FnOnce(&mut Store) -> T) -> T {
        look(&mut self.inner.store.lock())
    }
}

/// The generated service over the shared state.
struct Fake(Arc<Inner>);

type Answers = mpsc::Sender<Result<v1::AppendStreamResponse, Status>>;

impl Inner {
    /// Handles one request; false when the stream ends with it.
    async fn handle(self: &Arc<Self>, request: v1::AppendStreamRequest, answers: &Answers) -> bool {
        let request_id = request.request_id;
        let block = Block::open(request.block).unwrap();
        self.seen.lock().push((0..block.events()).map(|i| block.event_id(i)).collect());
        let act = self.script.lock().pop_front().unwrap_or(Act::Store);
        let stored = match act {
            Act::Store | Act::StoreThenBreak | Act::StoreBehindGate => Some(self.store.lock().append(&block)),
            _ => None,
        };
        self.arrived.send_modify(|arrived| *arrived += 1);
        let answer = |outcome| v1::AppendStreamResponse { request_id, outcome: Some(outcome) };
        let failed =
            |class| answer(Outcome::Failure(Failure::new(class, "UNAVAILABLE", "the script says so").into()));
        let last = match act {
            Act::StoreThenBreak | Act::Break => Some(Err(Status::unavailable("the line is cut"))),
            Act::Stop => Some(Err(Failure::new(Class::NotApplied, "UNAVAILABLE", "stopping").into_status())),
            Act::End => return false,
            Act::NotApplied => Some(Ok(failed(Class::NotApplied))),
            Act::Unknown => Some(Ok(failed(Class::Unknown))),
            Act::Store | Act::StoreBehindGate => stored.map(|stored| Ok(answer(outcome(stored)))),
        };
        let last = last.unwrap();
        let goes_on = last.is_ok();
        if act == Act::StoreBehindGate {
            let (answers, mut gate) = (answers.clone(), self.gate.subscribe());
            spawn(async move {
                if gate.wait_for(|open| *open).await.is_ok() {
                    let _gone = answers.send(last).await;
                }
            });
            return true;
        }
        answers.send(last).await.is_ok() && goes_on
    }

    fn read(&self, entity: &str) -> BoxStream<'static, Result<v1::ReadResponse, Status>> {
        let mut events: Vec<v1::Event> =
            self.store.lock().entity(entity).iter().map(v1::Event::from).collect();
        if let Some(event) = *self.leave_out.lock() {
            events.remove(event);
        }
        let pages: Vec<_> = events.chunks(2).map(|page| Ok(page_of(page.to_vec()))).collect();
        Box::pin(stream::iter(pages))
    }
}

fn page_of(events: Vec<v1::Event>) -> v1::ReadResponse {
    v1::ReadResponse {
        events,
        token: chronos_domain::Token::new().to_string(),
        ..v1::ReadResponse::default()
    }
}

fn outcome(stored: Result<chronos_proto::Appended, Failure>) -> Outcome {
    match stored {
        Ok(appended) => Outcome::Stored(appended.into()),
        Err(failure) => Outcome::Failure(failure.into()),
    }
}

type Pages = BoxStream<'static, Result<v1::ReadResponse, Status>>;

#[tonic::async_trait]
impl EventStore for Fake {
    type AppendStreamStream = ReceiverStream<Result<v1::AppendStreamResponse, Status>>;
    type ReadEntityStream = Pages;
    type ReadPartitionStream = Pages;
    type ReadAllStream = Pages;

    async fn append_stream(
        &self,
        request: Request<Streaming<v1::AppendStreamRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        self.0.streams.send_modify(|streams| *streams += 1);
        let (answers, outbound) = mpsc::channel(1024);
        let (inner, mut requests) = (self.0.clone(), request.into_inner());
        spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                if !inner.handle(request, &answers).await {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(outbound)))
    }

    async fn read_entity(
        &self,
        request: Request<v1::ReadEntityRequest>,
    ) -> Result<Response<Self::ReadEntityStream>, Status> {
        Ok(Response::new(self.0.read(&request.get_ref().entity_id)))
    }

    async fn read_partition(
        &self,
        request: Request<v1::ReadPartitionRequest>,
    ) -> Result<Response<Self::ReadPartitionStream>, Status> {
        *self.0.consistency.lock() = request.into_inner().consistency;
        Ok(Response::new(Box::pin(stream::empty())))
    }

    async fn read_all(
        &self,
        _: Request<v1::ReadAllRequest>,
    ) -> Result<Response<Self::ReadAllStream>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn get_event(
        &self,
        request: Request<v1::GetEventRequest>,
    ) -> Result<Response<v1::GetEventResponse>, Status> {
        let id = EventId::parse(&request.get_ref().event_id).unwrap();
        match self.0.store.lock().by_id(id) {
            Some(recorded) => Ok(Response::new(v1::GetEventResponse { event: Some((&recorded).into()) })),
            None => Err(Failure::new(Class::Failed, "NOT_FOUND", "no such event").into_status()),
        }
    }

    async fn append(&self, _: Request<v1::AppendRequest>) -> Result<Response<v1::AppendResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn get_state(
        &self,
        _: Request<v1::GetStateRequest>,
    ) -> Result<Response<v1::GetStateResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn truncate_entity(
        &self,
        _: Request<v1::TruncateEntityRequest>,
    ) -> Result<Response<v1::TruncateEntityResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn watermarks(
        &self,
        _: Request<v1::WatermarksRequest>,
    ) -> Result<Response<v1::WatermarksResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn placement(
        &self,
        _: Request<v1::PlacementRequest>,
    ) -> Result<Response<v1::PlacementResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn info(&self, _: Request<v1::InfoRequest>) -> Result<Response<v1::InfoResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests' server runs beside them")]
pub(crate) fn spawn<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(future)
}
