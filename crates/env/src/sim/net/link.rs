//! One direction between two hosts.

use std::time::Duration;

use crate::Entropy;

/// How long things take from one host to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The shortest latency.
    pub latency_min: Duration,
    /// The longest; each segment draws its own, but none overtakes another of its connection.
    pub latency_max: Duration,
    /// Bytes per second, shared by all connections; `None` for a link that is never busy.
    pub bytes_per_second: Option<u64>,
}

impl Default for Link {
    /// 200 µs to 3 ms, never busy.
    fn default() -> Link {
        Link {
            latency_min: Duration::from_micros(200),
            latency_max: Duration::from_millis(3),
            bytes_per_second: None,
        }
    }
}

/// A link at work.
pub(super) struct Route {
    link: Link,
    entropy: Entropy,
    /// Until then the link is sending what it was given.
    busy_until: Duration,
    blocked: bool,
}

/// After a partition, what was swallowed is sent again within this time.
const SENT_AGAIN_MS_MAX: u64 = 200;

impl Route {
    pub(super) fn new(entropy: Entropy) -> Route {
        Route { link: Link::default(), entropy, busy_until: Duration::ZERO, blocked: false }
    }

    pub(super) fn set_link(&mut self, link: Link) {
        assert!(
            link.latency_min <= link.latency_max,
            "a link's shortest latency {:?} is above its longest {:?}",
            link.latency_min,
            link.latency_max
        );
        self.link = link;
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    pub(super) fn block(&mut self) {
        self.blocked = true;
    }

    /// The link works again.
    pub(super) fn unblock(&mut self, now: Duration) {
        self.blocked = false;
        self.busy_until = now;
    }

    /// How long after a partition a connection notices that the link works again.
    pub(super) fn sent_again_after(&self) -> Duration {
        Duration::from_millis(1 + self.entropy.below(SENT_AGAIN_MS_MAX))
    }

    /// When `bytes` that are given to the link `at` that moment arrive; `None` while nothing passes.
    pub(super) fn arrival(&mut self, at: Duration, bytes: usize) -> Option<Duration> {
        if self.blocked {
            return None;
        }
        let sending = self.link.bytes_per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate.max(1))
        });
        self.busy_until = self.busy_until.max(at) + sending;
        Some(self.busy_until + self.latency())
    }

    pub(super) fn latency(&self) -> Duration {
        let Link { latency_min, latency_max, .. } = self.link;
        let spread =
            u64::try_from((latency_max - latency_min).as_micros()).expect("a latency below 584,000 years");
        latency_min + Duration::from_micros(self.entropy.below(spread + 1))
    }
}
