//! One port for gRPC and HTTP: accepts connections, bounds what each may cost, and ends them in order.

use std::convert::Infallible;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::ServiceExt;

use crate::edge::Edge;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::{grpc, http as rest};

/// How long to wait when the system has no room for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Connections of operators at once.
const OPERATORS_MAX: usize = 64;

/// Serves gRPC and HTTP on `listener` until `shutdown` resolves; then takes nothing new, hands over what it leads, lets what
/// is open end (for at most `limits.drain_timeout_ms`), and returns. The node keeps running: stop it afterwards.
///
/// # Errors
/// When the listener cannot say where it listens.
pub async fn serve(node: &Node, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let edge = node.edge().clone();
    let (health, watch_faults) = grpc::health(&edge);
    let router = rest::router(&edge, grpc::routes(&edge, health));
    let connections_max = edge.limits.connections_max;
    let server = Server::new(edge, router, connections_max);
    // Callers in mid-flight meet a new leader instead of an election.
    server.run("gRPC and HTTP", listener, shutdown, watch_faults, node.hand_over()).await
}

/// Serves operators on a `listener` of their own until `shutdown` resolves, and ends as [`serve`] does: what they see of
/// the cluster and do to it, and what clients may ask about whole histories. Whoever reaches this port may do all of it.
///
/// # Errors
/// When the listener cannot say where it listens.
pub async fn serve_admin(
    node: &Node,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let edge = node.edge().clone();
    let (health, watch_faults) = grpc::health(&edge);
    let router = grpc::operators_routes(&edge, node.operators().clone(), health);
    let server = Server::new(edge, router, OPERATORS_MAX);
    server.run("operators", listener, shutdown, watch_faults, std::future::ready(())).await
}
struct Server {
    edge: Arc<Edge>,
    connection: auto::Builder<TokioExecutor>,
    router: Router,
    room: Arc<Semaphore>,
    graceful: GracefulShutdown,
    /// Dropped to cut the connections that are still open.
    open: watch::Sender<()>,
}

impl Server {
    fn new(edge: Arc<Edge>, router: Router, connections_max: usize) -> Self {
        Self {
            connection: connection_settings(&edge.limits),
            router,
            room: Arc::new(Semaphore::new(connections_max)),
            graceful: GracefulShutdown::new(),
            open: watch::Sender::new(()),
            edge,
        }
    }

    /// Accepts until it is told to stop, then lets what is open end while the node is `parting`.
    async fn run(
        self,
        whom: &'static str,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
        watch_faults: impl Future<Output = ()>,
        parting: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let address = listener.local_addr()?;
        tracing::info!(%address, "serving {whom}");
        tokio::select! {
            biased; // stopping wins over another connection; the fault watcher only ever ends by itself
            () = shutdown => {}
            () = watch_faults => {}
            () = self.accept(listener) => {}
        }
        tracing::info!(%address, "no longer accepting requests");
        tokio::join!(self.drain(), parting);
        Ok(())
    }

