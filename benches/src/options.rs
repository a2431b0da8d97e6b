//! What is measured, how often and where.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::Failure;

/// Measures Chronos and prints one JSON line for each work and set of parameters.
///
/// Every number carries its conditions. Durable works need a directory on a real disk: on a tmpfs a sync is free.
#[derive(Debug, Parser)]
#[command(name = "cargo bench-all", version, args_conflicts_with_subcommands = true)]
pub struct Options {
    /// What to do instead of measuring.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to measure.
    #[command(flatten)]
    pub measure: Measure,
}

/// What the benchmark starts itself as.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves a node until standard input ends; the other process is the load.
    #[command(hide = true)]
    Serve(Serve),
}

/// A server of its own for one measurement.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// Its data directory.
    #[arg(long)]
    pub data: PathBuf,
    /// Rows of log files.
    #[arg(long)]
    pub lanes: u8,
    /// Bytes of one log file.
    #[arg(long)]
    pub segment_bytes: u64,
    /// Threads of its runtime.
    #[arg(long)]
    pub workers: usize,
    /// Where it listens; a free port unless given.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Where it listens to the other nodes of its cluster; alone unless given.
    #[arg(long)]
    pub peer_listen: Option<SocketAddr>,
    /// A node of the cluster that it joins; it founds one unless given.
    #[arg(long)]
    pub join: Option<SocketAddr>,
}

/// How to measure.
#[derive(Clone, Debug, Args)]
pub struct Measure {
    /// Only these works, by name or, where that is none, by the beginning of names, with commas in between; see --list.
    #[arg(long, value_name = "WORK", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Print the names of all works and measure nothing.
    #[arg(long)]
    pub list: bool,
    /// How often everything is measured; the median is shown with the smallest and the largest.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,
    /// How long one run of one set of parameters takes, about.
    #[arg(long, default_value = "2", value_parser = seconds)]
    pub seconds: Duration,
    /// Where data is written; a directory of its own is made in it, and removed. The system's temporary directory
    /// unless given.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Run every work once, small and short: shows that it works, measures nothing.
    #[arg(long)]
    pub quick: bool,
    /// Print a Markdown table to standard error at the end.
    #[arg(long)]
    pub table: bool,
    /// How many clients append at once in the work `append`, one after the other.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32,256", value_parser = count)]
    pub clients: Vec<usize>,
    /// How many events they send in one request, each in turn.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100,1000", value_parser = count)]
    pub events: Vec<usize>,
    /// Rows of log files.
    #[arg(long, default_value_t = 1)]
    pub lanes: u8,
    /// Threads of a server's runtime; beside them each row of log files has one of its own. One for each core but
    /// one (at least 1) unless given, as `chronos server` has it.
    #[arg(long, default_value_t = cores().saturating_sub(1).max(1), value_parser = count)]
    pub workers: usize,
    /// Bytes of one log file.
    #[arg(long, default_value_t = 64 << 20)]
    pub segment_bytes: u64,
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn count(text: &str) -> Result<usize, Failure> {
    match text.parse() {
        Ok(count @ 1..=4096) => Ok(count),
        _ => Err(format!("{text}; give 1 to 4096").into()),
    }
}

fn seconds(text: &str) -> Result<Duration, Failure> {
    let seconds = text.parse().map_err(|_| format!("{text} is no number of seconds"))?;
    if (0.01..=3600.0).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(format!("{text} seconds; give 0.01 to 3600").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn works_and_seconds_are_read() {
        let options = Options::parse_from(["bench-all", "--only", "append,store.point", "--seconds", "0.5"]);
        assert_eq!(options.measure.only, ["append", "store.point"]);
        assert_eq!(options.measure.seconds, Duration::from_millis(500));
        assert_eq!(
            (options.measure.clients, options.measure.events),
            (vec![1, 8, 32, 256], vec![1, 10, 100, 1000])
        );
        assert!(Options::try_parse_from(["bench-all", "--seconds", "0"]).is_err());
    }
}
