//! One measured number and everything that belongs beside it.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::clock::{Latencies, Series, Spread, micros};
use crate::conditions::Conditions;
use crate::orders::PAYLOAD_BYTES;

/// What an acknowledgement means in a work that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Durability {
    /// Written and fdatasync'ed by a quorum of voters before the acknowledgement.
    #[serde(rename = "quorum-fsync")]
    QuorumFsync,
    /// Nothing is written.
    #[serde(rename = "none")]
    None,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// What was measured.
    work: &'static str,
    /// Which way of doing it, where there are several.
    #[serde(skip_serializing_if = "str::is_empty")]
    variant: &'static str,
    /// Callers at once, each with one request at a time.
    clients: usize,
    /// Events in one request.
    events_per_request: usize,
    /// Payload of one event.
    payload_bytes: usize,
    #[serde(serialize_with = "rounded")]
    median: f64,
    #[serde(serialize_with = "rounded")]
    min: f64,
    #[serde(serialize_with = "rounded")]
    max: f64,
    /// Of median, min and max.
    unit: &'static str,
    #[serde(serialize_with = "rounded")]
    p50_us: f64,
    #[serde(serialize_with = "rounded")]
    p99_us: f64,
    /// What an acknowledgement meant.
    durability: Durability,
    nodes: usize,
    runs: usize,
    /// Events of all runs, each of which was found as it should be.
    events: u64,
    /// Other figures, medians over the runs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "all_rounded")]
    figures: BTreeMap<&'static str, f64>,
    conditions: Conditions,
}

impl Line {
    /// A line about events per second.
    #[must_use]
    pub fn rate(work: &'static str, series: &Series, conditions: &Conditions) -> Line {
        Line::new(work, series.spread(|run| run.rate()), "events/s", series, conditions)
    }

    /// A line about the median latency of one operation.
    #[must_use]
    pub fn latency(work: &'static str, series: &Series, conditions: &Conditions) -> Line {
        Line::new(work, series.spread(|run| run.p50_micros()), "us", series, conditions)
    }

    /// A line about the time that one event takes.
    #[must_use]
    pub fn per_event(work: &'static str, series: &Series, conditions: &Conditions) -> Line {
        Line::new(work, series.spread(|run| run.nanos_per_event()), "ns/event", series, conditions)
    }

    /// A line about any figure of the runs. One caller, one event a request and nothing durable unless said.
    #[must_use]
    pub fn new(
        work: &'static str,
        spread: Spread,
        unit: &'static str,
        series: &Series,
        conditions: &Conditions,
    ) -> Line {
        let latencies: Latencies = series.latencies();
        Line {
            work,
            variant: "",
            clients: 1,
            events_per_request: 1,
            payload_bytes: PAYLOAD_BYTES,
            median: spread.median,
            min: spread.min,
            max: spread.max,
            unit,
            p50_us: micros(&latencies, 0.5),
            p99_us: micros(&latencies, 0.99),
            durability: Durability::None,
            nodes: 1,
            runs: series.0.len(),
            events: series.events(),
            figures: BTreeMap::new(),
            conditions: conditions.clone(),
        }
    }

    /// Names the way of doing it.
    #[must_use]
    pub fn variant(self, variant: &'static str) -> Line {
        Line { variant, ..self }
    }

    /// States how many callers there were and how much each asked at once.
    #[must_use]
    pub fn load(self, clients: usize, events_per_request: usize) -> Line {
        Line { clients, events_per_request, ..self }
    }

    /// States how many nodes there were, when not one.
    #[must_use]
    pub fn nodes(self, nodes: usize) -> Line {
        Line { nodes, ..self }
    }

    /// States another payload than an order's.
    #[must_use]
    pub fn payload(self, payload_bytes: usize) -> Line {
        Line { payload_bytes, ..self }
    }

    /// Says that every acknowledgement was durable.
    #[must_use]
    pub fn durable(self) -> Line {
        Line { durability: Durability::QuorumFsync, ..self }
    }

    /// Adds another figure.
    #[must_use]
    pub fn figure(mut self, name: &'static str, value: f64) -> Line {
        self.figures.insert(name, value);
        self
    }

    /// As one line of JSON.
    ///
    /// # Panics
    /// Never: it holds text and numbers only.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("text and numbers have a JSON form")
    }

    /// As a row of the table.
    #[must_use]
    pub fn row(&self) -> [String; 8] {
        let name = if self.variant.is_empty() {
            self.work.into()
        } else {
            format!("{}: {}", self.work, self.variant)
        };
        let figures: Vec<String> =
            self.figures.iter().map(|(name, value)| format!("{name} {}", shown(*value))).collect();
        [
            name,
            format!("{} × {}", self.clients, self.events_per_request),
            format!("{} {}", shown(self.median), self.unit),
            format!("{} – {}", shown(self.min), shown(self.max)),
            shown(self.p50_us),
            shown(self.p99_us),
            if self.durability == Durability::None { "none".into() } else { "quorum-fsync".into() },
            figures.join(", "),
        ]
    }
}

/// Three digits behind the point are as fine as anything here is measured.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn rounded<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(round(*value))
}

fn all_rounded<S: Serializer>(values: &BTreeMap<&str, f64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.iter().map(|(name, value)| (name, round(*value))))
}

/// A number as people read it: whole from 1,000 on, with commas.
fn shown(value: f64) -> String {
    if value.abs() < 1000.0 {
        return format!("{}", (value * 100.0).round() / 100.0);
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn large_numbers_have_commas_and_small_ones_two_digits() {
        let shown = [0.0841, 12.0, 999.994, 1000.4, 1_234_567.0].map(shown);
        assert_eq!(shown, ["0.08", "12", "999.99", "1,000", "1,234,567"]);
    }
}
