//! `chronos.v1.Query`: an answer as an Arrow IPC stream, cut into messages.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use chronos_app::{Class, Error, Reason};
use chronos_proto::v1;
use chronos_proto::v1::query_response::Part;
use chronos_proto::v1::query_server::Query;
use futures::Stream;
use futures::stream::{self, StreamExt};
use tonic::{Request, Response, Status};

use super::{deadline, failure, request};
use crate::edge::Edge;
use crate::query::{self, Answering, Asked};

/// Bytes of one message, at most.
const MESSAGE_BYTES: usize = 1 << 20;

/// The service.
pub(super) struct Service {
    pub(super) edge: Arc<Edge>,
}

type Messages = Pin<Box<dyn Stream<Item = Result<v1::QueryResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Query for Service {
    type QueryStream = Messages;

    /// Answers at once with a stream, in which everything else happens: a question may take longer than the head of
    /// an answer may.
    async fn query(&self, request: Request<v1::QueryRequest>) -> Result<Response<Messages>, Status> {
        let within = deadline::to_answer(request.metadata().as_ref());
        let asked = asked(request.into_inner(), within).map_err(failure::status)?;
        let edge = self.edge.clone();
        let messages = stream::once(async move {
            let answering = query::open(&edge, asked).await.map_err(failure::status)?;
            Ok::<_, Status>(messages(answering))
        });
        let messages = messages.flat_map(|opened| match opened {
            Ok(messages) => messages,
            Err(status) => Box::pin(stream::once(async { Err(status) })),
        });
        Ok(Response::new(Box::pin(messages)))
    }
}

fn asked(message: v1::QueryRequest, within: Option<Duration>) -> Result<Asked, Error> {
    let limits = message.limits.unwrap_or_default();
    Ok(Asked {
        sql: message.sql,
        as_of: request::as_of(message.as_of)?,
        rows: limits.rows,
        time: limits.time_ms.map(Duration::from_millis),
        within,
    })
}

/// The answer in order: schema, rows, the end of the Arrow stream, stats.
fn messages(answering: Answering) -> Messages {
    let chunks = stream::try_unfold(Sending { answering, writer: None, done: false }, |mut sending| async {
        match sending.next().await.map_err(failure::status)? {
            Some(parts) => Ok(Some((stream::iter(parts.into_iter().map(Ok::<_, Status>)), sending))),
            None => Ok(None),
        }
    });
    Box::pin(chunks.flat_map(|parts: Result<_, Status>| match parts {
        Ok(parts) => parts.map(|part| part.map(|part| v1::QueryResponse { part: Some(part) })).boxed(),
        Err(status) => stream::once(async { Err(status) }).boxed(),
    }))
}

struct Sending {
    answering: Answering,
    /// `None` before the schema was written.
    writer: Option<StreamWriter<Vec<u8>>>,
    done: bool,
}

impl Sending {
    /// The next parts, in order; `None` after the last.
    async fn next(&mut self) -> Result<Option<Vec<Part>>, Error> {
        if self.done {
            return Ok(None);
        }
        let Some(writer) = &mut self.writer else {
            let writer = StreamWriter::try_new(Vec::new(), self.answering.schema()).map_err(unwritable)?;
            return Ok(Some(arrow(self.writer.insert(writer).get_mut())));
        };
        match self.answering.next().await? {
            Some(batch) => writer.write(&batch).map_err(unwritable)?,
            None => {
                writer.finish().map_err(unwritable)?;
                self.done = true;
            }
        }
        let mut parts = arrow(writer.get_mut());
        if self.done {
            parts.push(Part::Stats(stats(&self.answering)));
        }
        Ok(Some(parts))
    }
}

/// What was written since the last time, in pieces that every caller takes.
fn arrow(written: &mut Vec<u8>) -> Vec<Part> {
    let mut left = Bytes::from(std::mem::take(written));
    let mut parts = Vec::new();
    while !left.is_empty() {
        parts.push(Part::Arrow(left.split_to(left.len().min(MESSAGE_BYTES))));
    }
    parts
}

fn stats(answering: &Answering) -> v1::QueryStats {
    let (stats, took) = answering.cost();
    v1::QueryStats {
        token: answering.token().to_string(),
        rows_returned: stats.rows_returned,
        partitions_read: stats.partitions_read,
        files: stats.files,
        files_read: stats.files_read,
        pages_read: stats.pages_read,
        file_rows_read: stats.file_rows_read,
        tail_rows_read: stats.tail_rows_read,
        id_rows_read: stats.id_rows_read,
        time_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}

fn unwritable(error: arrow::error::ArrowError) -> Error {
    let text =
        format!("the answer cannot be written as an Arrow stream: {error}; cast its columns to plain types");
    Error::new(Class::Failed, Reason::Internal, text)
}
