//! One served node over real TCP, and the two clients that talk to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chronos_domain::{PartitionId, place};
use chronos_env::{Env, Task};
use chronos_proto::v1::event_store_client::EventStoreClient;
use chronos_server::{Config, Node, serve};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tonic::transport::Channel;

/// A node that is served until it is stopped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: Task<()>,
}

/// What came back over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The body of an answer that must have succeeded.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        self.json()
    }

    /// The body of an answer that must be a problem of this status and reason.
    pub(crate) fn problem(&self, status: u16, reason: &str) -> Value {
        let body = self.json();
        assert_eq!(self.headers["content-type"], "application/problem+json", "{body}");
        assert_eq!(self.status.as_u16(), status, "{body}");
        assert_eq!(body["status"], status, "{body}");
        assert_eq!(body["reason"], reason, "{body}");
        body
    }
}

pub(crate) fn config(data: &Path) -> Config {
    Config { data: data.to_path_buf(), segment_bytes: 32 << 20, ..Config::default() }
}

/// A config over a fresh directory, which lives as long as the guard.
pub(crate) fn fresh() -> (tempfile::TempDir, Config) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = config(&dir.path().join("data"));
    (dir, config)
}

impl Served {
    pub(crate) async fn start(config: &Config) -> Self {
        let env = Env::real();
        let node = Node::start(env.clone(), config).await.expect("the node starts");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = env.tasks.spawn("served", async move {
            let asked = async {
                let _ = stopped.await;
            };
            serve(&node, listener, asked).await.expect("it serves until it is stopped");
            node.stop().await;
        });
        Self { address, stop, ended }
    }

    /// Stops serving and closes the node.
    pub(crate) async fn stop(self) {
        self.stop.send(()).expect("it is still serving");
        self.ended.await.expect("serving ends without a panic");
    }

    pub(crate) async fn grpc(&self) -> EventStoreClient<Channel> {
        let client = EventStoreClient::connect(format!("http://{}", self.address)).await.expect("it listens");
        client.max_decoding_message_size(16 << 20)
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::builder(format!("http://{}", self.address).parse().expect("an address"))
            .connect()
            .await
            .expect("it listens")
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (parts, body) = self.begin(request).await.into_parts();
        let body = body.collect().await.expect("the answer is whole").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn begin(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("it speaks HTTP/1.1");
        // Ends by itself once the answer has been read.
        drop(Env::real().tasks.spawn("connection", connection));
        sender.send_request(request).await.expect("it answers")
    }

    /// The lines that arrived, and whether the transfer broke off.
    pub(crate) async fn broken_lines(&self, path: &str) -> (String, bool) {
        let mut request = request("GET", path, "");
        request.headers_mut().insert("accept", "application/x-ndjson".parse().expect("a header"));
        let mut body = self.begin(request).await.into_body();
        let mut text = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => text.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(_) => return (String::from_utf8(text).expect("lines are text"), true),
            }
        }
        (String::from_utf8(text).expect("lines are text"), false)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path, "")).await
    }

    pub(crate) async fn get_lines(&self, path: &str) -> Answer {
        let mut request = request("GET", path, "");
        request.headers_mut().insert("accept", "application/x-ndjson".parse().expect("a header"));
        self.send(request).await
    }

    pub(crate) async fn post(&self, body: impl Into<Bytes>) -> Answer {
        let mut request = request("POST", "/v1/events", body);
        request.headers_mut().insert("content-type", "application/json".parse().expect("a header"));
        self.send(request).await
    }

    /// How many events all partitions hold together.
    pub(crate) async fn stored(&self) -> u64 {
        let marks = self.get("/v1/watermarks").await.ok();
        let partitions = marks["partitions"].as_array().expect("a list").iter();
        partitions.filter_map(|partition| partition["applied"].as_u64()).sum()
    }
}

pub(crate) fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "chronos")
        .body(Full::new(body.into()))
        .expect("a request")
}

/// Two entities that live in different partitions.
pub(crate) fn apart() -> (String, String) {
    let first = "e-0".to_owned();
    let home = place("default", &first);
    let other = (1..).map(|i| format!("e-{i}")).find(|name| place("default", name) != home);
    (first, other.expect("names spread over the partitions"))
}

/// An entity of each partition.
pub(crate) fn one_in_each() -> Vec<String> {
    let of = |partition: PartitionId| {
        (0..).map(|i| format!("e-{i}")).find(|name| place("default", name) == partition)
    };
    PartitionId::all().map(|partition| of(partition).expect("names spread over the partitions")).collect()
}

/// The file with the data of lane 0: its first segment.
pub(crate) fn first_segment(data: &Path) -> PathBuf {
    let lane = data.join("wal/lane-00");
    let entries = std::fs::read_dir(&lane).expect("the lane exists");
    let mut segments: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    segments.sort();
    segments.into_iter().next().expect("a lane has a segment")
}
