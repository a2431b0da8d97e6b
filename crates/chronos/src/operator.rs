//! What operators type and read: the way to a node's operators' port, and pages of aligned tables.
//!
//! ```text
//! commands/{cluster,partition,repair} ─► operator ─┬─ page      lines with a tone, painted on terminals only
//!                                                  ├─ cluster   the cluster and its nodes as a page
//!                                                  ├─ partition partitions and replicas as a page
//!                                                  ├─ json      the same for machines
//!                                                  └─ live      a page drawn again and again
//! ```
//!
//! A page is made of a [`Status`](chronos_client::cluster::Status) and nothing else, so that what is printed is tested
//! without a cluster.

pub(crate) mod cluster;
pub(crate) mod json;
pub(crate) mod live;
pub(crate) mod page;
pub(crate) mod partition;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod units;

use std::time::Duration;

use chronos_client::cluster::{NodeId, Status};
use chronos_client::{ClusterAdmin, Options, PartitionId, ReadError, Replicas};
use clap::Args;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::Context;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::Format;

/// How long to wait for somebody to pick up at all.
const DIAL_MAX: Duration = Duration::from_secs(3);
/// How often a verb that waits looks again.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Whom an operator asks, and how the answer is printed.
#[derive(Args, Clone, Debug)]
pub(crate) struct Operator {
    /// The operators' port of any node: host:port, several separated by commas
    #[arg(
        long,
        global = true,
        env = "CHRONOS_ADMIN",
        default_value = "127.0.0.1:7402",
        value_delimiter = ',',
        value_name = "HOST:PORT"
    )]
    admin: Vec<String>,
    /// One JSON object a line, the same as --output json
    #[arg(long, global = true)]
    json: bool,
}

/// Whether a page stands still.
#[derive(Args, Clone, Debug)]
pub(crate) struct Watched {
    /// Draw it again and again, until Ctrl-C
    #[arg(long, short)]
    pub(crate) watch: bool,
    /// How often, such as 1s or 500ms
    #[arg(
        long,
        default_value = "1s",
        value_name = "TIME",
        value_parser = crate::moment::parse_duration,
        requires = "watch"
    )]
    pub(crate) every: Duration,
}

/// Which replicas are meant.
#[derive(Args, Clone, Debug)]
pub(crate) struct Which {
    /// 0 to 31, or system; all when left out
    #[arg(value_name = "PARTITION", value_parser = parse_partition)]
    pub(crate) partitions: Vec<PartitionId>,
    /// The same, separated by commas
    #[arg(long, short, value_name = "PARTITION", value_delimiter = ',', value_parser = parse_partition)]
    pub(crate) partition: Vec<PartitionId>,
    /// Only the replicas on these nodes, such as n2 or 2
    #[arg(long, short, value_name = "NODE", value_delimiter = ',', value_parser = parse_node)]
    pub(crate) node: Vec<NodeId>,
}

impl From<Which> for Replicas {
    fn from(which: Which) -> Self {
        Self { partitions: [which.partitions, which.partition].concat(), nodes: which.node }
    }
}

impl Operator {
    /// As tables or as JSON.
    pub(crate) fn format(&self, context: &Context) -> Format {
        if self.json { Format::Json } else { context.output }
    }

    /// A way to the first of the nodes that answers. Nobody answering is told at once.
    pub(crate) async fn connect(&self, context: &Context) -> Outcome<ClusterAdmin> {
        let options = Options { deadline: context.timeout, ..Options::default() };
        for address in &self.admin {
            if let Ok(Ok(_)) = timeout(DIAL_MAX, TcpStream::connect(address.trim())).await {
                return ClusterAdmin::connect_with(&self.admin.join(","), options).map_err(Failure::usage);
            }
        }
        Err(Failure::failed(format!(
            "no node answers operators at {}; name a node's operators' port with --admin or CHRONOS_ADMIN (its server \
             says `admin on HOST:PORT` when it starts), or open one with `chronos server --admin-listen ADDR`",
            self.admin.join(", ")
        )))
    }
}

/// What a node said against an operator's request.
pub(crate) fn failed(error: ReadError) -> Failure {
    let failure = error.failure();
    if failure.reason == "UNIMPLEMENTED" {
        return Failure::new(
            Exit::Failed,
            format!(
                "that is no operators' port: {}; name one with --admin or CHRONOS_ADMIN (a server says `admin on HOST:PORT` when \
                 it starts)",
                failure.message
            ),
        );
    }
    Failure::from(&error)
}

/// Looks at the cluster until it is as wanted. `wanted` says what is missing, which is told when it changes; nothing when
/// nothing is.
pub(crate) async fn wait_until(
    admin: &ClusterAdmin,
    wanted: impl Fn(&Status) -> Option<String>,
) -> Outcome<Status> {
    let mut told = String::new();
    loop {
        let status = admin.status().await.map_err(failed)?;
        let Some(missing) = wanted(&status) else { return Ok(status) };
        if missing != told {
            eprintln!("chronos: {missing}");
            told = missing;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Reads `n2` or `2`.
pub(crate) fn parse_node(text: &str) -> Result<NodeId, String> {
    text.parse::<NodeId>().map_err(|invalid| invalid.reason)
}

/// Reads a partition's number, or the word for the system partition.
pub(crate) fn parse_partition(text: &str) -> Result<PartitionId, String> {
    let number = if text == "system" { Some(PartitionId::SYSTEM.get()) } else { text.parse().ok() };
    number.and_then(PartitionId::of_group).ok_or_else(|| "give 0 to 31, or system".to_owned())
}

/// A partition as tables show it.
pub(crate) fn name(partition: PartitionId) -> String {
    if partition == PartitionId::SYSTEM { "system".to_owned() } else { partition.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_partition_has_a_name() {
        assert_eq!(parse_partition("system"), Ok(PartitionId::SYSTEM));
        assert_eq!(name(parse_partition("32").unwrap()), "system");
        assert_eq!(name(parse_partition("7").unwrap()), "7");
        for text in ["33", "-1", "seven", ""] {
            assert!(parse_partition(text).unwrap_err().contains("0 to 31"), "{text}");
        }
    }
}
