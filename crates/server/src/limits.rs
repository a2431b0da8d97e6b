//! What one server spends on its callers at most. Every bound is set by hand: the libraries below leave most of
//! them open.

use std::num::NonZeroU64;
use std::time::Duration;

use chronos_app::Error;
use chronos_block::BLOCK_BYTES_MAX;
use serde::{Deserialize, Serialize};

use crate::config::Invalid;

/// The bounds of one server. Times are in milliseconds, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// One gRPC message. Must hold the largest legal append.
    pub message_bytes_max: usize,
    /// The body of one HTTP request: an append as JSON text is larger than the same append packed.
    pub http_body_bytes_max: usize,
    /// Connections at once; one more takes the place of one on which no request is open, or is turned away. Less where the
    /// process may not open so many files.
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
    /// Events that may be appended a second, on average; a burst may take what one second gives. No bound when left
    /// out.
    pub events_per_second_max: Option<NonZeroU64>,
    /// Memory for everything that sorts, groups and joins of SQL questions hold, all of them together.
    pub query_memory_bytes: usize,
    /// Rows of the answer to an SQL question when the caller does not say.
    pub query_rows_default: u64,
    /// Rows of the answer to an SQL question whatever the caller says.
    pub query_rows_max: u64,
    /// How long answering an SQL question may take when the caller does not say; `deadline_max_ms` bounds what it says.
    pub query_time_default_ms: u64,
    /// SQL questions answered at once; one more waits for its turn.
    pub queries_max: usize,
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
            events_per_second_max: None,
            query_memory_bytes: chronos_query::Limits::default().memory_bytes,
            query_rows_default: chronos_query::Limits::default().rows,
            query_rows_max: 10_000_000,
            query_time_default_ms: 30_000,
            queries_max: chronos_query::Limits::default().questions,
            drain_timeout_ms: 10_000,
        }
    }
}

/// Open files that are not connections: log segments, snapshots, the listener, the runtime's own.
const FILES_RESERVED: u64 = 256;
/// A server that could hold fewer connections than this, and was not asked to, is refused.
const CONNECTIONS_MIN: usize = 64;
/// What is counted rather than measured in bytes: more than one machine has memory for.
const COUNT_MAX: u64 = 1 << 20;
/// RFC 9113, section 6.9.1: no flow-control window is larger.
const WINDOW_BYTES_MAX: u64 = (1 << 31) - 1;
/// RFC 9113, section 6.9.2: every connection starts with this window, and no setting makes it smaller.
const WINDOW_BYTES_FIRST: u64 = (1 << 16) - 1;
/// RFC 9113, section 4.2: what a frame's bound may be.
const FRAME_BYTES_LEAST: u64 = 1 << 14;
const FRAME_BYTES_MOST: u64 = (1 << 24) - 1;

/// The largest block and the message around it.
const MESSAGE_BYTES_MAX: usize = BLOCK_BYTES_MAX + (64 << 10);

impl Limits {
    /// How long a request may take that asked for `asked`.
    #[must_use]
    pub fn patience(&self, asked: Option<Duration>) -> Duration {
        let most = Duration::from_millis(self.deadline_max_ms);
        asked.unwrap_or_else(|| Duration::from_millis(self.deadline_default_ms)).min(most)
    }

    /// How long a question may take that asked for `asked`.
    pub(crate) fn query_patience(&self, asked: Option<Duration>) -> Duration {
        let most = Duration::from_millis(self.deadline_max_ms);
        asked.unwrap_or_else(|| Duration::from_millis(self.query_time_default_ms)).min(most)
    }

    /// How many rows the answer may have to a question that asked for `asked`.
    ///
    /// # Errors
    /// When that is none, or more than any may have.
    pub(crate) fn query_rows(&self, asked: Option<u64>) -> Result<u64, Error> {
        let most = self.query_rows_max;
        match asked.unwrap_or_else(|| self.query_rows_default.min(most)) {
            rows if (1..=most).contains(&rows) => Ok(rows),
            rows => {
                let text =
                    format!("limits.rows is {rows}; give 1 to {most}, or go on from the last row with WHERE");
                Err(Error::invalid(text).with("field", "limits.rows"))
            }
        }
    }

