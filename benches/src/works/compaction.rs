//! From the log into parts: one partition, every cut taken in, every merge done, every part read back and verified.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::clock::{Run, Series, Spread};
use crate::orders::{Orders, Stock};
use crate::report::Line;
use crate::suite::Bench;
use crate::works::kept::Kept;

const EVENTS: usize = 400_000;
const QUICK_EVENTS: usize = 4_000;
/// Bytes of one write of the copy.
const PIECE: usize = 1 << 20;

/// What one run went through.
struct Compacted {
    run: Run,
    bytes_in: u64,
    bytes_out: u64,
    /// How long it took to write as many bytes to a file, and to sync it.
    copied: Duration,
}

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let stock = Stock::new();
    let all: Vec<Compacted> =
        (0..bench.runs()).map(|seed| compact(bench, &stock, seed.into())).collect::<Result<_, _>>()?;
    let median = |figure: fn(&Compacted) -> f64| Spread::of(all.iter().map(figure)).median;
    let figures = [
        ("mib_in", median(|once| once.bytes_in as f64 / f64::from(1 << 20))),
        ("mib_out", median(|once| once.bytes_out as f64 / f64::from(1 << 20))),
        (
            "mib_in_per_s",
            median(|once| once.bytes_in as f64 / f64::from(1 << 20) / once.run.elapsed.as_secs_f64()),
        ),
        ("times_a_plain_copy", median(|once| once.run.elapsed.as_secs_f64() / once.copied.as_secs_f64())),
    ];
    let series = Series(all.into_iter().map(|once| once.run).collect());
    let line = Line::rate("parts.compaction", &series, bench.conditions);
    Ok(vec![figures.into_iter().fold(line, |line, (name, value)| line.figure(name, value))])
}

/// Fills a partition and takes all of it into parts; one operation is one cut with the merges that it completes.
fn compact(bench: &Bench<'_>, stock: &Arc<Stock>, seed: u64) -> Result<Compacted, Failure> {
    let events = bench.size(EVENTS, QUICK_EVENTS);
    let mut orders = Orders::new(stock, seed);
    let kept = Kept::empty(bench)?;
    kept.fill(bench, events, &mut orders, stock)?;
    let mut once = Compacted { run: Run::new(), bytes_in: 0, bytes_out: 0, copied: Duration::ZERO };
    let mut last = Instant::now();
    kept.compact(|done| {
        once.run.add(done.events, last.elapsed());
        once.bytes_in += done.bytes_in;
        once.bytes_out += done.bytes_out;
        last = Instant::now();
    })?;
    if once.run.events != events as u64 {
        return Err(format!("{events} events were stored, {} were compacted", once.run.events).into());
    }
    once.copied = copy(bench.dir(), once.bytes_in)?;
    Ok(once)
}

/// Writes so many bytes to a file.
fn copy(dir: &Path, bytes: u64) -> std::io::Result<Duration> {
    let path = dir.join("copy");
    let piece = vec![0xa5; PIECE];
    let start = Instant::now();
    let mut file = File::create(&path)?;
    let mut left = bytes;
    while left > 0 {
        let some = left.min(PIECE as u64) as usize;
        file.write_all(&piece[..some])?;
        left -= some as u64;
    }
    file.sync_all()?;
    let took = start.elapsed();
    std::fs::remove_file(path)?;
    Ok(took)
}
