//! Apply: checks, numbers and all indexes of the store, without the log.

use std::time::Instant;

use chronos_domain::PartitionId;

use crate::Failure;
use crate::clock::{Run, Series};
use crate::orders::{Orders, Stock};
use crate::report::Line;
use crate::suite::Bench;
use crate::works::filled::Filled;

const EVENTS: [usize; 3] = [1, 100, 1000];

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let stock = Stock::new();
    let id = PartitionId::all().next().expect("there are partitions");
    let mut lines = Vec::new();
    for events in EVENTS {
        let mut series = Series::default();
        for seed in 0..bench.runs() {
            let mut orders = Orders::new(&stock, u64::from(seed));
            let mut filled = Filled::empty(bench, id)?;
            let mut run = Run::new();
            let end = Instant::now() + bench.time();
            while Instant::now() < end {
                filled.apply(orders.block(id, events), &mut run, events as u64)?;
            }
            let stats = filled.partition.stats();
            if (stats.events, stats.ids, filled.partition.head().get())
                != (run.events, run.events, run.events)
            {
                return Err(
                    format!("{} events were applied, the partition holds {stats:?}", run.events).into()
                );
            }
            series.0.push(run);
        }
        lines.push(Line::rate("store.apply", &series, bench.conditions).load(1, events));
    }
    Ok(lines)
}
