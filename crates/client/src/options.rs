//! How a client behaves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::ids::Ids;
use crate::observe::Observer;
use crate::pace::Deadline;

/// How a client behaves. The defaults suit a caller that would rather wait than see a fail-over, which takes a second
/// or two, or several in a row.
#[derive(Clone)]
pub struct Options {
    /// How long a request may take in all, retries included, unless it says so itself: an append, a question, the
    /// beginning of a read, and then each standstill of it. Default 30 s.
    pub deadline: Duration,
    /// How long an answer may take in all that comes in many pieces, each of which takes a while: whole replicas that are
    /// verified, compared or repaired. Nodes that are not done by then are told as such, and nodes that fall silent in any
    /// case. Default none: as long as they get on.
    pub work_deadline: Option<Duration>,
    /// How long an attempt of an append, or of a read of one partition, waits for its answer before it is tried
    /// again, with the same event ids and perhaps elsewhere: a server that is silent may be paused or cut off. The
    /// next attempt with a server that was silent gets twice the time of the one before. Default 3 s.
    pub attempt_timeout: Duration,
    /// How long to wait for a connection to open. Default 2 s.
    pub connect_timeout: Duration,
    /// After so long a silence the client asks whether the server is still there. Default 5 s.
    pub keepalive_interval: Duration,
    /// And gives the connection up when no answer comes for so long. Default 3 s.
    pub keepalive_timeout: Duration,
    /// The wait before the first retry; it doubles with each. Default 10 ms.
    pub backoff_min: Duration,
    /// The longest wait between retries. Default 250 ms.
    pub backoff_max: Duration,
    /// How many appends may wait for their answer at once; one more waits until another is done. Default 512.
    pub in_flight_max: usize,
    /// Whether reads that do not say how fresh they must be see everything this client has appended. Reads of one
    /// entity see it anyway. Default false.
    pub read_your_writes: bool,
    /// Where event ids come from.
    pub ids: Ids,
    /// Who is told of attempts, redirects and round trips. Default nobody.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            work_deadline: None,
            attempt_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(2),
            keepalive_interval: Duration::from_secs(5),
            keepalive_timeout: Duration::from_secs(3),
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_millis(250),
            in_flight_max: 512,
            read_your_writes: false,
            ids: Ids::default(),
            observer: None,
        }
    }
}

impl Options {
    /// When a request has to be over that begins now.
    pub(crate) fn due(&self) -> Deadline {
        Deadline::after(self.deadline)
    }

    /// When all of an answer has to be there that comes in many pieces and is asked for now, if ever.
    pub(crate) fn work_due(&self) -> Option<Deadline> {
        self.work_deadline.map(Deadline::after)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("deadline", &self.deadline)
            .field("work_deadline", &self.work_deadline)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("keepalive_interval", &self.keepalive_interval)
            .field("keepalive_timeout", &self.keepalive_timeout)
            .field("backoff_min", &self.backoff_min)
            .field("backoff_max", &self.backoff_max)
            .field("in_flight_max", &self.in_flight_max)
            .field("read_your_writes", &self.read_your_writes)
            .field("is_observed", &self.observer.is_some())
            .finish_non_exhaustive()
    }
}
