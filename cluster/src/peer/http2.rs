//! HTTP/2 over a [`Wire`], driven by tasks of `env` that end with the connection.
//!
//! hyper is used directly, not through tonic's channel and server: those reconnect, buffer and spawn on their own account,
//! and put the wall clock into every answer.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chronos_bugs::{Bug, is_seeded};
use chronos_env::{Env, Task, Tasks};
use chronos_proto::peer::v1::peer_client::PeerClient;
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tonic::body::Body;

use super::Limits;
use super::wire::{Begun, Wire};

/// Bytes that one call may have under way in one direction.
const STREAM_WINDOW: u32 = 1 << 20;
/// Bytes that one connection may have under way in one direction.
const CONNECTION_WINDOW: u32 = 2 << 20;
/// Calls that one connection may have open.
const STREAMS_MAX: u32 = 64;

/// A connection that we made. Dropping it ends everything on it.
pub(super) struct Http2 {
    pub(super) client: PeerClient<Requester>,
    _crew: Crew,
}

pub(super) async fn connect(env: &Env, limits: &Limits, wire: Wire) -> hyper::Result<Http2> {
    let crew = Crew::new(env.tasks.clone());
    let (sender, connection) = hyper::client::conn::http2::Builder::new(crew.hire())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(keep_alive_interval(limits))
        .keep_alive_timeout(limits.keepalive_timeout)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(wire))
        .await?;
    // How it ends is seen by whoever uses it.
    crew.hire().execute(async move { drop(connection.await) });
    let origin = http::Uri::from_static("http://peer");
    let client = PeerClient::with_origin(Requester(sender), origin)
        .max_decoding_message_size(limits.wire_bytes_max())
        .max_encoding_message_size(limits.wire_bytes_max());
    Ok(Http2 { client, _crew: crew })
}

/// After so long without a sound from a node it is asked for one.
fn keep_alive_interval(limits: &Limits) -> Option<Duration> {
    (!is_seeded(Bug::M19)).then_some(limits.keepalive_interval)
}

/// Answers what comes over `wire` with `answer`, until the connection ends.
pub(super) async fn serve<A, F>(env: &Env, limits: &Limits, wire: Begun, answer: A) -> hyper::Result<()>
where
    A: Fn(http::Request<Incoming>) -> F,
    F: Future<Output = Result<http::Response<Body>, Infallible>> + Send + 'static,
{
    let crew = Crew::new(env.tasks.clone());
    hyper::server::conn::http2::Builder::new(crew.hire())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(keep_alive_interval(limits))
        .keep_alive_timeout(limits.keepalive_timeout)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(wire), hyper::service::service_fn(answer))
        .await
}

/// Sends calls over one connection, and never over another.
#[derive(Clone)]
pub(super) struct Requester(SendRequest<Body>);

impl tower::Service<http::Request<Body>> for Requester {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, hyper::Result<Self::Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// The tasks of one connection; they end when it is dropped.
struct Crew(Hire);

/// Lets hyper start tasks of one connection.
#[derive(Clone)]
struct Hire {
    tasks: Tasks,
    hands: Arc<Mutex<Hands>>,
}

#[derive(Default)]
struct Hands {
    is_over: bool,
    tasks: Vec<Task<()>>,
}

impl Crew {
    fn new(tasks: Tasks) -> Crew {
        Crew(Hire { tasks, hands: Arc::default() })
    }

    fn hire(&self) -> Hire {
        self.0.clone()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        let mut hands = self.0.hands.lock();
        hands.is_over = true;
        hands.tasks.drain(..).for_each(|task| task.abort());
    }
}

impl<F> Executor<F> for Hire
where
    F: Future + Send + 'static,
{
    fn execute(&self, work: F) {
        let mut hands = self.hands.lock();
        if hands.is_over {
            return;
        }
        hands.tasks.retain(|task| !task.is_finished());
        hands.tasks.push(self.tasks.spawn("peer http2", async move { drop(work.await) }));
    }
}
