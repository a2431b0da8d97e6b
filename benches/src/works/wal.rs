//! The write-ahead log alone: one entry after the other, and several in flight.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chronos_domain::PartitionId;
use chronos_env::Env;
use chronos_wal::{Entry, Fault, Log, LogId, Wal};

use crate::Failure;
use crate::clock::{Run, Series, note};
use crate::orders::{Orders, Stock};
use crate::report::Line;
use crate::suite::Bench;

/// Entries in flight and events in each.
const LOADS: [(usize, usize); 3] = [(1, 1), (1, 1000), (4, 1000)];

pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Line>, Failure> {
    let stock = Stock::new();
    let id = PartitionId::all().next().expect("there are partitions");
    let mut all = LOADS.map(|_| Series::default());
    for seed in 0..bench.runs() {
        for (series, (in_flight, events)) in all.iter_mut().zip(LOADS) {
            let payload = Orders::new(&stock, u64::from(seed)).block(id, events).bytes().clone();
            series.0.push(append(bench, in_flight, events, &payload)?);
        }
    }
    let line = |(series, (in_flight, events)): (&Series, (usize, usize))| {
        let line = if events == 1 {
            Line::latency("wal.append", series, bench.conditions)
        } else {
            Line::rate("wal.append", series, bench.conditions)
        };
        line.load(in_flight, events).durable()
    };
    Ok(all.iter().zip(LOADS).map(line).collect())
}

type Waiting = (Instant, Receiver<Result<(), Fault>>);

fn append(bench: &Bench<'_>, in_flight: usize, events: usize, payload: &Bytes) -> Result<Run, Failure> {
    let dir = bench.fresh_dir()?;
    let mut config = chronos_wal::Config::new(dir.path().join("wal"), 1);
    config.lanes = bench.lanes();
    config.segment_bytes = bench.segment_bytes();
    let (wal, _) = Wal::open(&Env::real(), config)?;
    let log = wal.log(LogId::new(0));
    let mut run = Run::new();
    let mut waiting: VecDeque<Waiting> = VecDeque::new();
    let start = Instant::now();
    let end = start + bench.time();
    let mut index = 0;
    loop {
        while waiting.len() < in_flight && Instant::now() < end {
            index += 1;
            waiting.push_back(submit(&log, index, payload.clone()));
        }
        let Some((submitted, done)) = waiting.pop_front() else { break };
        done.recv()??;
        note(&mut run.latencies, submitted.elapsed());
        run.events += events as u64;
    }
    run.elapsed = start.elapsed().max(Duration::from_nanos(1));
    let flushed = log.state().flushed;
    if flushed != index || run.events != index * events as u64 {
        return Err(format!("{index} entries were acknowledged and {flushed} are flushed").into());
    }
    Ok(run)
}

fn submit(log: &Log, index: u64, payload: Bytes) -> Waiting {
    let (told, done) = sync_channel(1);
    let submitted = Instant::now();
    let completion = Box::new(move |result| drop(told.send(result)));
    log.append(vec![Entry { index, term: 1, payload }], completion);
    (submitted, done)
}
