//! `chronos bench failover`: how long nobody takes appends after a leader was killed.
//!
//! Each round kills one node (SIGKILL) of a cluster at rest, and then appends one event to every partition that it led.
//! What is timed begins before the kill and ends when the SDK has the acknowledgement: detection, election, the
//! client's finding the new leader, and a durable append. A probe begins when the process is gone, so nothing that the
//! dead node said can be taken for an answer.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use chronos_client::{Append, Client, EntityId, Options, PartitionId, Placement};
use chronos_domain::{TenantId, place};
use clap::Args;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::bench::report::Latencies;
use crate::cli::Context;
use crate::demo::dice::Dice;
use crate::failure::{Failure, Outcome};
use crate::fleet::Fleet;
use crate::fleet::ground::Ground;
use crate::output::{Format, Out};
use crate::table::{Align, Table, grouped};

const EXAMPLES: &str = "\
Each round: kill one of its own nodes (SIGKILL), append one event to each partition that it led, time from the kill to \
each acknowledgement; start the node again and wait until leaders and replicas are spread. A round counts as its slowest \
partition.

Examples:
  chronos bench failover
  chronos bench failover --rounds 20 --nodes 5 --output json";

/// What a cluster on two cores promises of the slowest partition of a round: half of the time, and almost always.
const PROMISE_MS: (f64, f64) = (2_000.0, 4_000.0);

/// A probe that is not acknowledged by then has failed.
const PROBE_MAX: Duration = Duration::from_secs(60);

/// Time from the death of a leader to the first acknowledged append in each of its partitions
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Failover {
    /// How often a node is killed
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(3..=9))]
    nodes: u8,
    /// Seed of the choice of nodes
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    seed: u64,
}

/// What was measured, and under which conditions.
#[derive(Debug, Serialize)]
struct Report {
    nodes: usize,
    replicas_per_partition: u8,
    durability: String,
    cores: usize,
    load: &'static str,
    release: String,
    rounds: u32,
    seed: u64,
    /// Partitions whose leader was killed, in all rounds.
    partitions: u64,
    /// Of each round: from the kill to the acknowledgement in the last partition of the node.
    round_ms: Times,
    /// Of each partition.
    partition_ms: Times,
    /// From the start of the killed node's process to its being ready.
    restart_ms: Times,
    /// From there to leaders and replicas that are spread.
    balanced_ms: Times,
}

#[derive(Debug, Serialize)]
struct Times {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Times {
    fn of(latencies: &Latencies) -> Self {
        let ms = |quantile| latencies.at(quantile).as_secs_f64() * 1000.0;
        Self { p50: ms(0.5), p99: ms(0.99), max: ms(1.0) }
    }
}

struct Measured {
    rounds: Latencies,
    partitions: Latencies,
    restarts: Latencies,
    balanced: Latencies,
}

impl Failover {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let mut fleet = Fleet::found(self.nodes.into(), Ground::loopback()).await?;
        let mut placement = fleet.settled().await?;
        let options = Options { deadline: PROBE_MAX, ..Options::default() };
        let client = Client::connect_with(&fleet.addresses().join(","), options).map_err(Failure::usage)?;
        let info = client.info().await.map_err(|e| Failure::from(&e))?;
        let (mut dice, probes) = (Dice::new(self.seed), Probes::new());
        probes.warm_up(&client).await?;
        let new = Latencies::new;
        let mut all = Measured { rounds: new(), partitions: new(), restarts: new(), balanced: new() };
        for round in 1..=self.rounds {
            let victim = dice.below(fleet.len() as u64) as usize;
            let worst = kill(&mut fleet, victim, &placement, &client, &probes, &mut all).await?;
            all.rounds.record(worst);
            all.restarts.record(fleet.restart(victim).await?);
            let start = Instant::now();
            placement = fleet.settled().await?;
            all.balanced.record(start.elapsed());
            tell(round, self.rounds, worst);
        }
        let report = Report {
            nodes: fleet.len(),
            replicas_per_partition: fleet.replication(),
            durability: info.durability,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            load: "one append for each partition of the killed node, nothing else",
            release: info.release,
            rounds: self.rounds,
            seed: self.seed,
            partitions: all.partitions.count(),
            round_ms: Times::of(&all.rounds),
            partition_ms: Times::of(&all.partitions),
            restart_ms: Times::of(&all.restarts),
            balanced_ms: Times::of(&all.balanced),
        };
        fleet.stop_all().await?;
        report.print(context.output)
    }
}

