//! `chronos route`

use chronos_domain::{EntityId, TenantId, place, routing_key};
use clap::Args;
use serde_json::json;

use crate::cli::Context;
use crate::failure::{Exit, Failure, Outcome};
use crate::output::{Format, Out};
use crate::table::{Align, Table};

const EXAMPLES: &str = "\
Placement is arithmetic that every client can do: no server is asked.

Examples:
  chronos route order-7
  chronos route 'order-{cust42}-7'      # the text in braces decides, so that a customer's entities stay together";

/// Say which partition an entity lives in
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Route {
    /// Entities to place
    #[arg(required = true, value_name = "ENTITY")]
    entities: Vec<String>,
}

impl Route {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let tenant = TenantId::default_tenant();
        let mut out = Out::new(context.output);
        let mut table =
            Table::new(&[("ENTITY", Align::Left), ("ROUTING KEY", Align::Left), ("PARTITION", Align::Right)]);
        for text in self.entities {
            let entity = EntityId::parse(&text).map_err(|e| Failure::new(Exit::Rejected, e))?;
            let (key, partition) = (routing_key(entity.as_str()), place(tenant.as_str(), entity.as_str()));
            match context.output {
                Format::Table => table.row([entity.to_string(), key.to_owned(), partition.to_string()]),
                Format::Json => out.object(&json!({
                    "entity_id": entity.as_str(),
                    "routing_key": key,
                    "partition": partition.get(),
                }))?,
            }
        }
        out.table(&table)?;
        out.finish()
    }
}
