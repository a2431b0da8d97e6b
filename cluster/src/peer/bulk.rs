//! Files, from one node to another: in chunks, at a limited rate, from any offset.

use std::sync::Arc;

use bytes::Bytes;
use chronos_proto::peer::v1::{self, bulk_response};
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Status, Streaming};

use super::dial::{Dialer, First, lost};
use super::doorman::Pass;
use super::error::{CallError, Cause, Refusal};
use super::http2::Http2;
use super::pace::Pace;
use super::stats::{Counters, count};
use crate::NodeId;

/// Something whose bytes never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkItem {
    /// The group it belongs to.
    pub group: u8,
    /// Which one; a content hash, say.
    pub name: String,
}

/// Where files for other nodes come from; implemented by whoever has them.
pub trait BulkSource: Send + Sync + 'static {
    /// Looks `item` up for `to`, whose identity is checked. What is returned is held for as long as the transfer lasts.
    fn open(&self, to: NodeId, item: &BulkItem) -> BoxFuture<'static, Result<Arc<dyn BulkFile>, Refusal>>;
}

/// Something to send, held so that its bytes stay readable until this is dropped.
pub trait BulkFile: Send + Sync + 'static {
    /// How many bytes it has.
    fn bytes(&self) -> u64;

    /// Reads `len` bytes from `offset` on; both lie within the file.
    fn read(&self, offset: u64, len: usize) -> BoxFuture<'static, Result<Bytes, Refusal>>;
}

/// A node that has no files for others.
#[derive(Clone, Copy, Debug)]
pub struct NoBulk;

impl BulkSource for NoBulk {
    fn open(&self, _: NodeId, item: &BulkItem) -> BoxFuture<'static, Result<Arc<dyn BulkFile>, Refusal>> {
        let refusal =
            Refusal::new(Refusal::MALFORMED, format!("there is no {}: this node has no files", item.name));
        Box::pin(async move { Err(refusal) })
    }
}

/// A file on its way here. Dropping it ends the transfer.
pub struct Bulk {
    dialer: Arc<Dialer>,
    from: NodeId,
    incoming: Streaming<v1::BulkResponse>,
    offset: u64,
    total_bytes: Option<u64>,
    _connection: Http2,
}

impl std::fmt::Debug for Bulk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bulk from {} at {} of {:?}", self.from, self.offset, self.total_bytes)
    }
}

impl Bulk {
    pub(super) async fn open(
        dialer: Arc<Dialer>,
        from: NodeId,
        address: &str,
        item: BulkItem,
        offset: u64,
    ) -> Result<Bulk, CallError> {
        let within = dialer.limits.connect_timeout;
        let begun = dialer.env.clock.timeout(within, begin(&dialer, from, address, item, offset)).await;
        let begun = begun.unwrap_or_else(|_| {
            Err(Cause::NoConnection(format!("{address} did not answer within {within:?}").into()))
        });
        let (connection, incoming) = begun.map_err(|cause| CallError::Unreachable { to: from, cause })?;
        Ok(Bulk { dialer, from, incoming, offset, total_bytes: None, _connection: connection })
    }

    /// How far it has come: to resume after a failure, open another one from here.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of the whole file, once the first chunk is here.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// The next bytes; `None` at the end, when all of them were had. What they are worth is the caller's to check, against
    /// a hash. Cancel-safe.
    ///
    /// # Errors
    /// [`CallError::Refused`] when it cannot be had, any other when the connection broke or nothing came for too long. Then
    /// this transfer is over.
    pub async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        if self.total_bytes == Some(self.offset) {
            return Ok(None);
        }
        let patience = self.dialer.limits.bulk_patience;
        let lost = |cause| CallError::Unreachable { to: self.from, cause };
        let message = match self.dialer.env.clock.timeout(patience, self.incoming.message()).await {
            Ok(message) => message.map_err(|status| lost(self::lost(&status)))?,
            Err(_) => return Err(lost(Cause::Deadline(patience))),
        };
        match message.and_then(|message| message.message) {
            Some(bulk_response::Message::Chunk(chunk)) => self.take(chunk).map_err(|what| {
                CallError::Unreachable { to: self.from, cause: Cause::Malformed(what.into()) }
            }),
            Some(bulk_response::Message::Refusal(v1::Refusal { code, text })) => {
                Err(CallError::Refused { from: self.from, refusal: Refusal { code, text } })
            }
            _ => Err(lost(Cause::ConnectionLost("the transfer ended early".into()))),
        }
    }

    /// A chunk, if it continues what came before. Nothing for an empty file, which is at its end.
    fn take(&mut self, chunk: v1::Chunk) -> Result<Option<Bytes>, &'static str> {
        if chunk.offset != self.offset {
            return Err("a chunk does not continue the one before");
        }
        if self.total_bytes.is_some_and(|total| total != chunk.total_bytes) {
            return Err("the file changed its size");
        }
        let end = chunk.offset + chunk.data.len() as u64;
        if end > chunk.total_bytes || (chunk.data.is_empty() && end < chunk.total_bytes) {
            return Err("a chunk is empty or beyond the end");
        }
        self.total_bytes = Some(chunk.total_bytes);
        self.offset = end;
        count(&self.dialer.counters.bulk_bytes_received, chunk.data.len() as u64);
        Ok((!chunk.data.is_empty()).then_some(chunk.data))
    }
}

