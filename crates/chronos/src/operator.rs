//! What operators type and read: the way to a node's operators' port, and pages of aligned tables.
//!
//! ```text
//! commands/{cluster,partition,repair} ─► operator ─┬─ page      lines with a tone, painted on terminals only
//!                                                  ├─ cluster   the cluster and its nodes as a page
//!                                                  ├─ clocks    nodes whose clocks are off
//!                                                  ├─ partition partitions and replicas as a page
//!                                                  ├─ said      why nodes did not answer, once for each
//!                                                  ├─ json      the same for machines
//!                                                  └─ live      a page drawn again and again
//! ```
//!
//! A page is made of a [`Status`](chronos_client::cluster::Status) and nothing else, so that what is printed is tested
//! without a cluster.

mod clocks;
pub(crate) mod cluster;
pub(crate) mod json;
pub(crate) mod live;
pub(crate) mod page;
pub(crate) mod partition;
pub(crate) mod said;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod units;

use std::time::{Duration, Instant};

use chronos_client::cluster::{NodeId, Status};
use chronos_client::{ClusterAdmin, Options, PartitionId, ReadError, Replicas};
use clap::Args;

use crate::cli::Context;
use crate::connect::picked_up;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::Format;

/// How often a verb that waits looks again.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What is waited for and does not change is told again after so long.
const SAY_AGAIN: Duration = Duration::from_secs(10);

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
        let (deadline, work_deadline) = (context.timeout(), context.asked_timeout());
        let options = Options { deadline, work_deadline, ..Options::default() };
        if let Some(odd) = self.admin.iter().find(|address| !is_address(address)) {
            return Err(Failure::usage(format!(
                "{odd:?} is no address of a node's operators' port; give HOST:PORT, such as 127.0.0.1:7402 (--admin, \
                 CHRONOS_ADMIN)"
            )));
        }
        picked_up(&self.admin).await.map_err(|silence| {
            Failure::failed(format!(
                "no node answers operators at {silence}; name a node's operators' port with --admin or CHRONOS_ADMIN (its \
                 server says `admin on HOST:PORT` when it starts), or open one with `chronos server --admin-listen ADDR`"
            ))
        })?;
        ClusterAdmin::connect_with(&self.admin.join(","), options).map_err(Failure::usage)
    }
}

