//! `chronos stats`

mod holdings;
mod stored;

use std::path::PathBuf;

use chronos_client::{Info, LogStats, PartitionHoldings, Watermarks};
use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::Outcome;
use crate::output::{Format, Out};
use crate::table::{Align, Table, grouped};
use holdings::TypeRow;
use stored::Stored;

const EXAMPLES: &str = "\
After the server and its totals: events and bytes by type, and each partition's events, times and files. Nothing is \
scanned for it, so it takes the same time on any size; events that are in no part yet are counted by type only while a \
partition has few of them.

Examples:
  chronos stats
  chronos stats --output json | jq .entities
  chronos stats --addr db1:7400
  chronos stats --against events.ndjson     # how small what was imported has become

More numbers, for a monitoring system: GET /metrics on the same port.";

/// Print who the server is and how much it holds
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Stats {
    /// Say what share of this file's size the parts take: the NDJSON that was imported, for example
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

#[derive(Serialize)]
struct Numbers {
    cluster_id: String,
    node_id: String,
    release: String,
    durability: String,
    nodes: u32,
    partitions: u32,
    partitions_served: usize,
    events: u64,
    /// In the partitions whose holdings were told.
    entities: u64,
    token: String,
    #[serde(flatten)]
    held: Option<Held>,
    #[serde(flatten)]
    log: Option<Log>,
    #[serde(flatten)]
    stored: Stored,
    types: Vec<TypeRow>,
    partitions_held: Vec<serde_json::Value>,
}

/// What the server itself holds, if it says so.
#[derive(Serialize)]
struct Held {
    partitions_refused: u32,
    blocks: u64,
    cached_blocks: u64,
    cached_bytes: u64,
}

/// What its log has done since it started, if it says so.
#[derive(Serialize)]
struct Log {
    log_bytes: u64,
    log_units: u64,
    log_syncs: u64,
    log_segments: u64,
}

impl Stats {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let connection = Connection::open(context).await?;
        let info = connection.info().await?;
        // In this order, so that no entity is counted whose events are not.
        let held = connection.holdings().await?;
        let marks = connection.watermarks().await?;
        let stored = Stored::of(&held, self.against.as_deref())?;
        let mut numbers = Numbers::new(info, &marks, &held, stored);
        numbers.types = holdings::by_type(&held);
        let mut out = Out::new(context.output);
        match context.output {
            Format::Json => {
                numbers.partitions_held = held.iter().map(holdings::object).collect();
                out.object(&numbers)?;
            }
            Format::Table => {
                out.table(&numbers.table())?;
                for table in [holdings::types(&numbers.types), holdings::partitions(&held)] {
                    if table.len() > 0 {
                        out.line("")?;
                        out.table(&table)?;
                    }
                }
            }
        }
        out.finish()
    }
}

impl Numbers {
    fn new(info: Info, marks: &Watermarks, held: &[PartitionHoldings], stored: Stored) -> Self {
        let served: Vec<u64> = marks
            .partitions
            .iter()
            .filter_map(|one| one.marks.as_ref().ok())
            .map(|m| m.applied.get())
            .collect();
        Self {
            log: info.stats.as_ref().and_then(|stats| stats.log).map(Log::from),
            held: info.stats.map(Held::from),
            cluster_id: info.cluster_id,
            node_id: info.node_id,
            release: info.release,
            durability: info.durability,
            nodes: info.nodes,
            partitions: info.partitions,
            partitions_served: served.len(),
            events: served.iter().sum(),
            entities: held
                .iter()
                .filter_map(|one| one.holdings.as_ref().ok())
                .map(|held| held.entities)
                .sum(),
            token: marks.token.to_string(),
            stored,
            types: Vec::new(),
            partitions_held: Vec::new(),
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&[("WHAT", Align::Left), ("VALUE", Align::Left)]);
        let rows = [
            ("cluster", self.cluster_id.clone()),
            ("node", self.node_id.clone()),
            ("release", self.release.clone()),
            ("durability", self.durability.clone()),
            ("nodes", self.nodes.to_string()),
            ("partitions served", format!("{} of {}", self.partitions_served, self.partitions)),
            ("events", grouped(self.events)),
            ("entities", grouped(self.entities)),
        ];
        let held = self.held.iter().flat_map(Held::rows);
        let log = self.log.iter().flat_map(Log::rows);
        let token = [("token", self.token.clone())];
        let stored = self.stored.rows();
        for (name, value) in rows.into_iter().chain(held).chain(stored).chain(log).chain(token) {
            table.row([name.to_owned(), value]);
        }
        table
    }
}

impl From<chronos_client::Stats> for Held {
    fn from(stats: chronos_client::Stats) -> Self {
        Self {
            partitions_refused: stats.partitions_refused,
            blocks: stats.blocks,
            cached_blocks: stats.cached_blocks,
            cached_bytes: stats.cached_bytes,
        }
    }
}

impl Held {
    fn rows(&self) -> [(&'static str, String); 3] {
        let (cached, bytes) = (grouped(self.cached_blocks), grouped(self.cached_bytes));
        [
            ("blocks", grouped(self.blocks)),
            ("blocks in memory", format!("{cached}, {bytes} bytes")),
            ("partitions refused", self.partitions_refused.to_string()),
        ]
    }
}

impl From<LogStats> for Log {
    fn from(log: LogStats) -> Self {
        Self { log_bytes: log.bytes, log_units: log.units, log_syncs: log.syncs, log_segments: log.segments }
    }
}

impl Log {
    fn rows(&self) -> [(&'static str, String); 3] {
        let (syncs, units) = (grouped(self.log_syncs), grouped(self.log_units));
        [
            ("log written", format!("{} bytes since start", grouped(self.log_bytes))),
            ("log syncs", format!("{syncs} for {units} group commits since start")),
            ("log files", grouped(self.log_segments)),
        ]
    }
}
