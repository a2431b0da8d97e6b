//! Hot reads in this process: everything that is asked for is in memory.

use std::hint::black_box;
use std::time::Instant;

use chronos_domain::{EntityId, EventId, PartitionId, Version};
use chronos_store::{Fault, Page, Range, Recorded};

use crate::Failure;
use crate::clock::{Run, Series};
use crate::orders::{Orders, Stock, pack};
use crate::report::Line;
use crate::suite::Bench;
use crate::works::filled::Filled;

/// Events a partition is filled with.
const EVENTS: usize = 1_000_000;
/// Events that are read over and over: they stay in the processor's cache.
const HOT: usize = 1000;
/// Events of one entity in the entity read.
const HISTORY: usize = 100;
/// Events in each request that filled the partition.
const BATCH: usize = 100;

/// An event to look for.
struct Known {
    id: EventId,
    entity: EntityId,
    version: Version,
}

type Question<'a> = (&'a Filled, &'a Known);

/// What a read gives back.
trait Answer {
    fn events(&self) -> &[Recorded];
}

impl Answer for Option<Recorded> {
    fn events(&self) -> &[Recorded] {
        self.as_slice()
    }
}

impl Answer for Page {
    fn events(&self) -> &[Recorded] {
        &self.events
    }
}

/// One event by its id, and by its entity and version.
pub(crate) fn point(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let (filled, known, mut orders) = fill(bench, bench.size(EVENTS, 2 * HOT))?;
    let mut lines = Vec::new();
    for (variant, choice) in [("by id, 1,000 hot", HOT), ("by id, over all", known.len())] {
        let series = read(bench, &mut orders, &known[..choice], &filled, by_id)?;
        lines.push(point_line(bench, &series).variant(variant));
    }
    for (variant, choice) in
        [("by entity and version, 1,000 hot", HOT), ("by entity and version, over all", known.len())]
    {
        let series = read(bench, &mut orders, &known[..choice], &filled, by_version)?;
        lines.push(point_line(bench, &series).variant(variant));
    }
    Ok(lines.into_iter().map(|line| line.figure("partition_events", known.len() as f64)).collect())
}

fn point_line(bench: &Bench<'_>, series: &Series) -> Line {
    let nanos = series.spread(|run| run.p50_micros() * 1000.0);
    Line::new("store.point_read", nanos, "ns", series, bench.conditions).figure("timer_ns", timer_nanos())
}

/// All 100 events of one entity.
pub(crate) fn entity(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let (filled, known, mut orders) = histories(bench, bench.size(1000, 20))?;
    let mut lines = Vec::new();
    let mut copy = Vec::new();
    let mut copied = |question: Question<'_>| {
        let page = history(question)?;
        copy.clear();
        page.events.iter().for_each(|event| copy.extend_from_slice(event.event().payload));
        black_box(&copy);
        Ok(page)
    };
    let (one, all) = (&known[..1], &known[..]);
    let variants = [("one entity, shared handles", one), ("all entities, shared handles", all)];
    for (variant, known) in variants {
        let series = read(bench, &mut orders, known, &filled, history)?;
        lines.push(entity_line(bench, &series).variant(variant));
    }
    let variants = [("one entity, payloads copied", one), ("all entities, payloads copied", all)];
    for (variant, known) in variants {
        let series = read(bench, &mut orders, known, &filled, &mut copied)?;
        lines.push(entity_line(bench, &series).variant(variant));
    }
    Ok(lines.into_iter().map(|line| line.figure("entities", known.len() as f64)).collect())
}

fn entity_line(bench: &Bench<'_>, series: &Series) -> Line {
    Line::latency("store.entity_read", series, bench.conditions)
        .load(1, HISTORY)
        .figure("mean_us", series.latencies().mean() / 1000.0)
}