    /// Accepts until it is dropped.
    async fn accept(&self, listener: TcpListener) {
        loop {
            let Ok(room) = self.room.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => self.spawn(stream, room),
                // Out of file handles or the like: it passes when connections close.
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    self.edge.env.clock.sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn spawn(&self, stream: TcpStream, room: OwnedSemaphorePermit) {
        // Small answers must not wait for more to send. A connection that is gone already fails at its first read.
        let _ = stream.set_nodelay(true);
        let (edge, router) = (self.edge.clone(), self.router.clone());
        let (builder, watcher, mut open) =
            (self.connection.clone(), self.graceful.watcher(), self.open.subscribe());
        let task = self.edge.env.tasks.spawn("connection", async move {
            let _room = room;
            edge.metrics.connections.inc();
            if speaks(&edge, &stream).await {
                let answer = service_fn(|request| answer(edge.clone(), router.clone(), request));
                let connection = builder.serve_connection(TokioIo::new(stream), answer);
                let connection = watcher.watch(connection);
                tokio::select! {
                    biased; // both end the connection
                    _ = connection => {}
                    _ = open.changed() => {}
                }
            }
            edge.metrics.connections.dec();
        });
        drop(task);
    }

    /// Lets open requests end.
    async fn drain(self) {
        self.edge.stop();
        let patience = Duration::from_millis(self.edge.limits.drain_timeout_ms);
        let (clock, open) = (self.edge.env.clock.clone(), self.open);
        if clock.timeout(patience, self.graceful.shutdown()).await.is_err() {
            tracing::warn!(
                connections = open.receiver_count(),
                "cutting connections that did not end in time"
            );
        }
        drop(open);
    }
}

/// Whether the caller says anything before it has to.
async fn speaks(edge: &Edge, stream: &TcpStream) -> bool {
    let patience = Duration::from_millis(edge.limits.header_read_timeout_ms);
    matches!(edge.env.clock.timeout(patience, stream.peek(&mut [0])).await, Ok(Ok(1)))
}

/// Answers one request.
async fn answer(edge: Arc<Edge>, router: Router, request: Request<Incoming>) -> Result<Response, Infallible> {
    if let Err(error) = edge.is_meant(request.headers()) {
        let is_grpc = grpc::is_grpc(request.headers());
        return Ok(if is_grpc { grpc::refused(error) } else { rest::Problem::from(error).into_response() });
    }
    if !grpc::is_grpc(request.headers()) {
        let patience = rest::patience(&edge, request.uri());
        let answered = guarded(&edge.metrics, false, router.oneshot(request));
        let answered = edge.env.clock.timeout(patience, answered).await;
        return Ok(answered.unwrap_or_else(|_| rest::Problem::late().into_response()));
    }
    let patience = grpc::patience(&edge, request.headers());
    let answered = guarded(&edge.metrics, true, router.oneshot(request));
    Ok(edge.env.clock.timeout(patience, answered).await.unwrap_or_else(|_| grpc::late()))
}

/// What `handling` gives; a panic on the way is logged, counted and told in the caller's own protocol.
async fn guarded(
    metrics: &Metrics,
    grpc: bool,
    handling: impl Future<Output = Result<Response, Infallible>>,
) -> Response {
    match AssertUnwindSafe(handling).catch_unwind().await {
        Ok(Ok(response)) => response,
        Err(_) => {
            metrics.panics.inc();
            tracing::error!("a request ended in a panic of the server");
            if grpc { grpc::panicked() } else { rest::Problem::panicked().into_response() }
        }
    }
}

fn connection_settings(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.header_read_timeout_ms));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection_max)
        .max_header_list_size(limits.header_list_bytes_max)
        .max_pending_accept_reset_streams(limits.pending_resets_max)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_frame_size(limits.frame_bytes_max)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(Duration::from_millis(limits.keepalive_interval_ms))
        .keep_alive_timeout(Duration::from_millis(limits.keepalive_timeout_ms));
    builder
}

/// Bytes of one stream that wait to be sent; a reader that does not read holds no more than this and one page.
const SEND_BUFFER_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_in_the_protocol_of_the_caller_and_counted() {
        let metrics = Metrics::new();
        let rest = guarded(&metrics, false, async { panic!("on purpose") }).await;
        assert_eq!(rest.status(), http::StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(rest.headers()["content-type"], "application/problem+json");
        let grpc = guarded(&metrics, true, async { panic!("on purpose") }).await;
        let status = tonic::Status::from_header_map(grpc.headers()).expect("it is the end of a call");
        assert_eq!(status.code(), tonic::Code::Internal);
        assert_eq!(chronos_proto::Failure::from_status(&status).class, chronos_proto::Class::Unknown);
        assert_eq!(metrics.panics.get(), 2);
    }
}
