//! `chronos cluster …`

mod config;
mod demo;
mod events;
mod join_token;
mod steer;
mod view;

use std::path::PathBuf;

use chronos_client::ClusterAdmin;
use chronos_client::cluster::NodeId;
use clap::{Args, Subcommand};

use crate::cli::Context;
use crate::commands::backup;
use crate::data_dir;
use crate::failure::Outcome;
use crate::operator::{Operator, Watched, failed, node_called, parse_replication};

pub(super) use steer::Done;

const EXAMPLES: &str = "\
Any node can be asked about all of them, on its operators' port (`admin on HOST:PORT` when its server starts).

Look:
  chronos cluster status --watch
  chronos cluster plan                      # what the placement driver would do next, and why

Take a node out, and another one in:
  chronos cluster drain n2 --wait           # its replicas and leaders move to others
  chronos cluster remove n2                 # it never comes back under this number
  chronos cluster replace n3                # a node that is dead: give it up now

See one at work, on this machine:
  chronos cluster demo

Hold still during maintenance:
  chronos cluster pause
  chronos cluster resume

Exit codes as of every command: 4 when the cluster says no, with the rule; 6 when `status` finds something amiss.";

/// See and steer the cluster: its nodes, its placement, its settings
#[derive(Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cluster {
    #[command(flatten)]
    operator: Operator,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Nodes, leaders, and whatever is not as it should be
    #[command(after_help = "\
Exit code 0 when all is well, 6 when anything is not as it should be, 1 when no node could be asked.

What is only on its way is told and is no reason for 6: leaders that are evened out after a restart, replicas that move, or \
one too many that is about to go. Every partition is led and has all its replicas meanwhile, so the next node may be taken \
down. With --settled it is 6 until nothing is left to move, too.

Examples:
  chronos cluster status
  chronos cluster status --watch
  chronos cluster status && ./deploy.sh
  until chronos cluster status >/dev/null; do sleep 1; done
  until chronos cluster status --settled >/dev/null; do sleep 1; done
  chronos cluster status --json | jq .concerns")]
    Status {
        #[command(flatten)]
        watched: Watched,
        /// What is done without it, too
        #[arg(long, hide = true, conflicts_with = "watch")]
        check: bool,
        /// Exit with 6 also while replicas or leaders are on their way to where they belong
        #[arg(long, conflicts_with = "watch")]
        settled: bool,
    },
    /// Every node with its addresses, release and age
    #[command(after_help = "Example:\n  chronos cluster nodes --json | jq -r .client_address")]
    Nodes {
        #[command(flatten)]
        watched: Watched,
    },
    /// What the placement driver would do next, in order, and why
    #[command(after_help = "Example:\n  chronos cluster plan --watch")]
    Plan {
        #[command(flatten)]
        watched: Watched,
    },
    /// Have everything move away from a node
    #[command(after_help = "Example:\n  chronos cluster drain n2 --wait")]
    Drain {
        #[command(flatten)]
        node: Node,
        /// Return when the node holds nothing any more, and what it had is deleted there
        #[arg(long)]
        wait: bool,
    },
    /// Take a drain back
    #[command(after_help = "Example:\n  chronos cluster undrain n2")]
    Undrain {
        #[command(flatten)]
        node: Node,
    },
    /// End the membership of a drained node, for ever
    #[command(after_help = "\
Examples:
  chronos cluster drain n2 --wait && chronos cluster remove n2
  chronos cluster remove n2 --force         # although it is up and holds replicas: they move first")]
    Remove {
        #[command(flatten)]
        node: Node,
        /// Although it is up, or holds replicas
        #[arg(long)]
        force: bool,
    },
    /// Give up a dead node: what it held is made anew on others at once
    #[command(after_help = "\
Without this the placement driver does so by itself when a node has been down for long. Of one that was lost just now it is \
waited until that shows, which takes 3 s.

Example:
  chronos cluster replace n3 && chronos cluster plan --watch")]
    Replace {
        #[command(flatten)]
        node: Node,
    },
    /// Have the placement driver do nothing until it is resumed
    #[command(after_help = "Example:\n  chronos cluster pause")]
    Pause,
    /// Have it go on
    #[command(after_help = "Example:\n  chronos cluster resume")]
    Resume,
    /// Set how many replicas each partition has
    #[command(after_help = "\
One outlives no node, three one of them, five two.

Example:
  chronos cluster replication 3")]
    Replication {
        /// 1, 3 or 5
        #[arg(value_parser = parse_replication)]
        replicas: u8,
    },
    Token(join_token::Token),
    Config(config::Config),
    LogLevel(config::LogLevel),
    /// Print what changes, as it changes: nodes, leaders, members, health, settings
    #[command(after_help = "\
Examples:
  chronos cluster events
  chronos cluster events --json | jq 'select(.kind == \"leader\")'")]
    Events,
    /// Copy everything the cluster has into a directory
    #[command(after_help = "\
What `chronos backup` does, by way of any node's operators' port: what that node does not hold it has from those that do. \
`chronos restore` makes the data directory of a cluster of one of it.

Example:
  chronos cluster backup --to /backups/chronos --admin db1:7402")]
    Backup {
        /// Where to; made if it is missing
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    Demo(demo::Demo),
}

/// Which node a verb is about.
#[derive(Args, Clone)]
struct Node {
    /// Which node: its number, such as n2 or 2, or its name
    #[arg(value_name = "NODE")]
    node: String,
}

impl Node {
    async fn called(&self, admin: &ClusterAdmin) -> Outcome<NodeId> {
        node_called(admin, &self.node).await
    }
}

impl Cluster {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let Self { operator, verb } = self;
        let verb = match verb {
            // Its nodes are its own, so nobody is asked.
            Verb::Demo(demo) => return Box::pin(demo.run(context)).await,
            verb => verb,
        };
        let format = operator.format(context);
        let admin = operator.connect(context).await?;
        let done = Done { admin: &admin, format, asked_timeout: context.asked_timeout() };
        match verb {
            Verb::Status { watched, check: _, settled } => {
                let until = if settled { view::Until::Settled } else { view::Until::Well };
                view::status(&admin, &watched, until, format).await
            }
            Verb::Nodes { watched } => view::nodes(&admin, &watched, format).await,
            Verb::Plan { watched } => view::plan(&admin, &watched, format).await,
            Verb::Drain { node, wait } => done.drain(node.called(&admin).await?, wait).await,
            Verb::Undrain { node } => done.undrain(node.called(&admin).await?).await,
            Verb::Remove { node, force } => done.remove(node.called(&admin).await?, force).await,
            Verb::Replace { node } => done.replace(node.called(&admin).await?).await,
            Verb::Pause => done.pause().await,
            Verb::Resume => done.resume().await,
            Verb::Replication { replicas } => done.replication(replicas).await,
            Verb::Token(token) => done.token(token.read()?).await,
            Verb::Config(config) => config.run(&admin, format).await,
            Verb::LogLevel(level) => level.run(&admin, format).await,
            Verb::Events => events::run(&admin, format).await,
            Verb::Backup { to } => {
                let dir = data_dir::resolve(&to)?;
                let begin = async || admin.backup_telling(backup::told).await.map_err(failed);
                backup::copy_all(&dir, (format, context.asked_timeout()), begin).await
            }
            Verb::Demo(_) => unreachable!("a demo returned above"),
        }
    }
}