    /// What the engine of questions may spend.
    pub(crate) const fn query(&self) -> chronos_query::Limits {
        chronos_query::Limits {
            memory_bytes: self.query_memory_bytes,
            rows: self.query_rows_default,
            questions: self.queries_max,
        }
    }

    /// How many connections there may be in a process that may hold `files` open: each takes one, and
    /// `FILES_RESERVED` stay with the log, whose next file must never fail to open because callers are many.
    ///
    /// # Errors
    /// If that leaves so few connections that the server would be of no use.
    pub(crate) fn connections_within(&self, files: u64) -> Result<usize, Invalid> {
        let room = usize::try_from(files.saturating_sub(FILES_RESERVED)).unwrap_or(usize::MAX);
        if room < self.connections_max.min(CONNECTIONS_MIN) {
            let needed = FILES_RESERVED + CONNECTIONS_MIN as u64;
            return Err(Invalid(format!(
                "the process may open {files} files, and {FILES_RESERVED} of them are kept for the log, which leaves \
                 {room} for connections; raise the limit of open files (ulimit -n, LimitNOFILE=) to {needed} or more"
            )));
        }
        Ok(self.connections_max.min(room))
    }

    /// Checks each value alone, and those that bound one another.
    ///
    /// # Errors
    /// With the key, its value, and what to write there instead.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let ranges = [
            ("connections_max", self.connections_max as u64, 1..=COUNT_MAX),
            ("streams_per_connection_max", self.streams_per_connection_max.into(), 1..=COUNT_MAX),
            ("stream_window_bytes", self.stream_window_bytes.into(), 1..=WINDOW_BYTES_MAX),
            (
                "connection_window_bytes",
                self.connection_window_bytes.into(),
                WINDOW_BYTES_FIRST..=WINDOW_BYTES_MAX,
            ),
            ("frame_bytes_max", self.frame_bytes_max.into(), FRAME_BYTES_LEAST..=FRAME_BYTES_MOST),
            ("session_appends_max", self.session_appends_max as u64, 1..=COUNT_MAX),
            ("query_rows_default", self.query_rows_default, 1..=self.query_rows_max),
            ("queries_max", self.queries_max as u64, 1..=COUNT_MAX),
        ];
        for (key, given, range) in ranges {
            if !range.contains(&given) {
                let (least, most) = (range.start(), range.end());
                return Err(Invalid(format!("limits.{key} is {given}; give {least} to {most}")));
            }
        }
        let (default, most) = (self.deadline_default_ms, self.deadline_max_ms);
        if default > most {
            return Err(Invalid(format!(
                "limits.deadline_default_ms is {default}, above limits.deadline_max_ms, which is {most}; lower it"
            )));
        }
        Ok(())
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

    #[test]
    fn connections_leave_the_log_its_files() {
        let allowed = |connections_max, files| {
            Limits { connections_max, ..Limits::default() }.connections_within(files).ok()
        };
        assert_eq!(allowed(4096, u64::MAX), Some(4096));
        assert_eq!(allowed(4096, 4096 + 256), Some(4096));
        assert_eq!(allowed(4096, 4096 + 255), Some(4095));
        assert_eq!(allowed(4096, 1024), Some(768));
        assert_eq!(allowed(4096, 64 + 256), Some(64));
        assert_eq!(allowed(4096, 63 + 256), None);
        assert_eq!(allowed(4096, 255), None, "fewer files than the log keeps");
        assert_eq!(allowed(10, 10 + 256), Some(10), "whoever asks for few is served with few");
        assert_eq!(allowed(10, 9 + 256), None);
    }

    #[test]
    fn too_few_files_are_refused_with_the_number_that_is_enough() {
        let why = Limits::default().connections_within(300).unwrap_err().to_string();
        assert!(["300", "256", "44", "320", "ulimit -n"].iter().all(|part| why.contains(part)), "{why}");
    }
}
