//! Reads: a page as one JSON object, or everything as lines when the caller accepts `application/x-ndjson`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chronos_app::{AllRequest, Consistency, EntityRequest, Error, PartitionRequest, StateRequest, View};
use chronos_block::{Direction, Recorded};
use chronos_domain::limits::{PAGE_BYTES_MAX, PARTITIONS};
use chronos_domain::{EntityId, EventId, Invalid, PartitionId, Position, Version};
use chronos_proto::json::{Layout, write};
use futures::stream;
use http::{HeaderMap, header};
use serde_json::{Value, json};

use super::query::Query;
use super::{Problem, body};
use crate::edge::{Due, Edge};
use crate::metrics::Read;
use crate::pages::Pages;

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
/// The past that is read, as a header of lines, which have no other place for it.
const TOKEN: &str = "chronos-token";
/// The version before which the entity's events have been erased, likewise.
const TRUNCATED: &str = "chronos-truncated-before";
/// Events and bytes of one write of lines.
const CHUNK_EVENTS: usize = 1024;
const CHUNK_BYTES: usize = 256 << 10;

type Named = Result<Path<String>, PathRejection>;

/// How the caller wants the events, and how many of them.
#[derive(Clone, Copy)]
enum Form {
    Page { limit: u64 },
    Lines { limit: Option<u64> },
}

impl Form {
    fn of(headers: &HeaderMap, query: &mut Query) -> Result<Self, Error> {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let lines = accept.split([',', ';']).any(|form| form.trim().eq_ignore_ascii_case(LINES));
        Ok(if lines {
            Self::Lines { limit: query.stream_limit()? }
        } else {
            Self::Page { limit: query.page_limit()? }
        })
    }

    /// How many events to read. A page looks one further, to know whether there is a next one.
    fn limit(self) -> Option<u64> {
        match self {
            Self::Page { limit } => Some(limit + 1),
            Self::Lines { limit } => limit,
        }
    }
}

/// When a read is due. A page is one answer, and so has a deadline in any case; lines may take as long as they take,
/// unless the caller says otherwise.
fn due(edge: &Edge, headers: &HeaderMap, form: Form, asked: Option<Duration>) -> Due {
    let asked = match form {
        Form::Page { .. } => Some(edge.limits.patience(asked)),
        Form::Lines { .. } => asked,
    };
    edge.due(headers, asked, asked)
}

/// What every read may say.
fn view(query: &mut Query, form: Form, deadline: Duration, fresh: Consistency) -> Result<View, Error> {
    Ok(View {
        direction: query.direction()?,
        limit: form.limit(),
        as_of: query.as_of()?,
        filter: query.filter()?,
        consistency: query.consistency(fresh)?,
        deadline,
    })
}

pub(super) async fn entity(
    State(edge): State<Arc<Edge>>,
    named: Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = Query::parse(query.as_deref())?;
    let (form, asked) = (Form::of(&headers, &mut query)?, query.patience()?);
    let due = due(&edge, &headers, form, asked);
    let view = view(&mut query, form, due.opened, Consistency::Linearizable)?;
    let direction = view.direction;
    let wanted = EntityRequest {
        entity: EntityId::parse(&body::path(named)?)?,
        from: query.from()?.map(Version::new),
        to: query.to()?.map(Version::new),
        view,
    };
    query.end()?;
    let opened = edge.in_time(due.opened, due.app.read_entity(edge.principal(), wanted)).await;
    edge.metrics.read(Read::Entity, &opened);
    let pages = Pages::of_one(edge, opened?).until(due.whole);
    answer(pages, form, move |last, _| json!(beyond(last.version.get(), direction))).await
}

pub(super) async fn partition(
    State(edge): State<Arc<Edge>>,
    named: Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = Query::parse(query.as_deref())?;
    let (form, asked) = (Form::of(&headers, &mut query)?, query.patience()?);
    let due = due(&edge, &headers, form, asked);
    let view = view(&mut query, form, due.opened, Consistency::Local)?;
    let direction = view.direction;
    let wanted = PartitionRequest {
        partition: number(&body::path(named)?)?,
        from: query.from()?.map(Position::new),
        view,
    };
    query.end()?;
    let opened = edge.in_time(due.opened, due.app.read_partition(edge.principal(), wanted)).await;
    edge.metrics.read(Read::Partition, &opened);
    let pages = Pages::of_one(edge, opened?).until(due.whole);
    answer(pages, form, move |last, _| json!(beyond(last.position.get(), direction))).await
}

pub(super) async fn all(
    State(edge): State<Arc<Edge>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = Query::parse(query.as_deref())?;
    let (form, asked) = (Form::of(&headers, &mut query)?, query.patience()?);
    let due = due(&edge, &headers, form, asked);
    let cursor = query.token("cursor")?;
    let wanted =
        AllRequest { from: cursor.clone(), view: view(&mut query, form, due.opened, Consistency::Local)? };
    query.end()?;
    let opened = edge.in_time(due.opened, due.app.read_all(edge.principal(), wanted)).await;
    edge.metrics.read(Read::All, &opened);
    let pages = Pages::of_all(edge, opened?, &cursor.unwrap_or_default()).until(due.whole);
    answer(pages, form, |_, pages| json!(pages.cursor().map(|cursor| cursor.to_string()))).await
}

