//! Counters of a running write-ahead log.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

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

/// How the last syncs of one lane went.
#[derive(Default)]
struct Pulse {
    /// When the one began that is under way.
    since: Option<Duration>,
    /// How long the last ones took, oldest first.
    last: VecDeque<Duration>,
}

/// Syncs of a lane that are remembered.
const PULSES: usize = 16;

#[derive(Default)]
pub(crate) struct Counters {
    pulses: Vec<Mutex<Pulse>>,
    bytes: AtomicU64,
    frames: AtomicU64,
    units: AtomicU64,
    syncs: AtomicU64,
    sync_micros: [AtomicU64; BUCKETS],
}

impl Counters {
    pub(crate) fn of(lanes: u8) -> Counters {
        Counters { pulses: (0..lanes).map(|_| Mutex::default()).collect(), ..Counters::default() }
    }

    /// Whether the last `run` syncs of a lane each took `limit` or longer, or the one under way is as late as that.
    pub(crate) fn is_slow(&self, lane: usize, limit: Duration, run: u32, now: Duration) -> bool {
        let Some(pulse) = self.pulses.get(lane) else { return false };
        let pulse = pulse.lock();
        let hangs = pulse.since.is_some_and(|since| now.saturating_sub(since) >= limit * run);
        let last = pulse.last.iter().rev().take(run as usize);
        hangs || pulse.last.len() >= run as usize && last.into_iter().all(|took| *took >= limit)
    }

    pub(crate) fn sync_begins(&self, lane: usize, now: Duration) {
        if let Some(pulse) = self.pulses.get(lane) {
            pulse.lock().since = Some(now);
        }
    }

    fn sync_ended(&self, lane: usize, took: Duration) {
        let Some(pulse) = self.pulses.get(lane) else { return };
        let mut pulse = pulse.lock();
        pulse.since = None;
        pulse.last.push_back(took);
        if pulse.last.len() > PULSES {
            pulse.last.pop_front();
        }
    }

    pub(crate) fn synced(&self, lane: usize, took: Duration) {
        self.sync_ended(lane, took);
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
    fn a_lane_is_slow_when_several_syncs_in_a_row_were_or_one_hangs() {
        let (counters, second) = (Counters::of(2), Duration::from_secs(1));
        let is_slow = |now: u64| counters.is_slow(1, second, 3, second * now as u32);
        counters.synced(1, second);
        counters.synced(1, second * 2);
        assert!(!is_slow(0));
        counters.synced(1, second);
        assert!(is_slow(0) && !counters.is_slow(0, second, 3, second));
        counters.synced(1, second / 2);
        assert!(!is_slow(0));
        counters.sync_begins(1, second);
        assert!(!is_slow(3) && is_slow(4));
        counters.synced(1, second * 3);
        assert!(!is_slow(9));
    }

    #[test]
    fn a_sync_is_counted_in_the_bucket_of_its_duration() {
        let counters = Counters::default();
        for micros in [0, 1, 3, 4, 1 << 40] {
            counters.synced(0, Duration::from_micros(micros));
        }
        let stats = counters.read(0);
        assert_eq!(stats.sync_micros[..4], [1, 1, 1, 1]);
        assert_eq!(stats.sync_micros[BUCKETS - 1], 1);
        assert_eq!(stats.syncs, 5);
    }
}
