//! A bare 4 KiB write and fdatasync.

use std::time::Instant;

use crate::Failure;
use crate::clock::{Run, Series};
use crate::floor::{Floor, WRITE_BYTES};
use crate::report::Line;
use crate::suite::Bench;

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let mut floor = Floor::new(bench.dir())?;
    let mut series = Series::default();
    for _ in 0..bench.runs() {
        let mut run = Run::new();
        floor.write_and_sync(&mut run, Instant::now() + bench.time())?;
        series.0.push(run);
    }
    let line = Line::latency("floor.write_fdatasync_4k", &series, bench.conditions);
    Ok(vec![line.durable().payload(WRITE_BYTES)])
}
