//! What operators ask: is the process alive, is it ready, and how much of what.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chronos_domain::PartitionId;
use http::{StatusCode, header};
use serde_json::json;

use crate::edge::Edge;

/// The process answers.
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// Whether this node takes appends and reads: 200 while it does, with the partitions it refuses by name; 503 once it
/// can acknowledge nothing any more, while it stops, when it refuses every partition, or as long as it knows of no leader
/// that is alive for one that it serves. A node that holds none passes everything on, and has to know all leaders.
pub(super) async fn ready(State(edge): State<Arc<Edge>>) -> Response {
    let node = edge.app.node();
    let (mut refused, mut served) = (Vec::new(), Vec::new());
    for id in PartitionId::all() {
        match node.marks_here(id) {
            Err(error) => refused.push(json!({"partition": id.get(), "reason": error.message})),
            Ok(_) if node.cluster().holds(id) => served.push(id),
            Ok(_) => {}
        }
    }
    let fault = edge.wal().and_then(|wal| wal.fault()).map(|fault| fault.to_string());
    let stopping = *edge.stopping().borrow();
    let is_leaderless = |id: &PartitionId| node.cluster().living_leader(*id).is_none();
    let wanted: Vec<PartitionId> =
        if served.is_empty() { PartitionId::all().collect() } else { served.clone() };
    let leaderless: Vec<u8> = wanted.into_iter().filter(is_leaderless).map(PartitionId::get).collect();
    let refuses_all = refused.len() == PartitionId::all().len();
    let ready = fault.is_none() && !stopping && !refuses_all && leaderless.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": ready,
        "served": served.len(),
        "refused": refused,
        "leaderless": leaderless,
        "fault": fault,
        "stopping": stopping,
    });
    (status, Json(body)).into_response()
}

/// Everything that is counted, for Prometheus.
pub(super) async fn metrics(State(edge): State<Arc<Edge>>) -> Response {
    let (form, text) = edge.metrics.render(edge.app.node(), edge.wal().as_deref());
    ([(header::CONTENT_TYPE, form)], text).into_response()
}
