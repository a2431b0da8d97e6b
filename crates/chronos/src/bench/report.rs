//! A rate is worth nothing without its conditions, so this type cannot be made without them.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::failure::Outcome;
use crate::output::{Format, Out};
use crate::table::{Align, Table, grouped};

/// What was measured, and under which conditions.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) workload: &'static str,
    pub(crate) durability: String,
    /// Events per request.
    pub(crate) batch: usize,
    /// Bytes of one event's payload.
    pub(crate) payload: usize,
    /// Requests on the way at once.
    pub(crate) concurrency: usize,
    pub(crate) nodes: u32,
    pub(crate) entities: usize,
    pub(crate) duration_seconds: f64,
    /// The address that was given, or that the server was started for this run on this machine.
    pub(crate) server: String,
    pub(crate) release: String,
    pub(crate) requests: u64,
    pub(crate) events: u64,
    pub(crate) requests_per_second: u64,
    pub(crate) events_per_second: u64,
    pub(crate) latency_us: Latency,
}

/// Microseconds from sending a request to having its answer.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    p50: u64,
    p90: u64,
    p99: u64,
    p999: u64,
    max: u64,
}

/// Longer waits than this count as this long.
const LATENCY_MAX_US: u64 = 600_000_000;

/// Latencies in microseconds, to three digits.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3);
        Self(histogram.expect("the bounds above are ascending and three digits are allowed"))
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LATENCY_MAX_US).max(1));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all histograms here have the same bounds");
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// What this share of them did not exceed.
    pub(crate) fn at(&self, quantile: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(quantile))
    }

    pub(crate) fn summary(&self) -> Latency {
        let at = |quantile| self.0.value_at_quantile(quantile);
        Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: self.0.max() }
    }
}

impl Report {
    pub(crate) fn print(&self, format: Format) -> Outcome {
        let mut out = Out::new(format);
        match format {
            Format::Json => out.object(self)?,
            Format::Table => {
                out.table(&self.conditions())?;
                out.line("")?;
                out.table(&self.results())?;
            }
        }
        out.finish()
    }

    fn conditions(&self) -> Table {
        let mut table = Table::new(&[("CONDITION", Align::Left), ("", Align::Left)]);
        let rows = [
            ("workload", self.workload.to_owned()),
            ("durability", self.durability.clone()),
            ("batch", format!("{} events per request", self.batch)),
            ("payload", format!("{} bytes", self.payload)),
            ("concurrency", format!("{} requests at once, closed loop", self.concurrency)),
            ("nodes", self.nodes.to_string()),
            ("entities", self.entities.to_string()),
            ("duration", format!("{:.1} s", self.duration_seconds)),
            ("server", self.server.clone()),
            ("release", self.release.clone()),
        ];
        for (name, value) in rows {
            table.row([name.to_owned(), value]);
        }
        table
    }

    fn results(&self) -> Table {
        let mut table = Table::new(&[("RESULT", Align::Left), ("", Align::Right)]);
        let rows = [
            ("requests", self.requests),
            ("events", self.events),
            ("requests/s", self.requests_per_second),
            ("events/s", self.events_per_second),
            ("p50 µs", self.latency_us.p50),
            ("p90 µs", self.latency_us.p90),
            ("p99 µs", self.latency_us.p99),
            ("p99.9 µs", self.latency_us.p999),
            ("max µs", self.latency_us.max),
        ];
        for (name, value) in rows {
            table.row([name.to_owned(), grouped(value)]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_workers_together() {
        let (mut one, mut two) = (Latencies::new(), Latencies::new());
        for ms in 1..=50 {
            one.record(Duration::from_millis(ms));
            two.record(Duration::from_millis(50 + ms));
        }
        one.add(&two);
        let latency = one.summary();
        assert_eq!(one.count(), 100);
        let close = |value: u64, wanted: u64| value.abs_diff(wanted) <= wanted / 500;
        assert!(close(latency.p50, 50_000), "{latency:?}");
        assert!(close(latency.p99, 99_000), "{latency:?}");
        assert!(close(latency.max, 100_000), "{latency:?}");
    }
}
