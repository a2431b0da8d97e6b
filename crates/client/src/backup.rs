//! Copying everything that a cluster has at rest.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chronos_domain::xxh64::xxh64;
use chronos_domain::{Invalid, PartitionId};
use chronos_proto::v1::copy_request::{Ask, Begin, Fetch};
use chronos_proto::v1::copy_response::{Answer, Chunk};
use chronos_proto::{Class, Failure, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Streaming};

use crate::client::Client;
use crate::connections::backup_rpc;
use crate::outcome::ReadError;
use crate::pace::{Deadline, wait_until};
use crate::routing::Aim;

/// How long the next piece of a file may take; the node gives up what it waits for before.
const PIECE_MAX: Duration = Duration::from_secs(60);
/// The longest listing that is taken: some ten million parts.
const LISTING_BYTES_MAX: usize = 2 << 30;

/// One backup, by way of the node that answers: a listing, and the files it names, which stay as they are until this is
/// dropped. The node gives it up when nothing is asked of it for two minutes.
pub struct Backup {
    asks: mpsc::Sender<v1::CopyRequest>,
    answers: Streaming<v1::CopyResponse>,
    listing: Bytes,
}

/// The bytes of one file, piece by piece.
pub struct Fetched<'a> {
    answers: &'a mut Streaming<v1::CopyResponse>,
    at: u64,
    ended: bool,
}

/// What is asked, and what is answered, of a call that was begun.
pub(crate) type Call = (mpsc::Sender<v1::CopyRequest>, Streaming<v1::CopyResponse>);

/// Both ends of what is going to be asked.
pub(crate) fn asking() -> (mpsc::Sender<v1::CopyRequest>, ReceiverStream<v1::CopyRequest>) {
    let (asks, requests) = mpsc::channel(1);
    (asks, ReceiverStream::new(requests))
}

impl Client {
    /// Begins a backup: the node makes parts of everything that is applied, has other nodes do so with what it does not
    /// hold, and says what all of it consists of. Waits as long as that goes on, and no longer than
    /// [`Options::work_deadline`](crate::Options::work_deadline); a node that waits for others in vain says so after half a
    /// minute, or by then.
    ///
    /// # Errors
    /// See [`ReadError`]. Nothing was changed but how the node holds its events.
    pub async fn backup(&self) -> Result<Backup, ReadError> {
        self.backup_telling(|_| {}).await
    }

    /// The same; every few seconds, as long as it is not ready, `told` is what is waited for: of which partitions, on which
    /// nodes, in words for people.
    ///
    /// # Errors
    /// As [`Client::backup`].
    pub async fn backup_telling(&self, told: impl FnMut(&str)) -> Result<Backup, ReadError> {
        let ask = |over| async move {
            let mut rpc = backup_rpc(over);
            let (asks, requests) = asking();
            Ok(Response::new((asks, rpc.copy(requests).await?.into_inner())))
        };
        let (inner, until) = (&self.inner, self.inner.options.work_due());
        let call = match until {
            Some(until) => inner.call_until(Aim::Named, until, ask).await?,
            None => inner.call_long(Aim::Named, ask).await?,
        };
        Backup::begin(call, until, told).await
    }
}

impl Backup {
    /// All that is to be copied has to be made ready by `until`; what is waited for is `told`.
    pub(crate) async fn begin(
        (asks, answers): Call,
        until: Option<Deadline>,
        told: impl FnMut(&str),
    ) -> Result<Self, ReadError> {
        let mut backup = Self { asks, answers, listing: Bytes::new() };
        let listing = async {
            backup.ask(Ask::Begin(Begin { tell: true })).await?;
            backup.read_listing(told).await
        };
        let listing = wait_until(until, "what is to be copied was not made ready", listing).await;
        backup.listing = listing.map_err(ReadError::new)??;
        Ok(backup)
    }

    /// The bytes of the file that says what the backup consists of: cluster, token, and every file with its length and
    /// its hash.
    #[must_use]
    pub fn listing(&self) -> Bytes {
        self.listing.clone()
    }

    /// One file of the listing, from byte `offset` on. To be read to its end before the next one is fetched.
    ///
    /// # Errors
    /// See [`ReadError`]: the backup is over; begin another and fetch what is missing.
    pub async fn fetch(
        &mut self,
        partition: PartitionId,
        name: &str,
        offset: u64,
    ) -> Result<Fetched<'_>, ReadError> {
        self.ask(Ask::Fetch(Fetch { partition: partition.get().into(), name: name.to_owned(), offset }))
            .await?;
        Ok(Fetched { answers: &mut self.answers, at: offset, ended: false })
    }

    async fn ask(&mut self, ask: Ask) -> Result<(), ReadError> {
        if self.asks.send(v1::CopyRequest { ask: Some(ask) }).await.is_ok() {
            return Ok(());
        }
        // The call has ended; its answers say why.
        Err(match self.answers.message().await {
            Err(status) => ReadError::new(Failure::from_status(&status)),
            Ok(_) => cut_short(),
        })
    }

    async fn read_listing(&mut self, mut told: impl FnMut(&str)) -> Result<Bytes, ReadError> {
        let mut listing = BytesMut::new();
        loop {
            let piece = match answer(&mut self.answers).await? {
                Answer::Listing(piece) => piece,
                Answer::Waiting(waiting) => {
                    told(&waiting.text);
                    continue;
                }
                Answer::Chunk(_) => return Err(garbled("a piece of a file came where the listing was due")),
            };
            listing.extend_from_slice(&piece.bytes);
            if piece.last {
                return Ok(listing.freeze());
            }
            if listing.len() > LISTING_BYTES_MAX {
                return Err(garbled("the listing does not end"));
            }
        }
    }
}

impl Fetched<'_> {
    /// The bytes that follow; `None` at the end of the file.
    ///
    /// # Errors
    /// See [`ReadError`]: the backup is over.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        if self.ended {
            return Ok(None);
        }
        let next = Deadline::after(PIECE_MAX).bound(answer(self.answers)).await;
        let Answer::Chunk(chunk) = next.ok_or_else(|| garbled("the node sent nothing for a minute"))?? else {
            return Err(garbled("a piece of the listing came where a file was due"));
        };
        let Chunk { offset, bytes, checksum, last } = chunk;
        if offset != self.at {
            return Err(garbled(&format!("byte {offset} of a file came where byte {} was due", self.at)));
        }
        if xxh64(&bytes, 0) != checksum {
            return Err(garbled("a piece of a file was damaged on its way"));
        }
        self.at += bytes.len() as u64;
        self.ended = last;
        Ok(Some(bytes))
    }
}

async fn answer(answers: &mut Streaming<v1::CopyResponse>) -> Result<Answer, ReadError> {
    match answers.message().await {
        Ok(Some(message)) => {
            let unknown = || ReadError::protocol(&Invalid::new("answer", "is none that this release knows"));
            message.answer.ok_or_else(unknown)
        }
        Ok(None) => Err(cut_short()),
        Err(status) => Err(ReadError::new(Failure::from_status(&status))),
    }
}

fn cut_short() -> ReadError {
    garbled("the node ended the backup before its end")
}

fn garbled(what: &str) -> ReadError {
    let text = format!("{what}; run the backup again, it goes on where this one ended");
    ReadError::Unavailable(Failure::new(Class::Failed, "UNAVAILABLE", text))
}
