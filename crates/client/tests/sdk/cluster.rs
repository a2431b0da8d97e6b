//! Several nodes in this process, which share one store as if it were replicated perfectly, and do to their callers what
//! a test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chronos_block::Block;
use chronos_client::{EventId, Options};
use chronos_domain::{Batch, Token};
use chronos_proto::v1::append_stream_response::Outcome;
use chronos_proto::v1::event_store_server::{EventStore, EventStoreServer};
use chronos_proto::{Class, Consistency, Failure, Moment, v1};
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

use crate::server::{Store, spawn};

/// Whom a node that does not lead names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Names {
    Leader,
    Nobody,
    Node(u64),
}

/// How one node behaves, and what it has seen.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// It answers nothing any more.
    pub(crate) down: bool,
    pub(crate) names: Names,
    pub(crate) forwards: bool,
    /// It has not applied what tokens ask for.
    pub(crate) lags: bool,
    /// After so many more appends that it stored it breaks down instead of saying so, and the next node leads.
    pub(crate) crashes_after: Option<u32>,
    /// A read of an entity breaks after so many pages.
    pub(crate) reads_break_after: Option<usize>,
    /// The address that the cluster knows it by.
    pub(crate) address: String,
    /// The ids of each append request, and whether it was asked for directly.
    pub(crate) appends: Vec<(Vec<EventId>, bool)>,
    pub(crate) reads: Vec<v1::ReadEntityRequest>,
}

pub(crate) struct Cluster {
    shared: Arc<Shared>,
    addresses: Vec<String>,
}

struct Shared {
    /// Differs between clusters.
    id: String,
    store: Mutex<Store>,
    nodes: Mutex<Vec<Node>>,
    leader: Mutex<Option<u64>>,
    requests: watch::Sender<usize>,
}

impl Cluster {
    /// Starts so many nodes; the first leads everything.
    pub(crate) async fn start(nodes: u64) -> Self {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let id = format!("cluster {}", STARTED.fetch_add(1, Ordering::Relaxed));
        let shared = Arc::new(Shared {
            id,
            store: Mutex::new(Store::default()),
            nodes: Mutex::new(Vec::new()),
            leader: Mutex::new(Some(1)),
            requests: watch::Sender::new(0),
        });
        let mut addresses = Vec::new();
        for id in 1..=nodes {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            shared.nodes.lock().push(Node {
                down: false,
                names: Names::Leader,
                forwards: true,
                lags: false,
                crashes_after: None,
                reads_break_after: None,
                address: address.clone(),
                appends: Vec::new(),
                reads: Vec::new(),
            });
            addresses.push(address);
            let service = EventStoreServer::new(Fake { shared: shared.clone(), id });
            let server = tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener));
            spawn(async move { server.await.unwrap() });
        }
        Self { shared, addresses }
    }

    /// Where the node really is.
    pub(crate) fn address(&self, id: u64) -> &str {
        &self.addresses[id as usize - 1]
    }

    /// A client that is told of that node alone.
    pub(crate) fn client_of(&self, id: u64, options: Options) -> chronos_client::Client {
        chronos_client::Client::connect_with(self.address(id), options).unwrap()
    }

    pub(crate) fn lead(&self, leader: Option<u64>) {
        *self.shared.leader.lock() = leader;
    }

    pub(crate) fn node<T>(&self, id: u64, change: impl FnOnce(&mut Node) -> T) -> T {
        self.shared.node(id, change)
    }

    pub(crate) fn every_node(&self, change: impl Fn(&mut Node)) {
        self.shared.nodes.lock().iter_mut().for_each(change);
    }

    /// How many append requests asked the node directly, and how many did not.
    pub(crate) fn asked(&self, id: u64) -> (usize, usize) {
        self.node(id, |node| {
            let direct = node.appends.iter().filter(|(_, direct)| *direct).count();
            (direct, node.appends.len() - direct)
        })
    }

    /// Waits until so many append requests have arrived, at all nodes together.
    pub(crate) async fn requests(&self, count: usize) {
        self.shared.requests.subscribe().wait_for(|requests| *requests >= count).await.unwrap();
    }

    /// How many append requests have arrived.
    pub(crate) fn arrived(&self) -> usize {
        *self.shared.requests.borrow()
    }

    pub(crate) fn stored(&self) -> usize {
        self.shared.store.lock().all().count()
    }
}

