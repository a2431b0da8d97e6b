//! The command line: what there is, and how a command's end becomes an exit code.

use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::commands::{
    append, backup, bench, cluster, compact, completions, demo, digest, export, get, import, import_git,
    partition, partitions, prove, read, repair, restore, route, sample, server, sql, state, stats, torture,
    truncate, verify, watermarks,
};
use crate::failure::{Failure, Outcome};
use crate::moment;
use crate::output::Format;

const ABOUT: &str = "An event store: gapless, durable, and every moment of the past at hand";

const EXAMPLES: &str = "\
A first walk:
  chronos server --data ./data &
  chronos append order-7 order.placed '{\"total\":42}' --expect none
  chronos append order-7 order.paid '{\"paid\":true}' --expect 1
  chronos read order-7
  chronos state order-7 --as-of 1

Or let it show itself, no server needed:
  chronos demo

Exit codes:
  0 done   1 failed   2 usage   3 not found   4 rejected by a rule
  5 outcome unknown: it may have happened; repeat the command with the same event ids to find out
  6 not healthy: `cluster status` found something that is not as it should be";

/// `chronos …`
#[derive(Parser)]
#[command(name = "chronos", version, about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    context: Context,
    #[command(subcommand)]
    command: Command,
}

/// What a request may take when nothing is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// What every command may be told.
#[derive(Args, Clone, Debug)]
pub(crate) struct Context {
    /// Servers to talk to: host:port, several separated by commas; one of a cluster is enough, the others are found by
    /// asking it [default: 127.0.0.1:7400]
    #[arg(long, global = true, env = "CHRONOS_ADDR", value_delimiter = ',', value_name = "HOST:PORT")]
    pub(crate) addr: Vec<String>,
    /// How long a request may take in all, retries included, such as 10s or 500ms; also a backup, and what reads whole
    /// replicas (digest, verify, repair) [default: 30s; for the latter: as long as they get on]
    #[arg(
        long = "timeout",
        global = true,
        env = "CHRONOS_TIMEOUT",
        value_name = "TIME",
        value_parser = moment::parse_duration
    )]
    asked_timeout: Option<Duration>,
    /// How data is printed; json is one object a line
    #[arg(long, short, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,
}

impl Context {
    /// How long a request may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.asked_timeout.unwrap_or(DEFAULT_TIMEOUT)
    }

    /// The same, where it was said: then it holds also for what takes as long as there is data.
    pub(crate) const fn asked_timeout(&self) -> Option<Duration> {
        self.asked_timeout
    }
}

#[derive(Subcommand)]
enum Command {
    Server(Box<server::Server>),
    Append(append::Append),
    Get(get::Get),
    Read(read::Read),
    State(state::State),
    Sql(sql::Sql),
    Import(import::Import),
    Export(export::Export),
    ImportGit(import_git::ImportGit),
    Partitions(partitions::Partitions),
    Route(route::Route),
    Watermarks(watermarks::Watermarks),
    Cluster(cluster::Cluster),
    Partition(partition::Partition),
    Repair(repair::Repair),
    Stats(stats::Stats),
    Sample(sample::Sample),
    Compact(compact::Compact),
    Digest(digest::Digest),
    Prove(prove::Prove),
    Truncate(truncate::Truncate),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Verify(verify::Verify),
    Demo(demo::Demo),
    Bench(bench::Bench),
    Torture(torture::Torture),
    Completions(completions::Completions),
}

