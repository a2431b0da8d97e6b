//! When and how fast a node looks for damage on its disk.

use std::time::Duration;

use chronos_cluster::ScrubConfig;
use serde::{Deserialize, Serialize};

use super::{Invalid, within};

/// How a node reads everything it has on disk again, to find damage before a reader does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scrub {
    /// Whether it does so on its own. Without it only when somebody asks (`chronos verify --online`).
    pub background: bool,
    /// From the beginning of one pass over everything to that of the next, in seconds.
    pub period_s: u64,
    /// Bytes that are read in a second at most. A pass that needs more than its period takes longer.
    pub bytes_per_second_max: u64,
}

/// A pass reads so much even on a slow disk.
const BYTES_PER_SECOND_MIN: u64 = 64 << 10;
/// Faster than any disk.
const BYTES_PER_SECOND_MAX: u64 = 1 << 40;
/// A year: damage that nobody has seen for longer has had its time to reach every copy.
const PERIOD_S_MAX: u64 = 366 * 24 * 60 * 60;

impl Default for Scrub {
    fn default() -> Self {
        let usual = ScrubConfig::default();
        Self {
            background: usual.background,
            period_s: usual.period.as_secs(),
            bytes_per_second_max: usual.bytes_per_second_max,
        }
    }
}

impl Scrub {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        within("scrub.period_s", self.period_s, 1..=PERIOD_S_MAX)?;
        within(
            "scrub.bytes_per_second_max",
            self.bytes_per_second_max,
            BYTES_PER_SECOND_MIN..=BYTES_PER_SECOND_MAX,
        )
    }

    /// For the groups of a node.
    pub(crate) fn config(&self) -> ScrubConfig {
        ScrubConfig {
            background: self.background,
            period: Duration::from_secs(self.period_s),
            bytes_per_second_max: self.bytes_per_second_max,
        }
    }
}
