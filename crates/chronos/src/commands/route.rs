//! `chronos route`

use chronos_client::{NodeId, Placement};
use chronos_domain::{EntityId, PartitionId, TenantId, place, routing_key};
use clap::Args;
use serde_json::json;

use crate::cli::Context;
use crate::connect::Connection;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{Format, Out};
use crate::table::{Align, Table};

const EXAMPLES: &str = "\
Placement is arithmetic that every client can do: no server is asked, unless for the nodes, which may change.

Examples:
  chronos route order-7
  chronos route order-7 --nodes         # and which nodes hold the partition, the leader first
  chronos route 'order-{cust42}-7'      # the text in braces decides, so that a customer's entities stay together";

/// Say which partition an entity lives in
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Route {
    /// Entities to place
    #[arg(required = true, value_name = "ENTITY")]
    entities: Vec<String>,
    /// Ask a server which nodes hold the partition, and which of them leads it
    #[arg(long)]
    nodes: bool,
}

impl Route {
    pub(crate) async fn run(self, context: &Context) -> Outcome {
        let placement = match self.nodes {
            true => Some(Connection::open(context).await?.placement().await?),
            false => None,
        };
        let mut out = Out::new(context.output);
        let mut columns =
            vec![("ENTITY", Align::Left), ("ROUTING KEY", Align::Left), ("PARTITION", Align::Right)];
        if self.nodes {
            columns.extend([("LEADER", Align::Left), ("REPLICAS", Align::Left)]);
        }
        let mut table = Table::new(&columns);
        for text in self.entities {
            let entity = EntityId::parse(&text).map_err(|e| Failure::new(Exit::Rejected, e))?;
            let routed = Routed::of(&entity, placement.as_ref());
            match context.output {
                Format::Table => table.row(routed.row()),
                Format::Json => out.object(&routed.object())?,
            }
        }
        out.table(&table)?;
        out.finish()
    }
}

/// Where one entity lives.
struct Routed<'a> {
    entity: &'a EntityId,
    partition: PartitionId,
    /// Asked for.
    placement: Option<&'a Placement>,
}

impl<'a> Routed<'a> {
    fn of(entity: &'a EntityId, placement: Option<&'a Placement>) -> Self {
        let partition = place(TenantId::default_tenant().as_str(), entity.as_str());
        Self { entity, partition, placement }
    }

    fn row(&self) -> Vec<String> {
        let key = routing_key(self.entity.as_str());
        let mut row = vec![self.entity.to_string(), key.to_owned(), self.partition.to_string()];
        if let Some(placement) = self.placement {
            let placed = placement.partition(self.partition);
            let leader = placed.and_then(|placed| placed.leader);
            let name = |node| name(placement, node);
            row.push(leader.map_or_else(|| "none".to_owned(), name));
            let replicas = placed.map(|placed| placed.replicas.as_slice()).unwrap_or_default();
            row.push(replicas.iter().map(|node| name(*node)).collect::<Vec<_>>().join(", "));
        }
        row
    }

    fn object(&self) -> serde_json::Value {
        let mut object = json!({
            "entity_id": self.entity.as_str(),
            "routing_key": routing_key(self.entity.as_str()),
            "partition": self.partition.get(),
        });
        if let Some(placement) = self.placement {
            let placed = placement.partition(self.partition);
            let member = |node: NodeId| {
                let known = placement.node(node);
                json!({
                    "node": node.get(),
                    "name": known.map(|of| &of.name),
                    "address": known.map(|of| &of.address),
                })
            };
            let replicas = placed.map(|placed| placed.replicas.as_slice()).unwrap_or_default();
            object["leader"] = json!(placed.and_then(|placed| placed.leader).map(member));
            object["replicas"] = json!(replicas.iter().map(|node| member(*node)).collect::<Vec<_>>());
            object["epoch"] = json!(placement.epoch);
        }
        object
    }
}

/// A node in a few words: its number, and where it is.
fn name(placement: &Placement, node: NodeId) -> String {
    match placement.node(node) {
        Some(of) if !of.address.is_empty() => format!("{node} ({})", of.address),
        _ => node.to_string(),
    }
}