/// Parses the command line, runs the command, says what went wrong.
pub fn run() -> ExitCode {
    let Cli { context, command } = Cli::try_parse().unwrap_or_else(|error| plainly(error).exit());
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Command::Server(server) = &command {
        builder.worker_threads(server.workers());
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::failed(format!("cannot start the async runtime: {error}")).report(),
    };
    let outcome = runtime.block_on(command.run(&context));
    // What still runs is of no use to anyone: a thread that waits for standard input must not hold the process.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// The error with the usage of its command as `--help` has it. clap's own lists what the environment gives (`--addr` of
/// CHRONOS_ADDR) as if it were required.
fn plainly(mut error: clap::Error) -> clap::Error {
    if error.get(ContextKind::Usage).is_some() {
        let mut cli = Cli::command();
        cli.build();
        let usage = meant(&mut cli, std::env::args().skip(1)).render_usage();
        error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    }
    error
}

/// The command that is called, as far down as the words name one: `chronos cluster drain`, not `chronos cluster`.
fn meant(cli: &mut clap::Command, words: impl Iterator<Item = String>) -> &mut clap::Command {
    let mut command = cli;
    for word in words {
        if command.find_subcommand(&word).is_some() {
            command = command.find_subcommand_mut(&word).expect("it was found just now");
        }
    }
    command
}

impl Command {
    async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Server(command) => Box::pin(command.run()).await,
            Self::Append(command) => Box::pin(command.run(context)).await,
            Self::Get(command) => Box::pin(command.run(context)).await,
            Self::Read(command) => Box::pin(command.run(context)).await,
            Self::State(command) => Box::pin(command.run(context)).await,
            Self::Sql(command) => Box::pin(command.run(context)).await,
            Self::Import(command) => Box::pin(command.run(context)).await,
            Self::Export(command) => Box::pin(command.run(context)).await,
            Self::ImportGit(command) => Box::pin(command.run(context)).await,
            Self::Partitions(command) => Box::pin(command.run(context)).await,
            Self::Route(command) => Box::pin(command.run(context)).await,
            Self::Watermarks(command) => Box::pin(command.run(context)).await,
            Self::Cluster(command) => Box::pin(command.run(context)).await,
            Self::Partition(command) => Box::pin(command.run(context)).await,
            Self::Repair(command) => Box::pin(command.run(context)).await,
            Self::Stats(command) => Box::pin(command.run(context)).await,
            Self::Sample(command) => Box::pin(command.run(context)).await,
            Self::Compact(command) => Box::pin(command.run(context)).await,
            Self::Digest(command) => Box::pin(command.run(context)).await,
            Self::Prove(command) => Box::pin(command.run(context)).await,
            Self::Truncate(command) => Box::pin(command.run(context)).await,
            Self::Backup(command) => Box::pin(command.run(context)).await,
            Self::Restore(command) => Box::pin(command.run(context)).await,
            Self::Verify(command) => Box::pin(command.run(context)).await,
            Self::Demo(command) => Box::pin(command.run(context)).await,
            Self::Bench(command) => Box::pin(command.run(context)).await,
            Self::Torture(command) => Box::pin(command.run(context)).await,
            Self::Completions(command) => command.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_usage_that_is_shown_is_that_of_the_verb() {
        let usage_of = |words: &str| {
            let mut cli = Cli::command();
            cli.build();
            meant(&mut cli, words.split(' ').map(str::to_owned)).render_usage().to_string()
        };
        for (words, usage) in [
            ("cluster drain", "Usage: chronos cluster drain [OPTIONS] <NODE>"),
            ("cluster --json config set lanes", "Usage: chronos cluster config set [OPTIONS] <KEY> <VALUE>"),
            ("partition transfer 7", "Usage: chronos partition transfer [OPTIONS]"),
            ("append order-1", "Usage: chronos append [OPTIONS]"),
            ("--nonsense", "Usage: chronos [OPTIONS]"),
        ] {
            assert!(usage_of(words).starts_with(usage), "{words}: {}", usage_of(words));
        }
    }

    #[test]
    fn every_command_teaches_with_an_example() {
        for command in Cli::command().get_subcommands() {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("chronos "), "`chronos {} --help` has no example", command.get_name());
            assert!(command.get_about().is_some(), "`chronos {}` says nothing of itself", command.get_name());
        }
    }
}
