//! One port for gRPC and HTTP: accepts connections, bounds what each may cost, and ends them in order.

mod guests;

use std::convert::Infallible;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::response::{IntoResponse, Response};
use chronos_app::{Class, Error, Reason};
use chronos_env::{Connection, Listener, Tasks};
use futures::FutureExt;
use http::Request;
use http::header::DATE;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::{Notify, Semaphore, watch};
use tower::ServiceExt;

use self::guests::{Guests, Stay};

use crate::edge::Edge;
use crate::metrics::Metrics;
use crate::node::Node;
use crate::{grpc, http as rest};

/// How long to wait when the system has no room for another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// Connections of operators at once.
const OPERATORS_MAX: usize = 64;
/// Connections at once on which somebody is told that there is no room; who comes besides is hung up on.
const TURNED_AWAY_MAX: usize = 16;
/// When who is turned away may ask again.
const ROOM_RETRY_MS: u64 = 1000;

/// Serves gRPC and HTTP on `listener` until `shutdown` resolves; then takes nothing new, hands over what it leads, lets what
/// is open end (for at most `limits.drain_timeout_ms`), and returns. The node keeps running: stop it afterwards.
///
/// # Errors
/// When the listener cannot say where it listens.
pub async fn serve(
    node: &Node,
    listener: impl Into<Listener>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let edge = node.edge().clone();
    let (health, watch_faults) = grpc::health(&edge);
    let router = rest::router(&edge, grpc::routes(&edge, health));
    let connections_max = edge.limits.connections_max;
    let server = Server::new(edge, router, ("clients", connections_max));
    // Callers in mid-flight meet a new leader instead of an election.
    server.run(listener.into(), shutdown, watch_faults, node.hand_over()).await
}

/// Serves operators on a `listener` of their own until `shutdown` resolves, and ends as [`serve`] does: what they see of
/// the cluster and do to it, and what clients may ask about whole histories. Whoever reaches this port may do all of it.
///
/// # Errors
/// When the listener cannot say where it listens.
pub async fn serve_admin(
    node: &Node,
    listener: impl Into<Listener>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let edge = node.edge().clone();
    let (health, watch_faults) = grpc::health(&edge);
    let router = grpc::operators_routes(&edge, node.operators().clone(), health);
    let server = Server::new(edge, router, ("operators", OPERATORS_MAX));
    server.run(listener.into(), shutdown, watch_faults, std::future::ready(())).await
}

struct Server {
    edge: Arc<Edge>,
    connection: auto::Builder<Crew>,
    router: Router,
    /// Whom it is for.
    whom: &'static str,
    guests: Arc<Guests>,
    turning_away: Arc<Semaphore>,
    graceful: GracefulShutdown,
    /// Dropped to cut the connections that are still open.
    open: watch::Sender<()>,
}