async fn begin(
    dialer: &Dialer,
    from: NodeId,
    address: &str,
    item: BulkItem,
    offset: u64,
) -> Result<(Http2, Streaming<v1::BulkResponse>), Cause> {
    let mut connection = dialer.open(from, address).await?;
    let hello = Some(dialer.hello(from).to_wire());
    let asked = dialer.env.clock.monotonic();
    let request = v1::BulkRequest { hello, group: item.group.into(), name: item.name, offset };
    let mut incoming = connection.client.bulk(request).await.map_err(|status| lost(&status))?.into_inner();
    let first = incoming.message().await.map_err(|status| lost(&status))?;
    let first = match first.and_then(|first| first.message) {
        Some(bulk_response::Message::Welcome(welcome)) => First::Welcome(welcome),
        Some(bulk_response::Message::Turned(turned)) => First::Turned(turned),
        _ => First::Other,
    };
    // Not held: a transfer that nobody looks after must not make a node count as alive.
    drop(dialer.judge(first, from, asked)?);
    Ok((connection, incoming))
}

/// A file on its way to another node.
pub(super) struct Sending {
    pub(super) source: Arc<dyn BulkSource>,
    pub(super) pace: Arc<Pace>,
    pub(super) counters: Arc<Counters>,
    pub(super) chunk_bytes: usize,
    pub(super) pass: Pass,
    pub(super) item: BulkItem,
    pub(super) offset: u64,
    /// `None` before it was looked up.
    pub(super) file: Option<Arc<dyn BulkFile>>,
    /// `None` when it is one too many.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

pub(super) type BulkStream = BoxStream<'static, Result<v1::BulkResponse, Status>>;

impl Sending {
    pub(super) fn stream(self, welcome: v1::Welcome) -> BulkStream {
        let welcome = stream::iter([bulk_response::Message::Welcome(welcome)]);
        let chunks = stream::unfold(Some(self), |state| async {
            let mut sending = state?;
            let (message, is_last) = match sending.chunk().await {
                Ok(chunk) => {
                    let is_last = sending.offset == chunk.total_bytes;
                    (bulk_response::Message::Chunk(chunk), is_last)
                }
                Err(Refusal { code, text }) => {
                    (bulk_response::Message::Refusal(v1::Refusal { code, text }), true)
                }
            };
            Some((message, (!is_last).then_some(sending)))
        });
        let messages = welcome.chain(chunks);
        messages.map(|message| Ok(v1::BulkResponse { message: Some(message) })).boxed()
    }

    async fn chunk(&mut self) -> Result<v1::Chunk, Refusal> {
        if self.permit.is_none() {
            return Err(Refusal::new(Refusal::BUSY, "too many files are being sent; ask again later"));
        }
        let file = self.file().await?;
        let total_bytes = file.bytes();
        let left = total_bytes.checked_sub(self.offset).ok_or_else(|| {
            let text = format!("{} has {total_bytes} bytes; {} were asked from", self.item.name, self.offset);
            Refusal::new(Refusal::MALFORMED, text)
        })?;
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(self.chunk_bytes);
        let data = if len == 0 { Bytes::new() } else { file.read(self.offset, len).await? };
        if data.len() != len {
            let text = format!("{} gave {} bytes of {len}", self.item.name, data.len());
            return Err(Refusal::new(Refusal::FAILED, text));
        }
        self.pace.pay(len).await;
        count(&self.counters.bulk_bytes_sent, len as u64);
        let chunk = v1::Chunk { offset: self.offset, total_bytes, data };
        self.offset += len as u64;
        Ok(chunk)
    }

    /// What is sent, looked up once: it is held until the transfer is over.
    async fn file(&mut self) -> Result<Arc<dyn BulkFile>, Refusal> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let file = self.source.open(self.pass.node, &self.item).await?;
        Ok(Arc::clone(self.file.insert(file)))
    }
}
