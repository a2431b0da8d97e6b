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
/// can acknowledge nothing any more, while it stops, when no partition is served, or as long as it does not know who
/// leads one that it serves.
pub(super) async fn ready(State(edge): State<Arc<Edge>>) -> Response {
    let node = edge.app.node();
    let refused: Vec<_> = PartitionId::all()
        .filter_map(|id| {
            node.marks_here(id).err().map(|error| json!({"partition": id.get(), "reason": error.message}))
        })
        .collect();
    let fault = edge.wal().and_then(|wal| wal.fault()).map(|fault| fault.to_string());
    let stopping = *edge.stopping().borrow();
    let served = PartitionId::all().len() - refused.len();
    let is_led = |id: &PartitionId| node.cluster().leader(*id).is_some();
    let leaderless: Vec<_> = PartitionId::all()
        .filter(|id| node.marks_here(*id).is_ok() && !is_led(id))
        .map(|id| id.get())
        .collect();
    let ready = fault.is_none() && !stopping && served > 0 && leaderless.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": ready,
        "served": served,
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