impl Server {
    fn new(edge: Arc<Edge>, router: Router, (whom, connections_max): (&'static str, usize)) -> Self {
        Self {
            connection: connection_settings(&edge),
            router,
            whom,
            guests: Guests::new(connections_max),
            turning_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
            graceful: GracefulShutdown::new(),
            open: watch::Sender::new(()),
            edge,
        }
    }

    /// Accepts until it is told to stop, then lets what is open end while the node is `parting`.
    async fn run(
        self,
        listener: Listener,
        shutdown: impl Future<Output = ()>,
        watch_faults: impl Future<Output = ()>,
        parting: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let address = listener.local_addr()?;
        tracing::info!(%address, "serving {}", self.whom);
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
    async fn accept(&self, listener: Listener) {
        loop {
            match listener.accept().await {
                Ok(stream) => match self.guests.admit() {
                    Some(stay) => self.host(stream, stay),
                    None => self.turn_away(stream),
                },
                // Out of file handles or the like: it passes when connections close.
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    self.edge.env.clock.sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// One connection, until it ends or has to.
    fn host(&self, mut stream: Connection, stay: Stay) {
        let (edge, router) = (self.edge.clone(), self.router.clone());
        let (builder, watcher, mut open) =
            (self.connection.clone(), self.graceful.watcher(), self.open.subscribe());
        let task = self.edge.env.tasks.spawn("connection", async move {
            edge.metrics.connections.inc();
            let served = async {
                if !speaks(&edge, &mut stream).await {
                    return;
                }
                let answer = service_fn(|request| {
                    let asking = stay.guest().asks();
                    let answered = answer(edge.clone(), router.clone(), request);
                    async move {
                        answered.await.map(|response| response.map(|body| asking.until_the_end_of(body)))
                    }
                });
                let connection = builder.serve_connection(TokioIo::new(stream), answer);
                // How it ends concerns nobody but the caller.
                let _ = watcher.watch(connection).await;
            };
            tokio::select! {
                biased; // all end the connection
                () = served => {}
                _ = open.changed() => {}
                () = stay.over() => edge.metrics.connections_ended.inc(),
            }
            edge.metrics.connections.dec();
        });
        drop(task);
    }

    /// Says that there is no room, if whoever has come asks soon, and hangs up.
    fn turn_away(&self, stream: Connection) {
        self.edge.metrics.connections_refused.inc();
        let Ok(turn) = self.turning_away.clone().try_acquire_owned() else { return };
        let (edge, builder) = (self.edge.clone(), self.connection.clone());
        let text = format!(
            "this node takes {} connections of {}, and on each of them a request is open; nothing was done: ask again or ask \
             another node, and see to it that whoever follows or waits for something ends",
            self.guests.max(),
            self.whom
        );
        let task = self.edge.env.tasks.spawn("turned away", async move {
            let _turn = turn;
            let (told, graceful) = (Notify::new(), GracefulShutdown::new());
            let answer = service_fn(|request: Request<Incoming>| {
                told.notify_one();
                let error = Error::new(Class::NotApplied, Reason::Unavailable, text.as_str());
                std::future::ready(Ok::<_, Infallible>(refused(
                    &request,
                    error.retry_after_ms(ROOM_RETRY_MS),
                )))
            });
            let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), answer));
            let hung_up = async {
                told.notified().await;
                graceful.shutdown().await;
            };
            let over = async {
                tokio::select! {
                    biased; // both end with the connection
                    _ = connection => {}
                    () = hung_up => {}
                }
            };
            let patience = Duration::from_millis(edge.limits.header_read_timeout_ms);
            let _ = edge.env.clock.timeout(patience, over).await;
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
async fn speaks(edge: &Edge, stream: &mut Connection) -> bool {
    let patience = Duration::from_millis(edge.limits.header_read_timeout_ms);
    edge.env.clock.timeout(patience, stream.speaks()).await.unwrap_or(false)
}

/// Answers one request.
async fn answer(edge: Arc<Edge>, router: Router, request: Request<Incoming>) -> Result<Response, Infallible> {
    if let Err(error) = edge.is_meant(request.headers()) {
        return Ok(refused(&request, error));
    }
    if !grpc::is_grpc(request.headers()) {
        let patience = rest::patience(&edge, request.uri());
        let answered = guarded(&edge.metrics, false, router.oneshot(request));
        let answered = edge.env.clock.timeout(patience, answered).await;
        return Ok(dated(&edge, answered.unwrap_or_else(|_| rest::Problem::late().into_response())));
    }
    let patience = grpc::patience(&edge, request.headers());
    let answered = guarded(&edge.metrics, true, router.oneshot(request));
    Ok(edge.env.clock.timeout(patience, answered).await.unwrap_or_else(|_| grpc::late()))
}

/// The last microsecond that a date of four digits' years can name.
const DATED_MICROS_MAX: u64 = 253_402_300_799_000_000;

/// An answer over HTTP, with the moment at which it was given by the node's clock (RFC 9110, 6.6.1); gRPC has no use for it.
fn dated(edge: &Edge, mut answer: Response) -> Response {
    let since_epoch = u64::try_from(edge.env.clock.wall_micros()).unwrap_or(0).min(DATED_MICROS_MAX);
    let since_epoch = Duration::from_micros(since_epoch);
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since_epoch);
    answer.headers_mut().insert(DATE, date.parse().expect("a date is text"));
    answer
}

/// A request that is refused before anybody looks at it, in the caller's own protocol.
fn refused(request: &Request<Incoming>, error: Error) -> Response {
    if grpc::is_grpc(request.headers()) {
        return grpc::refused(error);
    }
    rest::Problem::from(error).into_response()
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

/// Whoever carries out what hyper starts on the side: tasks of this process, which end with it.
#[derive(Clone)]
struct Crew(Tasks);

impl<F> Executor<F> for Crew
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, work: F) {
        drop(self.0.spawn("request", work));
    }
}

fn connection_settings(edge: &Edge) -> auto::Builder<Crew> {
    let limits = &edge.limits;
    let mut builder = auto::Builder::new(Crew(edge.env.tasks.clone()));
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
        .keep_alive_timeout(Duration::from_millis(limits.keepalive_timeout_ms))
        // The date of an answer is that of the node's own clock: `dated`.
        .auto_date_header(false);
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
