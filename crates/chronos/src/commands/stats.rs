//! `chronos stats`

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::Outcome;
use crate::output::{Format, Out};
use crate::table::{Align, Table, grouped};

const EXAMPLES: &str = "\
Examples:
  chronos stats
  chronos stats --output json | jq .events
  chronos stats --addr db1:7400

More numbers, for a monitoring system: GET /metrics on the same port.";

/// Print who the server is and how much it holds
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Stats {}

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
    token: String,
}

impl Stats {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let connection = Connection::open(context).await?;
        let (info, marks) = (connection.info().await?, connection.watermarks().await?);
        let served: Vec<u64> = marks
            .partitions
            .iter()
            .filter_map(|one| one.marks.as_ref().ok())
            .map(|m| m.applied.get())
            .collect();
        let numbers = Numbers {
            cluster_id: info.cluster_id,
            node_id: info.node_id,
            release: info.release,
            durability: info.durability,
            nodes: info.nodes,
            partitions: info.partitions,
            partitions_served: served.len(),
            events: served.iter().sum(),
            token: marks.token.to_string(),
        };
        let mut out = Out::new(context.output);
        match context.output {
            Format::Json => out.object(&numbers)?,
            Format::Table => out.table(&numbers.table())?,
        }
        out.finish()
    }
}

impl Numbers {
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
            ("token", self.token.clone()),
        ];
        for (name, value) in rows {
            table.row([name.to_owned(), value]);
        }
        table
    }
}
