//! Timing single operations, and what several runs of a measurement say together.

use std::hint::black_box;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Latencies in nanoseconds, three digits of each.
pub type Latencies = Histogram<u64>;

/// An empty set of latencies.
///
/// # Panics
/// Never: three digits are supported.
#[must_use]
pub fn latencies() -> Latencies {
    Histogram::new(3).expect("three significant digits are supported")
}

/// Adds one latency.
///
/// # Panics
/// Never: the histogram grows as needed.
pub fn note(latencies: &mut Latencies, took: Duration) {
    let nanos = took.as_nanos().min(LONGEST.as_nanos()) as u64;
    // Not `saturating_record`: that one does not grow, and takes the bound of the moment for the value.
    latencies.record(nanos).expect("an hour is within the bounds that a histogram grows to");
}

/// What takes longer counts as this.
const LONGEST: Duration = Duration::from_secs(3600);

/// One run: how much was done in how long.
pub struct Run {
    /// Events appended or read.
    pub events: u64,
    /// How long that took.
    pub elapsed: Duration,
    /// Of each operation.
    pub latencies: Latencies,
}

impl Run {
    /// Nothing done yet.
    #[must_use]
    pub fn new() -> Run {
        Run { events: 0, elapsed: Duration::ZERO, latencies: latencies() }
    }

    /// Times one operation on `events` events and adds it. What it gives back is dropped after the clock is read.
    pub fn time<T>(&mut self, events: u64, operation: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = black_box(operation());
        self.add(events, start.elapsed());
        result
    }

    /// Adds one operation that was timed elsewhere.
    pub fn add(&mut self, events: u64, took: Duration) {
        self.events += events;
        self.elapsed += took;
        note(&mut self.latencies, took);
    }

    /// Adds what another run did after or beside this one; how long that took is left to the caller when beside.
    pub fn merge(&mut self, other: &Run) {
        self.events += other.events;
        self.elapsed += other.elapsed;
        self.latencies.add(&other.latencies).expect("both have three digits and grow as needed");
    }

    /// Events in a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64()
    }

    /// Nanoseconds per event.
    #[must_use]
    pub fn nanos_per_event(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.events as f64
    }

    /// The median latency in microseconds.
    #[must_use]
    pub fn p50_micros(&self) -> f64 {
        micros(&self.latencies, 0.5)
    }
}

impl Default for Run {
    fn default() -> Run {
        Run::new()
    }
}

/// The latency in microseconds that this share of operations did not exceed.
#[must_use]
pub fn micros(latencies: &Latencies, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1000.0
}

/// Several runs of the same thing.
#[derive(Default)]
pub struct Series(pub Vec<Run>);

impl Series {
    /// What the runs say of one figure.
    ///
    /// # Panics
    /// Without a run.
    #[must_use]
    pub fn spread(&self, figure: impl Fn(&Run) -> f64) -> Spread {
        Spread::of(self.0.iter().map(figure))
    }

    /// The latencies of all runs.
    #[must_use]
    pub fn latencies(&self) -> Latencies {
        let mut all = latencies();
        for run in &self.0 {
            all.add(&run.latencies).expect("both have three digits and grow as needed");
        }
        all
    }

    /// The events of all runs.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.0.iter().map(|run| run.events).sum()
    }
}

/// One figure over several runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// The spread of some figures.
    ///
    /// # Panics
    /// When there are none.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Spread {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (min, max) = (figures[0], figures[figures.len() - 1]);
        let median = f64::midpoint(figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
        Spread { median, min, max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(Spread::of([9.0, 1.0, 4.0, 2.0]), Spread { median: 3.0, min: 1.0, max: 9.0 });
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([7.0]), Spread { median: 7.0, min: 7.0, max: 7.0 });
    }

    #[test]
    fn a_run_counts_every_operation_once() {
        let mut run = Run::new();
        let results = [run.time(10, || 'a'), run.time(5, || 'b')];
        assert_eq!((results, run.events, run.latencies.len()), (['a', 'b'], 15, 2));
        run.add(1, Duration::from_secs(7));
        assert!(
            (6_990_000.0..7_010_000.0).contains(&micros(&run.latencies, 1.0)),
            "a latency keeps its value"
        );
        let series = Series(vec![run, Run { events: 1, ..Run::new() }]);
        assert_eq!((series.events(), series.latencies().len()), (17, 3));
    }
}