impl Shared {
    fn node<T>(&self, id: u64, change: impl FnOnce(&mut Node) -> T) -> T {
        change(&mut self.nodes.lock()[id as usize - 1])
    }

    /// What the node says of an append; `None` when it breaks down.
    fn append(&self, id: u64, block: &Block, direct: bool) -> Option<Outcome> {
        let ids = (0..block.events()).map(|i| block.event_id(i)).collect();
        self.node(id, |node| node.appends.push((ids, direct)));
        self.requests.send_modify(|requests| *requests += 1);
        let (node, leader) = (self.node(id, |node| node.clone()), *self.leader.lock());
        if node.down {
            return None;
        }
        let forwards =
            node.forwards && !direct && leader.is_some_and(|leader| !self.node(leader, |node| node.down));
        if leader != Some(id) && !forwards {
            return Some(Outcome::Failure(self.not_leader(id, leader).into()));
        }
        let stored = self.store.lock().append(block);
        if leader.is_some_and(|leader| self.crashes(leader)) {
            // Whoever forwarded can only say that it does not know.
            let lost = || Failure::new(Class::Unknown, "UNAVAILABLE", "the leader broke down");
            return (leader != Some(id)).then(|| Outcome::Failure(lost().into()));
        }
        Some(match stored {
            Ok(appended) => Outcome::Stored(appended.into()),
            Err(failure) => Outcome::Failure(failure.into()),
        })
    }

    /// Whether the node breaks down now; the one after it takes over, and whoever was down before it is back.
    fn crashes(&self, id: u64) -> bool {
        let mut nodes = self.nodes.lock();
        let count = nodes.len() as u64;
        let Some(left) = &mut nodes[id as usize - 1].crashes_after else { return false };
        if *left > 0 {
            *left -= 1;
            return false;
        }
        let again = nodes[id as usize - 1].crashes_after.take();
        nodes.iter_mut().for_each(|node| node.down = false);
        nodes[id as usize - 1].down = true;
        let next = id % count + 1;
        nodes[next as usize - 1].crashes_after = again.map(|_| 3);
        *self.leader.lock() = Some(next);
        true
    }

    fn not_leader(&self, id: u64, leader: Option<u64>) -> Failure {
        let failure =
            Failure::new(Class::NotApplied, "NOT_LEADER", "not here").with("partition", 0).with("epoch", 1);
        let named = match self.node(id, |node| node.names) {
            Names::Leader => leader,
            Names::Nobody => None,
            Names::Node(node) => Some(node),
        };
        match named {
            None => failure,
            Some(named) => failure
                .with("leader_node", named)
                .with("leader", self.node(named, |node| node.address.clone())),
        }
    }

    fn placement(&self, id: u64) -> v1::PlacementResponse {
        let nodes = self.nodes.lock();
        let numbers: Vec<u64> = (1..=nodes.len() as u64).collect();
        let leader = *self.leader.lock();
        let partition = |partition| v1::PlacementPartition { partition, leader, replicas: numbers.clone() };
        let node = |(node, of): (u64, &Node)| {
            let (address, name) = (of.address.clone(), String::new());
            v1::PlacementNode { node, address, name }
        };
        v1::PlacementResponse {
            epoch: 1,
            node: id,
            nodes: (1..).zip(nodes.iter()).map(node).collect(),
            partitions: (0..32).map(partition).collect(),
            cluster_id: self.id.clone(),
        }
    }

    fn read(&self, id: u64, request: v1::ReadEntityRequest) -> Result<Pages, Status> {
        self.node(id, |node| node.reads.push(request.clone()));
        let node = self.node(id, |node| node.clone());
        let level = request.consistency.map(|level| Consistency::try_from(level).unwrap());
        if node.lags && matches!(level, Some(Consistency::AtLeast(_))) {
            return Err(Failure::new(Class::Failed, "NOT_CAUGHT_UP", "not yet").into_status());
        }
        if level.is_none() && *self.leader.lock() != Some(id) {
            let failure = self.not_leader(id, *self.leader.lock());
            return Err(Failure { class: Class::Failed, ..failure }.into_status());
        }
        let mut token = Token::new();
        let all = self.store.lock().entity(&request.entity_id);
        all.iter().for_each(|event| token.advance(event.partition, event.position));
        let bound = request.as_of.map(|of| Moment::try_from(of).unwrap());
        let bound = if let Some(Moment::Token(bound)) = bound { bound } else { token };
        let from = request.from_version.unwrap_or(1);
        let wanted = all
            .iter()
            .filter(|event| event.version.get() >= from && event.position <= bound.get(event.partition));
        let events: Vec<v1::Event> = wanted.map(v1::Event::from).collect();
        let page = |events: &[v1::Event]| v1::ReadResponse {
            events: events.to_vec(),
            token: bound.to_string(),
            ..v1::ReadResponse::default()
        };
        let mut pages: Vec<_> = events.chunks(2).map(|events| Ok(page(events))).collect();
        if let Some(after) = node.reads_break_after.filter(|after| *after < pages.len()) {
            pages.truncate(after);
            pages.push(Err(Status::unavailable("the line is cut")));
        }
        Ok(Box::pin(stream::iter(pages)))
    }
}

