//! The log's own counters, in the form of the registry. Their names are here, beside what they count.

use chronos_wal::Stats;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, Metric, MetricFamily, MetricType};

/// All of them, as read at one moment.
pub(super) fn families(stats: &Stats) -> Vec<MetricFamily> {
    vec![
        counter("chronos_wal_written_bytes_total", "Bytes of frames written to the log.", stats.bytes),
        counter("chronos_wal_frames_total", "Frames written to the log.", stats.frames),
        counter("chronos_wal_units_total", "Group commits.", stats.units),
        counter("chronos_wal_syncs_total", "fdatasync calls for group commits.", stats.syncs),
        gauge("chronos_wal_segments", "Log files in use.", stats.segments),
        sync_seconds(stats),
    ]
}

fn family(name: &str, help: &str, kind: MetricType, metric: Metric) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    family
}

#[expect(clippy::cast_precision_loss, reason = "the registry's numbers are floats")]
fn counter(name: &str, help: &str, value: u64) -> MetricFamily {
    let (mut counter, mut metric) = (Counter::default(), Metric::default());
    counter.set_value(value as f64);
    metric.set_counter(counter);
    family(name, help, MetricType::COUNTER, metric)
}

#[expect(clippy::cast_precision_loss, reason = "the registry's numbers are floats")]
fn gauge(name: &str, help: &str, value: u64) -> MetricFamily {
    let (mut gauge, mut metric) = (Gauge::default(), Metric::default());
    gauge.set_value(value as f64);
    metric.set_gauge(gauge);
    family(name, help, MetricType::GAUGE, metric)
}

/// Bucket `i` of the log counts syncs below `2^i` µs; the last one is open to the right. The log keeps no exact sum,
/// so each sync counts as three quarters of its bucket's bound, the middle of the bucket.
#[expect(clippy::cast_precision_loss, reason = "the registry's numbers are floats")]
fn sync_seconds(stats: &Stats) -> MetricFamily {
    let (mut count, mut sum) = (0, 0.0);
    let mut buckets = Vec::with_capacity(stats.sync_micros.len());
    for (i, syncs) in stats.sync_micros.iter().enumerate() {
        let bound = (1_u64 << i) as f64 / 1e6;
        count += syncs;
        sum += *syncs as f64 * bound * 0.75;
        let last = i + 1 == stats.sync_micros.len();
        let mut bucket = Bucket::default();
        bucket.set_cumulative_count(count);
        bucket.set_upper_bound(if last { f64::INFINITY } else { bound });
        buckets.push(bucket);
    }
    let (mut histogram, mut metric) = (Histogram::default(), Metric::default());
    histogram.set_sample_count(count);
    histogram.set_sample_sum(sum);
    histogram.set_bucket(buckets);
    metric.set_histogram(histogram);
    family("chronos_wal_sync_seconds", "How long fdatasync took.", MetricType::HISTOGRAM, metric)
}
