//! What partitions hold, by type and one by one.

use std::collections::BTreeMap;

use chronos_client::PartitionHoldings;
use serde::Serialize;
use serde_json::{Value, json};

use crate::moment;
use crate::table::{Align, Table, grouped};

/// The events of one type, over all partitions.
#[derive(Serialize)]
pub(super) struct TypeRow {
    event_type: String,
    events: u64,
    raw_bytes: u64,
}

/// All partitions' types added up, the most frequent first.
pub(super) fn by_type(held: &[PartitionHoldings]) -> Vec<TypeRow> {
    let mut types = BTreeMap::<&str, (u64, u64)>::new();
    for of in held.iter().filter_map(|one| one.holdings.as_ref().ok()).flat_map(|held| &held.types) {
        let (events, bytes) = types.entry(&of.event_type).or_default();
        *events += of.events;
        *bytes += of.raw_bytes;
    }
    let rows = types.into_iter().map(|(event_type, (events, raw_bytes))| TypeRow {
        event_type: event_type.to_owned(),
        events,
        raw_bytes,
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.events));
    rows
}

pub(super) fn types(rows: &[TypeRow]) -> Table {
    let mut table =
        Table::new(&[("TYPE", Align::Left), ("EVENTS", Align::Right), ("RAW BYTES", Align::Right)]);
    for row in rows {
        table.row([row.event_type.clone(), grouped(row.events), grouped(row.raw_bytes)]);
    }
    table
}

/// One row for each partition that holds anything, or is refused.
pub(super) fn partitions(held: &[PartitionHoldings]) -> Table {
    let columns = ["PARTITION", "EVENTS", "ENTITIES", "NOT IN PARTS", "PARTS", "PART BYTES", "INDEX BYTES"];
    let columns = columns.map(|name| (name, Align::Right)).into_iter();
    let columns = columns.chain([("FIRST RECORDED", Align::Left), ("LAST RECORDED", Align::Left)]);
    let mut table = Table::new(&columns.collect::<Vec<_>>());
    for one in held {
        match &one.holdings {
            Ok(held) if held.events == 0 => {}
            Ok(held) => {
                let numbers = [
                    held.events,
                    held.entities,
                    held.uncompacted,
                    held.parts,
                    held.part_bytes,
                    held.index_bytes,
                ];
                let (first, last) = held.recorded.unwrap_or_default();
                let times = [moment::show(first), moment::show(last)];
                let row = [one.partition.to_string()].into_iter().chain(numbers.map(grouped)).chain(times);
                table.row(row);
            }
            Err(failure) => {
                let unknown = std::iter::repeat_n("?".to_owned(), 6);
                let refused = [format!("REFUSED: {failure}"), String::new()];
                table.row([one.partition.to_string()].into_iter().chain(unknown).chain(refused));
            }
        }
    }
    table
}

pub(super) fn object(one: &PartitionHoldings) -> Value {
    match &one.holdings {
        Err(failure) => {
            json!({"partition": one.partition.get(), "reason": failure.reason, "message": failure.message})
        }
        Ok(held) => json!({
            "partition": one.partition.get(),
            "events": held.events,
            "entities": held.entities,
            "first_recorded_at": held.recorded.map(|(first, _)| first.get()),
            "last_recorded_at": held.recorded.map(|(_, last)| last.get()),
            "parts": held.parts,
            "part_bytes": held.part_bytes,
            "lookup_bytes": held.lookup_bytes,
            "index_bytes": held.index_bytes,
            "uncompacted": held.uncompacted,
            "truncated_entities": held.truncated_entities,
            "erased": held.erased,
        }),
    }
}
