//! How a client behaves.

use std::time::Duration;

use crate::ids::Ids;

/// How a client behaves. The defaults suit a caller that would rather wait ten seconds than see a restart.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long an append may take in all, retries included, unless it says so itself. Default 10 s.
    pub deadline: Duration,
    /// How long to wait for a connection to open. Default 2 s.
    pub connect_timeout: Duration,
    /// After so long a silence the client asks whether the server is still there. Default 10 s.
    pub keepalive_interval: Duration,
    /// And gives the connection up when no answer comes for so long. Default 5 s.
    pub keepalive_timeout: Duration,
    /// The wait before the first retry; it doubles with each. Default 10 ms.
    pub backoff_min: Duration,
    /// The longest wait between retries. Default 1 s.
    pub backoff_max: Duration,
    /// How many appends may wait for their answer at once; one more waits until another is done. Default 512.
    pub in_flight_max: usize,
    /// Whether reads that do not say how fresh they must be see everything this client has appended. Reads of one
    /// entity see it anyway. Default false.
    pub read_your_writes: bool,
    /// Where event ids come from.
    pub ids: Ids,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(2),
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_secs(1),
            in_flight_max: 512,
            read_your_writes: false,
            ids: Ids::default(),
        }
    }
}
