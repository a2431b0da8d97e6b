//! What the server counts, for `/metrics`. Every name is in this file and those below it.
//!
//! Counters that move with every append or read are resolved once, so that counting is one atomic addition. Gauges
//! are read from the node when somebody asks.

mod cluster;
mod family;
mod peers;
mod upkeep;
mod wal;

use std::time::Duration;

use chronos_app::{Appended, Error};
use chronos_domain::PartitionId;
use chronos_wal::Wal;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::engine::Engine;

/// Upper bounds of the latency buckets, in seconds: one fdatasync takes 0.1 to 10 ms.
const LATENCY_BUCKETS: [f64; 14] =
    [0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// The kinds of reads that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Entity,
    Partition,
    All,
    Event,
    State,
}

impl Read {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Entity, "entity"),
        (Self::Partition, "partition"),
        (Self::All, "all"),
        (Self::Event, "event"),
        (Self::State, "state"),
    ];
}

/// The counters of one node.
pub(crate) struct Metrics {
    registry: Registry,
    stored: IntCounter,
    duplicates: IntCounter,
    append_errors: IntCounterVec,
    events_appended: Vec<IntCounter>,
    bytes_appended: Vec<IntCounter>,
    append_seconds: Histogram,
    reads: [IntCounter; Read::ALL.len()],
    read_errors: IntCounterVec,
    events_read: IntCounter,
    queries: IntCounter,
    query_errors: IntCounterVec,
    pub(crate) sessions: IntGauge,
    pub(crate) connections: IntGauge,
    pub(crate) connections_ended: IntCounter,
    pub(crate) connections_refused: IntCounter,
    pub(crate) panics: IntCounter,
    watermarks: IntGaugeVec,
    entities: IntGaugeVec,
    cached_bytes: IntGaugeVec,
    refused: IntGaugeVec,
    faulted: IntGauge,
}

