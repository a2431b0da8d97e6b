//! The events of a read, as they arrive.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use chronos_domain::{Token, Version};
use chronos_proto::{Event, Failure, v1};
use futures::Stream;
use tonic::Streaming;

use super::order::Order;
use crate::outcome::ReadError;

/// The events of a read, as a stream. Pages are fetched as they are consumed; flow control holds the server back.
///
/// The order is checked on arrival. An error ends the stream.
pub struct Events {
    inbound: Option<Streaming<v1::ReadResponse>>,
    page: std::vec::IntoIter<v1::Event>,
    order: Order,
    token: Option<Token>,
    cursor: String,
    truncated_before: Version,
}

impl Events {
    pub(super) fn new(inbound: Streaming<v1::ReadResponse>, order: Order) -> Self {
        Self {
            inbound: Some(inbound),
            page: Vec::new().into_iter(),
            order,
            token: None,
            cursor: String::new(),
            truncated_before: Version::ZERO,
        }
    }

    /// The past that is read: as of this token the same read gives the same events for ever. Known from the first
    /// event on, and after the end of a read without events.
    #[must_use]
    pub const fn token(&self) -> Option<&Token> {
        self.token.as_ref()
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
        &self.cursor
    }

    /// Whether every event that has arrived was returned.
    #[must_use]
    pub fn page_is_done(&self) -> bool {
        self.page.len() == 0
    }

    fn turn(&mut self, page: v1::ReadResponse) -> Result<(), ReadError> {
        if !page.token.is_empty() {
            self.token = Some(Token::parse(&page.token).map_err(|invalid| ReadError::protocol(&invalid))?);
        }
        self.cursor = page.cursor;
        self.truncated_before = Version::new(page.truncated_before);
        self.page = page.events.into_iter();
        Ok(())
    }

    fn take(&mut self) -> Option<Result<Event, ReadError>> {
        let event = match Event::try_from(self.page.next()?) {
            Ok(event) => event,
            Err(invalid) => return Some(Err(ReadError::protocol(&invalid))),
        };
        Some(self.order.next(&event).map(|()| event).map_err(ReadError::new))
    }

    /// Ends the stream.
    fn close(&mut self) {
        self.inbound = None;
        self.page = Vec::new().into_iter();
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
            let Some(inbound) = &mut self.inbound else { return Poll::Ready(None) };
            let error = match ready!(Pin::new(inbound).poll_next(cx)) {
                None => {
                    self.close();
                    return Poll::Ready(None);
                }
                Some(Ok(page)) => match self.turn(page) {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Some(Err(status)) => ReadError::new(Failure::from_status(&status)),
            };
            self.close();
            return Poll::Ready(Some(Err(error)));
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events")
            .field("token", &self.token)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}
