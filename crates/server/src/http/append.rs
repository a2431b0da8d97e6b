//! `POST /v1/events`: one event, or a request of many with expectations and a condition.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use chronos_app::{DURABILITY, Error};
use chronos_block::{Block, Compression, Packer};
use chronos_domain::limits::BATCH_EVENTS_MAX;
use chronos_domain::{
    Condition, EntityId, EventId, EventType, Expectation, Position, QueryItem, Rejection, Tag, Version,
};
use chronos_proto::append::of_event;
use chronos_proto::json::EventJson;
use http::HeaderMap;
use serde::de::{IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::query::Query;
use super::{Problem, body};
use crate::edge::Edge;

/// Appends.
pub(super) async fn append(
    State(edge): State<Arc<Edge>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let mut query = Query::parse(query.as_deref())?;
    let deadline = edge.deadline(query.patience()?);
    query.end()?;
    let body = body::json(&edge, &headers, body, deadline).await?;
    let (block, ids) = pack(parse(&body)?, || edge.mint())?;
    let appended = edge.append(edge.app_for(&headers), block, deadline).await?;
    Ok(Json(json!({
        "partition": appended.partition.get(),
        "first_position": appended.first_position.get(),
        "versions": appended.versions.iter().map(|version| version.get()).collect::<Vec<_>>(),
        "event_ids": ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "recorded_at": appended.recorded_at.get(),
        "deduplicated": appended.deduplicated,
        "token": appended.token.to_string(),
        "durability": DURABILITY,
    })))
}

/// A request. Members that are not known are refused by name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    #[serde(borrow, default)]
    events: Vec<EventJson<'a>>,
    #[serde(default)]
    expectations: Vec<ExpectationJson>,
    condition: Option<ConditionJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectationJson {
    entity_id: String,
    #[serde(deserialize_with = "expectation")]
    expect: Expectation,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionJson {
    fail_if: Vec<ItemJson>,
    #[serde(default)]
    after: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemJson {
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
}

/// Reads a body: a request when it has a member of one, else one event.
fn parse(body: &[u8]) -> Result<Request<'_>, Error> {
    let text = std::str::from_utf8(body)
        .map_err(|error| malformed(&format!("it is not UTF-8 from byte {} on", error.valid_up_to())))?;
    let members: BTreeMap<String, IgnoredAny> =
        serde_json::from_str(text).map_err(|error| malformed(&error))?;
    let request = ["events", "expectations", "condition"].iter().any(|name| members.contains_key(*name));
    if request {
        return serde_json::from_str(text).map_err(|error| malformed(&error));
    }
    let event = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    Ok(Request { events: vec![event], expectations: Vec::new(), condition: None })
}

fn malformed(what: &impl fmt::Display) -> Error {
    Error::invalid(format!("the body is not an append: {what}; see /v1/openapi.json")).with("field", "body")
}

/// Packs the request, and gives the ids of its events.
fn pack(request: Request<'_>, mint: impl Fn() -> EventId) -> Result<(Block, Vec<EventId>), Error> {
    Rejection::bound("events", BATCH_EVENTS_MAX, request.events.len())?;
    let mut packer = Packer::new();
    for expected in request.expectations {
        let entity = EntityId::parse(&expected.entity_id).map_err(Rejection::from)?;
        packer.expect(entity, expected.expect).map_err(Rejection::from)?;
    }
    if let Some(wanted) = request.condition {
        packer.condition(condition(wanted)?)?;
    }
    let mut ids = Vec::with_capacity(request.events.len());
    for (i, event) in request.events.into_iter().enumerate() {
        let draft = event.into_draft(&mint).map_err(|invalid| Rejection::from(of_event(i, &invalid)))?;
        ids.push(draft.event_id);
        packer.push(draft).map_err(|rejection| at_event(i, rejection))?;
    }
    Ok((packer.finish(Compression::None)?, ids))
}

/// A bound that event `i` breaks, alone or on top of those before it. Other rejections name their event themselves.
fn at_event(i: usize, rejection: Rejection) -> Error {
    let outgrown = matches!(rejection, Rejection::TooLarge { .. });
    let mut error = Error::from(rejection);
    if outgrown {
        error.message = format!("at event {i}: {}", error.message);
        return error.with("event", i);
    }
    error
}

fn condition(wanted: ConditionJson) -> Result<Condition, Rejection> {
    let item = |item: ItemJson| {
        let types = item.types.iter().map(|kind| EventType::parse(kind)).collect::<Result<_, _>>()?;
        let tags = item.tags.iter().map(|tag| Tag::parse(tag)).collect::<Result<_, _>>()?;
        Ok(QueryItem { types, tags })
    };
    let fail_if = wanted.fail_if.into_iter().map(item).collect::<Result<_, Rejection>>()?;
    Ok(Condition { fail_if, after: Position::new(wanted.after) })
}

fn expectation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Expectation, D::Error> {
    struct Word;
    impl Visitor<'_> for Word {
        type Value = Expectation;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("\"any\", \"none\", \"exists\" or a version")
        }

        fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Expectation, E> {
            match word {
                "any" => Ok(Expectation::Any),
                "none" => Ok(Expectation::NoEntity),
                "exists" => Ok(Expectation::Exists),
                _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
            }
        }

        fn visit_u64<E>(self, version: u64) -> Result<Expectation, E> {
            Ok(Expectation::Exact(Version::new(version)))
        }
    }
    deserializer.deserialize_any(Word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> String {
        match parse(body.as_bytes()) {
            Ok(_) => panic!("{body} must be refused"),
            Err(error) => error.message,
        }
    }

    #[test]
    fn one_event_alone_is_a_request_of_one() {
        let request = parse(br#"{"entity_id":"a","event_type":"t","payload":{"x":1}}"#).unwrap();
        assert_eq!(request.events.len(), 1);
        assert_eq!(request.events[0].payload.get(), r#"{"x":1}"#);
    }

    #[test]
    fn every_expectation_can_be_written() {
        let body = br#"{"expectations":[{"entity_id":"a","expect":"any"},{"entity_id":"b","expect":"none"},
            {"entity_id":"c","expect":"exists"},{"entity_id":"d","expect":7}]}"#;
        let expected: Vec<_> = parse(body).unwrap().expectations.into_iter().map(|e| e.expect).collect();
        let wanted = [
            Expectation::Any,
            Expectation::NoEntity,
            Expectation::Exists,
            Expectation::Exact(Version::new(7)),
        ];
        assert_eq!(expected, wanted);
    }

    #[test]
    fn an_unknown_member_is_refused_by_name_at_every_level() {
        for (body, name) in [
            (r#"{"entity_id":"a","event_type":"t","payload":1,"colour":2}"#, "colour"),
            (r#"{"events":[],"expections":[]}"#, "expections"),
            (r#"{"events":[{"entity_id":"a","event_type":"t","payload":1,"tag":"x"}]}"#, "tag"),
            (r#"{"expectations":[{"entity_id":"a","expect":"any","why":1}]}"#, "why"),
            (r#"{"condition":{"fail_if":[{"type":"t"}]}}"#, "type"),
            (r#"{"condition":{"fail_if":[],"before":3}}"#, "before"),
        ] {
            let why = refusal(body);
            assert!(why.contains(&format!("`{name}`")), "{body}: {why}");
        }
    }

    #[test]
    fn an_event_that_is_too_large_is_named_by_its_place() {
        let event = |payload: usize, metadata: usize, tags: usize| {
            let tags: Vec<_> = (0..tags).map(|n| n.to_string()).collect();
            let (payload, metadata) = ("x".repeat(payload), json!({"m": "x".repeat(metadata)}));
            json!({"entity_id": "a", "event_type": "t", "payload": payload, "metadata": metadata, "tags": tags})
        };
        for (large, limit) in [
            (event(1 << 20, 1, 0), "payload bytes"),
            (event(1, 64 << 10, 0), "metadata bytes"),
            (event(1, 1, 17), "tags"),
        ] {
            let body = json!({"events": [event(1, 1, 0), event(1, 1, 0), large]}).to_string();
            let minted = std::cell::Cell::new(0);
            let mint = || {
                minted.set(minted.get() + 1);
                EventId::from_u128(minted.get())
            };
            let Err(error) = pack(parse(body.as_bytes()).unwrap(), mint) else {
                panic!("{limit} are checked")
            };
            assert!(error.message.starts_with("at event 2: "), "{}", error.message);
            assert!(error.message.contains(limit), "{}", error.message);
            assert!(error.details.contains(&("event", "2".to_owned())), "{error:?}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for body in [
            "",
            "[]",
            "7",
            "{",
            r#"{"entity_id":"a"}"#,
            r#"{"entity_id":7,"event_type":"t","payload":1}"#,
            r#"{"expectations":[{"entity_id":"a","expect":"some"}]}"#,
            r#"{"expectations":[{"entity_id":"a","expect":-1}]}"#,
            r#"{"entity_id":"a","event_type":"t","payload":1} x"#,
        ] {
            assert!(refusal(body).contains("not an append"), "{body}");
        }
        assert!(parse(b"{\"entity_id\":\"\xff\"}").is_err());
    }
}
