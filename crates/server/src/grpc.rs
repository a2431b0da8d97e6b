//! `chronos.v1.EventStore` over gRPC, with health and reflection beside it.

mod admin;
mod append;
mod backup;
mod cluster_admin;
mod deadline;
pub(crate) mod failure;
mod info;
mod query;
mod read;
mod request;
mod session;

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use chronos_app::{Class, Error, Reason};
use chronos_proto::cluster::v1::cluster_admin_server::ClusterAdminServer;
use chronos_proto::v1::admin_server::AdminServer;
use chronos_proto::v1::backup_server::BackupServer;
use chronos_proto::v1::event_store_server::{EventStore, EventStoreServer};
use chronos_proto::v1::query_server::QueryServer;
use chronos_proto::{cluster, v1};
use http::{HeaderMap, header};
use tonic::service::Routes;
use tonic::{Request, Status, Streaming};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;

use crate::edge::{Edge, Routing};
use crate::http::{Port, Problem, with_no_route};
use crate::operator::Operators;
use crate::placement;

/// Whether a request speaks gRPC, so that its answer must.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let form = headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    form.is_some_and(|form| form.starts_with(b"application/grpc"))
}

/// The end of a call that panicked.
pub(crate) fn panicked() -> Response {
    let text = "the server failed while it handled this call; its log says where. If it was an append, send it \
                again with the same event ids to find out whether it happened";
    failure::status(Error::new(Class::Unknown, Reason::Internal, text)).into_http::<axum::body::Body>()
}

/// How long the head of an answer may take: the caller's deadline, within the server's limits, and a little for the
/// call's own answer to that deadline.
pub(crate) fn patience(edge: &Edge, headers: &HeaderMap) -> Duration {
    edge.limits.patience(deadline::asked(headers)) + GRACE
}

const GRACE: Duration = Duration::from_secs(2);

/// The end of a call whose message never became whole.
pub(crate) fn late() -> Response {
    let text = "the call was not whole, or not answered, by its deadline. If it was an append, send it again with the \
                same event ids to find out whether it happened";
    failure::status(Error::new(Class::Unknown, Reason::DeadlineExceeded, text))
        .into_http::<axum::body::Body>()
}

/// The end of a call that is refused before anybody looks at it.
pub(crate) fn refused(error: Error) -> Response {
    failure::status(error).into_http::<axum::body::Body>()
}

/// The answer to a path that nothing is served at, in the caller's own protocol.
pub(crate) fn no_route(edge: &Edge, port: Port, headers: &HeaderMap, path: &str) -> Response {
    let elsewhere = other_port(edge, port, path);
    if !is_grpc(headers) {
        let problem = elsewhere.map(|text| Problem::from(Error::not_found(text)));
        return problem.unwrap_or_else(|| Problem::no_route(path)).into_response();
    }
    let text = elsewhere.unwrap_or_else(|| {
        format!("this server has no method {path}; ask its reflection service what it has")
    });
    failure::status(Error::new(Class::Rejected, Reason::Unimplemented, text)).into_http::<axum::body::Body>()
}

/// What to say to somebody who took this port for the other one.
fn other_port(edge: &Edge, port: Port, path: &str) -> Option<String> {
    let cluster = edge.app.node().cluster();
    let at = cluster.member(cluster.me()).map(|member| member.addresses).unwrap_or_default();
    let is_for_operators = path.starts_with("/chronos.admin.v1.");
    match port {
        Port::Clients if is_for_operators => Some(match at.admin.as_str() {
            "" => {
                "this is the port for clients; this node has none for operators: start it with --admin-listen"
                    .to_owned()
            }
            admin => format!("this is the port for clients; operators are answered at {admin} (--admin)"),
        }),
        Port::Operators if !is_for_operators => Some(match at.client.as_str() {
            "" => "this is the port for operators; clients are answered at another one".to_owned(),
            client => format!("this is the port for operators; clients are answered at {client} (--addr)"),
        }),
        Port::Clients | Port::Operators => None,
    }
}

/// The health service, and a future that never ends and turns it to "not serving" once the node can acknowledge
/// nothing any more.
pub(crate) fn health(edge: &Arc<Edge>) -> (HealthServer<impl Health>, impl Future<Output = ()> + use<>) {
    let (reporter, service) = tonic_health::server::health_reporter();
    (service, watch_faults(edge.clone(), reporter))
}