/// Whether that has a host and a port.
fn is_address(text: &str) -> bool {
    let parts = text.trim().rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// What a node said against an operator's request.
pub(crate) fn failed(error: ReadError) -> Failure {
    let failure = error.failure();
    if failure.reason == "UNIMPLEMENTED" {
        return Failure::new(
            Exit::Failed,
            format!(
                "{}; name an operators' port with --admin or CHRONOS_ADMIN (a server says `admin on HOST:PORT` when it starts)",
                failure.message
            ),
        );
    }
    Failure::from(&error)
}

/// A node by what an operator calls it: its number (`n2` or `2`), or its name.
pub(crate) async fn node_called(admin: &ClusterAdmin, text: &str) -> Outcome<NodeId> {
    choose(&admin.status().await.map_err(failed)?, text)
}

/// Picks the node that is meant; whether one of that number can be meant is the cluster's to say.
fn choose(status: &Status, text: &str) -> Outcome<NodeId> {
    let number = text.parse::<NodeId>().ok();
    let named: Vec<NodeId> =
        status.nodes.iter().filter(|node| node.name == text).map(|node| node.node).collect();
    let by_number = number.filter(|number| status.node(*number).is_some());
    let mut meant: Vec<NodeId> = by_number.into_iter().chain(named).collect();
    meant.sort_unstable();
    meant.dedup();
    match (meant.as_slice(), number) {
        ([only], _) => Ok(*only),
        ([], Some(number)) => Ok(number),
        ([], None) => {
            let all: Vec<String> =
                status.nodes.iter().map(|node| format!("{} ({})", node.node, node.name)).collect();
            let text =
                format!("no node of this cluster is called {text:?}; its nodes are {}", all.join(", "));
            Err(Failure::new(Exit::NotFound, text))
        }
        (several, _) => {
            let numbers: Vec<String> = several.iter().map(|node| node.get().to_string()).collect();
            Err(Failure::usage(format!(
                "{text:?} may be any of the nodes {}, of which one is numbered so or several are named so; give the plain \
                 number of the one that is meant",
                numbers.join(" and ")
            )))
        }
    }
}

/// Looks at the cluster until it is as wanted, for so long at most. `wanted` says what is missing, which is told on standard
/// error when it changes, as progress and not as an error; nothing when nothing is.
pub(crate) async fn wait_until(
    admin: &ClusterAdmin,
    within: Option<Duration>,
    wanted: impl Fn(&Status) -> Option<String>,
) -> Outcome<Status> {
    let (mut told, began) = (String::new(), Instant::now());
    let mut since = began;
    loop {
        let status = admin.status().await.map_err(failed)?;
        let Some(missing) = wanted(&status) else { return Ok(status) };
        if let Some(within) = within.filter(|within| began.elapsed() >= *within) {
            return Err(Failure::failed(format!(
                "{missing} after {within:?}, and was not waited for any longer (see --timeout); it was asked for all the \
                 same: see how far it is with `chronos cluster status --watch`, and what is next with `chronos cluster plan`"
            )));
        }
        if missing != told {
            eprintln!("waiting: {missing}");
            (told, since) = (missing, Instant::now());
        } else if since.elapsed() >= SAY_AGAIN {
            eprintln!("waiting for {}: still {missing}", units::ago(began.elapsed()));
            tell_what_waits(admin).await?;
            since = Instant::now();
        }
        let left = within.map_or(LOOK_EVERY, |within| within.saturating_sub(began.elapsed()));
        tokio::time::sleep(LOOK_EVERY.min(left)).await;
    }
}

/// Why nothing gets on, if nothing does.
async fn tell_what_waits(admin: &ClusterAdmin) -> Outcome {
    let plan = admin.plan().await.map_err(failed)?;
    if plan.is_paused {
        eprintln!("waiting: placement is paused: go on with `chronos cluster resume`");
    } else if plan.steps.is_empty() {
        plan.waits.iter().for_each(|wait| eprintln!("waiting: {wait}"));
    }
    Ok(())
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

/// Reads how many replicas each partition shall have.
pub(crate) fn parse_replication(text: &str) -> Result<u8, String> {
    let replicas = text.parse().ok().filter(|replicas| matches!(replicas, 1 | 3 | 5));
    replicas.ok_or_else(|| "give 1, 3 or 5: with an even number no more nodes may fail".to_owned())
}

/// A partition as tables show it.
pub(crate) fn name(partition: PartitionId) -> String {
    if partition == PartitionId::SYSTEM { "system".to_owned() } else { partition.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_called_by_its_number_or_by_its_name_and_by_nothing_that_two_are_called() {
        let mut status = sample::healthy();
        let n = NodeId::new;
        for (text, node) in [("n2", 2), ("2", 2), ("db2", 2), ("db3", 3), ("n9", 9)] {
            assert_eq!(choose(&status, text).unwrap(), n(node), "{text}");
        }
        let unknown = choose(&status, "db9").unwrap_err();
        assert_eq!(unknown.exit(), Exit::NotFound);
        assert!(unknown.to_string().contains("n1 (db1), n2 (db2), n3 (db3)"), "{unknown}");
        status.nodes[2].name = "n2".to_owned();
        let both = choose(&status, "n2").unwrap_err();
        assert!(both.exit() == Exit::Usage && both.to_string().contains("2 and 3"), "{both}");
        assert_eq!(choose(&status, "2").unwrap(), n(2));
        status.nodes[2].name = "n3".to_owned();
        assert_eq!(choose(&status, "n3").unwrap(), n(3));
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert!(["127.0.0.1:7402", "[::1]:7402", "db1:1"].iter().all(|text| is_address(text)));
        assert!(!["foo", "foo:", ":7402", "foo:bar", "foo:0", ""].iter().any(|text| is_address(text)));
    }

    #[test]
    fn a_replication_that_cannot_be_is_answered_with_those_that_can() {
        assert_eq!(["1", "3", "5"].map(parse_replication), [Ok(1), Ok(3), Ok(5)]);
        for text in ["0", "2", "4", "7", "x", ""] {
            assert!(parse_replication(text).unwrap_err().contains("1, 3 or 5"), "{text}");
        }
    }

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
