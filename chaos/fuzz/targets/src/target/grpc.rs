//! Requests to a running node: over HTTP/2 and through every layer of it, whatever their bytes are.
//!
//! The node runs in a simulated world on a thread of its own and goes on from one execution to the next; now and then it
//! gives way to a new one. So an answer may depend on earlier inputs: a stored event is a duplicate the second time.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use chronos_domain::EventId;
use chronos_env::sim::World;
use chronos_env::{Env, Tasks};
use chronos_proto::{Failure, v1};
use chronos_server::{Config, Node};
use futures::stream;
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use prost::Message;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tower::service_fn;

use super::{Target, history};
use crate::input::{Input, joined};

pub(super) static TARGET: Target = Target {
    // With what the node keeps of what it was sent before.
    memory_bytes_max: 256 << 20,
    tried_by_test: 1000,
    ..Target::new(
        "grpc",
        "a request of any bytes is answered or refused with a reason, and what is stored is read back",
        run,
        seeds,
    )
};

/// So many executions share a node.
const SHARED_BY: u32 = 4096;
const ADDRESS: &str = "node:7400";
/// Of virtual time: far beyond every deadline.
const PATIENCE: Duration = Duration::from_secs(300);
const MESSAGES_MAX: usize = 4;

/// Everything a client may call but SQL, which has a target of its own and does not run in a simulation.
const METHODS: [&str; 14] = [
    "/chronos.v1.EventStore/Append",
    "/chronos.v1.EventStore/AppendStream",
    "/chronos.v1.EventStore/ReadEntity",
    "/chronos.v1.EventStore/ReadPartition",
    "/chronos.v1.EventStore/ReadAll",
    "/chronos.v1.EventStore/GetEvent",
    "/chronos.v1.EventStore/GetState",
    "/chronos.v1.EventStore/TruncateEntity",
    "/chronos.v1.EventStore/Watermarks",
    "/chronos.v1.EventStore/Info",
    "/chronos.v1.EventStore/Placement",
    "/chronos.v1.Admin/Digest",
    "/chronos.v1.Admin/Prove",
    "/chronos.v1.Backup/Copy",
];
const APPEND: usize = 0;

/// What is sent.
struct Call {
    method: usize,
    messages: Vec<Bytes>,
}

/// An input is a method, a number of messages, and these: each but the last behind its length.
fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let method = input.below(METHODS.len());
    let mut messages = Vec::new();
    for _ in 0..input.below(MESSAGES_MAX) {
        let len = usize::from(input.u16());
        messages.push(Bytes::copy_from_slice(input.bytes(len)));
    }
    messages.push(Bytes::copy_from_slice(input.rest()));
    ask(Call { method, messages });
}

/// Where a node takes calls.
struct Desk {
    calls: Sender<Call>,
    done: Receiver<()>,
    left: u32,
}

/// Has a call done by the node that runs, or by a new one.
fn ask(call: Call) {
    static DESK: Mutex<Option<Desk>> = Mutex::new(None);
    let mut desk = DESK.lock();
    let mut at = desk.take().filter(|at| at.left > 0).unwrap_or_else(open);
    at.left -= 1;
    at.calls.send(call).expect("the node waits for calls");
    // It is not put back where the node has panicked: the next one gets another.
    at.done.recv().expect("the node has panicked");
    *desk = Some(at);
}

fn open() -> Desk {
    let (calls, called) = channel();
    let (tell, done) = channel();
    drop(std::thread::spawn(move || {
        let world = World::new(1);
        world.run(serve(world.env(), called, tell));
    }));
    Desk { calls, done, left: SHARED_BY }
}

/// Runs a node until nobody calls any more. The thread waits for the next call inside the world, whose time stands still
/// meanwhile.
async fn serve(env: Env, calls: Receiver<Call>, done: Sender<()>) {
    let config =
        Config { data: "/data".into(), segment_bytes: 32 << 20, cache_bytes: 8 << 20, ..Config::default() };
    let node = Node::start(env.clone(), &config).await.expect("a new disk takes a new node");
    let listener = env.net.listen(ADDRESS).await.expect("nobody else listens in this world");
    let serving = async {
        let _ = chronos_server::serve(&node, listener, std::future::pending()).await;
    };
    let client = Grpc::new(channel_to(&env));
    let answering = async {
        while let Ok(call) = calls.recv() {
            let called = env.clock.timeout(PATIENCE, execute(client.clone(), call)).await;
            called.expect("every call ends");
            let _ = done.send(());
        }
    };
    tokio::select! {
        biased; // the server ends only with the world
        () = serving => {}
        () = answering => {}
    }
}