async fn watch_faults(edge: Arc<Edge>, reporter: HealthReporter) {
    reporter.set_serving::<EventStoreServer<Service>>().await;
    let fault = edge.faulted().await;
    chronos_env::sometimes!("server.stopped_for_good");
    tracing::error!(fault, "this node can acknowledge nothing any more");
    reporter.set_not_serving::<EventStoreServer<Service>>().await;
    reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    std::future::pending::<()>().await;
}

/// Everything served over gRPC.
pub(crate) fn routes(edge: &Arc<Edge>, health: HealthServer<impl Health>) -> axum::Router {
    let bytes_max = edge.limits.message_bytes_max;
    let store = EventStoreServer::new(Service { edge: edge.clone() }).max_decoding_message_size(bytes_max);
    let query = QueryServer::new(query::Service { edge: edge.clone() });
    let backup = BackupServer::new(backup::Service::new(edge.clone(), edge.app.node().clone()));
    let admin = AdminServer::new(admin::Service { edge: edge.clone() });
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors were compiled with this program");
    Routes::new(store)
        .add_service(backup)
        .add_service(query)
        .add_service(admin)
        .add_service(health)
        .add_service(reflection)
        .into_axum_router()
}

/// Everything served to operators.
pub(crate) fn operators_routes(
    edge: &Arc<Edge>,
    operators: Operators,
    health: HealthServer<impl Health>,
) -> axum::Router {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(cluster::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors were compiled with this program");
    let backup = backup::Service::new(edge.clone(), edge.app.node().for_operators());
    let routes =
        Routes::new(ClusterAdminServer::new(cluster_admin::Service { operators, backup: backup.clone() }))
            .add_service(BackupServer::new(backup))
            .add_service(AdminServer::new(admin::Service { edge: edge.clone() }))
            .add_service(health)
            .add_service(reflection);
    with_no_route(routes.into_axum_router(), edge, Port::Operators)
}

/// The service. Each method decodes, asks the edge or the app, and encodes.
struct Service {
    edge: Arc<Edge>,
}

#[tonic::async_trait]
impl EventStore for Service {
    type AppendStreamStream = session::Answers;
    type ReadEntityStream = read::Pages;
    type ReadPartitionStream = read::Pages;
    type ReadAllStream = read::Pages;

    async fn append(&self, request: Request<v1::AppendRequest>) -> Reply<v1::AppendResponse> {
        reply(append::append(&self.edge, request).await)
    }

    async fn append_stream(
        &self,
        request: Request<Streaming<v1::AppendStreamRequest>>,
    ) -> Reply<Self::AppendStreamStream> {
        let routing = Routing::of(request.metadata().as_ref());
        Ok(tonic::Response::new(session::open(self.edge.clone(), routing, request.into_inner())))
    }

    async fn read_entity(&self, request: Request<v1::ReadEntityRequest>) -> Reply<read::Pages> {
        reply(read::entity(&self.edge, request).await)
    }

    async fn read_partition(&self, request: Request<v1::ReadPartitionRequest>) -> Reply<read::Pages> {
        reply(read::partition(&self.edge, request).await)
    }

    async fn read_all(&self, request: Request<v1::ReadAllRequest>) -> Reply<read::Pages> {
        reply(read::all(&self.edge, request).await)
    }

    async fn get_event(&self, request: Request<v1::GetEventRequest>) -> Reply<v1::GetEventResponse> {
        reply(read::event(&self.edge, request).await)
    }

    async fn get_state(&self, request: Request<v1::GetStateRequest>) -> Reply<v1::GetStateResponse> {
        reply(read::state(&self.edge, request).await)
    }

    async fn truncate_entity(
        &self,
        request: Request<v1::TruncateEntityRequest>,
    ) -> Reply<v1::TruncateEntityResponse> {
        reply(admin::truncate(&self.edge, request).await)
    }

    async fn watermarks(&self, request: Request<v1::WatermarksRequest>) -> Reply<v1::WatermarksResponse> {
        reply(info::watermarks(&self.edge, &request).await)
    }

    async fn info(&self, _: Request<v1::InfoRequest>) -> Reply<v1::InfoResponse> {
        Ok(tonic::Response::new(info::info(&self.edge)))
    }

    async fn placement(&self, _: Request<v1::PlacementRequest>) -> Reply<v1::PlacementResponse> {
        Ok(tonic::Response::new(placement::read(&self.edge).into()))
    }
}

type Reply<T> = Result<tonic::Response<T>, Status>;

fn reply<T>(outcome: Result<T, Error>) -> Reply<T> {
    outcome.map(tonic::Response::new).map_err(failure::status)
}