/// Registers what it makes, so that nothing is counted unseen.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn register<C: prometheus::core::Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let collector = made.expect("the names in this file are valid");
        self.0.register(Box::new(collector.clone())).expect("the names in this file are unique");
        collector
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.register(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.register(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.register(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels))
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let make = Maker(&registry);
        let appends = make.counters("chronos_appends_total", "Append requests that succeeded.", &["outcome"]);
        let per_partition = |counters: IntCounterVec| -> Vec<IntCounter> {
            PartitionId::all().map(|p| counters.with_label_values(&[p.to_string()])).collect()
        };
        let reads = make.counters("chronos_reads_total", "Reads that were opened.", &["kind"]);
        let seconds =
            HistogramOpts::new("chronos_append_seconds", "From a whole request to its durable answer.")
                .buckets(LATENCY_BUCKETS.to_vec());
        let p = &["partition"];
        Self {
            stored: appends.with_label_values(&["stored"]),
            duplicates: appends.with_label_values(&["duplicate"]),
            append_errors: make.counters(
                "chronos_append_errors_total",
                "Append requests that failed.",
                &["class", "reason"],
            ),
            events_appended: per_partition(make.counters(
                "chronos_events_appended_total",
                "Events stored.",
                p,
            )),
            bytes_appended: per_partition(make.counters(
                "chronos_appended_bytes_total",
                "Bytes of stored requests as packed by the caller.",
                p,
            )),
            append_seconds: make.register(Histogram::with_opts(seconds)),
            reads: Read::ALL.map(|(_, kind)| reads.with_label_values(&[kind])),
            read_errors: make.counters("chronos_read_errors_total", "Reads that failed.", &["reason"]),
            events_read: make.counter("chronos_events_read_total", "Events returned by reads."),
            queries: make.counter("chronos_queries_total", "SQL questions that were asked."),
            query_errors: make.counters(
                "chronos_query_errors_total",
                "SQL questions that failed, at once or half-way.",
                &["reason"],
            ),
            sessions: make.gauge("chronos_append_sessions", "Open append sessions."),
            connections: make.gauge("chronos_connections", "Open connections."),
            connections_ended: make.counter(
                "chronos_connections_ended_total",
                "Quiet connections that were ended to make room for others.",
            ),
            connections_refused: make.counter(
                "chronos_connections_refused_total",
                "Connections that were turned away because a request was open on every other one.",
            ),
            panics: make.counter("chronos_panics_total", "Requests that ended in a panic of the server."),
            watermarks: make.gauges(
                "chronos_watermark_position",
                "Marks on each partition's line of positions.",
                &["partition", "mark"],
            ),
            entities: make.gauges("chronos_entities", "Entities with at least one event.", p),
            cached_bytes: make.gauges("chronos_cached_bytes", "Bytes of events held in memory.", p),
            refused: make.gauges("chronos_partition_refused", "1 where a partition is not served.", p),
            faulted: make.gauge("chronos_node_faulted", "1 once the node stopped acknowledging for good."),
            registry,
        }
    }

    /// Counts one append that took `took` and stored `bytes` as packed by the caller.
    pub(crate) fn append(&self, outcome: &Result<Appended, Error>, bytes: usize, took: Duration) {
        self.append_seconds.observe(took.as_secs_f64());
        match outcome {
            Ok(appended) if appended.deduplicated => self.duplicates.inc(),
            Ok(appended) => {
                self.stored.inc();
                let partition = appended.partition.index();
                self.events_appended[partition].inc_by(appended.versions.len() as u64);
                self.bytes_appended[partition].inc_by(bytes as u64);
            }
            Err(error) => {
                self.append_errors.with_label_values(&[error.class.as_str(), error.reason.as_str()]).inc();
            }
        }
    }

    /// Counts one read that was opened, or refused.
    pub(crate) fn read<T>(&self, kind: Read, opened: &Result<T, Error>) {
        self.reads[kind as usize].inc();
        if let Err(error) = opened {
            self.read_failed(error);
        }
    }

    pub(crate) fn read_failed(&self, error: &Error) {
        self.read_errors.with_label_values(&[error.reason.as_str()]).inc();
    }

    /// Counts one question that was opened, or refused.
    pub(crate) fn query<T>(&self, opened: &Result<T, Error>) {
        self.queries.inc();
        if let Err(error) = opened {
            self.query_failed(error);
        }
    }

    pub(crate) fn query_failed(&self, error: &Error) {
        self.query_errors.with_label_values(&[error.reason.as_str()]).inc();
    }

    pub(crate) fn events_read(&self, events: usize) {
        self.events_read.inc_by(events as u64);
    }

    /// Everything as text, and the text's content type.
    pub(crate) fn render(&self, engine: &Engine, log: Option<&Wal>) -> (&'static str, Vec<u8>) {
        for partition in PartitionId::all() {
            self.observe(engine, partition);
        }
        self.faulted.set(i64::from(log.is_some_and(|log| log.fault().is_some())));
        let mut families = self.registry.gather();
        families.extend(upkeep::families(engine.groups()));
        families.extend(cluster::families(&engine.cluster().view()));
        families.extend(cluster::healing(engine.groups()));
        families.extend(engine.cluster().peers().map(peers::families).into_iter().flatten());
        families.extend(engine.forwarded().map(cluster::forwarded).into_iter().flatten());
        families.extend(log.map(|log| wal::families(&log.stats())).into_iter().flatten());
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text).expect("a vector takes every byte");
        (prometheus::TEXT_FORMAT, text)
    }

    fn observe(&self, engine: &Engine, partition: PartitionId) {
        let name = partition.to_string();
        let marks = engine.marks_here(partition);
        self.refused.with_label_values(&[&name]).set(i64::from(marks.is_err()));
        let Ok(marks) = marks else { return };
        for (mark, position) in [
            ("appended", marks.appended),
            ("flushed", marks.flushed),
            ("committed", marks.committed),
            ("applied", marks.applied),
            ("compacted", marks.compacted),
            ("purged", marks.purged),
            ("indexed", marks.indexed),
        ] {
            self.watermarks.with_label_values(&[name.as_str(), mark]).set(gauge(position.get()));
        }
        if let Ok(stats) = engine.stats(partition) {
            self.entities.with_label_values(&[&name]).set(gauge(stats.entities));
            self.cached_bytes.with_label_values(&[&name]).set(gauge(stats.cached_bytes));
        }
    }
}

fn gauge(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_read_counts_under_its_own_name() {
        for (at, (kind, _)) in Read::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
        }
    }
}
