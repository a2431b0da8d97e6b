//! Who is connected to a port, and who leaves when somebody comes and there is no room.
//!
//! Nobody is kept out by those who only stay: while all places are taken, whoever comes gets that of a connection on which
//! no request is open. Those that never asked anything go first, the oldest of them before the others; then whoever has been
//! quiet for longest. A connection on which a request is open is never ended for another one.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The connections of one port.
pub(super) struct Guests {
    max: usize,
    book: Mutex<Book>,
    turns: Arc<AtomicU64>,
}

#[derive(Default)]
struct Book {
    arrived: u64,
    /// In the order in which they came.
    inside: BTreeMap<u64, Arc<Guest>>,
}

/// One connection.
pub(super) struct Guest {
    /// Requests that are not answered to their end.
    open: AtomicUsize,
    /// The turn at which a request began or ended last; 0 where none has.
    last: AtomicU64,
    /// Counts the beginnings and ends of all requests of the port.
    turns: Arc<AtomicU64>,
    leave: Notify,
}

/// A place; it is free again when this is dropped.
pub(super) struct Stay {
    guests: Arc<Guests>,
    number: u64,
    guest: Arc<Guest>,
}

/// A request that is open as long as this lives.
pub(super) struct Asking(Arc<Guest>);

/// The body of an answer, with whose end the request ends.
pub(super) struct Answered {
    body: Body,
    _asking: Asking,
}

impl Guests {
    /// No more than `max` at once.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, book: Mutex::default(), turns: Arc::default() })
    }

    pub(super) const fn max(&self) -> usize {
        self.max
    }

    /// A place for one more; `None` while a request is open on every connection. A request that begins on the one that has
    /// to leave, at this very moment, ends as when a connection is lost.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Stay> {
        let mut book = self.book.lock();
        if book.inside.len() >= self.max {
            let quiet = book.inside.iter().filter(|(_, guest)| guest.open.load(Ordering::Acquire) == 0);
            let leaves = quiet.min_by_key(|(number, guest)| (guest.last.load(Ordering::Acquire), **number));
            let number = *leaves?.0;
            if let Some(guest) = book.inside.remove(&number) {
                guest.leave.notify_one();
            }
        }
        book.arrived += 1;
        let (open, last, turns) = (AtomicUsize::new(0), AtomicU64::new(0), Arc::clone(&self.turns));
        let (number, guest) = (book.arrived, Arc::new(Guest { open, last, turns, leave: Notify::new() }));
        book.inside.insert(number, Arc::clone(&guest));
        Some(Stay { guests: Arc::clone(self), number, guest })
    }
}

impl Stay {
    pub(super) fn guest(&self) -> &Arc<Guest> {
        &self.guest
    }

    /// Resolves when somebody else has the place. Cancel-safe.
    pub(super) async fn over(&self) {
        self.guest.leave.notified().await;
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.guests.book.lock().inside.remove(&self.number);
    }
}

impl Guest {
    /// A request begins.
    pub(super) fn asks(self: &Arc<Self>) -> Asking {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.turn();
        Asking(Arc::clone(self))
    }

    fn turn(&self) {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) + 1;
        self.last.fetch_max(turn, Ordering::AcqRel);
    }
}

impl Asking {
    /// The request is open until this body has ended.
    pub(super) fn until_the_end_of(self, body: Body) -> Answered {
        Answered { body, _asking: self }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.turn();
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn has_left(stay: &Stay) -> bool {
        stay.over().now_or_never().is_some()
    }

    #[test]
    fn who_never_asked_goes_before_who_is_quiet_and_the_longest_first() {
        let guests = Guests::new(3);
        let [first, second, third] = [(); 3].map(|()| guests.admit().unwrap());
        drop(first.guest().asks());
        drop(third.guest().asks());
        drop(first.guest().asks());
        let fourth = guests.admit().unwrap();
        assert!(has_left(&second) && !has_left(&first) && !has_left(&third), "it never asked");
        let fifth = guests.admit().unwrap();
        assert!(has_left(&fourth), "nor has who has come last");
        drop(fifth.guest().asks());
        let _sixth = guests.admit().unwrap();
        assert!(has_left(&third) && !has_left(&first) && !has_left(&fifth), "it was quiet for longest");
    }

    #[test]
    fn who_has_a_request_open_never_goes_and_who_is_gone_leaves_a_place() {
        let guests = Guests::new(2);
        let (first, second) = (guests.admit().unwrap(), guests.admit().unwrap());
        let open = [first.guest().asks(), second.guest().asks()];
        assert!(guests.admit().is_none());
        drop(second);
        let third = guests.admit().unwrap();
        let asking = third.guest().asks();
        assert!(guests.admit().is_none());
        drop(open);
        let _fourth = guests.admit().unwrap();
        assert!(has_left(&first) && !has_left(&third));
        drop(asking);
    }
}