fn channel_to(env: &Env) -> Channel {
    let net = env.net.clone();
    let connect = service_fn(move |_| {
        let net = net.clone();
        async move { net.connect(ADDRESS, Duration::from_secs(5)).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://node:7400");
    endpoint.executor(Hands(env.tasks.clone())).connect_with_connector_lazy(connect)
}

/// Carries out what tonic starts on the side.
#[derive(Clone)]
struct Hands(Tasks);

impl<F> Executor<F> for Hands
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, work: F) {
        drop(self.0.spawn("client", work));
    }
}

async fn execute(client: Grpc<Channel>, call: Call) {
    let (method, first) = (call.method, call.messages[0].clone());
    match converse(&client, call).await {
        Ok(answers) if method == APPEND => {
            let answer = answers.first().expect("an answer that is no failure is there");
            check_append(&client, first, answer.clone()).await;
        }
        Ok(_) => {}
        Err(status) => check_refusal(METHODS[method], &status),
    }
}

/// Sends messages and collects answers.
async fn converse(client: &Grpc<Channel>, call: Call) -> Result<Vec<Bytes>, Status> {
    let mut client = client.clone();
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static(METHODS[call.method]);
    let mut answers =
        client.streaming(Request::new(stream::iter(call.messages)), path, Raw).await?.into_inner();
    let mut read = Vec::new();
    while let Some(answer) = answers.message().await? {
        read.push(answer);
    }
    Ok(read)
}

/// Every refusal says what it means.
fn check_refusal(method: &str, status: &Status) {
    // The layer below refuses in its own words what is no message at all, or too many of them.
    let is_no_message = matches!(status.code(), Code::Internal | Code::Unimplemented | Code::OutOfRange)
        && status.details().is_empty();
    let failure = Failure::from_status(status);
    assert!(is_no_message || !status.details().is_empty(), "{method} refuses without details: {status:?}");
    assert_ne!(status.code(), Code::Unknown, "{method}: {status:?}");
    let is_internal = failure.reason == "INTERNAL" && !is_no_message;
    assert!(!is_internal, "{method} fails: {status:?}");
}

/// What was stored has numbers, and the first of its events is read back as it was sent.
async fn check_append(client: &Grpc<Channel>, request: Bytes, answer: Bytes) {
    let request = v1::AppendRequest::decode(request).expect("the node has read it");
    let answer = v1::AppendResponse::decode(answer).expect("the node's answers are messages");
    assert_eq!(answer.versions.len(), request.events.len(), "an event got no version");
    let Some(sent) = request.events.first() else { return };
    assert!(answer.first_position > 0, "a stored event has no position");
    let id = answer.event_ids.first().unwrap_or(&sent.event_id);
    let wanted = v1::GetEventRequest { event_id: id.clone() };
    let get = METHODS.iter().position(|method| method.ends_with("GetEvent")).expect("it is listed");
    let found = converse(client, Call { method: get, messages: vec![wanted.encode_to_vec().into()] }).await;
    let found = found.expect("a stored event is found");
    let found = v1::GetEventResponse::decode(found[0].clone()).expect("the node's answers are messages");
    let event = found.event.expect("an event that is found is there");
    assert_eq!(event.event_id.parse::<EventId>().ok(), id.parse().ok());
    // The id is that of the entity's partition alone: elsewhere another event may have the same.
    let is_it = event.partition == answer.partition && event.position == answer.first_position;
    if is_it && !event.erased {
        assert_eq!((&event.entity_id, &event.event_type), (&sent.entity_id, &sent.event_type));
        assert_eq!((event.payload, event.version), (sent.payload.clone(), answer.versions[0]));
    }
}

/// Messages as bytes.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let len = from.remaining();
        Ok(Some(from.copy_to_bytes(len)))
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let of = |name: &str, message: Vec<u8>| {
        let method = METHODS.iter().position(|method| method.ends_with(name)).expect("it is listed") as u8;
        joined(&[&[method, 0], message.as_slice()])
    };
    let id = "fea5aa07-35ab-5ad2-bf22-9c5cec4e35a3".to_owned();
    let event = v1::NewEvent {
        event_id: id.clone(),
        entity_id: "order-7".to_owned(),
        event_type: "order.placed".to_owned(),
        payload: Bytes::from_static(b"{\"total\":42}"),
        tags: vec!["a".to_owned()],
        occurred_at: Some(5),
        ..v1::NewEvent::default()
    };
    let anew = v1::NewEvent { event_id: String::new(), ..event.clone() };
    let expectation =
        v1::Expectation { entity_id: "order-7".to_owned(), rule: Some(v1::expectation::Rule::Exact(0)) };
    let item = v1::QueryItem { types: vec!["order.paid".to_owned()], tags: vec!["a".to_owned()] };
    let condition = Some(v1::Condition { fail_if: vec![item], after: 0 });
    let append = |events, expectations, condition| {
        v1::AppendRequest { events, expectations, condition }.encode_to_vec()
    };
    let filter = Some(v1::Filter { types: vec!["order.placed".to_owned()], ..v1::Filter::default() });
    let as_of = Some(v1::AsOf { moment: Some(v1::as_of::Moment::Version(1)) });
    let entity = "order-7".to_owned();
    let mut seeds = vec![
        of("/Append", append(vec![event], vec![expectation], None)),
        of("/Append", append(vec![anew.clone(), anew], vec![], condition)),
        of(
            "ReadEntity",
            v1::ReadEntityRequest { entity_id: entity.clone(), as_of, ..Default::default() }.encode_to_vec(),
        ),
        of(
            "ReadPartition",
            v1::ReadPartitionRequest { partition: 7, filter, ..Default::default() }.encode_to_vec(),
        ),
        of("ReadAll", v1::ReadAllRequest { limit: Some(3), ..Default::default() }.encode_to_vec()),
        of("GetEvent", v1::GetEventRequest { event_id: id }.encode_to_vec()),
        of(
            "GetState",
            v1::GetStateRequest { entity_id: entity.clone(), reducer: 4, ..Default::default() }
                .encode_to_vec(),
        ),
        of(
            "TruncateEntity",
            v1::TruncateEntityRequest { entity_id: entity, before_version: 2 }.encode_to_vec(),
        ),
    ];
    let others = ["Watermarks", "Info", "Placement", "Digest", "Prove", "Copy"];
    seeds.extend(others.map(|name| of(name, Vec::new())));
    let block = |n: usize| history::blocks()[n].bytes().clone();
    let packed = |n| {
        v1::AppendStreamRequest { request_id: n, block: block(n as usize), deadline_ms: Some(1000) }
            .encode_to_vec()
    };
    let two = [packed(1), packed(2)];
    seeds.push(joined(&[&[1, 1], (two[0].len() as u16).to_le_bytes().as_slice(), &two[0], &two[1]]));
    seeds
}
