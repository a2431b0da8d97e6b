//! The block codec: pack a request, open it as a stranger's, reopen it as one's own.

use std::time::Instant;

use chronos_block::Block;
use chronos_domain::Batch;

use crate::Failure;
use crate::clock::{Run, Series};
use crate::orders::{Orders, Stock, pack};
use crate::report::Line;
use crate::suite::Bench;

const EVENTS: [usize; 3] = [1, 100, 1000];

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let stock = Stock::new();
    let mut lines = Vec::new();
    for events in EVENTS {
        let [mut packs, mut opens, mut reopens] = [Series::default(), Series::default(), Series::default()];
        for seed in 0..bench.runs() {
            let mut orders = Orders::new(&stock, u64::from(seed));
            let [mut pack_run, mut open_run, mut reopen_run] = [Run::new(), Run::new(), Run::new()];
            let end = Instant::now() + bench.time();
            while Instant::now() < end {
                let drafts = orders.next_batch(events);
                let block = pack_run.time(events as u64, || pack(drafts));
                let wire = block.bytes().clone();
                let opened = open_run.time(events as u64, || Block::open(wire.clone()))?;
                let reopened = reopen_run.time(events as u64, || Block::reopen(wire.clone()))?;
                if [&opened, &reopened].iter().any(|other| **other != block || other.events() != events) {
                    return Err("a block is not what was packed".into());
                }
            }
            packs.0.push(pack_run);
            opens.0.push(open_run);
            reopens.0.push(reopen_run);
        }
        for (work, series) in [("block.pack", packs), ("block.open", opens), ("block.reopen", reopens)] {
            lines.push(Line::per_event(work, &series, bench.conditions).load(1, events));
        }
    }
    Ok(lines)
}
