//! `chronos partition …`

mod upkeep;

use chronos_client::PartitionId;
use clap::{Args, Subcommand};

use super::cluster::Done;
use crate::cli::Context;
use crate::failure::{Exit, Failure, Outcome};
use crate::operator::live::{Drawn, show};
use crate::operator::{
    Operator, Watched, Which, failed, json, name, node_called, parse_partition, partition,
};
use crate::output::Format;

const EXAMPLES: &str = "\
Any node can be asked about all of them, on its operators' port (`admin on HOST:PORT` when its server starts).

Examples:
  chronos partition list --watch
  chronos partition show 7                  # its replicas side by side, with every watermark
  chronos partition transfer 7 --to n2      # have n2 lead it
  chronos partition digest                  # do all replicas hold the same, bit for bit?
  chronos partition verify --node n2        # has n2's disk kept what was written?";

/// See and steer partitions: who leads them, how far their replicas are, whether they agree
#[derive(Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Partition {
    #[command(flatten)]
    operator: Operator,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// One line for each partition
    #[command(after_help = "Example:\n  chronos partition list --watch")]
    List {
        #[command(flatten)]
        watched: Watched,
    },
    /// Everything about one partition, its replicas side by side
    #[command(after_help = "Examples:\n  chronos partition show 7\n  chronos partition show system --watch")]
    Show {
        /// 0 to 31, or system
        #[arg(value_parser = parse_partition)]
        partition: PartitionId,
        #[command(flatten)]
        watched: Watched,
    },
    /// Have a partition led by another of its voters
    #[command(
        long_about = "Have a partition led by another of its voters

The placement driver goes on balancing leaders: where that leaves one node with two more than another, it hands one back. Hold \
it with `chronos cluster pause` for as long as the partition is to stay there.",
        after_help = "Example:\n  chronos partition transfer 7 --to n2 --wait"
    )]
    Transfer {
        /// 0 to 31, or system
        #[arg(value_parser = parse_partition)]
        partition: PartitionId,
        /// Who shall lead it: a number, such as n2 or 2, or a name
        #[arg(long, value_name = "NODE")]
        to: String,
        /// Return when it does; gives up after --timeout [default: 30s]
        #[arg(long)]
        wait: bool,
    },
    /// Write what partitions hold by now into Parquet parts
    #[command(after_help = "Examples:\n  chronos partition compact 7 --wait\n  chronos partition compact")]
    Compact {
        /// 0 to 31, or system; all when left out
        #[arg(value_parser = parse_partition)]
        partitions: Vec<PartitionId>,
        /// Return when it is done, however long that takes
        #[arg(long)]
        wait: bool,
    },
    /// Have nodes look for damage on their disks now, without haste
    #[command(after_help = "\
What they find shows in `chronos cluster status`; that they are done, in `chronos partition show`.

Example:
  chronos partition scrub --node n2")]
    Scrub(Which),
    /// Have nodes look for damage on their disks now, at full speed, and wait for what they find
    #[command(after_help = "\
Counts the system partition, too. A node that is down or falls silent is told of and not waited for; --timeout bounds \
all of it.

Examples:
  chronos partition verify 7
  chronos partition verify --node n2")]
    Verify(Which),
    /// Compare all replicas of partitions at one position each
    #[command(after_help = "\
Prints partition, position, verdict, digest and who gave it. Exit code 1 unless all replicas gave the same. A replica \
that is behind and does not get on, and one on a node that is down or falls silent, is told of and not waited for; \
--timeout bounds all of it.

Examples:
  chronos partition digest
  chronos partition digest 7 --json")]
    Digest {
        /// 0 to 31, or system; all when left out
        #[arg(value_parser = parse_partition)]
        partitions: Vec<PartitionId>,
    },
    /// Have damaged replicas made whole from the others; the same as `chronos repair`
    #[command(after_help = "Example:\n  chronos partition repair 7 --node n2")]
    Repair(Which),
}

impl Partition {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let format = self.operator.format(context);
        let admin = self.operator.connect(context).await?;
        match self.verb {
            Verb::List { watched } => {
                let look = async || {
                    let status = admin.status().await.map_err(failed)?;
                    Ok::<_, Failure>(match format {
                        Format::Table => Drawn::Page(partition::list(&status)),
                        Format::Json => Drawn::Objects(
                            status.partitions.iter().map(|of| json::partition(&status, of)).collect(),
                        ),
                    })
                };
                show(&watched, look).await
            }
            Verb::Show { partition: id, watched } => {
                let look = async || {
                    let status = admin.status().await.map_err(failed)?;
                    let found = status.partition(id);
                    let found = found.ok_or_else(|| {
                        Failure::new(Exit::NotFound, format!("the node knows of no partition {}", name(id)))
                    })?;
                    Ok::<_, Failure>(match format {
                        Format::Table => Drawn::Page(partition::show(&status, found)),
                        Format::Json => Drawn::Objects(vec![json::partition(&status, found)]),
                    })
                };
                show(&watched, look).await
            }
            Verb::Transfer { partition, to, wait } => {
                let to = node_called(&admin, &to).await?;
                let asked_timeout = context.asked_timeout();
                Done { admin: &admin, format, asked_timeout }.transfer(partition, to, wait).await
            }
            Verb::Compact { partitions, wait } => upkeep::compact(&admin, partitions, wait, format).await,
            Verb::Scrub(which) => upkeep::scrub(&admin, &which.into(), format).await,
            Verb::Verify(which) => upkeep::verify(&admin, &which.into(), format).await,
            Verb::Digest { partitions } => upkeep::digest(&admin, &partitions, format).await,
            Verb::Repair(which) => repair(&admin, &which.into(), format).await,
        }
    }
}

/// Has damaged replicas made whole, and says what was done.
pub(super) use upkeep::repair;
