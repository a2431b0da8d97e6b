//! What is asked about whole histories, and done to them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use chronos_app::{EachPartition, Holdings, SampleRequest, Wait};
use chronos_domain::{EntityId, EventId, PartitionId, Timestamp, Version};
use chronos_proto::json::{Layout, write};
use http::header;
use serde_json::{Value, json};

use super::query::Query;
use super::{Problem, body};
use crate::edge::Edge;

type Named = Result<Path<String>, PathRejection>;

const JSON: &str = "application/json";

/// The digest of every partition.
pub(super) async fn digest(
    State(edge): State<Arc<Edge>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    let mut query = Query::parse(query.as_deref())?;
    let (as_of, asked) = (query.as_of()?, query.patience()?);
    query.end()?;
    let all = edge.app.digests(edge.principal(), as_of.as_ref(), edge.deadline(asked)).await?;
    let partitions = each(all.partitions, |digest| {
        json!({
            "position": digest.position.get(),
            "digest": digest.digest.to_string(),
            "chain": digest.chain.to_string(),
            "root": digest.root.to_string(),
        })
    });
    Ok(Json(json!({"partitions": partitions, "token": all.token.to_string()})))
}

/// The proof file of one event.
pub(super) async fn prove(
    State(edge): State<Arc<Edge>>,
    named: Named,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut query = Query::parse(query.as_deref())?;
    let event = EventId::parse(&body::path(named)?)?;
    let (as_of, asked) = (query.as_of()?, query.patience()?);
    query.end()?;
    let proof = edge.app.prove(edge.principal(), event, as_of.as_ref(), edge.deadline(asked)).await?;
    Ok(([(header::CONTENT_TYPE, JSON)], proof.to_json()).into_response())
}

/// Has all partitions compacted.
pub(super) async fn compact(
    State(edge): State<Arc<Edge>>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    let mut query = Query::parse(query.as_deref())?;
    let wait = if query.flag("wait")? { Wait::Yes } else { Wait::No };
    let asked = query.patience()?;
    query.end()?;
    let partitions: Vec<_> = PartitionId::all().collect();
    let answers = edge.app.compact(edge.principal(), &partitions, (wait, edge.deadline(asked))).await?;
    Ok(Json(json!({"partitions": each(answers, |position| json!({"position": position.get()}))})))
}

/// Erases what an entity's events before a version say.
pub(super) async fn truncate(
    State(edge): State<Arc<Edge>>,
    named: Named,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    let mut query = Query::parse(query.as_deref())?;
    let entity = EntityId::parse(&body::path(named)?)?;
    let before = Version::new(query.before()?);
    let asked = query.patience()?;
    query.end()?;
    let done = edge.app.truncate(edge.principal(), &entity, before, edge.deadline(asked)).await?;
    Ok(Json(json!({
        "entity_id": entity.as_str(),
        "partition": done.0.get(),
        "truncated_before": done.1.before.get(),
        "version": done.1.version.get(),
    })))
}

/// Some events, spread over the whole history.
pub(super) async fn sample(
    State(edge): State<Arc<Edge>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut query = Query::parse(query.as_deref())?;
    let events = query.count("n", SAMPLE_EVENTS)?;
    let events = usize::try_from(events).unwrap_or(usize::MAX);
    let seed = query.seed()?.unwrap_or_else(|| edge.seed());
    let wanted = SampleRequest { events, types: query.filter()?.types, seed };
    query.end()?;
    let sample = edge.app.sample(edge.principal(), &wanted).await?;
    edge.metrics.events_read(sample.events.len());
    let mut text = b"{\"events\":[".to_vec();
    for (i, event) in sample.events.iter().enumerate() {
        if i > 0 {
            text.push(b',');
        }
        write(&mut text, event, Layout::Embedded);
    }
    text.extend_from_slice(format!("],\"total\":{}}}", sample.total).as_bytes());
    Ok(([(header::CONTENT_TYPE, JSON)], text).into_response())
}

/// Events of a sample when the caller does not say.
const SAMPLE_EVENTS: u64 = 20;

/// What every partition holds.
pub(super) async fn stats(State(edge): State<Arc<Edge>>) -> Result<Json<Value>, Problem> {
    let all = edge.app.holdings(edge.principal()).await?;
    Ok(Json(json!({"partitions": each(all, |held| holdings(&held))})))
}

fn holdings(held: &Holdings) -> Value {
    let types = held
        .types
        .iter()
        .map(|of| json!({"event_type": of.event_type, "events": of.events, "raw_bytes": of.raw_bytes}));
    json!({
        "events": held.events,
        "entities": held.entities,
        "first_recorded_at": held.recorded.map(|(first, _)| Timestamp::get(first)),
        "last_recorded_at": held.recorded.map(|(_, last)| Timestamp::get(last)),
        "parts": held.parts,
        "part_bytes": held.part_bytes,
        "lookup_bytes": held.lookup_bytes,
        "index_bytes": held.index_bytes,
        "uncompacted": held.uncompacted,
        "truncated_entities": held.truncated_entities,
        "erased": held.erased,
        "types": types.collect::<Vec<_>>(),
    })
}

/// Each partition's answer with its number, or its problem.
fn each<T>(answers: EachPartition<T>, show: impl Fn(T) -> Value) -> Vec<Value> {
    let one = |(partition, answer): (PartitionId, Result<T, _>)| {
        let mut shown = match answer {
            Ok(answer) => show(answer),
            Err(error) => json!({"problem": Problem::from(error).body()}),
        };
        shown["partition"] = partition.get().into();
        shown
    };
    answers.into_iter().map(one).collect()
}
