//! What one server spends on its callers at most. Every bound is set by hand: the libraries below leave most of
//! them open.

use std::time::Duration;

use chronos_block::BLOCK_BYTES_MAX;
use serde::Deserialize;

/// The bounds of one server. Times are in milliseconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// One gRPC message. Must hold the largest legal append.
    pub message_bytes_max: usize,
    /// The body of one HTTP request: an append as JSON text is larger than the same append packed.
    pub http_body_bytes_max: usize,
    /// Connections at once; one more waits until another closes.
    pub connections_max: usize,
    /// Requests at once on one connection.
    pub streams_per_connection_max: u32,
    /// Header names and values of one request.
    pub header_list_bytes_max: u32,
    /// Streams of one connection that were reset by the caller before the server looked at them.
    pub pending_resets_max: usize,
    /// An HTTP/1 request must have sent its header by then.
    pub header_read_timeout_ms: u64,
    /// After so long a silence the server asks whether an HTTP/2 caller is still there.
    pub keepalive_interval_ms: u64,
    /// And hangs up when no answer comes for so long.
    pub keepalive_timeout_ms: u64,
    /// Bytes a caller may send ahead on one stream.
    pub stream_window_bytes: u32,
    /// Bytes a caller may send ahead on one connection.
    pub connection_window_bytes: u32,
    /// One HTTP/2 frame.
    pub frame_bytes_max: u32,
    /// How long a request may take when the caller does not say.
    pub deadline_default_ms: u64,
    /// How long a request may take whatever the caller says.
    pub deadline_max_ms: u64,
    /// Appends in flight on one append session.
    pub session_appends_max: usize,
    /// Bytes of the appends in flight on one append session; a single larger one still passes.
    pub session_bytes_max: usize,
    /// How long open requests may take to end after the server was asked to stop.
    pub drain_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes_max: MESSAGE_BYTES_MAX,
            http_body_bytes_max: 16 << 20,
            connections_max: 4096,
            streams_per_connection_max: 256,
            header_list_bytes_max: 16 << 10,
            pending_resets_max: 32,
            header_read_timeout_ms: 10_000,
            keepalive_interval_ms: 20_000,
            keepalive_timeout_ms: 10_000,
            stream_window_bytes: 4 << 20,
            connection_window_bytes: 16 << 20,
            frame_bytes_max: 1 << 20,
            deadline_default_ms: 10_000,
            deadline_max_ms: 60_000,
            session_appends_max: 1024,
            session_bytes_max: 64 << 20,
            drain_timeout_ms: 10_000,
        }
    }
}

/// The largest block and the message around it.
const MESSAGE_BYTES_MAX: usize = BLOCK_BYTES_MAX + (64 << 10);

impl Limits {
    /// How long a request may take that asked for `asked`.
    #[must_use]
    pub fn patience(&self, asked: Option<Duration>) -> Duration {
        let most = Duration::from_millis(self.deadline_max_ms);
        asked.unwrap_or_else(|| Duration::from_millis(self.deadline_default_ms)).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_may_shorten_its_deadline_and_lengthen_it_up_to_the_maximum() {
        let limits = Limits::default();
        assert_eq!(limits.patience(None), Duration::from_secs(10));
        assert_eq!(limits.patience(Some(Duration::from_millis(5))), Duration::from_millis(5));
        assert_eq!(limits.patience(Some(Duration::from_secs(60))), Duration::from_secs(60));
        assert_eq!(limits.patience(Some(Duration::from_secs(61))), Duration::from_secs(60));
    }
}
