//! One direction of one connection.
//!
//! Invariants: segments leave in the order they came; arrival times never decrease along the queue; once one segment is
//! held up, so is every later one.

use std::collections::VecDeque;
use std::io;
use std::task::Waker;
use std::time::Duration;

use super::WINDOW_BYTES;
use super::fabric::HostId;
use super::link::Route;

pub(super) struct Pipe {
    pub(super) from: HostId,
    pub(super) to: HostId,
    queue: VecDeque<Segment>,
    unread_bytes: usize,
    last_due: Duration,
    is_wedged: bool,
    /// The writing side has ended or is gone.
    pub(super) is_ended: bool,
    /// The reading side is gone: what comes goes nowhere.
    pub(super) is_unread: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Segment {
    /// When it arrives; `None` while it is held up.
    due: Option<Duration>,
    what: What,
}

enum What {
    Bytes { data: Vec<u8>, taken: usize },
    End,
    Reset,
}

/// What a reader finds.
pub(super) enum Found {
    /// Bytes were taken; `fresh` is the segment's length and checksum when it is touched for the first time.
    Bytes {
        fresh: Option<(usize, u32)>,
    },
    End,
    Reset,
    /// Something arrives after that much time.
    Later(Duration),
    /// Nothing is known to arrive.
    Nothing,
}

impl Pipe {
    pub(super) fn new(from: HostId, to: HostId) -> Pipe {
        Pipe {
            from,
            to,
            queue: VecDeque::new(),
            unread_bytes: 0,
            last_due: Duration::ZERO,
            is_wedged: false,
            is_ended: false,
            is_unread: false,
            reader: None,
            writer: None,
        }
    }

    /// Takes as much of `data` as there is room for; `None` when there is none: `waker` is woken then when there is.
    pub(super) fn write(
        &mut self,
        data: &[u8],
        now: Duration,
        route: &mut Route,
        waker: &Waker,
    ) -> Option<usize> {
        let count = data.len().min(WINDOW_BYTES - self.unread_bytes);
        if count == 0 {
            self.writer = Some(waker.clone());
            return None;
        }
        self.unread_bytes += count;
        let mut data = data[..count].to_vec();
        route.spoil(&mut data);
        self.push(What::Bytes { data, taken: 0 }, count, now, route);
        Some(count)
    }

    /// Nothing more is written.
    pub(super) fn end(&mut self, now: Duration, route: &mut Route) {
        if !self.is_ended {
            self.is_ended = true;
            self.push(What::End, 0, now, route);
        }
    }

    /// The other side will learn that the connection is broken, as soon as word can reach it.
    pub(super) fn send_reset(&mut self, now: Duration, route: &mut Route) {
        self.is_ended = true;
        if !self.queue.iter().any(|segment| matches!(segment.what, What::Reset)) {
            self.push(What::Reset, 0, now, route);
        }
    }

    fn push(&mut self, what: What, bytes: usize, now: Duration, route: &mut Route) {
        let is_held_up = self.is_wedged || self.queue.back().is_some_and(|last| last.due.is_none());
        let due = if is_held_up { None } else { route.arrival(now, bytes).map(|at| at.max(self.last_due)) };
        self.last_due = due.unwrap_or(self.last_due);
        self.queue.push_back(Segment { due, what });
        self.wake_reader();
    }

    /// Takes into `into` what has arrived. The caller is woken when that changes, except by time.
    pub(super) fn read(&mut self, into: &mut tokio::io::ReadBuf<'_>, now: Duration, waker: &Waker) -> Found {
        let found = self.take(into, now);
        if matches!(found, Found::Later(_) | Found::Nothing) {
            self.reader = Some(waker.clone());
        }
        found
    }

    fn take(&mut self, into: &mut tokio::io::ReadBuf<'_>, now: Duration) -> Found {
        let Some(Segment { due: Some(due), what }) = self.queue.front_mut() else { return Found::Nothing };
        if *due > now {
            return Found::Later(*due - now);
        }
        let What::Bytes { data, taken } = what else {
            return if matches!(what, What::End) { Found::End } else { Found::Reset };
        };
        let count = into.remaining().min(data.len() - *taken);
        // Whoever only looks whether there is something has touched nothing.
        let fresh = (*taken == 0 && count > 0).then(|| (data.len(), crc32fast::hash(data)));
        into.put_slice(&data[*taken..*taken + count]);
        *taken += count;
        if *taken == data.len() {
            self.queue.pop_front();
        }
        self.unread_bytes -= count;
        self.wake_writer();
        Found::Bytes { fresh }
    }

    /// Whether word has arrived that the connection is broken.
    pub(super) fn is_reset(&self, now: Duration) -> bool {
        let arrived = |segment: &Segment| segment.due.is_some_and(|due| due <= now);
        self.queue.iter().any(|segment| matches!(segment.what, What::Reset) && arrived(segment))
    }

    /// The reader is gone; what comes from now on goes nowhere.
    pub(super) fn abandon(&mut self) {
        self.is_unread = true;
        self.queue.clear();
        self.unread_bytes = 0;
        self.wake_writer();
    }

    /// The link stopped: what has not arrived stays away.
    pub(super) fn hold_up(&mut self, now: Duration) {
        for segment in &mut self.queue {
            segment.due = segment.due.filter(|due| *due <= now);
        }
        self.wake_reader();
    }

    /// The link works again: what was held up is sent again.
    pub(super) fn send_again(&mut self, now: Duration, route: &mut Route) {
        if self.is_wedged {
            return;
        }
        let wait = route.sent_again_after();
        for segment in self.queue.iter_mut().filter(|segment| segment.due.is_none()) {
            let bytes = if let What::Bytes { data, .. } = &segment.what { data.len() } else { 0 };
            segment.due = route.arrival(now, bytes).map(|at| (at + wait).max(self.last_due));
            self.last_due = segment.due.unwrap_or(self.last_due);
        }
        self.wake_reader();
    }

    /// Both sides find the connection broken, now.
    pub(super) fn reset(&mut self, now: Duration) {
        self.queue.clear();
        self.unread_bytes = 0;
        self.is_ended = true;
        self.queue.push_back(Segment { due: Some(now), what: What::Reset });
        self.wake_all();
    }

    /// Nothing that has not arrived ever will.
    pub(super) fn wedge(&mut self, now: Duration) {
        self.is_wedged = true;
        self.hold_up(now);
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Wakes whoever waits, because its process is gone.
    pub(super) fn wake_all(&mut self) {
        self.wake_reader();
        self.wake_writer();
    }
}

/// What a reader or writer of a broken connection is told.
pub(super) fn reset_error() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}
