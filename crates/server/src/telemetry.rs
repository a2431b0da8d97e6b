//! Logs: one line per change of state, never one per event; those are counted (see [`crate::metrics`]).

use std::io::IsTerminal;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::{EnvFilter, fmt};

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
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
    #[error(
        "log filter {filter:?}: {reason}; give off, error, warn, info, debug or trace, also for parts of the program, such as \
         warn,chronos_wal=debug"
    )]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something else in this process logs already.
    #[error("logging was set up twice in this process")]
    Twice,
    /// Nobody has set up logging, or somebody else has.
    #[error("what this process logs is not for the server to decide; set it where the process is started")]
    NotOurs,
}

/// Sets the filter of the process's one logger.
type Refilter = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

/// There is one logger in a process, whoever runs in it.
static REFILTER: OnceLock<Refilter> = OnceLock::new();

/// Silences a library that tells every heartbeat and vote which does not arrive, of each partition: that a node is not
/// reached, and that a group has stopped, is told once by this code.
const QUIET: &str = "openraft=off";

/// Sends the process's logs to standard error from now on. Called once, by the binary.
///
/// # Errors
/// When the filter cannot be read or a subscriber is in place already.
pub fn init(log: &Log) -> Result<(), Error> {
    let lines = fmt().with_env_filter(read(&log.filter)?).with_writer(std::io::stderr).with_target(true);
    // Whoever read the lines may have gone. That they cannot be written must not be written there as well: it would panic.
    let lines = lines.log_internal_errors(false);
    let set = match log.format {
        Format::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal()).with_filter_reloading();
            let handle = lines.reload_handle();
            lines.try_init().map(|()| refilter(move |filter| handle.reload(filter).is_ok()))
        }
        Format::Json => {
            let lines = lines.json().flatten_event(true).with_ansi(false).with_filter_reloading();
            let handle = lines.reload_handle();
            lines.try_init().map(|()| refilter(move |filter| handle.reload(filter).is_ok()))
        }
    };
    let refilter = set.map_err(|_| Error::Twice)?;
    REFILTER.set(refilter).map_err(|_| Error::Twice)
}

/// Whether a filter can be read.
///
/// # Errors
/// [`Error::Filter`].
pub fn check(filter: &str) -> Result<(), Error> {
    read(filter).map(drop)
}

/// Logs what passes this filter from now on, and nothing else.
///
/// # Errors
/// When the filter cannot be read, or this process's logs are not set up by [`init`]; nothing has changed.
pub fn set_filter(filter: &str) -> Result<(), Error> {
    let filter = read(filter)?;
    let is_set = REFILTER.get().is_some_and(|refilter| refilter(filter));
    if is_set { Ok(()) } else { Err(Error::NotOurs) }
}

fn refilter(set: impl Fn(EnvFilter) -> bool + Send + Sync + 'static) -> Refilter {
    Box::new(set)
}

/// Reads a filter. What consensus does all day is of interest to few; whoever names it in the filter sees it.
fn read(filter: &str) -> Result<EnvFilter, Error> {
    let refused = |reason: String| Error::Filter { filter: filter.to_owned(), reason };
    if filter.trim().is_empty() {
        return Err(refused("it is empty".to_owned()));
    }
    // The library takes no spaces between them.
    let words: Vec<&str> = filter.split(',').map(str::trim).collect();
    if let Some(odd) = words.iter().find(|word| is_no_level(word)) {
        return Err(refused(format!("{odd:?} is no level")));
    }
    let parsed = EnvFilter::builder().parse(format!("{QUIET},{}", words.join(",")));
    parsed.map_err(|reason| refused(reason.to_string()))
}

/// Whether a word that stands for itself is none of the levels. The library would take it for a part of the program, of
/// which everything is to be logged: a slip of the pen would silence all others.
fn is_no_level(word: &str) -> bool {
    let is_level = word.is_empty() || word.parse::<LevelFilter>().is_ok();
    !word.contains(['=', '[']) && !is_level
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_refused_with_an_example() {
        let why = set_filter("chronos=loud").unwrap_err().to_string();
        assert!(why.contains("chronos=loud") && why.contains("chronos_wal=debug"), "{why}");
        assert!(set_filter(" ").unwrap_err().to_string().contains("empty"));
        for filter in ["bogus", "warn,bogus", "bogus,chronos_wal=debug", "info bogus"] {
            let why = check(filter).map_err(|error| error.to_string()).expect_err(filter);
            assert!(why.contains("is no level; give off, error, warn, info, debug or trace"), "{why}");
        }
        for filter in
            ["info", "WARN", "off", "warn,chronos_wal=debug", "info, chronos_env=trace", "[load]=debug"]
        {
            check(filter).expect(filter);
        }
        // Tests do not set up logging.
        assert!(matches!(set_filter("info"), Err(Error::NotOurs)));
    }
}