/// One round; gives the time of the slowest partition.
async fn kill(
    fleet: &mut Fleet,
    victim: usize,
    placement: &Placement,
    client: &Client,
    probes: &Probes,
    all: &mut Measured,
) -> Outcome<Duration> {
    let led = placement
        .partitions
        .iter()
        .filter(|placed| placed.leader.and_then(|leader| fleet.seat_of(leader, placement)) == Some(victim));
    let led: Vec<PartitionId> = led.map(|placed| placed.partition).collect();
    let killed = Instant::now();
    fleet.kill(victim).await?;
    let mut waiting = JoinSet::new();
    for partition in led {
        let (client, append) = (client.clone(), probes.append(partition));
        waiting.spawn(async move { client.append(append).await.map(|_| killed.elapsed()) });
    }
    let mut worst = Duration::ZERO;
    while let Some(ended) = waiting.join_next().await {
        let acknowledged = ended.map_err(|died| Failure::failed(format!("a probe died: {died}")))?;
        let took = acknowledged.map_err(|e| Failure::from(&e))?;
        all.partitions.record(took);
        worst = worst.max(took);
    }
    Ok(worst)
}

/// One entity of each partition.
struct Probes(Vec<EntityId>);

impl Probes {
    fn new() -> Self {
        let tenant = TenantId::default_tenant();
        let entity = |partition| {
            let names = (0..).map(|n: u32| format!("bench-failover-{n}"));
            let placed = names.map(|name| EntityId::parse(&name).expect("short plain names are valid"));
            let mut fitting = placed.filter(|entity| place(tenant.as_str(), entity.as_str()) == partition);
            fitting.next().expect("names are endless and spread over all partitions")
        };
        Self(PartitionId::all().map(entity).collect())
    }

    fn append(&self, partition: PartitionId) -> Append {
        Append::to(self.0[partition.index()].as_str()).event("bench.probe", "{}")
    }

    /// One append to every partition, so that the client knows every leader before the first kill.
    async fn warm_up(&self, client: &Client) -> Outcome {
        for partition in PartitionId::all() {
            client.append(self.append(partition)).await.map_err(|e| Failure::from(&e))?;
        }
        Ok(())
    }
}

/// Somebody may watch: the whole takes minutes.
fn tell(round: u32, rounds: u32, worst: Duration) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // Whether it can be told changes nothing.
        let _ = writeln!(stderr, "round {round} of {rounds}: {} ms", worst.as_millis());
    }
}

impl Report {
    fn print(&self, format: Format) -> Outcome {
        let mut out = Out::new(format);
        match format {
            Format::Json => out.object(self)?,
            Format::Table => {
                out.table(&self.conditions())?;
                out.line("")?;
                out.table(&self.results())?;
                out.line("")?;
                out.line(self.verdict())?;
            }
        }
        out.finish()
    }

    fn verdict(&self) -> String {
        let (p50, p99) = PROMISE_MS;
        let kept = self.round_ms.p50 <= p50 && self.round_ms.p99 <= p99;
        let verdict = if kept { "kept" } else { "NOT KEPT" };
        format!("last partition of a round within {p50} ms (p50) and {p99} ms (p99): {verdict}")
    }

    fn conditions(&self) -> Table {
        let mut table = Table::new(&[("CONDITION", Align::Left), ("", Align::Left)]);
        let rows = [
            ("nodes", format!("{} on this machine, {} cores", self.nodes, self.cores)),
            ("replicas", format!("{} of each partition", self.replicas_per_partition)),
            ("durability", self.durability.clone()),
            ("load", self.load.to_owned()),
            ("rounds", format!("{}, {} leaders lost", self.rounds, grouped(self.partitions))),
            ("release", self.release.clone()),
        ];
        rows.into_iter().for_each(|(name, value)| table.row([name.to_owned(), value]));
        table
    }

    fn results(&self) -> Table {
        let columns = [
            ("MILLISECONDS", Align::Left),
            ("P50", Align::Right),
            ("P99", Align::Right),
            ("MAX", Align::Right),
        ];
        let mut table = Table::new(&columns);
        let rows = [
            ("kill to append, last partition of a round", &self.round_ms),
            ("kill to append, each partition", &self.partition_ms),
            ("node back and ready", &self.restart_ms),
            ("leaders and replicas spread again", &self.balanced_ms),
        ];
        for (name, times) in rows {
            let cells = [times.p50, times.p99, times.max].map(|ms| grouped(ms.round() as u64));
            table.row([name.to_owned()].into_iter().chain(cells));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_probe_for_every_partition() {
        let Probes(entities) = Probes::new();
        for (partition, entity) in PartitionId::all().zip(&entities) {
            assert_eq!(place("default", entity.as_str()), partition);
        }
    }
}
