//! Point reads of events that are in parts, by event id and by (entity, version): after a restart, with little memory for
//! pages so that nearly every read has to decode, and again and again from memory.

use std::time::Instant;

use chronos_domain::EventId;
use chronos_store::{Fault, Range, Recorded};

use crate::Failure;
use crate::clock::{Run, Series};
use crate::orders::{Orders, Stock};
use crate::report::Line;
use crate::suite::Bench;
use crate::works::kept::{CACHE_BYTES, Kept, Known};

const EVENTS: usize = 400_000;
const QUICK_EVENTS: usize = 3_000;
/// Memory for pages of parts while reads are to be cold: the least that a node takes.
const COLD_CACHE_BYTES: usize = 16 << 20;
/// Events that are read over and over.
const HOT: usize = 64;
/// Pages of the Parquet files that one read of one event may decode.
const PAGES_MAX: u64 = 3;

type Read = fn(&Kept, &Known) -> Result<Option<Recorded>, Fault>;

const READS: [(Read, [&str; 2]); 2] = [
    (by_id, ["by id, after a restart", "by id, hot"]),
    (by_version, ["by entity and version, after a restart", "by entity and version, hot"]),
];

/// How many pages were decoded.
#[derive(Default)]
struct Decoded {
    reads: u64,
    parquet: u64,
    parquet_max: u64,
    index: u64,
}

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let stock = Stock::new();
    let mut orders = Orders::new(&stock, 1);
    let events = bench.size(EVENTS, QUICK_EVENTS);
    let (mut kept, known) = Kept::filled(bench, events, &mut orders, &stock)?;
    let mut lines = Vec::new();
    for (read, [cold, hot]) in READS {
        let (mut series, mut decoded) = (Series::default(), Decoded::default());
        for _ in 0..bench.runs() {
            kept = kept.reopened(COLD_CACHE_BYTES)?;
            series.0.push(run(bench, &kept, &known, &mut orders, (read, &mut decoded))?);
        }
        lines.push(line(bench, &series, &decoded, cold, known.len()));
        kept = kept.reopened(CACHE_BYTES)?;
        let known = &known[..HOT];
        for one in known {
            read(&kept, one)?;
        }
        let (mut series, mut decoded) = (Series::default(), Decoded::default());
        for _ in 0..bench.runs() {
            series.0.push(run(bench, &kept, known, &mut orders, (read, &mut decoded))?);
        }
        lines.push(line(bench, &series, &decoded, hot, known.len()));
    }
    Ok(lines)
}

/// Reads random events until the time is over, and checks each, and what it has cost.
fn run(
    bench: &Bench<'_>,
    kept: &Kept,
    known: &[Known],
    orders: &mut Orders,
    (read, decoded): (Read, &mut Decoded),
) -> Result<Run, Failure> {
    let mut run = Run::new();
    let end = Instant::now() + bench.time();
    while Instant::now() < end {
        let wanted = &known[orders.below(known.len())];
        let before = kept.partition.parts_cache();
        let found = run.time(1, || read(kept, wanted))?;
        let after = kept.partition.parts_cache();
        expect(wanted, found.as_ref())?;
        let pages = after.parquet_pages - before.parquet_pages;
        if pages > PAGES_MAX {
            return Err(format!("one read has decoded {pages} pages; {PAGES_MAX} are enough").into());
        }
        decoded.reads += 1;
        decoded.parquet += pages;
        decoded.parquet_max = decoded.parquet_max.max(pages);
        decoded.index += after.index_pages - before.index_pages;
    }
    Ok(run)
}

fn line(bench: &Bench<'_>, series: &Series, decoded: &Decoded, variant: &'static str, events: usize) -> Line {
    let each = |pages: u64| pages as f64 / decoded.reads as f64;
    Line::latency("parts.point_read", series, bench.conditions)
        .variant(variant)
        .figure("parquet_pages_per_read", each(decoded.parquet))
        .figure("parquet_pages_max", decoded.parquet_max as f64)
        .figure("index_pages_per_read", each(decoded.index))
        .figure("events_read_from", events as f64)
}

fn expect(wanted: &Known, found: Option<&Recorded>) -> Result<(), Failure> {
    let said = found.map(|found| (found.event().event_id, found.event().entity_id, found.version));
    let right: Option<(EventId, &str, _)> = Some((wanted.id, wanted.entity.as_str(), wanted.version));
    if said == right {
        return Ok(());
    }
    Err(format!("{right:?} was read as {said:?}").into())
}

fn by_id(kept: &Kept, known: &Known) -> Result<Option<Recorded>, Fault> {
    kept.partition.by_id(kept.space(), known.id)
}

fn by_version(kept: &Kept, known: &Known) -> Result<Option<Recorded>, Fault> {
    let range = Range { events_max: 1, ..Range::forward() }.starting(known.version.get());
    let page = kept.partition.entity(kept.space(), known.entity.as_str(), range)?;
    Ok(page.events.into_iter().next())
}