/// One node's service.
struct Fake {
    shared: Arc<Shared>,
    id: u64,
}

type Pages = BoxStream<'static, Result<v1::ReadResponse, Status>>;

fn cut() -> Status {
    Status::unavailable("the line is cut")
}

fn unscripted<T>() -> Result<Response<T>, Status> {
    Err(Failure::new(Class::Rejected, "UNIMPLEMENTED", "not in the script").into_status())
}

impl Fake {
    fn check(&self) -> Result<(), Status> {
        if self.shared.node(self.id, |node| node.down) { Err(cut()) } else { Ok(()) }
    }

    /// Refuses who means another cluster, as a server does.
    fn check_meant<T>(&self, request: &Request<T>) -> Result<(), Status> {
        self.check()?;
        let meant = request.metadata().get("chronos-cluster").and_then(|meant| meant.to_str().ok());
        if meant.is_none_or(|meant| meant == self.shared.id) {
            return Ok(());
        }
        let failure =
            Failure::new(Class::NotApplied, "UNAVAILABLE", "this server belongs to another cluster");
        Err(failure.with("other_cluster", &self.shared.id).into_status())
    }
}

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
        self.check_meant(&request)?;
        let direct = request.metadata().get("chronos-routing").is_some_and(|word| word == "direct");
        let (answers, outbound) = mpsc::channel(1024);
        let (shared, id, mut requests) = (self.shared.clone(), self.id, request.into_inner());
        spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let block = Block::open(request.block).unwrap();
                let Some(outcome) = shared.append(id, &block, direct) else {
                    let _gone = answers.send(Err(cut())).await;
                    return;
                };
                let response =
                    v1::AppendStreamResponse { request_id: request.request_id, outcome: Some(outcome) };
                if answers.send(Ok(response)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(outbound)))
    }

    async fn placement(
        &self,
        _: Request<v1::PlacementRequest>,
    ) -> Result<Response<v1::PlacementResponse>, Status> {
        self.check()?;
        Ok(Response::new(self.shared.placement(self.id)))
    }

    async fn read_entity(
        &self,
        request: Request<v1::ReadEntityRequest>,
    ) -> Result<Response<Self::ReadEntityStream>, Status> {
        self.check_meant(&request)?;
        self.shared.read(self.id, request.into_inner()).map(Response::new)
    }

    async fn read_partition(&self, _: Request<v1::ReadPartitionRequest>) -> Result<Response<Pages>, Status> {
        unscripted()
    }

    async fn read_all(&self, _: Request<v1::ReadAllRequest>) -> Result<Response<Pages>, Status> {
        unscripted()
    }

    async fn get_event(
        &self,
        _: Request<v1::GetEventRequest>,
    ) -> Result<Response<v1::GetEventResponse>, Status> {
        unscripted()
    }

    async fn append(&self, _: Request<v1::AppendRequest>) -> Result<Response<v1::AppendResponse>, Status> {
        unscripted()
    }

    async fn get_state(
        &self,
        _: Request<v1::GetStateRequest>,
    ) -> Result<Response<v1::GetStateResponse>, Status> {
        unscripted()
    }

    async fn truncate_entity(
        &self,
        _: Request<v1::TruncateEntityRequest>,
    ) -> Result<Response<v1::TruncateEntityResponse>, Status> {
        unscripted()
    }

    async fn watermarks(
        &self,
        _: Request<v1::WatermarksRequest>,
    ) -> Result<Response<v1::WatermarksResponse>, Status> {
        unscripted()
    }

    async fn info(&self, _: Request<v1::InfoRequest>) -> Result<Response<v1::InfoResponse>, Status> {
        unscripted()
    }
}
