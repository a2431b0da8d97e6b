//! `POST /v1/sql`: a question and its answer as JSON.

use std::sync::Arc;
use std::time::Duration;

use std::convert::Infallible;

use arrow::json::WriterBuilder;
use arrow::json::writer::JsonArray;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chronos_app::{Class, Error, Reason};
use futures::stream;
use http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Problem, body, moment};
use crate::edge::Edge;
use crate::query::{self, Answering, Asked};

/// Bytes of the rows of one answer, which is made as a whole before it is sent.
const ROWS_BYTES_MAX: usize = 64 << 20;
/// Bytes of all answers that are being made or sent, on this node.
pub(crate) const ANSWERS_BYTES_MAX: usize = 256 << 20;
/// After how long a caller may ask again whose answer found no room.
const NO_ROOM_RETRY_MS: u64 = 1000;

/// Answers a question.
pub(super) async fn ask(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = body::json(&edge, &headers, body, edge.deadline(None)).await?;
    let mut answering = query::open(&edge, parse(&body)?).await?;
    let mut room = Room { answers: edge.sql_answers.clone(), taken: None };
    let rows = rows(&mut answering, &mut room).await?;
    let text = Bytes::from(written(&answering, &rows));
    // The room is given back when the last piece is taken: whoever does not read keeps what he asked for, and no more.
    let body = stream::unfold((text, room), |(mut left, room)| async move {
        let piece = left.split_to(left.len().min(PIECE_BYTES));
        (!piece.is_empty()).then_some((Ok::<_, Infallible>(piece), (left, room)))
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(body)).into_response())
}

/// Bytes that are handed to a connection at once.
const PIECE_BYTES: usize = 64 << 10;

/// What an answer takes of the memory for all answers, until it is sent or given up.
struct Room {
    answers: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Makes sure that so many bytes are taken, or says that there is no room.
    fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        let missing = bytes.saturating_sub(self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        let more = self.answers.clone().try_acquire_many_owned(u32::try_from(missing).unwrap_or(u32::MAX));
        let more = more.map_err(|_| {
            let text = "too many large answers are being made or wait to be read on this node; try again later, ask \
                        for less, or ask over gRPC";
            Error::new(Class::Failed, Reason::ResourceExhausted, text).retry_after_ms(NO_ROOM_RETRY_MS)
        })?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// A question. Members that are not known are refused by name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    sql: String,
    as_of: Option<Value>,
    #[serde(default)]
    limits: Limits,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    rows: Option<u64>,
    time_ms: Option<u64>,
}

fn parse(body: &[u8]) -> Result<Asked, Error> {
    let request: Request = serde_json::from_slice(body).map_err(|error| {
        Error::invalid(format!("the body is not a question: {error}; see /v1/openapi.json"))
    })?;
    let as_of = match request.as_of {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(moment::as_of(&text)?),
        Some(Value::Number(micros)) => Some(moment::as_of(&micros.to_string())?),
        Some(other) => {
            return Err(
                Error::invalid(format!("as_of is {other}; give a time or a token")).with("field", "as_of")
            );
        }
    };
    let (rows, time) = (request.limits.rows, request.limits.time_ms.map(Duration::from_millis));
    Ok(Asked { sql: request.sql, as_of, rows, time, within: None })
}

/// All rows as one JSON array of objects.
async fn rows(answering: &mut Answering, room: &mut Room) -> Result<Vec<u8>, Error> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
    while let Some(batch) = answering.next().await? {
        writer.write(&batch).map_err(unwritable)?;
        let bytes = writer.get_ref().len();
        if bytes > ROWS_BYTES_MAX {
            let text = format!(
                "the answer has more than the {ROWS_BYTES_MAX} bytes allowed over HTTP; select fewer columns, add \
                 LIMIT, or ask over gRPC"
            );
            let error = Error::new(Class::Rejected, Reason::TooLarge, text);
            return Err(error.with("limit", "answer bytes").with("max", ROWS_BYTES_MAX));
        }
        room.grow(bytes)?;
    }
    writer.finish().map_err(unwritable)?;
    let written = writer.into_inner();
    Ok(if written.is_empty() { b"[]".to_vec() } else { written })
}

fn written(answering: &Answering, rows: &[u8]) -> Vec<u8> {
    let fields = answering.schema().fields();
    let columns: Vec<_> = fields
        .iter()
        .map(|field| json!({"name": field.name(), "type": field.data_type().to_string()}))
        .collect();
    let (stats, took) = answering.cost();
    let stats = json!({
        "token": answering.token().to_string(),
        "rows_returned": stats.rows_returned,
        "partitions_read": stats.partitions_read,
        "files": stats.files,
        "files_read": stats.files_read,
        "pages_read": stats.pages_read,
        "file_rows_read": stats.file_rows_read,
        "tail_rows_read": stats.tail_rows_read,
        "id_rows_read": stats.id_rows_read,
        "time_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    });
    let mut text = format!("{{\"columns\":{},\"rows\":", Value::Array(columns)).into_bytes();
    text.extend_from_slice(rows);
    text.extend_from_slice(format!(",\"stats\":{stats}}}").as_bytes());
    text
}

fn unwritable(error: arrow::error::ArrowError) -> Error {
    let text = format!("the answer cannot be written as JSON: {error}; cast its columns to plain types");
    Error::new(Class::Failed, Reason::Internal, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_share_their_room_and_give_it_back_when_they_are_gone() {
        let answers = Arc::new(Semaphore::new(100));
        let room = || Room { answers: answers.clone(), taken: None };
        let (mut first, mut second) = (room(), room());
        assert!(first.grow(40).is_ok() && first.grow(70).is_ok() && first.grow(10).is_ok());
        assert_eq!(answers.available_permits(), 30);
        let refused = second.grow(31).unwrap_err();
        assert_eq!(refused.reason, Reason::ResourceExhausted);
        assert_eq!(answers.available_permits(), 30, "who is refused takes nothing");
        drop(first);
        assert!(second.grow(100).is_ok());
    }
}
