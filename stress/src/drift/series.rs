//! What is watched for drifts, out of the samples.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::limits::{DESCRIPTORS, DISK_OVER_MODEL_MAX, MEMORY, P50, P99, THREADS};
use super::{Drift, Judgement, Limit, slope};
use crate::sample::{Latency, ProcessSample, Sample, median};

/// Seconds of a process in which it may take what it needs.
const WARM_AFTER: f64 = 600.0;
/// Hours that something is seen without which nothing is said of its slope: in less, what comes and goes looks like what
/// grows.
const SEEN_MIN: f64 = 0.5;
/// Points that a series is made of, at most: each is the median of a stretch, which wavers less and knows less of its
/// neighbours than a sample does.
const POINTS: f64 = 60.0;
/// Operations without which a stretch has no 99th of a hundred.
const OPERATIONS_MIN: u64 = 20;
const HOUR: f64 = 3600.0;
const MIB: f64 = (1 << 20) as f64;

/// What is watched of each process.
type PerProcess = (Limit, fn(&ProcessSample) -> f64);
const PER_PROCESS: [PerProcess; 3] = [
    (MEMORY, |process| process.rss_bytes as f64 / MIB),
    (DESCRIPTORS, |process| process.fds as f64),
    (THREADS, |process| process.threads as f64),
];
/// What is watched of operations.
type OfLatency = (&'static str, Limit, fn(&Sample) -> Latency, fn(Latency) -> f64);
const LATENCIES: [OfLatency; 4] = [
    ("appends", P50, |sample| sample.appends, |of| of.p50_ms),
    ("appends", P99, |sample| sample.appends, |of| of.p99_ms),
    ("reads", P50, |sample| sample.reads, |of| of.p50_ms),
    ("reads", P99, |sample| sample.reads, |of| of.p99_ms),
];

/// All drifts of a soak.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drifts(pub Vec<Drift>);

impl Drifts {
    /// Those that are beyond their limits.
    pub fn beyond(&self) -> impl Iterator<Item = &Drift> {
        self.0.iter().filter(|drift| drift.judgement == Judgement::Beyond)
    }
}

/// Judges what samples, in their order, and disks say. `disk_over_model` has one ratio for each round.
#[must_use]
pub fn judge(samples: &[Sample], disk_over_model: &[f64]) -> Drifts {
    let mut drifts = Vec::new();
    let seats: Vec<u32> =
        samples.last().map(|last| last.nodes.iter().map(|n| n.seat).collect()).unwrap_or_default();
    let span = span(samples);
    for (limit, of) in PER_PROCESS {
        for seat in &seats {
            let lives = lives(samples, *seat, of);
            drifts.push(judged(limit, format!("{} of node {seat}", limit.what), &lives, 1.0, span));
        }
    }
    for (name, limit, of, part) in LATENCIES {
        let calm = calm(samples, of, part);
        let usual = median(calm.iter().map(|(_, value)| *value).collect()).unwrap_or(0.0);
        // From milliseconds in an hour to parts of what is usual, in the whole run.
        let unit = if usual > 0.0 { span / HOUR / usual } else { 0.0 };
        let groups = [stretches(calm, span / POINTS)];
        drifts.push(judged(limit, format!("{} of {name} in calm", limit.what), &groups, unit, span));
    }
    drifts.push(disk(disk_over_model));
    Drifts(drifts)
}

fn span(samples: &[Sample]) -> f64 {
    let first = samples.first().map_or(0.0, |sample| sample.age);
    samples.last().map_or(0.0, |last| last.age - first)
}

fn judged(limit: Limit, what: String, groups: &[Vec<(f64, f64)>], unit: f64, span: f64) -> Drift {
    let slope = slope(&long_enough(groups)).filter(|_| unit > 0.0);
    let interval = slope.map(|slope| (slope.low * unit, slope.high * unit));
    let judgement = match interval {
        Some((low, _)) if low > limit.most => Judgement::Beyond,
        Some((_, high)) if high <= limit.most => Judgement::Within,
        _ => Judgement::Open,
    };
    let found = slope.map(|slope| slope.is * unit);
    let hours_needed = match (judgement, found, interval) {
        (Judgement::Open, Some(found), Some((low, high))) => {
            // Half an interval must fit between what was found and the limit, and it narrows with the power 1.5 of time.
            let room = (limit.most - found).abs().max(limit.most / 10.0);
            Some(span / HOUR * ((high - low) / 2.0 / room).max(1.0).powf(2.0 / 3.0))
        }
        _ => None,
    };
    Drift { what, unit: limit.unit.into(), limit: limit.most, found, interval, judgement, hours_needed }
}

fn long_enough(groups: &[Vec<(f64, f64)>]) -> Vec<Vec<(f64, f64)>> {
    let seen = |group: &[(f64, f64)]| Some(group.last()?.0 - group.first()?.0);
    let long = groups.iter().filter(|group| seen(group).is_some_and(|hours| hours >= SEEN_MIN));
    long.cloned().collect()
}

/// One node's processes after each had warmed up, one group for each, time in hours.
fn lives(samples: &[Sample], seat: u32, of: fn(&ProcessSample) -> f64) -> Vec<Vec<(f64, f64)>> {
    let mut lives: BTreeMap<(u32, u64), Vec<(f64, f64)>> = BTreeMap::new();
    for sample in samples {
        let here = sample.nodes.iter().filter(|node| node.seat == seat);
        for process in here.filter_map(|node| node.process) {
            lives.entry((process.pid, process.born)).or_default().push((sample.age, of(&process)));
        }
    }
    let stretch = span(samples) / POINTS;
    let warm = lives.into_values().map(|points| {
        let began = points[0].0;
        stretches(points.into_iter().filter(|(age, _)| age - began >= WARM_AFTER).collect(), stretch)
    });
    warm.collect()
}

/// How long operations took while nothing went wrong, nor had just before, time in seconds.
fn calm(samples: &[Sample], of: fn(&Sample) -> Latency, part: fn(Latency) -> f64) -> Vec<(f64, f64)> {
    let was_calm = samples.windows(2).filter(|two| two.iter().all(|s| s.faults.is_empty() && s.under_load));
    let now = was_calm.map(|two| &two[1]);
    let enough = now.filter(|sample| of(sample).count >= OPERATIONS_MIN);
    enough.map(|sample| (sample.age, part(of(sample)))).collect()
}

/// The median of each stretch of so many seconds, time in hours.
fn stretches(points: Vec<(f64, f64)>, seconds: f64) -> Vec<(f64, f64)> {
    let mut stretches: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    for (age, value) in points {
        let number = if seconds > 0.0 { (age / seconds) as u64 } else { 0 };
        stretches.entry(number).or_default().push((age, value));
    }
    let middle = |points: Vec<(f64, f64)>| {
        let (ages, values): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
        Some((median(ages)? / HOUR, median(values)?))
    };
    stretches.into_values().filter_map(middle).collect()
}

/// The last third of the rounds is what a disk comes to.
fn disk(over_model: &[f64]) -> Drift {
    let last = &over_model[over_model.len() - over_model.len().div_ceil(3)..];
    let found = median(last.to_vec());
    let judgement = match found {
        Some(found) if found > DISK_OVER_MODEL_MAX => Judgement::Beyond,
        Some(_) => Judgement::Within,
        None => Judgement::Open,
    };
    Drift {
        what: "bytes on all disks".into(),
        unit: "of the model".into(),
        limit: DISK_OVER_MODEL_MAX,
        found,
        interval: None,
        judgement,
        hours_needed: None,
    }
}

#[cfg(test)]
mod tests;
