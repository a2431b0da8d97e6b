//! What a history's hashes cost: its digest, the digest of a moment, and the proof of one event.

use std::time::Instant;

use chronos_domain::Position;

use crate::Failure;
use crate::clock::{Run, Series};
use crate::orders::{Orders, Stock};
use crate::report::Line;
use crate::suite::Bench;
use crate::works::kept::{Kept, Known};

const EVENTS: usize = 400_000;
const QUICK_EVENTS: usize = 3_000;

type Operation = fn(&Kept, &[Known], &mut Orders, &mut Run) -> Result<(), Failure>;

const OPERATIONS: [(Operation, &str); 3] = [
    (digest, "digest of everything"),
    (digest_at, "digest of a random moment"),
    (prove, "proof of a random event"),
];

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let stock = Stock::new();
    let mut orders = Orders::new(&stock, 1);
    let events = bench.size(EVENTS, QUICK_EVENTS);
    let (kept, known) = Kept::filled(bench, events, &mut orders, &stock)?;
    let mut lines = Vec::new();
    for (operation, variant) in OPERATIONS {
        let mut series = Series::default();
        for _ in 0..bench.runs() {
            let (mut run, end) = (Run::new(), Instant::now() + bench.time());
            while Instant::now() < end {
                operation(&kept, &known, &mut orders, &mut run)?;
            }
            series.0.push(run);
        }
        let line = Line::latency("parts.proof", &series, bench.conditions).variant(variant);
        lines.push(line.figure("events_below", known.len() as f64));
    }
    Ok(lines)
}

fn digest(kept: &Kept, known: &[Known], _: &mut Orders, run: &mut Run) -> Result<(), Failure> {
    let digest = run.time(1, || kept.partition.digest(None))?;
    covers(digest.position, known.len() as u64)
}

fn digest_at(kept: &Kept, known: &[Known], orders: &mut Orders, run: &mut Run) -> Result<(), Failure> {
    let at = orders.below(known.len()) as u64 + 1;
    let digest = run.time(1, || kept.partition.digest(Some(Position::new(at))))?;
    covers(digest.position, at)
}

fn covers(found: Position, wanted: u64) -> Result<(), Failure> {
    if found.get() == wanted {
        return Ok(());
    }
    Err(format!("a digest covers {found} events instead of {wanted}").into())
}

fn prove(kept: &Kept, known: &[Known], orders: &mut Orders, run: &mut Run) -> Result<(), Failure> {
    let chosen = &known[orders.below(known.len())];
    let proof = run.time(1, || kept.partition.prove(kept.space(), chosen.id, None))?;
    let proof = proof.ok_or("an event that is stored has no proof")?;
    Ok(proof.check(kept.partition.digest(None)?.digest)?)
}
