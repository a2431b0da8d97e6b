//! Reads as streams of pages. A page is made when the caller has room for it.

use std::pin::Pin;
use std::sync::Arc;

use chronos_app::{
    AllRequest, Consistency, EntityRequest, Error, PartitionRequest, Reducer, StateRequest, View,
};
use chronos_domain::{EntityId, EventId, Position, Rejection, Timestamp, Version};
use chronos_proto::{read, v1};
use futures::Stream;
use futures::stream;
use http::HeaderMap;
use tonic::{Request, Status};

use super::{deadline, failure, request};
use crate::edge::{Due, Edge};
use crate::metrics::Read;

/// The pages of a read.
pub(super) type Pages = Pin<Box<dyn Stream<Item = Result<v1::ReadResponse, Status>> + Send>>;

/// Events and bytes of one message: small enough for any caller, large enough that messages cost nothing.
const MESSAGE_EVENTS: usize = 1024;
const MESSAGE_BYTES: usize = 1 << 20;

pub(super) async fn entity(
    edge: &Arc<Edge>,
    request: Request<v1::ReadEntityRequest>,
) -> Result<Pages, Error> {
    let due = due(edge, request.metadata().as_ref());
    let message = request.into_inner();
    let wanted = EntityRequest {
        entity: EntityId::parse(&message.entity_id).map_err(Rejection::from)?,
        from: message.from_version.map(Version::new),
        to: message.to_version.map(Version::new),
        view: View {
            direction: read::direction(message.backward),
            limit: message.limit,
            as_of: request::as_of(message.as_of)?,
            filter: request::filter(message.filter)?,
            consistency: request::consistency(message.consistency, Consistency::Linearizable)?,
            deadline: due.opened,
        },
    };
    let opened = edge.in_time(due.opened, due.app.read_entity(edge.principal(), wanted)).await;
    edge.metrics.read(Read::Entity, &opened);
    Ok(stream(crate::pages::Pages::of_one(edge.clone(), opened?).until(due.whole)))
}

pub(super) async fn partition(
    edge: &Arc<Edge>,
    request: Request<v1::ReadPartitionRequest>,
) -> Result<Pages, Error> {
    let due = due(edge, request.metadata().as_ref());
    let message = request.into_inner();
    let wanted = PartitionRequest {
        partition: chronos_proto::partition(message.partition).map_err(Rejection::from)?,
        from: message.from_position.map(Position::new),
        view: View {
            direction: read::direction(message.backward),
            limit: message.limit,
            as_of: request::as_of(message.as_of)?,
            filter: request::filter(message.filter)?,
            consistency: request::consistency(message.consistency, Consistency::Local)?,
            deadline: due.opened,
        },
    };
    let opened = edge.in_time(due.opened, due.app.read_partition(edge.principal(), wanted)).await;
    edge.metrics.read(Read::Partition, &opened);
    Ok(stream(crate::pages::Pages::of_one(edge.clone(), opened?).until(due.whole)))
}

pub(super) async fn all(edge: &Arc<Edge>, request: Request<v1::ReadAllRequest>) -> Result<Pages, Error> {
    let due = due(edge, request.metadata().as_ref());
    let message = request.into_inner();
    let cursor = request::cursor(&message.cursor)?;
    let wanted = AllRequest {
        from: cursor.clone(),
        view: View {
            direction: read::direction(message.backward),
            limit: message.limit,
            as_of: request::as_of(message.as_of)?,
            filter: request::filter(message.filter)?,
            consistency: request::consistency(message.consistency, Consistency::Local)?,
            deadline: due.opened,
        },
    };
    let opened = edge.in_time(due.opened, due.app.read_all(edge.principal(), wanted)).await;
    edge.metrics.read(Read::All, &opened);
    let pages = crate::pages::Pages::of_all(edge.clone(), opened?, &cursor.unwrap_or_default());
    Ok(stream(pages.until(due.whole)))
}

pub(super) async fn event(
    edge: &Arc<Edge>,
    request: Request<v1::GetEventRequest>,
) -> Result<v1::GetEventResponse, Error> {
    let by = edge.deadline(deadline::to_answer(request.metadata().as_ref()));
    let app = edge.app_until(request.metadata().as_ref(), by);
    let id = EventId::parse(&request.get_ref().event_id).map_err(Rejection::from)?;
    let found = edge.in_time(by, app.event(edge.principal(), id, by)).await;
    edge.metrics.read(Read::Event, &found);
    Ok(v1::GetEventResponse { event: Some((&found?).into()) })
}

pub(super) async fn state(
    edge: &Arc<Edge>,
    request: Request<v1::GetStateRequest>,
) -> Result<v1::GetStateResponse, Error> {
    let by = edge.deadline(deadline::to_answer(request.metadata().as_ref()));
    let app = edge.app_until(request.metadata().as_ref(), by);
    let message = request.into_inner();
    let wanted = StateRequest {
        entity: EntityId::parse(&message.entity_id).map_err(Rejection::from)?,
        as_of: request::as_of(message.as_of)?,
        occurred_until: message.occurred_until.map(Timestamp::new),
        reducer: reducer(message.reducer)?,
        consistency: request::consistency(message.consistency, Consistency::Linearizable)?,
        deadline: by,
    };
    let state = edge.in_time(by, app.state(edge.principal(), wanted)).await;
    edge.metrics.read(Read::State, &state);
    let state = state?;
    Ok(v1::GetStateResponse {
        version: state.version.get(),
        events: state.events,
        state: state.value.to_string().into(),
        token: state.token.to_string(),
        truncated_before: state.truncated_before.get(),
    })
}

/// When a read is due, by its headers.
fn due(edge: &Edge, headers: &HeaderMap) -> Due {
    edge.due(headers, deadline::to_begin(headers), deadline::to_answer(headers))
}

fn reducer(number: i32) -> Result<Reducer, Error> {
    Ok(match chronos_proto::Reducer::from_wire(number).map_err(Rejection::from)? {
        chronos_proto::Reducer::Merge => Reducer::Merge,
        chronos_proto::Reducer::Last => Reducer::Last,
        chronos_proto::Reducer::Count => Reducer::Count,
        chronos_proto::Reducer::List => Reducer::List,
    })
}

/// The read as messages: at least one, so that its token arrives even when it has no event.
fn stream(pages: crate::pages::Pages) -> Pages {
    let token = pages.token().to_string();
    Box::pin(stream::try_unfold((pages, true), move |(mut pages, first)| {
        let token = token.clone();
        async move {
            let events = pages.next(MESSAGE_EVENTS, MESSAGE_BYTES).await.map_err(failure::status)?;
            if events.is_empty() && !first {
                return Ok(None);
            }
            let cursor = pages.cursor().map(|cursor| cursor.to_string()).unwrap_or_default();
            let truncated_before = pages.truncated_before().get();
            let events = events.iter().map(Into::into).collect();
            let message = v1::ReadResponse { events, token, cursor, truncated_before };
            Ok(Some((message, (pages, false))))
        }
    }))
}
