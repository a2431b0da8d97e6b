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
    /// How many of 1,000 segments are lost. Connections show it as TCP does: what is lost is sent again, later each time, and
    /// what comes after it waits.
    pub lost_per_mille: u16,
    /// How many of 1,000 segments arrive with a wrong bit that no checksum of the network tells.
    pub spoiled_per_mille: u16,
}

impl Default for Link {
    /// 200 µs to 3 ms, never busy; everything arrives as it was.
    fn default() -> Link {
        Link {
            latency_min: Duration::from_micros(200),
            latency_max: Duration::from_millis(3),
            bytes_per_second: None,
            lost_per_mille: 0,
            spoiled_per_mille: 0,
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
/// What was lost on a link that works is sent again after so long, and each time after twice as long as before.
const LOST_FOR: Duration = Duration::from_millis(200);
/// But never later than that (RFC 6298 has a minute or more).
const LOST_FOR_MAX: Duration = Duration::from_secs(60);
/// A link that loses more is one on which nothing passes: block it.
const LOST_PER_MILLE_MAX: u16 = 900;

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

    /// Flips a bit of what passes, if it is its turn to be spoiled.
    pub(super) fn spoil(&self, bytes: &mut [u8]) {
        if self.happens(self.link.spoiled_per_mille) {
            let bit = self.entropy.below(bytes.len() as u64 * 8);
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
    }

    /// Without dice where it never happens: they are for what does.
    fn happens(&self, per_mille: u16) -> bool {
        per_mille > 0 && self.entropy.below(1000) < u64::from(per_mille)
    }

    pub(super) fn latency(&self) -> Duration {
        let Link { latency_min, latency_max, .. } = self.link;
        let spread =
            u64::try_from((latency_max - latency_min).as_micros()).expect("a latency below 584,000 years");
        let mut takes = latency_min + Duration::from_micros(self.entropy.below(spread + 1));
        let mut again = LOST_FOR;
        while self.happens(self.link.lost_per_mille.min(LOST_PER_MILLE_MAX)) {
            takes += again;
            again = (2 * again).min(LOST_FOR_MAX);
        }
        takes
    }
}
