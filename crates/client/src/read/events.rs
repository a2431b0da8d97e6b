//! The events of a read, as they arrive.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use chronos_domain::{Token, Version};
use chronos_proto::{Event, v1};
use futures::Stream;
use futures::future::BoxFuture;
use tonic::Status;

use super::order::Order;
use super::{Inbound, Read};
use crate::client::Inner;
use crate::outcome::ReadError;
use crate::pace::Deadline;
use crate::routing::{Missed, NOT_LEADER, Way};

/// How many connections in a row may break without an event between them.
const RESUMPTIONS_MAX: u32 = 8;

/// The events of a read, as a stream. Pages are fetched as they are consumed; flow control holds the server back.
///
/// When the connection breaks, the read goes on where it stood, over another one and perhaps at another node, and gives
/// the same events that it would have given: it reads the same past. The order is checked on arrival, across that, too.
/// Any other error ends the stream.
pub struct Events {
    client: Arc<Inner>,
    read: Read,
    source: Source,
    page: std::vec::IntoIter<v1::Event>,
    order: Order,
    seen: Seen,
    truncated_before: Version,
    /// Connections that broke since the last event.
    broken: u32,
    /// When it is given up, if no event comes before; once a connection broke.
    patience: Option<Deadline>,
}

/// Where pages come from.
enum Source {
    Open(Box<Inbound>),
    /// Another connection is being made.
    Opening(BoxFuture<'static, Result<Inbound, ReadError>>),
    Ended,
}

/// How far a read has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The past that is read.
    pub(super) token: Option<Token>,
    /// Where to go on after the last page.
    pub(super) cursor: String,
    /// The last event's version (of an entity) or position.
    pub(super) last: Option<u64>,
    /// How many events were returned.
    pub(super) returned: u64,
}

impl Events {
    pub(super) fn new(client: Arc<Inner>, read: Read, inbound: Inbound, order: Order) -> Self {
        Self {
            client,
            read,
            source: Source::Open(Box::new(inbound)),
            page: Vec::new().into_iter(),
            order,
            seen: Seen::default(),
            truncated_before: Version::ZERO,
            broken: 0,
            patience: None,
        }
    }

    /// The past that is read: as of this token the same read gives the same events for ever. Known from the first
    /// event on, and after the end of a read without events.
    #[must_use]
    pub const fn token(&self) -> Option<&Token> {
        self.seen.token.as_ref()
    }

    /// Of a read of one entity: the version before which its events have been erased, so that none of them is returned.
    /// 0 when none have. Known when [`token`](Self::token) is.
    #[must_use]
    pub const fn truncated_before(&self) -> Version {
        self.truncated_before
    }

    /// Of a read of all partitions: where to go on after the page of the last event. Only when
    /// [`page_is_done`](Self::page_is_done) has every event before it been returned.
    #[must_use]
    pub fn cursor(&self) -> &str {
        &self.seen.cursor
    }

    /// Whether every event that has arrived was returned.
    #[must_use]
    pub fn page_is_done(&self) -> bool {
        self.page.len() == 0
    }

    fn turn(&mut self, page: v1::ReadResponse) -> Result<(), ReadError> {
        if !page.token.is_empty() {
            self.seen.token =
                Some(Token::parse(&page.token).map_err(|invalid| ReadError::protocol(&invalid))?);
        }
        self.seen.cursor = page.cursor;
        self.truncated_before = Version::new(page.truncated_before);
        self.page = page.events.into_iter();
        Ok(())
    }

    fn take(&mut self) -> Option<Result<Event, ReadError>> {
        let event = match Event::try_from(self.page.next()?) {
            Ok(event) => event,
            Err(invalid) => return Some(Err(ReadError::protocol(&invalid))),
        };
        if let Err(breach) = self.order.next(&event) {
            return Some(Err(ReadError::new(breach)));
        }
        self.seen.last = Some(self.read.number(&event));
        self.seen.returned += 1;
        (self.broken, self.patience) = (0, None);
        Some(Ok(event))
    }

    /// Ends the stream.
    fn close(&mut self) {
        self.source = Source::Ended;
        self.page = Vec::new().into_iter();
    }

    /// Goes on over another connection after this end of one, if that can help.
    fn resume(&mut self, way: Way, status: &Status) -> Result<(), ReadError> {
        let missed = Missed::of(status);
        if missed.line_down {
            self.client.router.doubt(way);
        }
        let reason = missed.failure.reason.as_str();
        let passing = missed.line_down || matches!(reason, "UNAVAILABLE" | NOT_LEADER | "NOT_CAUGHT_UP");
        self.broken += 1;
        let patience = *self.patience.get_or_insert_with(|| self.client.options.due());
        if !passing || self.broken > RESUMPTIONS_MAX || patience.left().is_zero() {
            return Err(ReadError::new(missed.failure));
        }
        self.client.router.watcher.resumed();
        self.source = match self.read.rest(&self.seen) {
            None => Source::Ended,
            Some(rest) => {
                let client = self.client.clone();
                Source::Opening(Box::pin(async move { rest.ask(&client).await }))
            }
        };
        Ok(())
    }

    fn poll_page(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), ReadError>>> {
        loop {
            match &mut self.source {
                Source::Ended => return Poll::Ready(None),
                Source::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(inbound) => self.source = Source::Open(Box::new(inbound)),
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
                Source::Open(inbound) => match ready!(Pin::new(&mut inbound.answer).poll_next(cx)) {
                    None => return Poll::Ready(None),
                    Some(Ok(page)) => return Poll::Ready(Some(self.turn(page))),
                    Some(Err(status)) => {
                        let way = inbound.way;
                        if let Err(error) = self.resume(way, &status) {
                            return Poll::Ready(Some(Err(error)));
                        }
                    }
                },
            }
        }
    }
}

impl Stream for Events {
    type Item = Result<Event, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(event) = self.take() {
                if event.is_err() {
                    self.close();
                }
                return Poll::Ready(Some(event));
            }
            match ready!(self.poll_page(cx)) {
                Some(Ok(())) => {}
                None => {
                    self.close();
                    return Poll::Ready(None);
                }
                Some(Err(error)) => {
                    self.close();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("read", &self.read).field("seen", &self.seen).finish_non_exhaustive()
    }
}
