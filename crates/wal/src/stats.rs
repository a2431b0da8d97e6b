//! Counters of a running write-ahead log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const BUCKETS: usize = 20;

/// A reading of the counters since opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of frames written.
    pub bytes: u64,
    /// Frames written.
    pub frames: u64,
    /// Group commits.
    pub units: u64,
    /// Syncs of segments for group commits; equal to `units` unless one failed.
    pub syncs: u64,
    /// How long those syncs took: bucket `i` counts syncs that took less than `2^i` µs and not less than half of
    /// that; the last one also counts all that took longer.
    pub sync_micros: [u64; BUCKETS],
    /// Live segments, of all lanes.
    pub segments: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    bytes: AtomicU64,
    frames: AtomicU64,
    units: AtomicU64,
    syncs: AtomicU64,
    sync_micros: [AtomicU64; BUCKETS],
}

impl Counters {
    pub(crate) fn synced(&self, took: Duration) {
        let micros = took.as_micros();
        let bucket = (u128::BITS - micros.leading_zeros()) as usize;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_micros[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unit(&self, bytes: u64, frames: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.frames.fetch_add(frames, Ordering::Relaxed);
        self.units.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, segments: u64) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            bytes: get(&self.bytes),
            frames: get(&self.frames),
            units: get(&self.units),
            syncs: get(&self.syncs),
            sync_micros: std::array::from_fn(|bucket| get(&self.sync_micros[bucket])),
            segments,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_is_counted_in_the_bucket_of_its_duration() {
        let counters = Counters::default();
        for micros in [0, 1, 3, 4, 1 << 40] {
            counters.synced(Duration::from_micros(micros));
        }
        let stats = counters.read(0);
        assert_eq!(stats.sync_micros[..4], [1, 1, 1, 1]);
        assert_eq!(stats.sync_micros[BUCKETS - 1], 1);
        assert_eq!(stats.syncs, 5);
    }
}
