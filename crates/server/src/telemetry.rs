//! Logs: one line per change of state, never one per event; those are counted (see [`crate::metrics`]).

use std::io::IsTerminal;

use serde::Deserialize;
use tracing_subscriber::{EnvFilter, fmt};

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The form of a line.
    pub format: Format,
    /// What is logged, such as `info` or `warn,chronos_wal=debug`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: Format::Text, filter: "info".to_owned() }
    }
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object a line, for machines.
    Json,
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be read.
    #[error("log filter {filter:?}: {reason}; give for example info or warn,chronos_wal=debug")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something else in this process logs already.
    #[error("logging was set up twice in this process")]
    Twice,
}

/// Says of a library that speaks at every step when to be heard.
const QUIET: &str = "openraft=warn";

/// Sends the process's logs to standard error from now on. Called once, by the binary.
///
/// # Errors
/// When the filter cannot be read or a subscriber is in place already.
pub fn init(log: &Log) -> Result<(), Error> {
    // What consensus does all day is of interest to few; whoever names it in the filter sees it.
    let filter = EnvFilter::builder()
        .parse(format!("{QUIET},{}", log.filter))
        .map_err(|reason| Error::Filter { filter: log.filter.clone(), reason: reason.to_string() })?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(true);
    let set = match log.format {
        Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => lines.json().flatten_event(true).with_ansi(false).try_init(),
    };
    set.map_err(|_| Error::Twice)
}
