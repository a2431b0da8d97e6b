//! `chronos bench idle`: what a cluster costs while nobody asks anything.

use std::fs;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::failure::{Failure, Outcome};
use crate::fleet::Fleet;
use crate::fleet::ground::Ground;
use crate::moment;
use crate::output::{Format, Out};
use crate::table::{Align, Table};

const EXAMPLES: &str = "\
Starts nodes of its own, waits until leaders and replicas are spread and for --warm-up, and then reads what the system has \
counted for each process: time on a processor, and physical memory without the pages of files.

Examples:
  chronos bench idle
  chronos bench idle --nodes 5 --duration 60s --output json";

/// The nodes share one machine, and so do its processors.
const PERCENT: f64 = 100.0;

/// What Linux counts time on a processor in for its users, on every machine.
const TICK_NANOS: u64 = 10_000_000;

/// Processor and memory of a cluster that nobody asks anything
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Idle {
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// How long it is watched
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = moment::parse_duration)]
    duration: Duration,
    /// How long it is left alone before that
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = moment::parse_duration)]
    warm_up: Duration,
}

/// What it cost.
#[derive(Debug, Serialize)]
struct Report {
    nodes: Vec<Node>,
    seconds: f64,
    /// Of one core, all nodes together.
    cpu_percent: f64,
    cores: usize,
}

#[derive(Debug, Serialize)]
struct Node {
    name: String,
    /// Of one core.
    cpu_percent: f64,
    /// Physical memory that is the process's own.
    memory_bytes: u64,
    /// Physical memory with the pages of files that it shares with others, its own program among them.
    resident_bytes: u64,
}

impl Idle {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let mut fleet = Fleet::found(self.nodes.into(), Ground::loopback()).await?;
        fleet.settled().await?;
        tokio::time::sleep(self.warm_up).await;
        let start = Instant::now();
        let before = each(&fleet, cpu_nanos)?;
        tokio::time::sleep(self.duration).await;
        let (after, seconds) = (each(&fleet, cpu_nanos)?, start.elapsed().as_secs_f64());
        let percent = |before: u64, after: u64| (after - before) as f64 / 1e9 / seconds * PERCENT;
        let (own, resident) = (each(&fleet, own_bytes)?, each(&fleet, resident_bytes)?);
        let nodes: Vec<Node> = (0..fleet.len())
            .map(|at| Node {
                name: fleet.name(at).to_owned(),
                cpu_percent: percent(before[at], after[at]),
                memory_bytes: own[at],
                resident_bytes: resident[at],
            })
            .collect();
        let cpu_percent = nodes.iter().map(|node| node.cpu_percent).sum();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        fleet.stop_all().await?;
        Report { nodes, seconds, cpu_percent, cores }.print(context.output)
    }
}

fn each(fleet: &Fleet, figure: fn(u32) -> Option<u64>) -> Outcome<Vec<u64>> {
    let of = |at| fleet.process(at).and_then(figure);
    (0..fleet.len())
        .map(|at| {
            of(at).ok_or_else(|| Failure::failed(format!("/proc says nothing of node {}", fleet.name(at))))
        })
        .collect()
}

/// On a processor so far, threads that have ended included.
fn cpu_nanos(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // proc(5): the name in parentheses may hold anything; of what follows, fields 14 and 15 are utime and stime.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some((ticks()? + ticks()?) * TICK_NANOS)
}

fn own_bytes(process: u32) -> Option<u64> {
    status(process, "RssAnon:")
}

fn resident_bytes(process: u32) -> Option<u64> {
    status(process, "VmRSS:")
}

fn status(process: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

impl Report {
    fn print(&self, format: Format) -> Outcome {
        let mut out = Out::new(format);
        match format {
            Format::Json => out.object(self)?,
            Format::Table => {
                out.table(&self.table())?;
                out.line(format!("watched for {:.0} s on {} cores", self.seconds, self.cores))?;
            }
        }
        out.finish()
    }

    fn table(&self) -> Table {
        let columns = [
            ("NODE", Align::Left),
            ("% OF A CORE", Align::Right),
            ("OWN MIB", Align::Right),
            ("RESIDENT MIB", Align::Right),
        ];
        let mut table = Table::new(&columns);
        let mib = |bytes: u64| (bytes >> 20).to_string();
        for node in &self.nodes {
            let cpu = format!("{:.1}", node.cpu_percent);
            table.row([node.name.clone(), cpu, mib(node.memory_bytes), mib(node.resident_bytes)]);
        }
        let sum = |figure: fn(&Node) -> u64| mib(self.nodes.iter().map(figure).sum());
        let cpu = format!("{:.1}", self.cpu_percent);
        table.row(["all".to_owned(), cpu, sum(|node| node.memory_bytes), sum(|node| node.resident_bytes)]);
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_process_has_been_busy_and_has_memory() {
        let me = std::process::id();
        let before = cpu_nanos(me).unwrap();
        let mut n: u64 = 0;
        while cpu_nanos(me).unwrap() == before {
            n = std::hint::black_box(n + 1);
        }
        let (own, resident) = (own_bytes(me).unwrap(), resident_bytes(me).unwrap());
        assert!(0 < own && own <= resident, "{own} of {resident}");
    }
}
