//! `chronos bench`

mod catch_up;
mod failover;
mod growth;
mod idle;
mod load;

use clap::{Args, Subcommand};

use crate::cli::Context;
use crate::failure::Outcome;
use crate::stop_request;
use catch_up::CatchUp;
use failover::Failover;
use growth::Growth;
use idle::Idle;
use load::{Load, Workload};

const EXAMPLES: &str = "\
Without --addr (or CHRONOS_ADDR) servers of its own are started in a temporary directory and removed afterwards; then \
server and load share the machine. With it, events of entities named bench-… stay behind on that server. What kills \
nodes or watches idle ones always starts its own.

A number is never printed without its conditions: durability, batch, payload, concurrency, nodes.

Examples:
  chronos bench append --batch 1000 --payload 256 --concurrency 32
  chronos bench append --batch 1 --concurrency 1 --duration 30s --nodes 3
  chronos bench query --entities 10000 --output json
  chronos bench failover --rounds 100
  chronos bench growth --events 200000
  chronos bench idle --nodes 3 --duration 60s
  chronos bench catch-up --events 1000000 --kills 5";

/// Measure servers: under load, when a leader dies, when nodes come and go, and while nobody asks anything
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Requests of --batch events for one partition, each awaited until it is durable
    Append(Load),
    /// One event by its id
    Read(Load),
    /// The 100 newest events of one entity
    Query(Load),
    Failover(Failover),
    Growth(Growth),
    Idle(Idle),
    CatchUp(CatchUp),
}

impl Bench {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        stop_request::or_interrupted(self.measure(context)).await
    }

    async fn measure(self, context: &Context) -> Outcome {
        match self.what {
            What::Append(load) => load.measured(Workload::Append, context).await?.print(context.output),
            What::Read(load) => load.measured(Workload::Read, context).await?.print(context.output),
            What::Query(load) => load.measured(Workload::Query, context).await?.print(context.output),
            What::Failover(failover) => failover.run(context).await,
            What::Growth(growth) => growth.run(context).await,
            What::Idle(idle) => idle.run(context).await,
            What::CatchUp(catch_up) => catch_up.run(context).await,
        }
    }
}
