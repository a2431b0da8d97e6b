//! What a node says of itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse, Response};
use chronos_app::Error;
use chronos_domain::{EntityId, Marks, PartitionId, limits, place, routing_key};
use chronos_proto::{LogStats, NodeId, PartitionStats, Stats};
use http::{HeaderMap, header};
use serde_json::{Value, json};

use super::Problem;
use crate::edge::Edge;
use crate::node::RELEASE;
use crate::{placement, stats};

/// The description of this interface, written by hand.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// The description of this interface.
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// Which partition owns an entity. Any client can compute the same alone.
pub(super) async fn route(
    State(edge): State<Arc<Edge>>,
    entity: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    let entity = super::body::path(entity)?;
    let entity = EntityId::parse(&entity)?;
    let partition = place(edge.principal().tenant().as_str(), entity.as_str());
    Ok(Json(json!({
        "entity_id": entity.as_str(),
        "routing_key": routing_key(entity.as_str()),
        "partition": partition.get(),
        "served": edge.app.node().serves(partition),
    })))
}

/// How far each partition has come on this node; those that it does not hold, on one that does.
pub(super) async fn watermarks(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let by = edge.deadline(None);
    let (all, token) = edge.in_time(by, edge.watermarks(&edge.app_until(&headers, by))).await?;
    let partitions: Vec<Value> = all.into_iter().map(|(partition, marks)| mark(partition, marks)).collect();
    Ok(Json(json!({"partitions": partitions, "token": token.to_string()})))
}

fn mark(partition: PartitionId, marks: Result<Marks, Error>) -> Value {
    match marks {
        Ok(marks) => json!({
            "partition": partition.get(),
            "appended": marks.appended.get(),
            "flushed": marks.flushed.get(),
            "committed": marks.committed.get(),
            "applied": marks.applied.get(),
            "compacted": marks.compacted.get(),
            "purged": marks.purged.get(),
            "indexed": marks.indexed.get(),
        }),
        Err(error) => json!({"partition": partition.get(), "problem": Problem::from(error).body()}),
    }
}

/// Who answers, what it accepts, and how much it holds.
pub(super) async fn info(State(edge): State<Arc<Edge>>) -> Json<Value> {
    Json(json!({
        "name": "chronos",
        "release": RELEASE,
        "cluster_id": uuid(edge.identity.cluster),
        "node_id": uuid(edge.identity.node),
        "partitions": limits::PARTITIONS,
        "nodes": 1,
        "durability": chronos_app::DURABILITY,
        "limits": {
            "payload_bytes_max": limits::PAYLOAD_BYTES_MAX,
            "metadata_bytes_max": limits::METADATA_BYTES_MAX,
            "batch_events_max": limits::BATCH_EVENTS_MAX,
            "batch_bytes_max": limits::BATCH_BYTES_MAX,
            "page_events_max": limits::PAGE_EVENTS_MAX,
            "page_bytes_max": limits::PAGE_BYTES_MAX,
            "message_bytes_max": edge.limits.message_bytes_max,
            "http_body_bytes_max": edge.limits.http_body_bytes_max,
            "stream_in_flight_max": edge.limits.session_appends_max,
        },
        // Who may not observe the node still learns who it is.
        "stats": stats::read(&edge).ok().map(held),
    }))
}

/// Which nodes there are, and which of them hold and lead each partition.
pub(super) async fn placement(State(edge): State<Arc<Edge>>) -> Json<Value> {
    let placement = placement::read(&edge);
    let numbers = |nodes: Vec<NodeId>| nodes.into_iter().map(NodeId::get).collect::<Vec<_>>();
    let nodes = placement
        .nodes
        .into_iter()
        .map(|of| json!({"node": of.node.get(), "address": of.address, "name": of.name}));
    let partitions = placement.partitions.into_iter().map(|of| {
        json!({
            "partition": of.partition.get(),
            "leader": of.leader.map(NodeId::get),
            "replicas": numbers(of.replicas),
        })
    });
    Json(json!({
        "cluster_id": placement.cluster_id,
        "epoch": placement.epoch,
        "node": placement.node.get(),
        "nodes": nodes.collect::<Vec<_>>(),
        "partitions": partitions.collect::<Vec<_>>(),
    }))
}

fn held(stats: Stats) -> Value {
    json!({
        "entities": stats.entities,
        "events": stats.events,
        "blocks": stats.blocks,
        "cached_blocks": stats.cached_blocks,
        "cached_bytes": stats.cached_bytes,
        "partitions_refused": stats.partitions_refused,
        "partitions": stats.partitions.into_iter().map(held_by_one).collect::<Vec<_>>(),
        "log": stats.log.map(written),
    })
}

fn held_by_one(of: PartitionStats) -> Value {
    json!({"partition": of.partition.get(), "events": of.events, "entities": of.entities})
}

fn written(log: LogStats) -> Value {
    json!({"bytes": log.bytes, "units": log.units, "syncs": log.syncs, "segments": log.segments})
}

fn uuid(bits: u128) -> String {
    chronos_domain::EventId::from_u128(bits).to_string()
}
