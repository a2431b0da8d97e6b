//! The log's own counters, in the form of the registry. Their names are here, beside what they count.

use chronos_wal::Stats;
use prometheus::proto::{Bucket, Histogram, Metric, MetricFamily, MetricType};

use super::family::{counter, family, gauge};

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
    family("chronos_wal_sync_seconds", "How long fdatasync took.", MetricType::HISTOGRAM, vec![metric])
}