/// Reads random events of `known` until the time is over, and checks each.
fn read<A: Answer>(
    bench: &Bench<'_>,
    orders: &mut Orders,
    known: &[Known],
    filled: &Filled,
    mut find: impl FnMut(Question<'_>) -> Result<A, Fault>,
) -> Result<Series, Failure> {
    let mut series = Series::default();
    for _ in 0..bench.runs() {
        let mut run = Run::new();
        let end = Instant::now() + bench.time();
        while Instant::now() < end {
            for _ in 0..100 {
                let wanted = &known[orders.below(known.len())];
                let found = run.time(0, || find((filled, wanted)))?;
                run.events += found.events().len() as u64;
                check(found.events(), wanted)?;
            }
        }
        series.0.push(run);
    }
    Ok(series)
}

/// The last event found is the wanted one, and the versions before it lead up to it.
fn check(found: &[Recorded], wanted: &Known) -> Result<(), Failure> {
    let Some(last) = found.last() else {
        return Err(format!("event {} is not found", wanted.id).into());
    };
    let first = wanted.version.get() + 1 - found.len() as u64;
    let ordered = found.iter().zip(first..).all(|(event, version)| event.version.get() == version);
    if last.event().event_id == wanted.id
        && ordered
        && found.iter().all(|e| e.event().entity_id == wanted.entity.as_str())
    {
        return Ok(());
    }
    Err(format!(
        "{} versions up to {} of {} are not what was stored",
        found.len(),
        wanted.version,
        wanted.entity
    )
    .into())
}

fn by_id((filled, known): Question<'_>) -> Result<Option<Recorded>, Fault> {
    filled.partition.by_id(filled.space(), known.id)
}

fn by_version((filled, known): Question<'_>) -> Result<Page, Fault> {
    let range = Range { events_max: 1, ..Range::forward() }.starting(known.version.get());
    filled.partition.entity(filled.space(), known.entity.as_str(), range)
}

fn history((filled, known): Question<'_>) -> Result<Page, Fault> {
    filled.partition.entity(filled.space(), known.entity.as_str(), Range::forward())
}

/// What reading the clock twice costs; part of every latency.
fn timer_nanos() -> f64 {
    let mut run = Run::new();
    (0..10_000).for_each(|_| run.time(1, || ()));
    run.p50_micros() * 1000.0
}

/// A partition with events of random entities.
fn fill(bench: &Bench<'_>, events: usize) -> Result<(Filled, Vec<Known>, Orders), Failure> {
    let stock = Stock::new();
    let id = PartitionId::all().next().expect("there are partitions");
    let mut orders = Orders::new(&stock, 1);
    let mut versions = vec![Version::ZERO; stock.entities(id).len()];
    let mut filled = Filled::empty(bench, id)?;
    let mut known = Vec::with_capacity(events);
    while known.len() < events {
        let mut drafts = Vec::with_capacity(BATCH);
        for _ in 0..BATCH {
            let chosen = orders.below(versions.len());
            versions[chosen] = versions[chosen].next();
            let draft = orders.draft_for(stock.entities(id)[chosen].clone());
            known.push(Known {
                id: draft.event_id,
                entity: draft.entity_id.clone(),
                version: versions[chosen],
            });
            drafts.push(draft);
        }
        filled.apply(pack(drafts), &mut Run::new(), BATCH as u64)?;
    }
    Ok((filled, known, orders))
}

/// A partition with entities of 100 events each, every event in another request than the one before it. What is known
/// is the last event of each.
fn histories(bench: &Bench<'_>, count: usize) -> Result<(Filled, Vec<Known>, Orders), Failure> {
    let stock = Stock::new();
    let id = PartitionId::all().next().expect("there are partitions");
    let mut orders = Orders::new(&stock, 1);
    let mut filled = Filled::empty(bench, id)?;
    let names: Vec<EntityId> = (0..count)
        .map(|n| EntityId::parse(&format!("story-{n:018}")).expect("24 letters and digits"))
        .collect();
    let mut known = Vec::new();
    for version in 1..=HISTORY as u64 {
        known.clear();
        for names in names.chunks(BATCH) {
            let drafts: Vec<_> = names.iter().map(|name| orders.draft_for(name.clone())).collect();
            known.extend(drafts.iter().map(|draft| Known {
                id: draft.event_id,
                entity: draft.entity_id.clone(),
                version: Version::new(version),
            }));
            filled.apply(pack(drafts), &mut Run::new(), names.len() as u64)?;
        }
    }
    Ok((filled, known, orders))
}