pub(super) async fn event(
    State(edge): State<Arc<Edge>>,
    named: Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = Query::parse(query.as_deref())?;
    let by = edge.deadline(query.patience()?);
    query.end()?;
    let id = EventId::parse(&body::path(named)?)?;
    let app = edge.app_until(&headers, by);
    let found = edge.in_time(by, app.event(edge.principal(), id, by)).await;
    edge.metrics.read(Read::Event, &found);
    let mut text = Vec::new();
    write(&mut text, &found?, Layout::Embedded);
    Ok(([(header::CONTENT_TYPE, JSON)], text).into_response())
}

pub(super) async fn state(
    State(edge): State<Arc<Edge>>,
    named: Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let mut query = Query::parse(query.as_deref())?;
    let entity = EntityId::parse(&body::path(named)?)?;
    let (reducer, name) = query.reducer()?;
    let by = edge.deadline(query.patience()?);
    let wanted = StateRequest {
        entity: entity.clone(),
        as_of: query.as_of()?,
        occurred_until: query.occurred_until()?,
        reducer,
        consistency: query.consistency(Consistency::Linearizable)?,
        deadline: by,
    };
    query.end()?;
    let app = edge.app_until(&headers, by);
    let state = edge.in_time(by, app.state(edge.principal(), wanted)).await;
    edge.metrics.read(Read::State, &state);
    let state = state?;
    Ok(Json(json!({
        "entity_id": entity.as_str(),
        "reducer": name,
        "version": state.version.get(),
        "events": state.events,
        "state": state.value,
        "token": state.token.to_string(),
        "truncated_before": state.truncated_before.get(),
    })))
}

fn number(text: &str) -> Result<PartitionId, Invalid> {
    text.parse()
        .ok()
        .and_then(PartitionId::new)
        .ok_or_else(|| Invalid::new("partition", format!("is {text:?}; give 0 to {}", PARTITIONS - 1)))
}

/// The number after `last` in the direction of the read; there is none before the first.
fn beyond(last: u64, direction: Direction) -> Option<u64> {
    match direction {
        Direction::Forward => Some(last + 1),
        Direction::Backward => last.checked_sub(1).filter(|next| *next > 0),
    }
}

/// The read in the form the caller wants; `next` says where to go on after the last event of a page.
async fn answer(
    pages: Pages,
    form: Form,
    next: impl Fn(&Recorded, &Pages) -> Value,
) -> Result<Response, Problem> {
    match form {
        Form::Page { limit } => page(pages, limit, next).await,
        Form::Lines { .. } => lines(pages).await,
    }
}

async fn page(
    mut pages: Pages,
    limit: u64,
    next: impl Fn(&Recorded, &Pages) -> Value,
) -> Result<Response, Problem> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut text = b"{\"events\":[".to_vec();
    let (mut events, mut place) = (0, Value::Null);
    while events < limit && text.len() < PAGE_BYTES_MAX {
        let taken = pages.next(limit - events, PAGE_BYTES_MAX - text.len()).await?;
        let Some(last) = taken.last() else { break };
        place = next(last, &pages);
        for event in &taken {
            if events > 0 {
                text.push(b',');
            }
            write(&mut text, event, Layout::Embedded);
            events += 1;
        }
    }
    if pages.next(1, 1).await?.is_empty() {
        place = Value::Null;
    }
    let (token, mark) = (json!(pages.token().to_string()), pages.truncated_before());
    let rest = format!("],\"next\":{place},\"token\":{token},\"truncated_before\":{mark}}}");
    text.extend_from_slice(rest.as_bytes());
    Ok(([(header::CONTENT_TYPE, JSON)], text).into_response())
}

/// The read as lines, made as fast as the caller takes them.
async fn lines(mut pages: Pages) -> Result<Response, Problem> {
    // What fails at once fails as a whole.
    let first = pages.next(CHUNK_EVENTS, CHUNK_BYTES).await?;
    let (token, mark) = (pages.token().to_string(), pages.truncated_before().to_string());
    let body = stream::unfold(
        Lines { pages: Some(pages), first: Some(first), failure: None },
        |mut lines| async move {
            let chunk = lines.next().await?;
            Some((chunk, lines))
        },
    );
    let name = http::HeaderName::from_static;
    let headers = [(header::CONTENT_TYPE, LINES), (name(TOKEN), &token), (name(TRUNCATED), &mark)];
    Ok((headers, Body::from_stream(body)).into_response())
}

struct Lines {
    pages: Option<Pages>,
    first: Option<Vec<Recorded>>,
    failure: Option<Error>,
}

impl Lines {
    /// The next lines. A failure is a line that says so, and then a transfer that breaks, so that nobody takes what
    /// came for the whole.
    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        if let Some(error) = self.failure.take() {
            // The connection sends what it has when nothing is ready, and drops it when it must break off.
            tokio::task::yield_now().await;
            return Some(Err(error));
        }
        let pages = self.pages.as_mut()?;
        let events = match self.first.take() {
            Some(events) => Ok(events),
            None => pages.next(CHUNK_EVENTS, CHUNK_BYTES).await,
        };
        match events {
            Ok(events) if events.is_empty() => None,
            Ok(events) => Some(Ok(text(&events))),
            Err(error) => {
                self.pages = None;
                self.failure = Some(error.clone());
                let line = json!({"problem": Problem::from(error).body()}).to_string() + "\n";
                Some(Ok(line.into()))
            }
        }
    }
}

fn text(events: &[Recorded]) -> Bytes {
    let mut text = Vec::with_capacity(CHUNK_BYTES);
    for event in events {
        write(&mut text, event, Layout::Line);
        text.push(b'\n');
    }
    text.into()
}
